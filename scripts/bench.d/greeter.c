// A TCP server that greets everybody as an SSH server does, and hangs up: `greeter ADDRESS` prints its port. In C, as it is measured with the
// path to it.
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    if (count != 2 || inet_pton(AF_INET, arguments[1], &address.sin_addr) != 1) errx(2, "usage: greeter ADDRESS");
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, length) || listen(listener, 1024) || getsockname(listener, (void *)&address, &length))
        err(1, "listening");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (int client; (client = accept(listener, 0, 0)) >= 0; close(client))
        if (write(client, "SSH-2.0-greeter\r\n", 17) < 0) warn("greeting");
    err(1, "accepting");
}
