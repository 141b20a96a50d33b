/* Idle connections: opens N, has each say one message and hear it back, then holds them all until standard input closes.
 *
 *   hold PORT CONNECTIONS SIZE
 *
 * Prints "held N" when all stand. The one message is there because a server may put off what it allocates for a connection until it first speaks. */
#include "common.h"

enum { BATCH = 64 };

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: hold PORT CONNECTIONS SIZE\n");
        return 2;
    }
    int port = number(argv[1], "PORT", 1), conns = number(argv[2], "CONNECTIONS", 1), size = number(argv[3], "SIZE", 1);
    raise_descriptor_limit();
    char *out = malloc((size_t)size), *in = malloc((size_t)size);
    int *fds = calloc((size_t)conns, sizeof *fds);
    if (!out || !in || !fds) die("malloc");
    struct timeval patience = {.tv_sec = 10};
    for (int done = 0; done < conns;) {
        /* in small batches, each answered before the next: the server's backlog never fills, so no connect waits for a retransmitted SYN */
        int upto = done + BATCH < conns ? done + BATCH : conns;
        for (int i = done; i < upto; i++) {
            fds[i] = connect_local(port);
            setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
            memset(out, 'a' + i % 26, (size_t)size);
            if (send(fds[i], out, (size_t)size, MSG_NOSIGNAL) != size) die("send");
        }
        for (int i = done; i < upto; i++) {
            memset(out, 'a' + i % 26, (size_t)size);
            ssize_t n = recv(fds[i], in, (size_t)size, MSG_WAITALL);
            if (n < 0) die("recv");
            if (n != size || memcmp(in, out, (size_t)size) != 0) {
                fprintf(stderr, "connection %d: wrong echo (%zd of %d bytes)\n", i, n, size);
                return 3;
            }
        }
        done = upto;
    }
    printf("held %d\n", conns);
    fflush(stdout);
    char rest[16];
    while (read(0, rest, sizeof rest) > 0) {
    }
    return 0;
}
