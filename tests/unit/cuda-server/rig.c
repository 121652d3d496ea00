/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-server/rig.c - see rig.h.
 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cuda-server/pinned.h"

enum { SESSION = 5, VGPUS = 2 };

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "the rig fails: %s\n", what);
    exit(1);
}

/* ---- the client's end ------------------------------------------------------------------------ */

static void on_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    struct rig *rig = user;
    struct rig_signal *signal;

    (void)conn;
    (void)pthread_mutex_lock(&rig->lock);
    must(rig->signal_count < RIG_SIGNALS_MAX, "signals");
    signal = &rig->signals[rig->signal_count++];
    signal->op = message->op;
    signal->size_bytes = message->args_bytes;
    signal->bytes = malloc(message->args_bytes + 8);
    must(signal->bytes != NULL, "memory");
    memcpy(signal->bytes, message->args, message->args_bytes);
    (void)pthread_cond_broadcast(&rig->changed);
    (void)pthread_mutex_unlock(&rig->lock);
}

static void on_event(void *user, struct xp_conn *conn, const struct xp_event *event)
{
    struct rig *rig = user;

    (void)conn;
    (void)pthread_mutex_lock(&rig->lock);
    rig->is_lost |= event->kind == XP_EVENT_LOST;
    (void)pthread_cond_broadcast(&rig->changed);
    (void)pthread_mutex_unlock(&rig->lock);
}

static const struct xp_handlers handlers = {.message = on_message, .event = on_event};

void rig_post(struct rig *rig, uint32_t op, const struct wire_parts *parts)
{
    const enum fab_status status = xp_post(rig->conn, op, parts->part, parts->count, NULL);

    must(status == FAB_OK || rig->is_lost, "post");
}

CUresult rig_call(struct rig *rig, uint32_t op, const struct wire_parts *parts)
{
    struct xp_reply reply = {.carried = FAB_OK};
    enum fab_status status =
        xp_call(rig->conn, op, parts->part, parts->count, rig->reply, sizeof(rig->reply), &reply);

    if (status != FAB_OK)
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    rig->reply_bytes = reply.size_bytes;
    return (CUresult)reply.result;
}

void rig_signal(struct rig *rig, uint32_t op, const struct wire_parts *parts)
{
    must(xp_signal(rig->conn, op, parts->part, parts->count) == FAB_OK, "signal");
}

static bool take_locked(struct rig *rig, uint32_t op, struct rig_signal *signal_out)
{
    for (uint32_t i = 0; i < rig->signal_count; i++) {
        if (rig->signals[i].op != op)
            continue;
        *signal_out = rig->signals[i];
        memmove(&rig->signals[i], &rig->signals[i + 1],
                (--rig->signal_count - i) * sizeof(rig->signals[0]));
        return true;
    }
    return false;
}

struct rig_signal rig_wait_signal(struct rig *rig, uint32_t op)
{
    struct rig_signal signal;

    (void)pthread_mutex_lock(&rig->lock);
    while (!take_locked(rig, op, &signal)) {
        must(!rig->is_lost, "a signal: the session is lost");
        (void)pthread_cond_wait(&rig->changed, &rig->lock);
    }
    (void)pthread_mutex_unlock(&rig->lock);
    return signal;
}

bool rig_has_signal(struct rig *rig, uint32_t op)
{
    bool has = false;

    (void)pthread_mutex_lock(&rig->lock);
    for (uint32_t i = 0; i < rig->signal_count; i++)
        has |= rig->signals[i].op == op;
    (void)pthread_mutex_unlock(&rig->lock);
    return has;
}

static void on_end(void *user)
{
    struct rig *rig = user;

    (void)pthread_mutex_lock(&rig->lock);
    rig->has_ended = true;
    (void)pthread_cond_broadcast(&rig->changed);
    (void)pthread_mutex_unlock(&rig->lock);
}

