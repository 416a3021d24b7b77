#ifndef CLIBUV_SHIM_H
#define CLIBUV_SHIM_H

#include <uv.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <malloc.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <wordexp.h>

// Declared by the system under _GNU_SOURCE only, which the Swift module of Glibc is built without.
extern int pthread_setname_np(pthread_t thread, const char *name);
extern int pipe2(int ends[2], int flags);
extern int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int lowest);
extern int ptsname_r(int descriptor, char *name, size_t size);
extern int setresgid(gid_t real, gid_t effective, gid_t saved);
extern int setresuid(uid_t real, uid_t effective, uid_t saved);
extern int posix_openpt(int flags);
extern int grantpt(int descriptor);
extern int unlockpt(int descriptor);
extern int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned int flags);
extern char *getusershell(void);
extern void setusershell(void);
extern void endusershell(void);
#define SHIM_SPAWN_SETSID 0x80
#define SHIM_RENAME_NOREPLACE 1u
#define SHIM_MOUNT_READ_ONLY 1
#define SHIM_MOUNT_NO_SETUID 2

// RUSAGE_THREAD, which is declared under _GNU_SOURCE only.
static inline int shim_thread_usage(struct rusage *usage) { return getrusage((__rusage_who_t)1, usage); }

// fcntl and ioctl are variadic, which Swift does not import.
static inline int shim_duplicate_above(int descriptor, int lowest) { return fcntl(descriptor, F_DUPFD_CLOEXEC, lowest); }
// Lets a pipe hold more; one that holds as much already, or may not, is left as it is.
static inline void shim_widen_pipe(int descriptor, int bytes)
{
    if (fcntl(descriptor, 1032 /* F_GETPIPE_SZ */) < bytes) fcntl(descriptor, 1031 /* F_SETPIPE_SZ */, bytes);
}
static inline bool shim_is_unnamed_pipe(int descriptor)
{
    struct statfs system;
    return fstatfs(descriptor, &system) == 0 && system.f_type == PIPEFS_MAGIC;
}
static inline bool shim_is_null_device(int descriptor)
{
    struct stat status;
    // The numbers are the kernel's own (devices.txt).
    return fstat(descriptor, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}
static inline int shim_set_nonblocking(int descriptor) { return fcntl(descriptor, F_SETFL, O_NONBLOCK); }
static inline int shim_set_terminal_size(int descriptor, const struct winsize *size) { return ioctl(descriptor, TIOCSWINSZ, size); }
static inline int shim_get_terminal_size(int descriptor, struct winsize *size) { return ioctl(descriptor, TIOCGWINSZ, size); }
static inline int shim_set_controlling_terminal(int descriptor) { return ioctl(descriptor, TIOCSCTTY, 0); }

// The macros for control messages are not imported. Some descriptors travel with the bytes, or none.
#define SHIM_DESCRIPTORS_MAX 8
static inline ssize_t shim_send_with_descriptors(int socket, const void *bytes, size_t count, const int *descriptors, size_t number)
{
    union { struct cmsghdr header; char bytes[CMSG_SPACE(SHIM_DESCRIPTORS_MAX * sizeof(int))]; } control = {0};
    struct iovec part = { (void *)bytes, count };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (number > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(number * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(number * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, number * sizeof(int));
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

// -1 with EMSGSIZE for a message that is longer than there is room for, or that brings more descriptors; *number is the room for these, then
// how many came.
static inline ssize_t shim_receive_with_descriptors(int socket, void *bytes, size_t room, int *descriptors, size_t *number)
{
    union { struct cmsghdr header; char bytes[CMSG_SPACE(SHIM_DESCRIPTORS_MAX * sizeof(int))]; } control = {0};
    struct iovec part = { bytes, room };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control };
    // The exact length: with the padding the kernel would let one more through.
    message.msg_controllen = CMSG_LEN(*number * sizeof(int));
    *number = 0;
    ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (count < 0) return count;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        *number = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors, CMSG_DATA(header), *number * sizeof(int));
    }
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        for (size_t index = 0; index < *number; index++) close(descriptors[index]);
        *number = 0;
        errno = EMSGSIZE;
        return -1;
    }
    return count;
}

// A fork whose child is a child of our own parent. CLONE_PARENT is declared under _GNU_SOURCE only. For a process of one thread.
static inline pid_t shim_fork_sibling(void) { return (pid_t)syscall(SYS_clone, 0x8000 /* CLONE_PARENT */ | SIGCHLD, 0, 0, 0, 0); }

static inline int shim_set_answer_time(int socket, int seconds)
{
    struct timeval time = { .tv_sec = seconds };
    return setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

// Swift shows c_cc as a tuple, which cannot be indexed.
static inline cc_t shim_get_control_character(const struct termios *modes, int index) { return modes->c_cc[index]; }
static inline void shim_set_control_character(struct termios *modes, int index, cc_t value) { modes->c_cc[index] = value; }

// The wait macros are not imported.
static inline int shim_exited(int status) { return WIFEXITED(status); }
static inline int shim_exit_status(int status) { return WEXITSTATUS(status); }
static inline int shim_term_signal(int status) { return WTERMSIG(status); }
static inline int shim_core_dumped(int status) { return WCOREDUMP(status) ? 1 : 0; }

#endif
