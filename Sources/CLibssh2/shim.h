#ifndef CLIBSSH2_SHIM_H
#define CLIBSSH2_SHIM_H

#include <errno.h>
#include <limits.h>
#include <libssh2.h>

/* Callbacks are set as untyped pointers, which Swift makes no function into. */
typedef ssize_t (*shim_receive_callback)(libssh2_socket_t socket, void *buffer, size_t count, int flags, void **object);
typedef ssize_t (*shim_send_callback)(libssh2_socket_t socket, const void *buffer, size_t count, int flags, void **object);
static inline void shim_set_callbacks(LIBSSH2_SESSION *session, shim_receive_callback receive, shim_send_callback send) {
    libssh2_session_callback_set(session, LIBSSH2_CALLBACK_RECV, (void *)receive);
    libssh2_session_callback_set(session, LIBSSH2_CALLBACK_SEND, (void *)send);
}

/* Macros with a cast, which Swift does not import. */
static const unsigned int shim_window_default = LIBSSH2_CHANNEL_WINDOW_DEFAULT;
static const unsigned int shim_packet_default = LIBSSH2_CHANNEL_PACKET_DEFAULT;

/* No descriptor has this number. libssh2 wants one that is not -1, asks once whether it blocks, and takes a failure for a yes. */
static const libssh2_socket_t shim_no_socket = INT_MAX;

/* What a callback returns when it has nothing to give, or no room. */
static const ssize_t shim_again = -EAGAIN;
static const ssize_t shim_broken = -EPIPE;

#endif
