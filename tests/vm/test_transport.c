/* SPDX-License-Identifier: Apache-2.0
 * The transport over two RDMA rails between two hosts (vm.sh): both carry, one is cut in
 * mid-transfer, one stays dead while it is dialled, one is unplugged. `peer` serves in guest 2; the
 * other arguments are cases in guest 1.
 *
 * xp-peer has its peer in a forked process at the end of a socket; here that process is in the
 * other guest, and a relay there joins its socket to a TCP connection of ours.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "perf/xp-peer.h"
#include "tests/support/check.h"
#include "tests/support/memlock.h"

enum { RAILS = 2, MIB = 1 << 20, NS_PER_S = 1000000000, LIMIT_S = 60, PORT = 7077 };

/* An emulated guest moves some MB a second, and on a busy machine takes more
 * than the usual 5 s for UCX's wire-up, which must not be given up with 1.13.1. */
#define PATIENT                                                                                    \
    {                                                                                              \
        .chunk_bytes = MIB / 2, .stall_first_ns = UINT64_C(20) * NS_PER_S                          \
    }
#define RAIL_0 "rxe0:1"
#define RAIL_1 "rxe1:1"
static const struct ucx_place both = {.devices = {RAIL_0, RAIL_1}, .limits = PATIENT};
static const struct ucx_place first = {.devices = {RAIL_0}, .limits = PATIENT};
/* test_dead_for_long is about just that: a dial is given up after 5 s. */
static const struct ucx_place impatient = {.devices = {RAIL_0, RAIL_1},
                                           .limits = {.chunk_bytes = MIB / 2}};

/* ---------------------------------------------------------------- guest 2 */

