/* The limit row: an echo server written bare on epoll, with nothing in it that could be left out.
 *
 *   echo_server
 *
 * Listens on a free port of 127.0.0.1 and prints {"port": N}. A line on standard input is answered with its clocks, as the Python servers do. */
#include "common.h"
#include <fcntl.h>
#include <poll.h>

enum { EVENTS = 512, ROOM = 64 * 1024 };
static char room[ROOM];

static void echo(int fd) {
    ssize_t n = recv(fd, room, ROOM, 0);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        close(fd); /* takes it out of the epoll set: nothing else refers to this open file */
        return;
    }
    for (ssize_t sent = 0; sent < n;) {
        ssize_t s = send(fd, room + sent, (size_t)(n - sent), MSG_NOSIGNAL);
        if (s >= 0) {
            sent += s;
        } else if (errno == EAGAIN) {
            /* cannot happen with one small message in flight; waiting here keeps the fast path bare and the bytes whole */
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            poll(&p, 1, -1);
        } else {
            close(fd);
            return;
        }
    }
}

static void tell_clocks(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%ld %ld", &pages, &resident) != 2) resident = 0;
        fclose(f);
    }
    printf("{\"at\": %.9f, \"user\": %.6f, \"system\": %.6f, \"rss\": %ld}\n", (double)now_ns() / 1e9, seconds(r.ru_utime), seconds(r.ru_stime),
           resident * sysconf(_SC_PAGESIZE));
    fflush(stdout);
}

int main(void) {
    raise_descriptor_limit();
    int one = 1, ep = epoll_create1(EPOLL_CLOEXEC), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (ep < 0 || listener < 0) die("epoll_create1 or socket");
    struct sockaddr_in a = {.sin_family = AF_INET};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof a;
    if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 1024) < 0) die("bind or listen");
    if (getsockname(listener, (struct sockaddr *)&a, &len) < 0) die("getsockname");
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e) < 0) die("epoll_ctl");
    e.data.fd = 0;
    if (epoll_ctl(ep, EPOLL_CTL_ADD, 0, &e) < 0) die("epoll_ctl of standard input (it must be a pipe)");
    printf("{\"port\": %d}\n", ntohs(a.sin_port));
    fflush(stdout);
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(ep, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int c = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (c < 0) continue;
                setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                e.data.fd = c;
                if (epoll_ctl(ep, EPOLL_CTL_ADD, c, &e) < 0) die("epoll_ctl");
            } else if (fd == 0) {
                char line[64];
                if (read(0, line, sizeof line) <= 0) return 0;
                tell_clocks();
            } else {
                echo(fd);
            }
        }
    }
}
