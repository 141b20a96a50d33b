/* Closed-loop load: every connection has exactly one message in flight.
 *
 *   load PORT CONNECTIONS SIZE WARM_MS WINDOW_MS
 *
 * A message is SIZE bytes; the first 8 hold the connection's number and a sequence number, and the whole echo is compared with what was sent: a lost,
 * repeated, shifted or foreign byte ends the run with status 3. Prints "begin" when the warm-up is over, "end {json}" after the window, and keeps the
 * load up until its standard input closes, so that whoever reads the server's CPU time at "end" reads it under load. */
#include "common.h"

enum { EVENTS = 512, STALL_MS = 5000 };

struct conn {
    int fd;
    int got;
    uint64_t id;       /* of the message in flight */
    uint64_t sent_at;  /* ns */
    char *out, *in;
};

/* Latencies in buckets of 1/32 of a power of two: an error of 3 % at most, whatever the range. */
enum { FINE = 5, BUCKETS = 64 << FINE };
static uint64_t histogram[BUCKETS];

static unsigned bucket_of(uint64_t ns) {
    if (ns < (1u << FINE)) return (unsigned)ns;
    unsigned shift = (unsigned)(63 - __builtin_clzll(ns)) - FINE;
    return ((shift + 1) << FINE) + (unsigned)((ns >> shift) & ((1u << FINE) - 1));
}

static double value_of(unsigned bucket) {
    unsigned shift = bucket >> FINE, rest = bucket & ((1u << FINE) - 1);
    if (shift == 0) return rest;
    return (double)((uint64_t)((1u << FINE) + rest) << (shift - 1));
}

static double percentile(uint64_t count, double part) {
    uint64_t seen = 0, want = (uint64_t)((double)count * part);
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen > want) return value_of(i) / 1e3;
    }
    return 0;
}

static void send_message(struct conn *c, int size, uint64_t now) {
    c->id++;
    memcpy(c->out, &c->id, sizeof c->id);
    c->got = 0;
    c->sent_at = now;
    ssize_t n = send(c->fd, c->out, (size_t)size, MSG_NOSIGNAL);
    if (n < 0) die("send");
    if (n != size) {
        /* one small message into an empty socket buffer always fits; a size that does not would measure something else */
        fprintf(stderr, "a message of %d bytes did not fit the socket buffer\n", size);
        exit(2);
    }
}

static _Noreturn void wrong(const struct conn *c, int size, const char *what) {
    uint64_t seen = 0;
    memcpy(&seen, c->in, c->got < 8 ? (size_t)c->got : 8);
    fprintf(stderr, "wrong echo: %s; %d of %d bytes, request id %llx, seen %llx\n", what, c->got, size, (unsigned long long)c->id,
            (unsigned long long)seen);
    exit(3);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: load PORT CONNECTIONS SIZE WARM_MS WINDOW_MS\n");
        return 2;
    }
    int port = number(argv[1], "PORT", 1), conns = number(argv[2], "CONNECTIONS", 1), size = number(argv[3], "SIZE", 16);
    uint64_t warm = (uint64_t)number(argv[4], "WARM_MS", 0) * 1000000u, window = (uint64_t)number(argv[5], "WINDOW_MS", 1) * 1000000u;
    raise_descriptor_limit();
    int ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0) die("epoll_create1");
    struct conn *all = calloc((size_t)conns, sizeof *all);
    if (!all) die("calloc");
    for (int i = 0; i < conns; i++) {
        struct conn *c = &all[i];
        c->fd = connect_local(port);
        c->id = (uint64_t)(i + 1) << 40;
        c->out = malloc((size_t)size);
        c->in = malloc((size_t)size + 1);
        if (!c->out || !c->in) die("malloc");
        for (int k = 0; k < size; k++) c->out[k] = (char)(i * 31 + k * 7);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e) < 0) die("epoll_ctl");
    }
    struct epoll_event quit = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, 0, &quit) < 0) die("epoll_ctl of standard input (it must be a pipe)");

    uint64_t start = now_ns(), begun = 0, count = 0;
    int ended = 0;
    double cpu = 0;
    for (int i = 0; i < conns; i++) send_message(&all[i], size, now_ns());
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(ep, events, EVENTS, STALL_MS);
        if (n < 0) {
            if (errno == EINTR) continue;
            die("epoll_wait");
        }
        if (n == 0) {
            fprintf(stderr, "no answer from the server within %d s\n", STALL_MS / 1000);
            return 3;
        }
        uint64_t now = now_ns();
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c == NULL) return 0; /* standard input closed, or told to stop */
            ssize_t r = recv(c->fd, c->in + c->got, (size_t)(size + 1 - c->got), 0); /* room for one byte too many, to see it */
            if (r < 0) die("recv");
            if (r == 0) wrong(c, size, "the server closed the connection");
            c->got += (int)r;
            if (c->got < size) continue;
            if (c->got > size) wrong(c, size, "more bytes than were sent");
            if (memcmp(c->in, c->out, (size_t)size) != 0) wrong(c, size, "the bytes differ");
            now = now_ns();
            if (begun && !ended) {
                count++;
                histogram[bucket_of(now - c->sent_at)]++;
            }
            send_message(c, size, now);
        }
        if (!begun && now - start >= warm) {
            begun = now_ns();
            cpu = cpu_used();
            puts("begin");
            fflush(stdout);
        } else if (begun && !ended && now - begun >= window) {
            ended = 1;
            double took = (double)(now_ns() - begun) / 1e9;
            printf("end {\"requests\": %llu, \"seconds\": %.6f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"cpu\": %.6f}\n", (unsigned long long)count, took,
                   percentile(count, 0.50), percentile(count, 0.99), cpu_used() - cpu);
            fflush(stdout);
        }
    }
}
