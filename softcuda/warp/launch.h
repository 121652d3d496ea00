/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/launch.h - the engine's face to the driver: programs, the worker pool, launches.
 *
 * A program is a PTX function lowered for the chosen instruction set. A launch runs a grid of it
 * on the pool's worker threads, blocks in index order; a block that spins or waits is suspended
 * and others run. Streams, contexts and device memory are the driver's: the engine asks it only
 * for valid address ranges and hands it text (device printf) and the outcome.
 */
#ifndef SOFTCUDA_WARP_LAUNCH_H
#define SOFTCUDA_WARP_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "softcuda/warp/warp_int.h"

struct fab_err;
struct ptx_function;
struct ptx_module;
struct ptx_var;
struct warp_launch;
struct warp_policy;
struct warp_pool;
struct warp_program;

/* ---- programs ----------------------------------------------------------------------------- */

/* Resolves what lies outside the function; given by the driver per loaded module and context. */
struct warp_link {
    void *arg;
    /* Device (= host) address of a module-scope .global/.const variable (also extern). 0: none. */
    uint64_t (*var_address)(void *arg, const struct ptx_var *var);
    /* A unique 64-bit handle for a function whose address is taken, and back. */
    uint64_t (*function_handle)(void *arg, const char *name);
    struct warp_program *(*function_of_handle)(void *arg, uint64_t handle);
    /* Not asked: a program holds the functions of its module that it can call. */
    struct warp_program *(*callee)(void *arg, const char *name, struct fab_err *err);
    const struct warp_policy *policy; /* isa, no_slot_sharing, no_hoisting; NULL: defaults */
};

struct warp_program_info {
    uint32_t regs_per_thread;     /* 32-bit registers at maximum liveness, at least 16 */
    uint32_t static_shared_bytes; /* without the dynamic part */
    uint32_t local_bytes;         /* per thread, callees included where known */
    uint32_t const_bytes;         /* .const variables of the module */
    uint32_t max_threads_per_block;
    uint32_t reqntid[3];
    uint32_t param_count, param_bytes;
    const uint32_t *param_offset, *param_size;
    bool uses_grid_sync; /* reads envreg1/2: needs the cooperative workspace */
};

/**
 * warp_program_create - lower one function (parsing it first if needed).
 * @module, @function, @link: kept until warp_program_destroy().
 *
 * Returns FAB_OK; FAB_ERR_UNSUPPORTED or FAB_ERR_FORMAT with "line N: ..." in err; FAB_ERR_NOMEM.
 */
FAB_NODISCARD enum fab_status warp_program_create(struct ptx_module *module,
                                                  struct ptx_function *function,
                                                  const struct warp_link *link,
                                                  struct warp_program **program_out,
                                                  struct fab_err *err);
const struct warp_program_info *warp_program_info(const struct warp_program *program);
const char *warp_program_name(const struct warp_program *program);
void warp_program_destroy(struct warp_program *program); /* takes NULL */

/* ---- the pool ------------------------------------------------------------------------------ */

enum warp_order { WARP_ORDER_MIN_PC, WARP_ORDER_MAX_PC, WARP_ORDER_RANDOM };

/* How programs run; results never depend on it (the scheduler fuzz proves that). */
struct warp_policy {
    unsigned worker_count; /* 0: one a core, at least 2 */
    const char *isa;       /* NULL: the best */
    enum warp_order order; /* which fragment of a split warp goes first */
    uint64_t seed;         /* for WARP_ORDER_RANDOM */
    int32_t budget_full;   /* back edges before a converged warp yields; 0: 1000 */
    int32_t budget_split;  /* the same for a split one; 0: 16 */
    bool no_slot_sharing;  /* every register its own slot (a check on the allocator) */
    bool no_hoisting;      /* uniform code runs in every warp (a check on hoisting) */
    bool poison;           /* fill registers, local and shared memory with a pattern */
};

FAB_NODISCARD enum fab_status warp_pool_create(const struct warp_policy *policy,
                                               struct warp_pool **pool_out, struct fab_err *err);
void warp_pool_destroy(struct warp_pool *pool); /* waits for its launches; takes NULL */
unsigned warp_pool_worker_count(const struct warp_pool *pool);

/* A piece of other work (a large copy, a memset) for a worker thread; runs once. */
FAB_NODISCARD enum fab_status warp_pool_run(struct warp_pool *pool, void (*fn)(void *arg),
                                            void *arg);

/* ---- launches -------------------------------------------------------------------------------- */

struct warp_env {
    void *arg;
    /* The valid range that holds `address`; false if none. Called from workers, must not block on
     * anything that a worker holds. */
    bool (*find_range)(void *arg, uint64_t address, struct warp_range *range_out);
    /* What a kernel prints, in order, from workers: printf, or a failed assertion's line, which is
     * for standard error. */
    void (*text)(void *arg, bool is_error, const char *bytes, size_t length);
    uint32_t sm_count, clock_khz;
};

struct warp_outcome {
    bool failed;
    enum warp_fault_kind kind;
    uint64_t address;
    uint32_t line; /* PTX line of the faulting instruction */
    uint32_t block[3], thread[3];
    const char *kernel;            /* program's name */
    uint64_t started_ns, ended_ns; /* CLOCK_MONOTONIC */
};

struct warp_launch_request {
    struct warp_program *program;
    uint32_t grid[3], block[3];
    uint32_t dynamic_shared_bytes;
    const void *params; /* copied; info.param_bytes of them are read */
    size_t params_bytes;
    bool cooperative;           /* all blocks resident; grid sync allowed */
    const struct warp_env *env; /* kept until done() */
    uint64_t grid_id;
    uint64_t stack_bytes; /* a thread's stack for recursion (cudaLimitStackSize); 0: default */
    /* Called once, from a worker or helping thread, after the last block (or after a fault or
     * cancel, when no block runs any more). May start other launches; must not wait for one. */
    void (*done)(void *arg, const struct warp_outcome *outcome);
    void *done_arg;
};

/**
 * warp_launch_start - enqueue a grid on the pool; it may begin at once.
 * @launch_out: a reference that the caller drops with warp_launch_put(); may be NULL.
 * Does not block. Returns FAB_OK, FAB_ERR_NOMEM, FAB_ERR_RANGE (dimensions, shared memory).
 */
FAB_NODISCARD enum fab_status warp_launch_start(struct warp_pool *pool,
                                                const struct warp_launch_request *request,
                                                struct warp_launch **launch_out,
                                                struct fab_err *err);

/* Runs blocks of this launch on the calling thread until it is done or `enough(arg)` is true
 * (asked between blocks and at yields), or until workers have had all of its blocks for a while:
 * then wait for done(). For threads that wait for a launch: saves two thread switches. */
void warp_launch_help(struct warp_launch *launch, bool (*enough)(void *arg), void *arg);
void warp_launch_cancel(struct warp_launch *launch); /* ends it within milliseconds, as a fault */
void warp_launch_put(struct warp_launch *launch);    /* takes NULL */
void *warp_launch_done_arg(const struct warp_launch *launch);

#endif /* SOFTCUDA_WARP_LAUNCH_H */