static bool pass_on(int from, int to)
{
    uint8_t bytes[4096];
    ssize_t got = read(from, bytes, sizeof(bytes));

    return got > 0 && send(to, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

static void relay(int near, int far)
{
    struct pollfd fds[] = {{.fd = near, .events = POLLIN}, {.fd = far, .events = POLLIN}};

    while (poll(fds, FAB_ARRAY_LEN(fds), -1) >= 0 || errno == EINTR) {
        if ((fds[0].revents && !pass_on(near, far)) || (fds[1].revents && !pass_on(far, near)))
            return;
    }
}

/* One peer after the other, each in a process of its own, until the guest is ended. The last byte
 * on a connection says whether its peer ended well. */
static int serve(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), far;

    if (door < 0 || bind(door, (struct sockaddr *)&any, sizeof(any)) != 0 || listen(door, 1) != 0) {
        perror("peer");
        return 1;
    }
    while ((far = accept4(door, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct ucx_peer peer;
        uint8_t status;

        if (ucx_peer_start(&peer, &both)) {
            relay(peer.fd, far);
            status = (uint8_t)ucx_peer_stop(&peer);
            (void)send(far, &status, sizeof(status), MSG_NOSIGNAL);
        }
        (void)close(far);
    }
    return 1;
}

/* ---------------------------------------------------------------- guest 1: what it needs */

static uint64_t now_ms(void)
{
    return fab_clock_now_ns(fab_clock_real()) / 1000000;
}

static void say_ms(const char *what, uint64_t since_ms)
{
    (void)printf("%s: %llu ms\n", what, (unsigned long long)(now_ms() - since_ms));
}

/* The other guest boots beside us: refused or unreachable is "not yet". */
static bool reach(struct ucx_peer *peer)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    uint64_t limit_ms = now_ms() + LIMIT_S * UINT64_C(1000);

    (void)inet_pton(AF_INET, "10.77.0.2", &to.sin_addr);
    do {
        *peer = (struct ucx_peer){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        if (connect(peer->fd, (struct sockaddr *)&to, sizeof(to)) == 0)
            return true;
        (void)close(peer->fd);
        (void)sched_yield();
    } while (now_ms() < limit_ms);
    return false;
}

static bool open_pair(struct ucx_peer *peer, struct ucx_link *link, const struct ucx_place *here)
{
    struct fab_err err = {0};
    uint64_t since_ms;

    CHECK_CASE("opening");
    if (!CHECK(reach(peer)))
        return false;
    since_ms = now_ms();
    if (ucx_link_open(link, peer, here, &err)) {
        say_ms("opening", since_ms);
        return true;
    }
    CHECK_CASE("%s", err.text);
    CHECK(false);
    return false;
}

static void close_pair(struct ucx_peer *peer, struct ucx_link *link)
{
    uint8_t status = 255;

    CHECK_CASE("closing");
    CHECK_EQ(link->losts, 0);
    ucx_link_close(link);
    (void)shutdown(peer->fd, SHUT_WR);
    CHECK_EQ(recv(peer->fd, &status, sizeof(status), MSG_WAITALL), 1);
    CHECK_EQ(status, 0);
    (void)close(peer->fd);
}

/* Has the machine pull or plug a cable (vm.sh); back when it is done. */
static bool set_link(unsigned guest, unsigned rail, bool up)
{
    static const char done[] = "done\n";
    char answer[sizeof(done)] = "";
    int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC);
    bool asked = fd >= 0 && dprintf(fd, "link %u %u %s\n", guest, rail, up ? "on" : "off") > 0;

    for (size_t got = 0; asked && got < sizeof(done) - 1; got++)
        asked = read(fd, answer + got, 1) == 1;
    if (fd >= 0)
        (void)close(fd);
    return asked && strcmp(answer, done) == 0;
}

/* A file of the rail's device; "" if there is none. */
static const char *port_file(unsigned rail, const char *name)
{
    static char text[64];
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "/sys/class/infiniband/rxe%u/ports/1/%s", rail, name);
    file = fopen(path, "re");
    if (!file || !fgets(text, sizeof(text), file))
        text[0] = '\0';
    if (file)
        (void)fclose(file);
    return text;
}

/* As the device counts them. */
static uint64_t packets_sent(unsigned rail)
{
    return strtoull(port_file(rail, "hw_counters/sent_pkts"), NULL, 10);
}

static uint64_t packets_received(unsigned rail)
{
    return strtoull(port_file(rail, "hw_counters/rcvd_pkts"), NULL, 10);
}

static struct xp_conn_stats stats_of(struct ucx_link *link)
{
    struct xp_conn_stats stats;

    xp_conn_stats(link->conn, &stats);
    return stats;
}

/* Waits for an event with a limit that only a defect reaches. */
static bool wait_for(bool (*holds)(struct ucx_link *link), struct ucx_link *link)
{
    uint64_t limit_ms = now_ms() + LIMIT_S * UINT64_C(1000);

    while (!holds(link)) {
        if (now_ms() > limit_ms)
            return false;
        (void)sched_yield();
    }
    return true;
}

/* ---------------------------------------------------------------- both carry */

static bool are_even(struct ucx_link *link, uint64_t size_bytes)
{
    struct xp_conn_stats stats = stats_of(link);
    bool even = true;

    for (unsigned rail = 0; rail < RAILS; rail++)
        even = even && stats.rails[rail].sent_bytes > size_bytes / 5 &&
               stats.rails[rail].received_bytes > size_bytes / 5;
    return even;
}

/* 16 chunks go by the rail that asks first, and on a busy machine the emulator of one may stand
 * still for most of them: then more go after them. */
static void test_both_rails_carry(void)
{
    enum { SIZE = 8 * MIB, PACKET_BYTES = 4096, ROUNDS_MAX = 8 };
    uint8_t *bytes = malloc(SIZE);
    uint64_t sent[RAILS], received[RAILS], size_bytes = 0;
    struct ucx_peer peer;
    struct ucx_link link;
    struct xp_conn_stats stats;

    if (!CHECK(bytes) || !open_pair(&peer, &link, &both))
        return;
    for (unsigned rail = 0; rail < RAILS; rail++) {
        sent[rail] = packets_sent(rail);
        received[rail] = packets_received(rail);
    }
    for (uint64_t id = 1; id < 2 * ROUNDS_MAX && !are_even(&link, size_bytes); id += 2) {
        CHECK_CASE("out");
        CHECK(ucx_bulk(&link, true, bytes, &(struct ucx_bulk_args){id, SIZE, 11}));
        CHECK_CASE("in");
        CHECK(ucx_bulk(&link, false, bytes, &(struct ucx_bulk_args){id + 1, SIZE, 12}));
        size_bytes += SIZE;
    }
    stats = stats_of(&link);
    for (unsigned rail = 0; rail < RAILS; rail++) {
        const struct xp_rail_stats *own = &stats.rails[rail];

        sent[rail] = packets_sent(rail) - sent[rail];
        received[rail] = packets_received(rail) - received[rail];
        CHECK_CASE("rail %u: out %llu bytes in %llu packets, in %llu in %llu", rail,
                   (unsigned long long)own->sent_bytes, (unsigned long long)sent[rail],
                   (unsigned long long)own->received_bytes, (unsigned long long)received[rail]);
        CHECK(own->sent_bytes > size_bytes / 5);
        CHECK(own->received_bytes > size_bytes / 5);
        CHECK(sent[rail] >= own->sent_bytes / PACKET_BYTES);
        CHECK(received[rail] >= own->received_bytes / PACKET_BYTES);
    }
    close_pair(&peer, &link);
    free(bytes);
}

/* ---------------------------------------------------------------- one is cut */

static unsigned victim; /* the rail that is cut */

static uint64_t carried(struct ucx_link *link)
{
    struct xp_conn_stats stats = stats_of(link);

    return stats.rails[victim].sent_chunks + stats.rails[victim].received_chunks;
}

static bool victim_is_down(struct ucx_link *link)
{
    return !stats_of(link).rails[victim].up;
}

static bool both_are_up(struct ucx_link *link)
{
    struct xp_conn_stats stats = stats_of(link);

    return stats.up && stats.rails[0].up && stats.rails[1].up;
}

static bool port_is_down(struct ucx_link *link)
{
    (void)link;
    return strstr(port_file(victim, "state"), "DOWN") != NULL;
}

/* How many of its two ends are through. */
static int halves_done(struct ucx_flight *flight)
{
    int halves = 2;

    CHECK_EQ(sem_getvalue(&flight->done, &halves), 0);
    return halves;
}

/* Starts a transfer, and another one if the victim had no part in it (an emulated rail may be that
 * slow), until the victim has carried some of it and more is to come. */
static bool start_over_victim(struct ucx_link *link, struct ucx_flight *flight, bool to_peer,
                              uint8_t *bytes, struct ucx_bulk_args args)
{
    enum { TRIES = 10 };

    for (int i = 0; i < TRIES; i++, args.id++) {
        uint64_t before = carried(link);

        ucx_bulk_start(flight, link, to_peer, bytes, &args);
        while (halves_done(flight) == 0 && carried(link) == before)
            (void)sched_yield();
        if (halves_done(flight) == 0)
            return true;
        if (!CHECK(ucx_bulk_wait(flight)))
            return false;
    }
    return check_true(false, "the victim carries", __FILE__, __LINE__);
}

/* Cuts the victim's cable at that guest's end before a transfer is through: at ours the port goes
 * down, at the other's we only hear nothing any more. */
static bool cut_in_the_middle(struct ucx_link *link, struct ucx_flight *flight, bool to_peer,
                              uint8_t *bytes, const struct ucx_bulk_args *args, unsigned guest)
{
    if (!start_over_victim(link, flight, to_peer, bytes, *args) ||
        !CHECK(set_link(guest, victim, false)))
        return false;
    CHECK_EQ(halves_done(flight), 0);
    if (guest == 1)
        CHECK(wait_for(port_is_down, link)); /* the kernel looks once a second */
    else
        CHECK_HAS(port_file(victim, "state"), "ACTIVE");
    return true;
}

struct cut_row {
    const char *label;
    unsigned victim, guest;
    bool to_peer;
};

static const struct cut_row cut_rows[] = {
    {"rail 1 here, sending", 1, 1, true},
    {"rail 1 there, receiving", 1, 2, false},
    {"rail 0 here, receiving", 0, 1, false}, /* control moves, too */
    {"rail 0 there, sending", 0, 2, true},
};

static void test_cut_in_the_middle(void)
{
    enum { SIZE = 32 * MIB };
    uint8_t *bytes = malloc(SIZE);
    struct ucx_peer peer;
    struct ucx_link link;
    struct xp_reply reply;

    if (!CHECK(bytes) || !open_pair(&peer, &link, &both))
        return;
    for (unsigned i = 0; i < FAB_ARRAY_LEN(cut_rows); i++) {
        const struct cut_row *row = &cut_rows[i];
        struct ucx_flight flight;
        uint64_t since_ms;

        CHECK_CASE("%s", row->label);
        (void)puts(row->label);
        victim = row->victim;
        if (!cut_in_the_middle(&link, &flight, row->to_peer, bytes,
                               &(struct ucx_bulk_args){100 * (i + 1), SIZE, 21 + i}, row->guest))
            return;
        since_ms = now_ms();
        CHECK(ucx_bulk_wait(&flight));
        say_ms("cut to end of transfer", since_ms);
        CHECK(wait_for(victim_is_down, &link));
        CHECK_EQ(xp_call(link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_OK);
        say_ms("cut to a call", since_ms);
        CHECK(set_link(row->guest, victim, true));
        since_ms = now_ms();
        CHECK(wait_for(both_are_up, &link));
        say_ms("link to rail", since_ms);
    }
    close_pair(&peer, &link);
    free(bytes);
}

/* The other rail works on while the victim is dialled in vain. */
static void stay_dead(struct ucx_link *link, uint8_t *bytes, uint64_t size_bytes, uint64_t first_id)
{
    enum { DEAD_MS = 12000 }; /* twice stall_first_ns, after which a dial is given up */
    uint64_t since_ms = now_ms();

    for (uint64_t id = first_id; now_ms() < since_ms + DEAD_MS; id++)
        CHECK(ucx_bulk(link, id % 2, bytes, &(struct ucx_bulk_args){id, size_bytes, id}));
    CHECK(victim_is_down(link));
}

static void test_dead_for_long(void)
{
    enum { SIZE = 8 * MIB, IDS = 1000 };
    static const struct cut_row rows[] = {{"rail 1 here", 1, 1, true},
                                          {"rail 0 there", 0, 2, true}};
    uint8_t *bytes = malloc(2 * SIZE);
    struct ucx_peer peer;
    struct ucx_link link;

    if (!CHECK(bytes) || !open_pair(&peer, &link, &impatient))
        return;
    for (unsigned i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct ucx_flight flight;
        uint64_t since_ms, id = 1 + i * IDS;

        CHECK_CASE("%s", rows[i].label);
        (void)puts(rows[i].label);
        victim = rows[i].victim;
        if (!cut_in_the_middle(&link, &flight, rows[i].to_peer, bytes,
                               &(struct ucx_bulk_args){id, 2 * SIZE, id}, rows[i].guest))
            return;
        CHECK(ucx_bulk_wait(&flight));
        stay_dead(&link, bytes, SIZE, id + IDS / 2);
        CHECK(set_link(rows[i].guest, victim, true));
        since_ms = now_ms();
        CHECK(wait_for(both_are_up, &link));
        say_ms("link to rail", since_ms);
    }
    close_pair(&peer, &link);
    free(bytes);
}

/* ---------------------------------------------------------------- one is unplugged */

static pid_t unplug_rail_1(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)execlp("rdma", "rdma", "link", "delete", "rxe1", (char *)NULL);
        _exit(1);
    }
    return pid;
}

