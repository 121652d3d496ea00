/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-peer.c - see xp-peer.h.
 */
#include "perf/xp-peer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "ucx-transport/xp_backend.h"

enum { SESSION = 77, NS_PER_S = 1000000000, UP_LIMIT_S = 30 };

/* ---------------------------------------------------------------- bytes */

static uint64_t word(uint64_t seed, uint64_t index)
{
    uint64_t z = (seed + index) * UINT64_C(0x9e3779b97f4a7c15);

    return z ^ (z >> 29);
}

void ucx_fill(uint8_t *bytes, uint64_t size_bytes, uint64_t seed)
{
    for (uint64_t at = 0; at < size_bytes; at += sizeof(uint64_t)) {
        uint64_t value = word(seed, at), left = size_bytes - at;

        memcpy(bytes + at, &value, left < sizeof(value) ? left : sizeof(value));
    }
}

bool ucx_is_filled(const uint8_t *bytes, uint64_t size_bytes, uint64_t seed)
{
    for (uint64_t at = 0; at < size_bytes; at += sizeof(uint64_t)) {
        uint64_t value = word(seed, at), left = size_bytes - at;

        if (memcmp(bytes + at, &value, left < sizeof(value) ? left : sizeof(value)) != 0)
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------- the node at either end */

static bool open_node(const struct ucx_place *place, uint8_t id, struct xp_node **node_out,
                      struct fab_err *err)
{
    struct xp_rail_config rails[XP_RAILS_MAX];
    struct xp_node_config config = {
        .rails = rails, .clock = fab_clock_real(), .log = place->log, .spin_us = place->spin_us};

    config.node_id[0] = place->same_host ? 1 : id;
    if (place->same_host)
        rails[config.rail_count++] =
            (struct xp_rail_config){.backend = &xp_backend_shm, .numa_node = -1};
    for (size_t i = 0; config.rail_count < XP_RAILS_MAX && place->devices[i]; i++)
        rails[config.rail_count++] = (struct xp_rail_config){
            .backend = &xp_backend_ucx, .device = place->devices[i], .numa_node = -1};
    return xp_node_create(&config, node_out, err) == FAB_OK;
}

static bool write_all(int fd, const void *bytes, size_t size)
{
    return send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool read_all(int fd, void *bytes, size_t size)
{
    return recv(fd, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

/* Each end tells the other its address, then opens its half. */
static bool open_conn(struct xp_node *node, int fd, bool initiator, const struct ucx_place *place,
                      const struct xp_handlers *handlers, void *user, struct xp_conn **conn_out,
                      struct fab_err *err)
{
    uint8_t theirs[XP_ADDRESS_MAX_BYTES];
    size_t size, their_size;
    const uint8_t *mine = xp_node_address(node, &size);
    struct xp_conn_config config = {.session_id = SESSION,
                                    .key = "a key that only the test knows",
                                    .initiator = initiator,
                                    .peer_address = theirs,
                                    .limits = place->limits,
                                    .handlers = handlers,
                                    .user = user};

    if (!write_all(fd, &size, sizeof(size)) || !write_all(fd, mine, size) ||
        !read_all(fd, &their_size, sizeof(their_size)) || their_size > sizeof(theirs) ||
        !read_all(fd, theirs, their_size)) {
        (void)fab_err_set(err, FAB_ERR_IO, "the exchange of addresses");
        return false;
    }
    config.peer_address_bytes = their_size;
    return xp_conn_open(node, &config, conn_out, err) == FAB_OK;
}

bool ucx_window_open(struct ucx_window *window, struct xp_node *node, size_t size_bytes)
{
    int fd = memfd_create("xp-peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct xp_mem_config config = {.size_bytes = size_bytes, .fd = fd};

    *window = (struct ucx_window){.size_bytes = size_bytes};
    if (fd < 0)
        return false;
    if (ftruncate(fd, (off_t)size_bytes) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0) {
        config.address = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (config.address != MAP_FAILED &&
            xp_mem_register(node, &config, &window->mem, NULL) == FAB_OK)
            window->bytes = config.address;
        else if (config.address != MAP_FAILED)
            (void)munmap(config.address, size_bytes);
    }
    (void)close(fd);
    return window->bytes != NULL;
}

void ucx_window_close(struct ucx_window *window)
{
    if (!window->bytes)
        return;
    xp_mem_unregister(window->mem);
    (void)munmap(window->bytes, window->size_bytes);
    window->bytes = NULL;
}

/* ---------------------------------------------------------------- the peer's process */

/* Memory of a transfer. */
struct spare {
    uint64_t size_bytes;
    uint8_t *bytes;
    struct ucx_window window; /* on the same host the bytes are there */
};

struct server {
    struct xp_node *node;
    int fd; /* the control socket */
    bool same_host;
    atomic_bool quits;
    atomic_bool ending;            /* memory goes while its node is still there */
    _Atomic(struct spare *) spare; /* the last transfer's memory: the next finds its pages there */
    uint64_t posts, in_order;
};

/* A transfer that a call asked for. */
struct job {
    struct server *server;
    struct xp_conn *conn;
    uint64_t call;
    struct ucx_bulk_args args;
    bool taking;
    struct spare *memory;
};

static void free_memory(struct spare *spare)
{
    if (!spare)
        return;
    if (spare->window.bytes)
        ucx_window_close(&spare->window);
    else
        free(spare->bytes);
    free(spare);
}

static struct spare *take_memory(struct server *server, uint64_t size_bytes)
{
    struct spare *spare = atomic_exchange(&server->spare, NULL);

    if (spare && spare->size_bytes >= size_bytes)
        return spare;
    free_memory(spare);
    spare = calloc(1, sizeof(*spare));
    if (!spare)
        return NULL;
    spare->size_bytes = size_bytes;
    if (!server->same_host)
        spare->bytes = malloc(size_bytes);
    else if (ucx_window_open(&spare->window, server->node, size_bytes))
        spare->bytes = spare->window.bytes;
    if (!spare->bytes) {
        free(spare);
        return NULL;
    }
    return spare;
}

static void give_memory(struct server *server, struct spare *spare)
{
    if (!atomic_load(&server->ending))
        spare = atomic_exchange(&server->spare, spare);
    free_memory(spare);
}

static void job_done(void *user, enum fab_status status)
{
    struct job *job = user;
    int32_t result = (int32_t)status;

    if (status == FAB_OK && job->taking && job->args.seed &&
        !ucx_is_filled(job->memory->bytes, job->args.size_bytes, job->args.seed))
        result = 1;
    (void)!xp_reply(job->conn, job->call, result, NULL, 0, NULL);
    give_memory(job->server, job->memory);
    free(job);
}

static const struct xp_bulk_ops job_ops = {.done = job_done};

static void start_job(struct server *server, struct xp_conn *conn, const struct xp_message *message)
{
    struct job *job = calloc(1, sizeof(*job));
    struct xp_bulk bulk = {.ops = &job_ops, .user = job};
    struct xp_transfer *transfer;
    enum fab_status status = FAB_ERR_NOMEM;

    if (job && message->args_bytes == sizeof(job->args)) {
        job->server = server;
        job->conn = conn;
        job->call = message->number;
        memcpy(&job->args, message->args, sizeof(job->args));
        job->taking = message->op == UCX_OP_TAKE;
        job->memory = take_memory(server, job->args.size_bytes);
    }
    if (job && job->memory) {
        if (!job->taking && job->args.seed)
            ucx_fill(job->memory->bytes, job->args.size_bytes, job->args.seed);
        bulk.id = job->args.id;
        bulk.size_bytes = job->args.size_bytes;
        bulk.base = job->memory->bytes;
        bulk.mem = job->memory->window.mem;
        status = job->taking ? xp_bulk_receive(conn, &bulk, &transfer, NULL)
                             : xp_bulk_send(conn, &bulk, &transfer, NULL);
    }
    if (status == FAB_OK)
        return;
    (void)!xp_reply(conn, message->number, (int32_t)status, NULL, 0, NULL);
    if (job)
        free_memory(job->memory);
    free(job);
}

/* A child that keeps all descriptors of its parent, whatever becomes of that. */
static pid_t linger(int fd)
{
    pid_t pid = fork();
    char end;

    if (pid == 0) {
        (void)!read(fd, &end, 1);
        _exit(0);
    }
    return pid;
}

static void serve(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    struct server *server = user;
    struct iovec part = {.iov_len = message->args_bytes};
    uint64_t sequence;

    memcpy(&part.iov_base, &message->args, sizeof(part.iov_base));
    switch ((enum ucx_op)message->op) {
    case UCX_OP_NOTHING:
        if (message->args_bytes >= sizeof(sequence)) {
            memcpy(&sequence, message->args, sizeof(sequence));
            server->in_order += sequence == server->posts;
        }
        server->posts++;
        break;
    case UCX_OP_COUNT:
        (void)!xp_reply(conn, message->number,
                        (int32_t)(server->in_order == server->posts ? server->posts : 0), NULL, 0,
                        NULL);
        break;
    case UCX_OP_ECHO:
        (void)!xp_reply(conn, message->number, 0, &part, 1, NULL);
        break;
    case UCX_OP_TAKE:
    case UCX_OP_GIVE:
        start_job(server, conn, message);
        break;
    case UCX_OP_QUIT:
        xp_conn_condemn(conn, FAB_ERR_PROTOCOL, "as it was told");
        atomic_store(&server->quits, true);
        (void)shutdown(server->fd, SHUT_RD); /* wakes peer_main() */
        break;
    case UCX_OP_LINGER:
        (void)!xp_reply(conn, message->number, (int32_t)linger(server->fd), NULL, 0, NULL);
        break;
    }
}

/* UCX reads /sys/class/net, so the namespace needs a /sys of its own. */
static bool move_to(const char *netns)
{
    int space = open(netns, O_RDONLY | O_CLOEXEC);
    bool moved = space >= 0 && setns(space, CLONE_NEWNET) == 0 && unshare(CLONE_NEWNS) == 0 &&
                 mount("sysfs", "/sys", "sysfs", 0, NULL) == 0;

    if (!moved)
        perror(netns);
    if (space >= 0)
        (void)close(space);
    return moved;
}

static int peer_main(int fd, const struct ucx_place *place)
{
    static const struct xp_handlers handlers = {.message = serve};
    static struct server server;
    struct xp_conn *conn = NULL;
    struct fab_err err = {0};
    char end;

    server.fd = fd;
    if (place->netns && !move_to(place->netns))
        return 1;
    server.same_host = place->same_host;
    if (!open_node(place, /* id */ 2, &server.node, &err) ||
        !open_conn(server.node, fd, /* initiator */ false, place, &handlers, &server, &conn,
                   &err)) {
        (void)fprintf(stderr, "peer: %s\n", err.text);
        return 1;
    }
    (void)!read(fd, &end, 1); /* until the other end closes it */
    if (atomic_load(&server.quits)) {
        xp_node_part(server.node, UINT64_C(20) * NS_PER_S);
        _exit(0);
    }
    atomic_store(&server.ending, true);
    free_memory(atomic_exchange(&server.spare, NULL));
    xp_node_destroy(server.node);
    return 0;
}

const char *ucx_why_not(void)
{
    static char why[FAB_ERR_TEXT_BYTES];
    struct fab_err err = {0};
    struct xp_ucx_info info;
    int fds[2];
    pid_t pid;
    ssize_t got;

    if (pipe2(fds, O_CLOEXEC) != 0 || (pid = fork()) < 0)
        return "no process for a try";
    if (pid == 0) {
        if (xp_ucx_load(&info, &err) != FAB_OK)
            (void)!write(fds[1], err.text, strlen(err.text));
        _exit(0);
    }
    (void)close(fds[1]);
    got = read(fds[0], why, sizeof(why) - 1);
    (void)close(fds[0]);
    (void)waitpid(pid, NULL, 0);
    return got > 0 ? why : NULL;
}

bool ucx_peer_start(struct ucx_peer *peer, const struct ucx_place *place)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return false;
    (void)fflush(NULL);
    peer->pid = fork();
    if (peer->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(fds[0]);
        exit(peer_main(fds[1], place));
    }
    (void)close(fds[1]);
    peer->fd = fds[0];
    if (peer->pid < 0)
        (void)close(fds[0]);
    return peer->pid > 0;
}

static int reap(struct ucx_peer *peer)
{
    int status = 0;

    if (peer->pid <= 0)
        return 0;
    (void)close(peer->fd);
    while (waitpid(peer->pid, &status, 0) < 0 && errno == EINTR) {
    }
    peer->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void ucx_peer_kill(struct ucx_peer *peer)
{
    if (peer->pid > 0)
        (void)kill(peer->pid, SIGKILL);
    (void)reap(peer);
}

int ucx_peer_stop(struct ucx_peer *peer)
{
    if (peer->pid > 0)
        (void)shutdown(peer->fd, SHUT_WR);
    return reap(peer);
}

/* ---------------------------------------------------------------- our end */

static void on_event(void *user, struct xp_conn *conn, const struct xp_event *event)
{
    struct ucx_link *link = user;
    uint64_t now_ns = fab_clock_now_ns(fab_clock_real()), never = 0;

    (void)conn;
    switch (event->kind) {
    case XP_EVENT_UP:
        link->ups++;
        break;
    case XP_EVENT_SILENT:
        link->silents++;
        break;
    case XP_EVENT_LOST:
        link->lost_status = event->status;
        link->lost_ns = now_ns;
        link->losts++;
        break;
    case XP_EVENT_RAIL_UP:
        link->rail_ups++;
        break;
    case XP_EVENT_RAIL_DOWN:
        (void)atomic_compare_exchange_strong(&link->down_ns, &never, now_ns);
        link->rail_downs++;
        break;
    case XP_EVENT_CLOSED:
        link->closeds++;
        break;
    }
}

static void on_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    (void)user;
    (void)conn;
    (void)message;
}

static uint32_t rails_up(struct ucx_link *link)
{
    struct xp_conn_stats stats;
    uint32_t up = 0;

    xp_conn_stats(link->conn, &stats);
    for (uint32_t i = 0; i < stats.rail_count; i++)
        up += stats.rails[i].up;
    return up;
}

bool ucx_link_open(struct ucx_link *link, struct ucx_peer *peer, const struct ucx_place *place,
                   struct fab_err *err)
{
    static const struct xp_handlers handlers = {.message = on_message, .event = on_event};
    const struct fab_clock *clock = fab_clock_real();
    uint64_t limit_ns = fab_clock_now_ns(clock) + (uint64_t)UP_LIMIT_S * NS_PER_S;
    uint32_t rails = 0;

    *link = (struct ucx_link){0};
    if (!open_node(place, /* id */ 1, &link->node, err) ||
        !open_conn(link->node, peer->fd, /* initiator */ true, place, &handlers, link, &link->conn,
                   err) ||
        xp_conn_wait_up(link->conn, limit_ns, err) != FAB_OK)
        return false;
    while (rails < XP_RAILS_MAX && place->devices[rails])
        rails++;
    if (place->same_host)
        rails = 1;
    while (rails_up(link) < rails) {
        if (fab_clock_now_ns(clock) > limit_ns) {
            (void)fab_err_set(err, FAB_ERR_TIMEOUT, "the bulk rails did not come up");
            return false;
        }
        (void)sched_yield();
    }
    return true;
}

void ucx_link_close(struct ucx_link *link)
{
    xp_node_destroy(link->node);
    link->node = NULL;
    link->conn = NULL;
}

/* ---------------------------------------------------------------- a transfer */

static void half_done(void *user, enum fab_status status)
{
    struct ucx_flight *flight = user;

    flight->here = status;
    (void)sem_post(&flight->done);
}

static void call_done(struct xp_call *call, const struct xp_reply *reply)
{
    struct ucx_flight *flight = call->user;

    flight->called = reply->carried;
    flight->there = reply->result;
    (void)sem_post(&flight->done);
}

void ucx_bulk_start(struct ucx_flight *flight, struct ucx_link *link, bool to_peer, uint8_t *bytes,
                    const struct ucx_bulk_args *args)
{
    static const struct xp_bulk_ops ops = {.done = half_done};
    struct xp_bulk bulk = {.id = args->id,
                           .size_bytes = args->size_bytes,
                           .ops = &ops,
                           .user = flight,
                           .base = bytes,
                           .mem = link->mem};
    struct iovec part = {.iov_base = &flight->args, .iov_len = sizeof(flight->args)};
    struct xp_transfer *transfer;
    enum fab_status status;

    *flight = (struct ucx_flight){.link = link,
                                  .to_peer = to_peer,
                                  .bytes = bytes,
                                  .args = *args,
                                  .call = {.done = call_done, .user = flight}};
    (void)sem_init(&flight->done, 0, 0);
    if (to_peer && args->seed)
        ucx_fill(bytes, args->size_bytes, args->seed);
    /* The call first: a chunk that comes before its receiver is sent back. */
    status =
        xp_call_start(link->conn, to_peer ? UCX_OP_TAKE : UCX_OP_GIVE, &part, 1, &flight->call);
    if (status != FAB_OK) {
        flight->called = status;
        (void)sem_post(&flight->done);
    }
    status = to_peer ? xp_bulk_send(link->conn, &bulk, &transfer, NULL)
                     : xp_bulk_receive(link->conn, &bulk, &transfer, NULL);
    if (status != FAB_OK)
        half_done(flight, status);
}

bool ucx_bulk_wait(struct ucx_flight *flight)
{
    for (int halves = 0; halves < 2;)
        halves += sem_wait(&flight->done) == 0;
    (void)sem_destroy(&flight->done);
    if (flight->called != FAB_OK || flight->there != 0 || flight->here != FAB_OK) {
        (void)fprintf(stderr, "transfer %llu: call %d, peer says %d, here %d\n",
                      (unsigned long long)flight->args.id, flight->called, flight->there,
                      flight->here);
        return false;
    }
    return flight->to_peer || !flight->args.seed ||
           ucx_is_filled(flight->bytes, flight->args.size_bytes, flight->args.seed);
}

bool ucx_bulk(struct ucx_link *link, bool to_peer, uint8_t *bytes, const struct ucx_bulk_args *args)
{
    struct ucx_flight flight;

    ucx_bulk_start(&flight, link, to_peer, bytes, args);
    return ucx_bulk_wait(&flight);
}
