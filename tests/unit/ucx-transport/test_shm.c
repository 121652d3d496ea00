/* SPDX-License-Identifier: Apache-2.0
 * The same-host backend with real threads and sockets: two nodes in this process, then a second
 * process that is killed while a forked child of it lives on; windows; liars in the ring.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/check.h"
#include "ucx-transport/xp_address.h"
#include "ucx-transport/xp_ring.h"

enum { SESSION = 7, OP_ECHO = 1, OP_COUNT, BIG_BYTES = 20 << 20, WINDOW_BYTES = 1 << 20 };

/* One end: its node, connection and what happened to it. */
struct end {
    struct xp_node *node;
    struct xp_conn *conn;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t posts, ups, losts, closeds, transfers_done, transfers_failed;
    enum fab_status lost_status;
    atomic_bool out_of_order;
};

static void on_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    struct end *end = user;
    struct iovec part = {.iov_base = (void *)(uintptr_t)message->args,
                         .iov_len = message->args_bytes};

    if (message->kind == XP_CALL) {
        (void)!xp_reply(conn, message->number, (int32_t)end->posts, &part, 1, NULL);
        return;
    }
    if (message->op != end->posts++)
        atomic_store(&end->out_of_order, true);
}

static void on_event(void *user, struct xp_conn *conn, const struct xp_event *event)
{
    struct end *end = user;

    (void)conn;
    (void)pthread_mutex_lock(&end->lock);
    end->ups += event->kind == XP_EVENT_UP;
    end->closeds += event->kind == XP_EVENT_CLOSED;
    if (event->kind == XP_EVENT_LOST) {
        end->losts++;
        end->lost_status = event->status;
    }
    (void)pthread_cond_broadcast(&end->changed);
    (void)pthread_mutex_unlock(&end->lock);
}

static const struct xp_handlers handlers = {.message = on_message, .event = on_event};

static void wait_for(struct end *end, const uint32_t *counter, uint32_t wanted)
{
    (void)pthread_mutex_lock(&end->lock);
    while (*counter < wanted)
        (void)pthread_cond_wait(&end->changed, &end->lock);
    (void)pthread_mutex_unlock(&end->lock);
}

static bool open_node(struct end *end, const char *folder)
{
    struct xp_rail_config rail = {.backend = &xp_backend_shm, .device = folder, .numa_node = -1};
    struct xp_node_config config = {
        .node_id = {1}, .rails = &rail, .rail_count = 1, .clock = fab_clock_real(), .spin_us = 20};

    *end = (struct end){0};
    (void)pthread_mutex_init(&end->lock, NULL);
    (void)pthread_cond_init(&end->changed, NULL);
    return CHECK_EQ(xp_node_create(&config, &end->node, NULL), FAB_OK);
}

static bool open_conn(struct end *end, bool initiator, const uint8_t *peer, size_t peer_bytes)
{
    struct xp_conn_config config = {
        .session_id = SESSION,
        .key = {5},
        .initiator = initiator,
        .peer_address = peer,
        .peer_address_bytes = peer_bytes,
        .limits = {.grace_ns = UINT64_C(2000000000)},
        .handlers = &handlers,
        .user = end,
    };

    return CHECK_EQ(xp_conn_open(end->node, &config, &end->conn, NULL), FAB_OK);
}

static void close_end(struct end *end)
{
    xp_conn_close(end->conn);
    wait_for(end, &end->closeds, 1);
    xp_node_destroy(end->node);
    (void)pthread_cond_destroy(&end->changed);
    (void)pthread_mutex_destroy(&end->lock);
}

/* ---------------------------------------------------------------- two nodes here */

static void transfer_done(void *user, enum fab_status status)
{
    struct end *end = user;

    (void)pthread_mutex_lock(&end->lock);
    end->transfers_done++;
    end->transfers_failed += status != FAB_OK;
    (void)pthread_cond_broadcast(&end->changed);
    (void)pthread_mutex_unlock(&end->lock);
}

static const struct xp_bulk_ops bulk_ops = {.done = transfer_done};

