// What there is to be had on this machine: bare processes with the same sockets, pipes and passes of AES-128-GCM as the path through the tunnel
// has, and nothing else.
//
//     limit bulk MEBIBYTES    from a command on a node to tsh's stdout, 32 KiB a packet: MiB/s, and ns of processor time a byte of each process
//     limit echo              one byte to a terminal on a node and back, one at a time: µs, the median
//     limit channels COUNT    new TCP connections beside the agent, so many asked for at once, until the server's greeting is there: a second
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { packet = 32 << 10, batch = 256 << 10, small = 64, children_max = 8 };

static _Alignas(4096) unsigned char buffer[batch];

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

// MARK: Sockets and processes

static struct sockaddr_in listen_loopback(int *listener) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    *listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(*listener, (void *)&address, length) || listen(*listener, 128) || getsockname(*listener, (void *)&address, &length))
        err(1, "listening");
    return address;
}

static int connect_to(struct sockaddr_in address) {
    int one = 1, socket_ = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(socket_, (void *)&address, sizeof address)) err(1, "connecting to ourselves");
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return socket_;
}

static void connect_loopback(int ends[2]) {
    int one = 1, listener;
    ends[1] = connect_to(listen_loopback(&listener));
    if ((ends[0] = accept(listener, 0, 0)) < 0) err(1, "accepting");
    setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listener);
}

static void make_pipe(int ends[2]) {
    if (pipe(ends)) err(1, "making a pipe");
}

static pid_t children[children_max];
static int child_count;

// 1 in the new process.
static int in_child(void) {
    pid_t child = fork();
    if (child < 0) err(1, "forking");
    if (child > 0) children[child_count++] = child;
    return child == 0;
}

// For those that go on until they are ended.
static void end_children(void) {
    for (int i = 0; i < child_count; i++) kill(children[i], SIGKILL);
    while (wait(0) > 0);
}

static void write_all(int descriptor, const void *bytes, size_t count) {
    for (ssize_t written; count; bytes = (const char *)bytes + written, count -= written)
        if ((written = write(descriptor, bytes, count)) < 0) err(1, "writing");
}

// MARK: AES-GCM

static EVP_CIPHER_CTX *new_cipher(void) {
    static const unsigned char key[16];
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), 0, key, 0) != 1) errx(1, "no AES-GCM");
    return cipher;
}

static void pass(EVP_CIPHER_CTX *cipher, unsigned char *bytes, int count) {
    static unsigned char nonce[12], tag[16];
    int length;
    if (EVP_EncryptInit_ex(cipher, 0, 0, 0, nonce) != 1 || EVP_EncryptUpdate(cipher, bytes, &length, bytes, count) != 1
        || EVP_EncryptFinal_ex(cipher, tag, &length) != 1 || EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, 16, tag) != 1)
        errx(1, "AES-GCM failed");
}

// What takes part between the client and the node, and how often each opens or seals a byte: the inner connection at both ends, the tunnel,
// the user's connection to the proxy.
enum { node, agent, proxy, tsh, processes };
static const struct { const char *name; int passes; } path[processes] = {{"node", 1}, {"agent", 1}, {"proxy", 2}, {"tsh", 2}};

// MARK: Bulk

enum { links = processes + 1 };

static double relay(int in, int out, int passes) {
    EVP_CIPHER_CTX *cipher = new_cipher();
    double total = 0;
    for (ssize_t count; (count = read(in, buffer, batch)) > 0; total += count) {
        for (int i = 0; i < passes; i++)
            for (ssize_t at = 0; at < count; at += packet) pass(cipher, buffer + at, count - at < packet ? count - at : packet);
        write_all(out, buffer, count);
    }
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (used.tv_sec * 1e9 + used.tv_nsec) / total;
}

// Process `index`, from the one that writes zeros (-1) to the one that reads and forgets.
static void take_part(int index, int (*ends)[2], size_t total) {
    int in = index < 0 ? -1 : ends[index][0], out = index == processes ? -1 : ends[index + 1][1];
    for (int link = 0; link < links; link++)
        for (int end = 0; end < 2; end++)
            if (ends[link][end] != in && ends[link][end] != out) close(ends[link][end]);
    if (index < 0) for (; total; total -= batch) write_all(out, buffer, batch);
    else if (index == processes) while (read(in, buffer, batch) > 0);
    else printf("\"%s\": %.3f, ", path[index].name, relay(in, out, path[index].passes));
}

static void bulk(size_t total) {
    int ends[links][2];
    for (int link = 0; link < links; link++) (link > 0 && link < processes ? connect_loopback : make_pipe)(ends[link]);
    printf("{");
    fflush(stdout);
    double start = now();
    for (int index = -1; index <= processes; index++)
        if (in_child()) {
            take_part(index, ends, total);
            exit(0);
        }
    for (int link = 0; link < links; link++) close(ends[link][0]), close(ends[link][1]);
    for (int status; wait(&status) > 0;)
        if (status) errx(1, "a process of the path failed");
    printf("\"bulk\": %.1f}\n", total / 1048576.0 / (now() - start));
}

// MARK: Small messages both ways

struct flow { int in, out; };