void rig_wait_ended(struct rig *rig)
{
    (void)pthread_mutex_lock(&rig->lock);
    while (!rig->has_ended)
        (void)pthread_cond_wait(&rig->changed, &rig->lock);
    (void)pthread_mutex_unlock(&rig->lock);
}

bool rig_has_ended(struct rig *rig)
{
    bool has_ended;

    (void)pthread_mutex_lock(&rig->lock);
    has_ended = rig->has_ended;
    (void)pthread_mutex_unlock(&rig->lock);
    return has_ended;
}

/* ---- life ------------------------------------------------------------------------------------ */

static struct xp_node *node_open(struct rig *rig, const char *device, uint8_t id)
{
    const struct xp_rail_config rail = {
        .backend = &xp_backend_loop, .device = device, .context = rig->loop, .numa_node = -1};
    const struct xp_node_config config = {
        .node_id = {id}, .rails = &rail, .rail_count = 1, .clock = fab_clock_real()};
    struct xp_node *node;

    must(xp_node_create(&config, &node, NULL) == FAB_OK, "node");
    return node;
}

static struct xp_conn *conn_open(struct xp_node *node, struct xp_node *peer, bool is_client,
                                 const struct xp_handlers *with, void *user)
{
    struct xp_conn_config config = {.session_id = SESSION,
                                    .key = {1, 2, 3},
                                    .initiator = is_client,
                                    .manual_executed = !is_client,
                                    .limits = {.chunk_bytes = CUDAS_SLOT_BYTES},
                                    .handlers = with,
                                    .user = user};
    struct xp_conn *conn;

    config.peer_address = xp_node_address(peer, &config.peer_address_bytes);
    must(xp_conn_open(node, &config, &conn, NULL) == FAB_OK, "connection");
    return conn;
}

static void worker_open(struct rig *rig)
{
    const struct cudas_vgpu vgpus[VGPUS] = {{.index = 0, .device = 0, .fence = 7},
                                            {.index = 1, .device = 1, .fence = 7}};
    const struct cudas_config config = {.driver = SOFTCUDA_LIBRARY,
                                        .clock = fab_clock_real(),
                                        .vgpus = vgpus,
                                        .vgpu_count = VGPUS,
                                        .queue_depth = CUDAS_QUEUE_DEPTH};
    struct fab_err err = {.status = FAB_OK};
    uint32_t rows;

    must(cudas_worker_create(&config, &rig->worker, &err) == FAB_OK, err.text);
    cudas_worker_on_end(rig->worker, on_end, rig);
    rows = cudas_worker_rows(rig->worker);
    must(rows != 0, "a row of the address layout");
    must(cudas_worker_start(rig->worker, (uint32_t)__builtin_ctz(rows), rig->worker_node, &err) ==
             FAB_OK,
         err.text);
}

void rig_open(struct rig *rig, bool direct)
{
    const struct xp_loop_script script = {
        .seed = 3, .device_memory_mask = direct ? 1u << XP_MEMORY_DEVICE : 0};

    memset(rig, 0, sizeof(*rig));
    (void)pthread_mutex_init(&rig->lock, NULL);
    (void)pthread_cond_init(&rig->changed, NULL);
    must(xp_loop_create(fab_clock_real(), &script, &rig->loop) == FAB_OK, "loop");
    rig->client_node = node_open(rig, "c0", 1);
    rig->worker_node = node_open(rig, "w0", 2);
    worker_open(rig);
    (void)conn_open(rig->worker_node, rig->client_node, false, &cudas_client_handlers, rig->worker);
    rig->conn = conn_open(rig->client_node, rig->worker_node, true, &handlers, rig);
    must(xp_conn_wait_up(rig->conn, UINT64_MAX, NULL) == FAB_OK, "the connection comes up");
}