static void copy(struct end *from, struct end *to, uint64_t id, size_t size_bytes)
{
    uint8_t *source = malloc(size_bytes), *target = calloc(1, size_bytes);
    struct xp_bulk bulk = {.id = id, .size_bytes = size_bytes, .ops = &bulk_ops};
    struct xp_transfer *transfer;
    uint32_t before[2] = {from->transfers_done, to->transfers_done};

    CHECK_CASE("%zu bytes", size_bytes);
    if (CHECK(source && target)) {
        for (size_t i = 0; i < size_bytes; i++)
            source[i] = (uint8_t)(i * 31 + i / 4096 + id);
        bulk.base = target;
        bulk.user = to;
        CHECK_EQ(xp_bulk_receive(to->conn, &bulk, &transfer, NULL), FAB_OK);
        bulk.base = source;
        bulk.user = from;
        CHECK_EQ(xp_bulk_send(from->conn, &bulk, &transfer, NULL), FAB_OK);
        wait_for(from, &from->transfers_done, before[0] + 1);
        wait_for(to, &to->transfers_done, before[1] + 1);
        CHECK_EQ(from->transfers_failed + to->transfers_failed, 0);
        CHECK_MEM(target, source, size_bytes);
    }
    free(source);
    free(target);
}

static void window(struct end *owner, struct end *peer, bool writable)
{
    int fd = memfd_create("test-window", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct xp_mem_config config = {.size_bytes = WINDOW_BYTES, .fd = fd, .peer_writable = writable};
    struct xp_mem *mem = NULL;
    struct xp_reply reply;
    char *view;

    CHECK_CASE("window, %s", writable ? "writable" : "read-only");
    CHECK_EQ(ftruncate(fd, WINDOW_BYTES), 0);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    config.address = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memcpy((char *)config.address + 100, "hello", 6);
    if (!CHECK_EQ(xp_mem_register(owner->node, &config, &mem, NULL), FAB_OK))
        return;
    /* A reply that comes after the registration proves that its message was heard. */
    do {
        CHECK_EQ(xp_call(owner->conn, OP_ECHO, NULL, 0, NULL, 0, &reply), FAB_OK);
        view = xp_mem_view(peer->conn, xp_mem_id(mem), 100, 6, writable);
    } while (!view);
    CHECK_STR(view, "hello");
    CHECK(xp_mem_view(peer->conn, xp_mem_id(mem), WINDOW_BYTES - 1, 2, false) == NULL);
    CHECK(xp_mem_view(peer->conn, xp_mem_id(mem), UINT64_MAX, 2, false) == NULL);
    CHECK(xp_mem_view(peer->conn, xp_mem_id(mem) + 1, 0, 1, false) == NULL);
    CHECK_EQ(xp_mem_view(peer->conn, xp_mem_id(mem), 0, 1, true) != NULL, writable);
    if (writable) {
        view[0] = 'j';
        CHECK_STR((char *)config.address + 100, "jello");
    }
    xp_mem_unregister(mem);
    (void)munmap(config.address, WINDOW_BYTES);
    (void)close(fd);
}

/* Where a lent chunk goes; the source changes when it is offered. */
struct loan {
    struct end *end;
    uint8_t *source, *target;
};

static enum fab_status loan_place(void *user, struct xp_chunk *chunk)
{
    struct loan *loan = user;

    loan->source[chunk->offset] ^= 0xff;
    chunk->address = loan->target + chunk->offset;
    return FAB_OK;
}

static void loan_done(void *user, enum fab_status status)
{
    transfer_done(((struct loan *)user)->end, status);
}

static const struct xp_bulk_ops loan_ops = {.place = loan_place, .done = loan_done};

static void *memfd_map(size_t size_bytes, int *fd_out)
{
    void *address;

    *fd_out = memfd_create("test-loan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK_EQ(ftruncate(*fd_out, (off_t)size_bytes), 0);
    CHECK_EQ(fcntl(*fd_out, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    address = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd_out, 0);
    return address == MAP_FAILED ? NULL : address;
}

/* What the sender has registered goes through no ring: the receiver copies it when it has a place,
 * so it gets what is written until then. */
static void lend(struct end *from, struct end *to, uint64_t id, size_t size_bytes)
{
    struct xp_mem_config config = {.size_bytes = size_bytes};
    struct loan loan = {.end = to, .target = calloc(1, size_bytes)};
    uint32_t before[2] = {from->transfers_done, to->transfers_done};
    struct xp_bulk bulk = {.id = id, .size_bytes = size_bytes, .ops = &loan_ops, .user = &loan};
    struct xp_transfer *transfer;
    struct xp_mem *mem = NULL;

    CHECK_CASE("%zu bytes lent", size_bytes);
    config.address = loan.source = memfd_map(size_bytes, &config.fd);
    if (!CHECK(loan.source && loan.target) ||
        !CHECK_EQ(xp_mem_register(from->node, &config, &mem, NULL), FAB_OK))
        return;
    for (size_t i = 0; i < size_bytes; i++)
        loan.source[i] = (uint8_t)(i * 7 + i / 4096);
    CHECK_EQ(xp_bulk_receive(to->conn, &bulk, &transfer, NULL), FAB_OK);
    bulk.ops = &bulk_ops;
    bulk.user = from;
    bulk.base = loan.source;
    bulk.mem = mem;
    CHECK_EQ(xp_bulk_send(from->conn, &bulk, &transfer, NULL), FAB_OK);
    wait_for(from, &from->transfers_done, before[0] + 1);
    wait_for(to, &to->transfers_done, before[1] + 1);
    CHECK_EQ(from->transfers_failed + to->transfers_failed, 0);
    CHECK_MEM(loan.target, loan.source, size_bytes);
    CHECK_EQ(loan.target[0], 0xff);
    xp_mem_unregister(mem);
    (void)munmap(loan.source, size_bytes);
    (void)close(config.fd);
    free(loan.target);
}

/* More than a socket holds at once: none is forgotten. */
static void many_windows(struct end *owner, struct end *peer)
{
    enum { COUNT = 300, SIZE = 4096 };
    struct xp_mem_config config = {.size_bytes = SIZE};
    static struct xp_mem *mems[COUNT];
    struct xp_reply reply;

    CHECK_CASE("%d windows", COUNT);
    config.address = memfd_map(SIZE, &config.fd);
    if (!CHECK(config.address != NULL))
        return;
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(xp_mem_register(owner->node, &config, &mems[i], NULL), FAB_OK);
    for (int i = 0; i < COUNT; i++) {
        while (!xp_mem_view(peer->conn, xp_mem_id(mems[i]), 0, SIZE, false))
            CHECK_EQ(xp_call(owner->conn, OP_ECHO, NULL, 0, NULL, 0, &reply), FAB_OK);
    }
    for (int i = 0; i < COUNT; i++) {
        uint64_t id = xp_mem_id(mems[i]);

        xp_mem_unregister(mems[i]);
        while (xp_mem_view(peer->conn, id, 0, SIZE, false))
            CHECK_EQ(xp_call(owner->conn, OP_ECHO, NULL, 0, NULL, 0, &reply), FAB_OK);
    }
    (void)munmap(config.address, SIZE);
    (void)close(config.fd);
}

/* A session of two nodes here, up. */
static bool open_two(struct end *one, struct end *other, const char *folder)
{
    const uint8_t *address;
    size_t address_bytes;

    if (!open_node(one, folder) || !open_node(other, folder))
        return false;
    address = xp_node_address(other->node, &address_bytes);
    if (!open_conn(one, true, address, address_bytes))
        return false;
    address = xp_node_address(one->node, &address_bytes);
    return open_conn(other, false, address, address_bytes) &&
           CHECK_EQ(xp_conn_wait_up(one->conn, UINT64_MAX, NULL), FAB_OK);
}

static void two_nodes(const char *folder)
{
    static struct end one, other;
    static const size_t sizes[] = {1, 4095, 300000, BIG_BYTES};
    uint8_t big[100000], back[sizeof(big)];
    struct iovec part = {.iov_base = big, .iov_len = sizeof(big)};
    struct xp_reply reply;

    if (!open_two(&one, &other, folder))
        return;
    for (uint32_t i = 0; i < 100000; i++) {
        while (xp_post(one.conn, i, NULL, 0, NULL) == FAB_ERR_AGAIN)
            CHECK_EQ(xp_wait_room(one.conn, 0, UINT64_MAX), FAB_OK);
    }
    memset(big, 3, sizeof(big));
    CHECK_EQ(xp_call(one.conn, OP_ECHO, &part, 1, back, sizeof(back), &reply), FAB_OK);
    CHECK_EQ(reply.result, 100000);
    CHECK(!atomic_load(&other.out_of_order));
    CHECK_MEM(back, big, sizeof(big));
    for (size_t i = 0; i < FAB_ARRAY_LEN(sizes); i++) {
        copy(&one, &other, i + 1, sizes[i]);
        copy(&other, &one, i + 1, sizes[i]);
    }
    lend(&one, &other, 100, 100000);
    lend(&other, &one, 100, BIG_BYTES);
    many_windows(&one, &other);
    window(&one, &other, true);
    window(&one, &other, false);
    close_end(&one);
    wait_for(&other, &other.losts, 1);
    CHECK_EQ(other.lost_status, FAB_ERR_CANCELLED);
    close_end(&other);
}

static void test_two_nodes(void)
{
    char folder[] = "/tmp/test-xp-shm-XXXXXX";

    CHECK_CASE("abstract sockets");
    two_nodes(NULL);
    CHECK_CASE("sockets in a folder");
    if (!CHECK(mkdtemp(folder) != NULL))
        return;
    two_nodes(folder);
    CHECK_EQ(rmdir(folder), 0); /* nothing stays behind */
}

/* A sender that goes away in the midst of a loan: its memory is something else's as soon as done()
 * has said so. The receiver holds the last chunk's place back until then. */
struct revoked {
    struct end *sender, *receiver;
    uint8_t *source, *target;
    struct xp_mem *mem;
    sem_t last_offered;
};

static void revoked_sent(void *user, enum fab_status status)
{
    struct revoked *revoked = user;

    memset(revoked->source, 0xee, BIG_BYTES);
    xp_mem_unregister(revoked->mem);
    transfer_done(revoked->sender, status);
}

static void revoked_received(void *user, enum fab_status status)
{
    transfer_done(((struct revoked *)user)->receiver, status);
}

static enum fab_status revoked_place(void *user, struct xp_chunk *chunk)
{
    struct revoked *revoked = user;

    chunk->address = revoked->target + chunk->offset;
    if (chunk->offset + chunk->size_bytes == BIG_BYTES) {
        (void)sem_post(&revoked->last_offered);
        wait_for(revoked->sender, &revoked->sender->transfers_done, 1);
    }
    return FAB_OK;
}

static void test_revoked_loan(void)
{
    static const struct xp_bulk_ops send_ops = {.done = revoked_sent};
    static const struct xp_bulk_ops receive_ops = {.place = revoked_place,
                                                   .done = revoked_received};
    static struct end one, other;
    struct revoked revoked = {.sender = &one, .receiver = &other, .target = calloc(1, BIG_BYTES)};
    struct xp_bulk bulk = {.id = 1, .size_bytes = BIG_BYTES, .ops = &receive_ops, .user = &revoked};
    struct xp_mem_config config = {.size_bytes = BIG_BYTES};
    struct xp_transfer *transfer;

    config.address = revoked.source = memfd_map(BIG_BYTES, &config.fd);
    (void)sem_init(&revoked.last_offered, 0, 0);
    if (!CHECK(revoked.source && revoked.target) || !open_two(&one, &other, NULL))
        return;
    CHECK_EQ(xp_mem_register(one.node, &config, &revoked.mem, NULL), FAB_OK);
    CHECK_EQ(xp_bulk_receive(other.conn, &bulk, &transfer, NULL), FAB_OK);
    bulk.ops = &send_ops;
    bulk.base = revoked.source;
    bulk.mem = revoked.mem;
    CHECK_EQ(xp_bulk_send(one.conn, &bulk, &transfer, NULL), FAB_OK);
    while (sem_wait(&revoked.last_offered) != 0) {
    }
    xp_node_destroy(one.node); /* without a word to the peer */
    wait_for(&other, &other.transfers_done, 1);
    CHECK_EQ(other.transfers_failed, 1); /* what it read last may be anything */
    close_end(&other);
    (void)munmap(revoked.source, BIG_BYTES);
    (void)close(config.fd);
    free(revoked.target);
}

/* ---------------------------------------------------------------- opened in the midst of a turn */

/* A node without threads, on a clock that stands still: what comes up needs no timer. */
struct still {
    struct xp_node *node, *peer;
    struct xp_conn *conns[2];
    uint32_t ups[2];
    bool opens; /* its handler opens the second connection */
};

static struct fab_clock_fake still_clock;

static void open_still(struct still *end, uint32_t index, bool initiator);

static void on_still_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    struct still *end = user;

    (void)conn;
    (void)message;
    if (end->opens)
        open_still(end, 1, true);
}

static void on_still_event(void *user, struct xp_conn *conn, const struct xp_event *event)
{
    struct still *end = user;

    end->ups[conn == end->conns[1]] += event->kind == XP_EVENT_UP;
}

static void open_still(struct still *end, uint32_t index, bool initiator)
{
    static const struct xp_handlers still_handlers = {.message = on_still_message,
                                                      .event = on_still_event};
    struct xp_conn_config config = {.session_id = SESSION + index,
                                    .key = {5},
                                    .initiator = initiator,
                                    .handlers = &still_handlers,
                                    .user = end};
    /* The first on the rail that is turned last: its handler comes when the other was turned. */
    struct xp_rail_pair pair = {.local = (uint8_t)(1 - index), .peer = (uint8_t)(1 - index)};

    config.pairs = &pair;
    config.pair_count = 1;
    config.peer_address = xp_node_address(end->peer, &config.peer_address_bytes);
    CHECK_EQ(xp_conn_open(end->node, &config, &end->conns[index], NULL), FAB_OK);
}

static void poll_until(struct still ends[2], const uint32_t *counter)
{
    enum { POLLS = 20000 };

    for (int i = 0; i < POLLS && *counter == 0; i++) {
        (void)xp_node_poll(ends[0].node);
        (void)xp_node_poll(ends[1].node);
    }
}

static void test_opened_in_a_turn(void)
{
    struct xp_rail_config rails[] = {{.backend = &xp_backend_shm, .numa_node = -1},
                                     {.backend = &xp_backend_shm, .numa_node = -1}};
    struct xp_node_config config = {.node_id = {1},
                                    .rails = rails,
                                    .rail_count = 2,
                                    .clock = &still_clock.clock,
                                    .polled = true};
    static struct still ends[2];

    fab_clock_fake_init(&still_clock, 1000000);
    for (int i = 0; i < 2; i++)
        if (!CHECK_EQ(xp_node_create(&config, &ends[i].node, NULL), FAB_OK))
            return;
    ends[0].peer = ends[1].node;
    ends[1].peer = ends[0].node;
    open_still(&ends[0], 0, true);
    open_still(&ends[0], 1, false);
    open_still(&ends[1], 0, false);
    poll_until(ends, &ends[0].ups[0]);
    CHECK_EQ(ends[0].ups[0], 1);
    ends[1].opens = true;
    CHECK_EQ(xp_post(ends[0].conns[0], 1, NULL, 0, NULL), FAB_OK);
    xp_flush(ends[0].conns[0]);
    poll_until(ends, &ends[1].ups[1]);
    CHECK_EQ(ends[1].ups[1], 1);
    xp_node_destroy(ends[0].node);
    xp_node_destroy(ends[1].node);
}

/* ---------------------------------------------------------------- another process */

/* The child: answers until it is killed. A child of its own keeps every descriptor open. */
static void serve(int fd)
{
    static struct end end;
    uint8_t address[XP_ADDRESS_MAX_BYTES];
    const uint8_t *own;
    size_t own_bytes;
    ssize_t got;
    pid_t lingerer;

    if (!open_node(&end, NULL))
        _exit(1);
    own = xp_node_address(end.node, &own_bytes);
    if (send(fd, own, own_bytes, 0) < 0)
        _exit(1);
    got = recv(fd, address, sizeof(address), 0);
    if (got <= 0 || !open_conn(&end, false, address, (size_t)got))
        _exit(1);
    wait_for(&end, &end.ups, 1);
    lingerer = fork();
    if (lingerer == 0) {
        (void)recv(fd, address, 1, 0); /* until the test's end */
        _exit(0);
    }
    (void)send(fd, &lingerer, sizeof(lingerer), 0);
    for (;;)
        (void)pause();
}

static void test_killed_peer(void)
{
    static struct end end;
    uint8_t address[XP_ADDRESS_MAX_BYTES];
    const uint8_t *own;
    size_t own_bytes;
    ssize_t got;
    pid_t child, lingerer = 0;
    int fds[2], status;
    struct xp_reply reply;

    if (!CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0))
        return;
    child = fork();
    if (child == 0) {
        (void)close(fds[0]);
        serve(fds[1]);
    }
    (void)close(fds[1]);
    if (!CHECK(child > 0) || !open_node(&end, NULL))
        return;
    got = recv(fds[0], address, sizeof(address), 0);
    own = xp_node_address(end.node, &own_bytes);
    CHECK(send(fds[0], own, own_bytes, 0) > 0);
    if (!CHECK(got > 0) || !open_conn(&end, true, address, (size_t)got))
        return;
    CHECK_EQ(xp_call(end.conn, OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_OK);
    CHECK_EQ(recv(fds[0], &lingerer, sizeof(lingerer), 0), sizeof(lingerer));
    CHECK_EQ(kill(child, SIGKILL), 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    /* Its child still holds the sockets; the session ends all the same, after the grace period. */
    wait_for(&end, &end.losts, 1);
    CHECK_EQ(end.lost_status, FAB_ERR_TIMEOUT);
    CHECK_EQ(kill(lingerer, 0), 0);
    CHECK_EQ(xp_call(end.conn, OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_ERR_TIMEOUT);
    close_end(&end);
    (void)close(fds[0]); /* the lingerer ends */
}

/* ---------------------------------------------------------------- strangers */

static bool pass_fd(int socket_fd, uint8_t word, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS,
                            .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct iovec part = {.iov_base = &word, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};

    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL) == 1;
}

/* Who connects without knowing anything: rings that are not sealed or too short, and rings full of
 * nonsense whose positions lie. */
static void visit(const struct xp_wire_address *address, uint32_t seed)
{
    enum { RING = XP_RING_HEAD_BYTES + (4 << 20), RINGS = 2 * RING };
    struct sockaddr_un to;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int memory_fd = memfd_create("stranger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    off_t size = seed % 5 == 1 ? RINGS / 2 : RINGS;
    struct xp_ring_shared *ring;

    memcpy(&to, address->bytes, address->size_bytes);
    CHECK_EQ(connect(fd, (struct sockaddr *)&to, (socklen_t)address->size_bytes), 0);
    CHECK_EQ(ftruncate(memory_fd, size), 0);
    ring = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
    if (CHECK(ring != MAP_FAILED)) {
        uint8_t *data = (uint8_t *)ring + XP_RING_HEAD_BYTES;

        for (uint32_t i = 0; i < 4096; i++)
            data[i] = (uint8_t)((seed * 2654435761u + i * 40503u) >> 11);
        if (seed % 3 == 0)
            memcpy(data, "\1\0\20\0\0\0\0\0\100\0\0\0\0\0\0\0", 16); /* a frame's record */
        if (seed % 3 == 1)
            memcpy(data, "\2\0\120\0\0\0\0\0\0\0\100\0\0\0\0\0", 16); /* a chunk's */
        if (seed % 6 == 2)
            memcpy(data, "\3\0\120\0\0\0\0\0\0\0\100\0\0\0\0\0", 16); /* a lent one's */
        atomic_store(&ring->written, seed % 4 == 3 ? UINT64_MAX - seed : seed * 97 % 4096);
        (void)munmap(ring, (size_t)size);
    }
    if (seed % 7 != 2)
        CHECK_EQ(fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    /* Too many at a time are turned away before they can speak. */
    (void)pass_fd(fd, seed % 11 == 5 ? 3 : 1, memory_fd);
    (void)close(memory_fd);
    (void)close(fd);
}

static uint32_t open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint32_t count = 0;

    while (folder && readdir(folder))
        count++;
    if (folder)
        (void)closedir(folder);
    return count;
}

static void test_strangers(void)
{
    uint32_t descriptors = open_descriptors();
    static struct end one, other;
    struct xp_address address;
    struct xp_reply reply;
    const uint8_t *bytes;
    size_t size_bytes;

    if (!open_node(&one, NULL) || !open_node(&other, NULL))
        return;
    bytes = xp_node_address(other.node, &size_bytes);
    if (!CHECK_EQ(xp_address_decode(bytes, size_bytes, &address), FAB_OK))
        return;
    for (uint32_t seed = 0; seed < 400; seed++) {
        CHECK_CASE("stranger %u", seed);
        visit(seed % 2 ? &address.rails[0].bulk : &address.rails[0].control, seed);
    }
    CHECK_CASE("a friend after them");
    if (!open_conn(&one, true, bytes, size_bytes))
        return;
    bytes = xp_node_address(one.node, &size_bytes);
    if (!open_conn(&other, false, bytes, size_bytes))
        return;
    CHECK_EQ(xp_call(one.conn, OP_ECHO, NULL, 0, NULL, 0, &reply), FAB_OK);
    copy(&one, &other, 1, 300000);
    close_end(&one);
    close_end(&other);
    CHECK_EQ(open_descriptors(), descriptors);
}

/* ---------------------------------------------------------------- the ring */

static void test_ring(void)
{
    enum { CAPACITY = 4096 };
    uint8_t *memory = aligned_alloc(4096, XP_RING_HEAD_BYTES + CAPACITY);
    uint8_t bytes[1000], got[1000];
    struct xp_ring writer, reader;

    memset(memory, 0, XP_RING_HEAD_BYTES + CAPACITY);
    xp_ring_init(&writer, memory, CAPACITY);
    xp_ring_init(&reader, memory, CAPACITY);
    for (uint32_t round = 0; round < 50; round++) {
        memset(bytes, (int)round, sizeof(bytes));
        CHECK(xp_ring_room(&writer) >= sizeof(bytes));
        xp_ring_write(&writer, bytes, sizeof(bytes));
        CHECK_EQ(xp_ring_available(&reader), 0);
        CHECK_EQ(xp_ring_publish(&writer), false);
        CHECK_EQ(xp_ring_available(&reader), sizeof(bytes));
        xp_ring_read(&reader, got, sizeof(got));
        CHECK_EQ(xp_ring_release(&reader), false);
        CHECK_MEM(got, bytes, sizeof(got));
    }
    CHECK_CASE("sleep and wake");
    CHECK(xp_ring_reader_sleeps(&reader));
    xp_ring_write(&writer, bytes, 1);
    CHECK(xp_ring_publish(&writer));
    CHECK(!xp_ring_reader_sleeps(&reader));
    CHECK(xp_ring_writer_sleeps(&writer, CAPACITY));
    xp_ring_read(&reader, NULL, 1);
    CHECK(xp_ring_release(&reader));
    CHECK(!xp_ring_writer_sleeps(&writer, CAPACITY));
    CHECK_CASE("what is read and released");
    xp_ring_write(&writer, bytes, 10);
    CHECK(!xp_ring_publish(&writer));
    CHECK(!xp_ring_is_read(&writer, writer.position));
    CHECK(xp_ring_is_read(&writer, writer.position - 10));
    CHECK_EQ(xp_ring_available(&reader), 10);
    xp_ring_read(&reader, NULL, 10);
    CHECK(!xp_ring_is_read(&writer, writer.position));
    CHECK(!xp_ring_release(&reader));
    CHECK(xp_ring_is_read(&writer, writer.position));
    CHECK(!xp_ring_is_closed(&reader));
    xp_ring_close(&writer);
    CHECK(xp_ring_is_closed(&reader));
    CHECK_CASE("where the writer ran");
    atomic_store(&writer.shared->writer_core, 0);
    CHECK(!xp_ring_shares_core(&reader)); /* it has not said so */
    atomic_store(&writer.shared->writer_core, UINT32_MAX);
    CHECK(!xp_ring_shares_core(&reader));
    CHECK(!xp_ring_publish(&writer));
    CHECK(atomic_load(&writer.shared->writer_core) - 1 < CPU_SETSIZE);
    CHECK_CASE("positions that cannot be");
    atomic_store(&writer.shared->written, writer.position + CAPACITY + 1);
    CHECK_EQ(xp_ring_available(&reader), 0);
    CHECK(reader.broken);
    atomic_store(&writer.shared->read, writer.position + 1);
    CHECK_EQ(xp_ring_room(&writer), 0);
    CHECK(writer.broken);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_ring),        CHECK_TEST(test_opened_in_a_turn),
        CHECK_TEST(test_killed_peer), /* forks: before there are threads */
        CHECK_TEST(test_two_nodes),   CHECK_TEST(test_revoked_loan),
        CHECK_TEST(test_strangers),
    };

    return check_run(tests);
}
