/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-server/rig.h - a worker on softcuda and a client's end of its connection, both in
 * this process, joined by the loop network.
 *
 * The test is the client: it posts, calls and reads signals as the wire has them. Helpers end the
 * process when the transport fails them, since nothing can be told then.
 */
#ifndef TESTS_UNIT_CUDA_SERVER_RIG_H
#define TESTS_UNIT_CUDA_SERVER_RIG_H

#include <pthread.h>

#include "cuda-server/worker.h"
#include "generated/cuda-api/wire.h"
#include "tests/support/check.h"
#include "ucx-transport/xp_loop.h"

enum {
    RIG_REPLY_BYTES = 1 << 20,
    RIG_SIGNALS_MAX = 256,
    RIG_CTX = 100, /* ids that rig_greet() and rig_world() make */
    RIG_STREAM = 200,
    RIG_MIB = 1 << 20,
};

struct rig_signal {
    uint32_t op;
    void *bytes;
    size_t size_bytes;
};

struct rig {
    struct xp_loop *loop;
    struct xp_node *client_node, *worker_node;
    struct xp_conn *conn; /* the client's end */
    struct cudas_worker *worker;
    uint64_t reply[RIG_REPLY_BYTES / 8]; /* of the last call */
    size_t reply_bytes;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct rig_signal signals[RIG_SIGNALS_MAX];
    uint32_t signal_count;
    bool is_lost;   /* the client heard of the session's end */
    bool has_ended; /* the worker has ended it */
};

/* `direct`: the rails say that they take device memory. */
void rig_open(struct rig *rig, bool direct);
void rig_close(struct rig *rig);

/* hello; its result. The devices are in rig->reply. */
CUresult rig_hello(struct rig *rig, uint32_t protocol, uint64_t hash);
/* hello, a context on vgpu 0 and a stream in it. */
void rig_world(struct rig *rig);

void rig_post(struct rig *rig, uint32_t op, const struct wire_parts *parts);
/* CUDA_ERROR_DEVICE_UNAVAILABLE when the session is lost. */
CUresult rig_call(struct rig *rig, uint32_t op, const struct wire_parts *parts);
/* Waits for the first signal of that op and takes it off; the caller frees bytes. */
struct rig_signal rig_wait_signal(struct rig *rig, uint32_t op);
bool rig_has_signal(struct rig *rig, uint32_t op);
void rig_wait_ended(struct rig *rig);
bool rig_has_ended(struct rig *rig);
void rig_signal(struct rig *rig, uint32_t op, const struct wire_parts *parts);

/* Device memory: at `offset` of vgpu's slice. */
uint64_t rig_address(uint32_t vgpu, uint64_t offset);
CUresult rig_map(struct rig *rig, uint32_t vgpu, uint64_t offset, uint64_t bytes);
CUresult rig_sync(struct rig *rig, uint64_t stream);
CUresult rig_write(struct rig *rig, uint64_t address, const void *bytes, uint32_t size_bytes);
CUresult rig_read(struct rig *rig, uint64_t address, void *bytes, uint32_t size_bytes);
struct wire_stats_reply rig_stats(struct rig *rig);

static inline struct wire_box rig_line(uint64_t address, uint64_t bytes)
{
    return (struct wire_box){.address = address,
                             .width = bytes,
                             .height = 1,
                             .depth = 1,
                             .pitch = bytes,
                             .layer = bytes};
}

/* Calls `op` with message `m` of kind `name`, as rig_call. */
#define RIG_CALL(rig, name, op, ...)                                                               \
    __extension__({                                                                                \
        const struct wire_##name rig_m = {__VA_ARGS__};                                            \
        struct wire_parts rig_parts;                                                               \
                                                                                                   \
        wire_put_##name(&rig_m, &rig_parts);                                                       \
        rig_call((rig), (op), &rig_parts);                                                         \
    })
#define RIG_POST(rig, name, op, ...)                                                               \
    do {                                                                                           \
        const struct wire_##name rig_m = {__VA_ARGS__};                                            \
        struct wire_parts rig_parts;                                                               \
                                                                                                   \
        wire_put_##name(&rig_m, &rig_parts);                                                       \
        rig_post((rig), (op), &rig_parts);                                                         \
    } while (0)
#define RIG_SIGNAL(rig, name, op, ...)                                                             \
    do {                                                                                           \
        const struct wire_##name rig_m = {__VA_ARGS__};                                            \
        struct wire_parts rig_parts;                                                               \
                                                                                                   \
        wire_put_##name(&rig_m, &rig_parts);                                                       \
        rig_signal((rig), (op), &rig_parts);                                                       \
    } while (0)

#endif /* TESTS_UNIT_CUDA_SERVER_RIG_H */
