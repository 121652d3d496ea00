/* SPDX-License-Identifier: Apache-2.0
 * tests/random/world.h - what one thread of a random program has: a driver, objects, a transcript.
 *
 * A program is a list of steps. A step has a seed of its own and chooses among what is there, so
 * that any steps can be taken out and the rest is still a program. Choices depend on the model
 * here and never on what a driver answered late, so the same program on two drivers must give the
 * same transcript: every return code, every output that drivers agree on, every final byte.
 */
#ifndef TESTS_RANDOM_WORLD_H
#define TESTS_RANDOM_WORLD_H

#define __CUDA_API_VERSION_INTERNAL /* every ABI has its own prototype, and no name is a macro */
#include <cuda.h>
#include <cudaProfiler.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "generated/cuda-api/capi_names.h"
#include "tests/random/faults.h"

struct driver {
#define FUNCTION(name) __typeof__(&name) name;
#include "random_functions.inc"
#undef FUNCTION
};

/* By dlopen(path); false with a sentence on stderr. */
bool driver_open(const char *path, struct driver *driver);

struct rng {
    uint64_t state;
};
uint64_t rng_next(struct rng *rng);
uint32_t rng_below(struct rng *rng, uint32_t limit); /* 0 .. limit - 1 */
bool rng_chance(struct rng *rng, uint32_t one_in);   /* true once in so many */
uint64_t rng_small(struct rng *rng);                 /* an argument: mostly small */

enum pool_kind {
    POOL_DEVICE,
    POOL_CONTEXT,
    POOL_STREAM,
    POOL_EVENT,
    POOL_MODULE,
    POOL_LIBRARY,
    POOL_FUNCTION,
    POOL_KERNEL,
    POOL_POOL,
    POOL_MEMORY,
    POOL_ALLOCATION,
    POOL_COUNT,
};

enum {
    POOL_MAX = 24, /* objects of a kind */
    DEAD_MAX = 4,  /* destroyed ones that are still tried */
    BUFFERS_MAX = 12,
    HOSTS_MAX = 8,
    STREAMS_MAX = 10,
    DEVICES_MAX = 4,
    CALLS_MAX = 1024,
    HOST_COUNTERS = 8,
};

struct pool {
    uint64_t item[POOL_MAX];
    uint32_t count;
    uint64_t dead[DEAD_MAX];
    uint32_t dead_count, dead_next;
};

/* Work is in order on a stream; handle 0 is the legacy default stream of its context. */
struct lane {
    CUstream handle;
    CUcontext context;
    uint32_t device;
    unsigned flags;
};

enum buffer_kind { BUFFER_DEVICE, BUFFER_ASYNC, BUFFER_MANAGED, BUFFER_VIRTUAL };

/* Device memory. `busy`: the last work on it, in `lane`, may not be done. */
struct buffer {
    CUdeviceptr at;
    size_t bytes;
    enum buffer_kind kind;
    uint32_t device;
    CUcontext context;
    uint32_t lane;
    bool busy;
    bool is_tainted;                         /* after a fault: nobody knows its contents */
    uint32_t touched;                        /* the last step that chose it, and one */
    CUmemGenericAllocationHandle allocation; /* VIRTUAL */
};

enum host_kind { HOST_PAGEABLE, HOST_PINNED, HOST_REGISTERED };

struct host {
    uint8_t *at;
    size_t bytes;
    enum host_kind kind;
    uint32_t lane;
    bool busy;
    bool is_tainted;
    uint32_t touched;
};

struct transcript {
    char *text;
    size_t bytes, room;
};

struct world {
    const struct driver *cu;
    uint32_t thread, thread_count, device_count;
    CUcontext primary[DEVICES_MAX]; /* of all devices; the thread works on two of them */
    uint32_t device[2];
    struct pool pool[POOL_COUNT];
    struct lane lane[STREAMS_MAX];
    uint32_t lane_count;
    struct buffer buffer[BUFFERS_MAX];
    uint32_t buffer_count;
    struct host host[HOSTS_MAX];
    uint32_t host_count;
    uint32_t pool_device[POOL_MAX]; /* of memory pools, by their place in the pool of pools */
    CUmodule module[2];             /* in the thread's two contexts */
    CUlibrary library;
    uint64_t host_calls[HOST_COUNTERS]; /* what host functions did */
    uint64_t host_tick;
    struct transcript transcript;
    uint32_t step;
    uint32_t calls[CALLS_MAX]; /* by enum capi_call */
    bool is_broken;            /* a context has failed: nothing more is run */

    /* With a fault (faults.h). A call that got the fault's error at the remote driver is not made
     * at the native one but told to have failed, so that both have the same world afterwards. */
    const struct fault_plan *plan; /* NULL: none */
    const char *told;              /* native: the rest of what the remote thread wrote */
    CUresult told_result;
    bool is_hit;           /* some call got the fault's error */
    uint32_t tainted_step; /* the last step that had to do with unknown contents, and one */
};