static bool rail_1_is_gone(struct ucx_link *link)
{
    (void)link;
    return access("/sys/class/infiniband_verbs/uverbs1", F_OK) != 0;
}

/* The kernel closes the device to newcomers at once, and takes it away from those who have it open
 * only when they let go (rxe cannot do better). */
static void test_unplug_between_transfers(void)
{
    enum { SIZE = 8 * MIB };
    uint8_t *bytes = malloc(SIZE);
    struct ucx_peer peer = {.fd = -1};
    struct ucx_link link;
    struct fab_err err = {0};
    uint64_t sent;
    int status = -1;
    pid_t pid;

    if (!CHECK(bytes) || !open_pair(&peer, &link, &both))
        return;
    CHECK_CASE("before");
    CHECK(ucx_bulk(&link, true, bytes, &(struct ucx_bulk_args){1, SIZE, 41}));
    pid = unplug_rail_1();
    CHECK(pid > 0);
    CHECK(wait_for(rail_1_is_gone, &link));
    CHECK_CASE("the next transfer");
    CHECK(ucx_bulk(&link, true, bytes, &(struct ucx_bulk_args){2, SIZE, 42}));
    CHECK(ucx_bulk(&link, false, bytes, &(struct ucx_bulk_args){3, SIZE, 43}));
    close_pair(&peer, &link);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    CHECK_STR(port_file(1, "state"), "");

    CHECK_CASE("a node that still names it");
    CHECK(!ucx_link_open(&link, &peer, &both, &err));
    CHECK_HAS(err.text, RAIL_1);
    ucx_link_close(&link);

    if (!open_pair(&peer, &link, &first))
        return;
    CHECK_CASE("on the other rail alone");
    sent = packets_sent(0);
    CHECK(ucx_bulk(&link, true, bytes, &(struct ucx_bulk_args){1, SIZE, 44}));
    CHECK(ucx_bulk(&link, false, bytes, &(struct ucx_bulk_args){2, SIZE, 45}));
    CHECK(packets_sent(0) > sent);
    close_pair(&peer, &link);
    free(bytes);
}

