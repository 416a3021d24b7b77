// What the path of a download costs at least on this machine: as many processes, sockets, pipes and passes of AES-128-GCM over 32 KiB as there
// are between a command on a node and tsh's stdout, and nothing else. `limit MEBIBYTES` prints MiB/s, and ns of processor time a byte of each process.
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { packet = 32 << 10, batch = 256 << 10, processes = 4, links = processes + 1 };

// How often each opens or seals a byte: the inner connection at both ends, the tunnel, the user's connection to the proxy.
static const struct { const char *name; int passes; } path[processes] = {{"node", 1}, {"agent", 1}, {"proxy", 2}, {"tsh", 2}};

static _Alignas(4096) unsigned char buffer[batch];

static void connect_loopback(int ends[2]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    ends[1] = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, length) || listen(listener, 1) || getsockname(listener, (void *)&address, &length)
        || connect(ends[1], (void *)&address, length) || (ends[0] = accept(listener, 0, 0)) < 0)
        err(1, "connecting to ourselves");
    setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listener);
}

static void write_all(int descriptor, const unsigned char *bytes, size_t count) {
    for (ssize_t written; count; bytes += written, count -= written)
        if ((written = write(descriptor, bytes, count)) < 0) err(1, "writing");
}

static void pass(EVP_CIPHER_CTX *cipher, unsigned char *bytes, int count) {
    static unsigned char nonce[12], tag[16];
    int length;
    if (EVP_EncryptInit_ex(cipher, 0, 0, 0, nonce) != 1 || EVP_EncryptUpdate(cipher, bytes, &length, bytes, count) != 1
        || EVP_EncryptFinal_ex(cipher, tag, &length) != 1 || EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, 16, tag) != 1)
        errx(1, "AES-GCM failed");
}

static double relay(int in, int out, int passes) {
    static const unsigned char key[16];
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), 0, key, 0) != 1) errx(1, "no AES-GCM");
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

int main(int count, char **arguments) {
    size_t total = count == 2 ? strtoull(arguments[1], 0, 10) << 20 : 0;
    if (!total) errx(2, "usage: limit MEBIBYTES");
    int ends[links][2];
    for (int link = 0; link < links; link++) {
        if (link > 0 && link < processes) connect_loopback(ends[link]);
        else if (pipe(ends[link])) err(1, "making a pipe");
    }
    printf("{");
    fflush(stdout);
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int index = -1; index <= processes; index++) {
        pid_t child = fork();
        if (child < 0) err(1, "forking");
        if (child > 0) continue;
        take_part(index, ends, total);
        exit(0);
    }
    for (int link = 0; link < links; link++) close(ends[link][0]), close(ends[link][1]);
    for (int status; wait(&status) > 0;)
        if (status) errx(1, "a process of the path failed");
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("\"bulk\": %.1f}\n", total / 1048576.0 / (end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9));
}