void rig_close(struct rig *rig)
{
    xp_conn_close(rig->conn);
    xp_node_destroy(rig->client_node);
    cudas_worker_stop(rig->worker);
    xp_node_destroy(rig->worker_node);
    cudas_worker_destroy(rig->worker);
    xp_loop_destroy(rig->loop);
    for (uint32_t i = 0; i < rig->signal_count; i++)
        free(rig->signals[i].bytes);
    (void)pthread_cond_destroy(&rig->changed);
    (void)pthread_mutex_destroy(&rig->lock);
}

/* ---- what most tests begin with -------------------------------------------------------------- */

CUresult rig_hello(struct rig *rig, uint32_t protocol, uint64_t hash)
{
    static const struct wire_vgpu vgpus[VGPUS] = {{.vgpu = 0, .device = 0, .fence = 7},
                                                  {.vgpu = 1, .device = 1, .fence = 7}};

    return RIG_CALL(rig, hello, WIRE_HELLO, .protocol = protocol, .api_hash = hash, .pid = 1,
                    .address_row = rig->worker->row, .vgpus = vgpus, .vgpus_count = VGPUS);
}

void rig_world(struct rig *rig)
{
    must(rig_hello(rig, WIRE_PROTOCOL, WIRE_HASH) == CUDA_SUCCESS, "hello");
    must(RIG_CALL(rig, ctx_create, WIRE_CTX_CREATE, .ctx = RIG_CTX, .vgpu = 0, .primary = 1) ==
             CUDA_SUCCESS,
         "context");
    RIG_POST(rig, stream_create, WIRE_STREAM_CREATE, .stream = RIG_STREAM, .ctx = RIG_CTX,
             .flags = CU_STREAM_NON_BLOCKING);
}

uint64_t rig_address(uint32_t vgpu, uint64_t offset)
{
    const struct cuc_layout *layout = cuc_layout_row((uint32_t)__builtin_ctz(cuc_layout_suits()));

    return cuc_layout_slice(layout, vgpu).base + offset;
}

CUresult rig_map(struct rig *rig, uint32_t vgpu, uint64_t offset, uint64_t bytes)
{
    return RIG_CALL(rig, mem_map, WIRE_MEM_MAP, .address = rig_address(vgpu, offset),
                    .bytes = bytes, .vgpu = vgpu);
}

CUresult rig_sync(struct rig *rig, uint64_t stream)
{
    return RIG_CALL(rig, stream_sync, WIRE_STREAM_SYNC, .ctx = RIG_CTX, .stream = stream);
}

CUresult rig_write(struct rig *rig, uint64_t address, const void *bytes, uint32_t size_bytes)
{
    return RIG_CALL(rig, copy_in, WIRE_COPY_IN_WAIT, .ctx = RIG_CTX, .stream = RIG_STREAM,
                    .to = rig_line(address, size_bytes), .flags = WIRE_COPY_INLINE, .data = bytes,
                    .data_count = size_bytes);
}

CUresult rig_read(struct rig *rig, uint64_t address, void *bytes, uint32_t size_bytes)
{
    CUresult result =
        RIG_CALL(rig, copy_out, WIRE_COPY_OUT_WAIT, .ctx = RIG_CTX, .stream = RIG_STREAM,
                 .from = rig_line(address, size_bytes), .flags = WIRE_COPY_INLINE);
    struct wire_copy_out_wait_reply reply;

    if (result != CUDA_SUCCESS)
        return result;
    must(wire_get_copy_out_wait_reply(rig->reply, rig->reply_bytes, &reply) &&
             reply.data_count == size_bytes,
         "a reply with data");
    memcpy(bytes, reply.data, size_bytes);
    return result;
}

struct wire_stats_reply rig_stats(struct rig *rig)
{
    struct wire_stats_reply stats = {.commands = 0};

    must(RIG_CALL(rig, stats, WIRE_STATS, .nothing = 0) == CUDA_SUCCESS &&
             wire_get_stats_reply(rig->reply, rig->reply_bytes, &stats),
         "statistics");
    return stats;
}