/* ---------------------------------------------------------------- little locked memory */

/* The most that is locked while a transfer moves. */
static long watch_flight(struct ucx_flight *flight)
{
    long most_kib = 0;
    int halves = 0;

    while (sem_getvalue(&flight->done, &halves) == 0 && halves < 2) {
        long held_kib = memlock_held_kib();

        most_kib = held_kib > most_kib ? held_kib : most_kib;
        (void)sched_yield();
    }
    return most_kib;
}

/* A client of the usual kind: it may lock what the rails need and no more (design D8). */
static void test_little_locked_memory(void)
{
    enum { SIZE = 8 * MIB, LIMIT_KIB = 4096 };
    uint8_t *bytes = malloc(SIZE);
    struct xp_mem_config config = {.address = bytes, .size_bytes = SIZE, .fd = -1};
    struct xp_mem *mem = NULL;
    struct xp_conn_stats stats;
    struct ucx_peer peer;
    struct ucx_link link;

    CHECK(memlock_limit(LIMIT_KIB));
    if (!CHECK(bytes) || !open_pair(&peer, &link, &both))
        return;
    for (unsigned to_peer = 0; to_peer < 2; to_peer++) {
        struct ucx_flight flight;
        long most_kib;

        CHECK_CASE(to_peer ? "out" : "in");
        ucx_bulk_start(&flight, &link, to_peer, bytes,
                       &(struct ucx_bulk_args){1 + to_peer, SIZE, 51 + to_peer});
        most_kib = watch_flight(&flight);
        CHECK(ucx_bulk_wait(&flight));
        (void)printf("%s: locked at most %ld KiB\n", to_peer ? "out" : "in", most_kib);
        CHECK(most_kib > 0 && most_kib <= LIMIT_KIB);
    }
    CHECK_CASE("what cannot be registered");
    CHECK_EQ(xp_mem_register(link.node, &config, &mem, NULL), FAB_OK);
    stats = stats_of(&link);
    for (unsigned rail = 0; rail < RAILS; rail++)
        CHECK_EQ(stats.rails[rail].refused_registrations, 1);
    xp_mem_unregister(mem);
    close_pair(&peer, &link);
    free(bytes);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest carry[] = {
        CHECK_TEST(test_both_rails_carry),
        CHECK_TEST(test_unplug_between_transfers),
    };
    const struct CMUnitTest cut[] = {CHECK_TEST(test_cut_in_the_middle)};
    const struct CMUnitTest locked[] = {CHECK_TEST(test_little_locked_memory)};
    const struct CMUnitTest dead[] = {CHECK_TEST(test_dead_for_long)};
    const char *what = argc > 1 ? argv[1] : "";

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(what, "peer") == 0)
        return serve();
    if (strcmp(what, "carry") == 0)
        return check_run(carry);
    if (strcmp(what, "cut") == 0)
        return check_run(cut);
    if (strcmp(what, "dead") == 0)
        return check_run(dead);
    if (strcmp(what, "locked") == 0)
        return check_run(locked);
    (void)fputs("start me by tests/vm/vm.sh run PROGRAM carry|cut|dead|locked\n", stderr);
    return 2;
}