static void relay_both(struct flow up, struct flow down, int passes) {
    EVP_CIPHER_CTX *cipher = new_cipher();
    struct pollfd ready[2] = {{.fd = up.in, .events = POLLIN}, {.fd = down.in, .events = POLLIN}};
    for (;;) {
        if (poll(ready, 2, -1) < 0) err(1, "polling");
        for (int i = 0; i < 2; i++) {
            if (!ready[i].revents) continue;
            ssize_t count = read(ready[i].fd, buffer, batch);
            if (count <= 0) exit(0);
            for (ssize_t at = 0; at < count * passes; at += small) pass(cipher, buffer + batch / 2, small);
            write_all(i ? down.out : up.out, buffer, count);
        }
    }
}

// MARK: Echo

static int by_size(const void *left, const void *right) {
    double difference = *(const double *)left - *(const double *)right;
    return (difference > 0) - (difference < 0);
}

static void echo(void) {
    // The first find caches cold.
    enum { count = 400, cold = 50 };
    int stdin_[2], stdout_[2], user[2], tunnel[2], inner[2];
    make_pipe(stdin_), make_pipe(stdout_), connect_loopback(user), connect_loopback(tunnel), connect_loopback(inner);
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) || unlockpt(terminal) || open(ptsname(terminal), O_RDWR | O_NOCTTY) < 0) err(1, "opening a terminal");
    if (in_child()) relay_both((struct flow){stdin_[0], user[1]}, (struct flow){user[1], stdout_[1]}, path[tsh].passes);
    if (in_child()) relay_both((struct flow){user[0], tunnel[0]}, (struct flow){tunnel[0], user[0]}, path[proxy].passes);
    if (in_child()) relay_both((struct flow){tunnel[1], inner[1]}, (struct flow){inner[1], tunnel[1]}, path[agent].passes);
    if (in_child()) relay_both((struct flow){inner[0], terminal}, (struct flow){terminal, inner[0]}, path[node].passes);
    double times[count];
    for (int i = -cold; i < count; i++) {
        char byte = 'x';
        double start = now();
        write_all(stdin_[1], &byte, 1);
        if (read(stdout_[0], &byte, 1) != 1) errx(1, "no echo");
        if (i >= 0) times[i] = (now() - start) * 1e6;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, 0);
    }
    qsort(times, count, sizeof *times, by_size);
    printf("{\"echo\": %.1f}\n", times[count / 2]);
}

// MARK: Channels

// A message is `small` bytes, of which the first says what it is.
enum { open_ = 'o', confirmation = 'c', data = 'd' };

static void greet(int listener) {
    for (int client; (client = accept(listener, 0, 0)) >= 0; close(client)) write_all(client, "SSH-2.0-greeter\r\n", 17);
    err(1, "accepting");
}

static void send_message(EVP_CIPHER_CTX *cipher, int out, char kind) {
    unsigned char message[small] = {kind};
    if (cipher) pass(cipher, buffer + batch / 2, small);
    write_all(out, message, small);
}

// The whole messages that have come; what is left of the last one is read next time.
static int receive_messages(int in, unsigned char *messages) {
    static size_t held;
    ssize_t count = read(in, messages + held, batch / 2 - held);
    if (count <= 0) exit(0);
    held = (held + count) % small;
    return (count + small - 1) / small;
}

static void serve_channels(int in, struct sockaddr_in server) {
    EVP_CIPHER_CTX *cipher = new_cipher();
    int queue = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = in}, ready[128];
    epoll_ctl(queue, EPOLL_CTL_ADD, in, &event);
    for (;;) {
        int count = epoll_wait(queue, ready, 128, -1);
        for (int i = 0; i < count; i++) {
            int from = ready[i].data.fd;
            if (from == in) {
                for (int wanted = receive_messages(in, buffer); wanted; wanted--) {
                    pass(cipher, buffer + batch / 2, small);
                    event.data.fd = connect_to(server);
                    epoll_ctl(queue, EPOLL_CTL_ADD, event.data.fd, &event);
                    send_message(cipher, in, confirmation);
                }
            } else if (read(from, buffer, batch / 2) > 0) {
                send_message(cipher, in, data);
            } else {
                close(from);
            }
        }
    }
}

static void channels(int at_once) {
    const double seconds = 2;
    int user[2], tunnel[2], listener;
    struct sockaddr_in server = listen_loopback(&listener);
    connect_loopback(user), connect_loopback(tunnel);
    if (in_child()) greet(listener);
    if (in_child()) relay_both((struct flow){user[0], tunnel[0]}, (struct flow){tunnel[0], user[0]}, path[proxy].passes);
    if (in_child()) serve_channels(tunnel[1], server);
    for (int i = 0; i < at_once; i++) send_message(0, user[1], open_);
    double start = now();
    long done = 0;
    while (now() - start < seconds) {
        int count = receive_messages(user[1], buffer);
        for (int i = 0; i < count; i++)
            if (buffer[i * small] == data) done++, send_message(0, user[1], open_);
    }
    printf("{\"channels\": %.0f}\n", done / (now() - start));
}

int main(int count, char **arguments) {
    const char *what = count > 1 ? arguments[1] : "";
    int number = count > 2 ? atoi(arguments[2]) : 0;
    if (!strcmp(what, "bulk") && number > 0) bulk((size_t)number << 20);
    else if (!strcmp(what, "echo")) echo();
    else if (!strcmp(what, "channels") && number > 0) channels(number);
    else errx(2, "usage: limit bulk MEBIBYTES | echo | channels COUNT");
    fflush(stdout);
    end_children();
}