/* ---- recording (world.c) --------------------------------------------------------------------- */

/* Counts the call and writes "step name result". Returns the result. */
CUresult world_result(struct world *w, uint32_t call, CUresult result);
void world_note(struct world *w, const void *bytes, size_t size_bytes);
void world_note_number(struct world *w, const char *what, uint64_t value);
/* As its place in a pool: handles differ between drivers. */
void world_note_handle(struct world *w, enum pool_kind kind, uint64_t handle);
void world_note_hash(struct world *w, const char *what, const void *bytes, size_t size_bytes);
/* The same, without a result of its own: for calls that only prepare. */
#define CU(w, name, ...)                                                                           \
    world_result((w), CAPI_##name,                                                                 \
                 world_is_told((w), CAPI_##name)                                                   \
                     ? (world_unused((w)__VA_OPT__(, ) __VA_ARGS__), (w)->told_result)             \
                     : (w)->cu->name(__VA_ARGS__))
/* Arguments of a call that is not made: they may draw from a struct rng. */
static inline void world_unused(struct world *w, ...)
{
    (void)w;
}
/* Whether this call, the thread's next one, is not to be made but has told_result. */
bool world_is_told(struct world *w, uint32_t call);
/* The step has to do with contents that nobody knows: so has all that it chose and will choose. */
void world_taint(struct world *w);
bool world_is_tainted(const struct world *w, uint64_t address);

/* ---- pools ----------------------------------------------------------------------------------- */

/* A live object of the kind; now and then a dead one or none. 0 where there is none. */
uint64_t world_pick(struct world *w, struct rng *rng, enum pool_kind kind);
uint64_t world_pick_live(struct world *w, struct rng *rng, enum pool_kind kind);
bool world_add(struct world *w, enum pool_kind kind, uint64_t handle);
void world_drop(struct world *w, enum pool_kind kind, uint64_t handle); /* becomes a dead one */

/* ---- order (order.c) ------------------------------------------------------------------------- */

/* A lane, made current. */
uint32_t world_lane(struct world *w, struct rng *rng);
uint32_t world_lane_on(struct world *w, struct rng *rng, uint32_t device);
/* Before work of `lane` on the buffer: whatever was done with it elsewhere comes first. */
void world_use_buffer(struct world *w, struct rng *rng, uint32_t lane, struct buffer *buffer);
void world_use_host(struct world *w, struct rng *rng, uint32_t lane, struct host *host);
/* Before the host reads or writes it, or it is freed. */
void world_settle_buffer(struct world *w, struct rng *rng, struct buffer *buffer);
void world_settle_host(struct world *w, struct rng *rng, struct host *host);
void world_settle_lane(struct world *w, struct rng *rng, uint32_t lane);
/* A buffer on one of the thread's devices (any: device -1), or NULL. */
struct buffer *world_buffer(struct world *w, struct rng *rng, int device);
struct host *world_host(struct world *w, struct rng *rng);

/* ---- steps ----------------------------------------------------------------------------------- */

struct step_kind {
    const char *name;
    void (*run)(struct world *w, struct rng *rng);
    uint32_t weight;
    bool is_alone; /* only in programs of one thread: changes what others see */
};

extern const struct step_kind steps_memory[], steps_copy[], steps_stream[], steps_code[],
    steps_query[];
extern const size_t steps_memory_count, steps_copy_count, steps_stream_count, steps_code_count,
    steps_query_count;
const struct step_kind *step_probes(size_t *count_out);

/* The kernels that all programs load (kernels.c). */
extern const char random_ptx[];
extern const char random_ptx_small[];

/* Contents of a buffer go into the transcript (steps_copy.c); also at the end of a program. */
void world_check_buffer(struct world *w, struct rng *rng, struct buffer *buffer);
/* The same of any device memory, when the lane is done with it. */
void world_note_memory(struct world *w, uint32_t lane, CUdeviceptr at, size_t bytes);

/* ---- programs (program.c) -------------------------------------------------------------------- */

struct step {
    uint32_t kind; /* index into all kinds */
    uint64_t seed;
};

struct program {
    uint64_t seed;
    uint32_t threads, device_count;
    struct step *steps; /* thread i has those with index % threads == i */
    uint32_t step_count;
    uint8_t *is_out; /* steps that the shrinker took out */
};

/* alone: it has one thread. */
void program_make(uint64_t seed, uint32_t device_count, bool alone, struct program *program);
void program_free(struct program *program);
const char *program_step_name(const struct program *program, uint32_t step);
/* Runs it; the threads' transcripts one after the other, to be freed. calls: by enum capi_call.
 * plan: the fault, or NULL. told: NULL for the driver that has the fault; for the other one what
 * that one wrote. */
char *program_run(const struct program *program, const struct driver *cu, uint32_t *calls,
                  const struct fault_plan *plan, const char *told);

#endif /* TESTS_RANDOM_WORLD_H */
