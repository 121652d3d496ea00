/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/exec_int.h - a running warp and block, as the scheduler sees them.
 *
 * Lanes of a warp that stand at the same place form a fragment; one fragment runs, the others lie
 * in the list of their call frame. A called function has a frame of its own (registers, fragments);
 * lanes that return go back to the caller's list at once, so that no lane waits for another unless
 * the program says so. Everything is on the heap: a block can be left after any instruction and
 * gone on with by another worker. Thread: the worker that runs the block.
 */
#ifndef SOFTCUDA_WARP_EXEC_INT_H
#define SOFTCUDA_WARP_EXEC_INT_H

#include <setjmp.h>
#include <stdatomic.h>

#include "softcuda/warp/program_int.h"
#include "softcuda/warp/warp_int.h"

struct warp_pool;
struct warp_worker;

/* What `stop` is when no fragment waits ahead: below all sentinels, above all instructions. */
#define WARP_NO_STOP ((const struct warp_insn *)(UINTPTR_MAX - 256))

enum warp_fragment_state {
    WARP_FRAGMENT_RUN,
    WARP_FRAGMENT_BARRIER, /* pc: the barrier instruction, passed when it is released */
    WARP_FRAGMENT_SYNC,    /* pc: the bar.warp.sync instruction, likewise */
    WARP_FRAGMENT_PARKED,  /* pc: an instruction that waits for the lanes in `wanted` */
};

struct warp_fragment {
    const struct warp_insn *pc;
    uint32_t mask;
    uint32_t wanted;
    uint8_t state;
    uint8_t barrier;
    bool yielded; /* has used its budget in this turn of the warp */
    bool forced;  /* execute though lanes are missing: nothing else can run */
};

struct warp_frame {
    struct warp_frame *next;   /* of the warp, newest first; the entry's frame is last */
    struct warp_frame *parent; /* NULL: the entry's */
    const struct warp_code *code;
    const struct warp_insn *call; /* in the parent */
    uint8_t *regs;
    uint64_t local_base; /* offset of the local frame in each lane's window */
    uint32_t depth, children;
    uint32_t count;
    struct warp_fragment fragment[WARP_FRAGMENTS_MAX];
};

enum warp_state {
    WARP_STATE_NEW,
    WARP_STATE_READY,
    WARP_STATE_WAIT, /* every fragment waits for somebody else */
    WARP_STATE_DONE,
};

/* Registers of the entry's frame and the lanes' local windows; recycled by the workers. */
struct warp_buffer {
    struct warp_buffer *next;
    size_t size_bytes;
    FAB_ALIGNED(64) uint8_t data[];
};

struct warp_exec {
    struct warp w;                  /* first: what handlers see */
    const struct warp_insn *stop;   /* the inner loop ends here: a fragment waits there */
    const struct warp_insn *pc;     /* being executed */
    const struct warp_insn *resume; /* where to go on after WARP_STOP_YIELD */
    const struct warp_insn *forced; /* warp_collect lets this instruction through once */
    struct warp_frame *frame;       /* of the running fragment */
    struct warp_frame *frames;      /* newest first */
    struct warp_worker *worker;
    struct warp_buffer *buffer;
    uint32_t waiting; /* fragments in all lists: 0 = the warp is not split */
    int32_t split_budget;
    uint64_t random;
    uint8_t state; /* enum warp_state */
    struct warp_frame root;
};

struct warp_barrier {
    uint32_t arrived;  /* lanes */
    uint32_t expected; /* lanes; 0: all threads of the block that have not exited */
    uint32_t count;    /* red: lanes whose predicate was true, of `votes` */
    uint32_t votes;
};

/* A block on its way, and the memory it needs; recycled for the next block. */
struct warp_run {
    struct warp_block b; /* first: what handlers see */
    struct warp_run *next;
    uint64_t launch_id; /* whose launch values the page holds */
    size_t size_bytes;
    struct warp uniform; /* runs the hoisted code of the block */
    uint8_t *page;
    struct warp_exec *warps;
    uint32_t warp_count, done_count;
    uint32_t live_threads;
    bool may_wait; /* in this turn, a loop that may wait for another block used its budget */
    uint32_t barriers_used; /* bit set */
    struct warp_barrier barrier[WARP_BARRIERS];
};

/* A thread that runs blocks: of the pool, or one that waits for a launch. */
struct warp_worker {
    struct warp_worker *next;
    struct warp_pool *pool;
    uint32_t index;
    struct warp_tlb tlb;
    uint64_t tlb_launch_id;
    struct warp_buffer *buffers;
    struct warp_run *runs;
    uint32_t run_count;
    /* The signal net: see fault.c. */
    sigjmp_buf jump;
    struct warp_exec *volatile running; /* NULL: not inside instructions */
    volatile uint64_t fault_address;
};

enum warp_run_result { WARP_RUN_DONE, WARP_RUN_YIELDED, WARP_RUN_BLOCKED, WARP_RUN_STOPPED };

/* exec.c */
enum warp_run_result warp_exec_run(struct warp_exec *x);
void warp_exec_init(struct warp_exec *x, struct warp_run *run, uint32_t warp_index);
void warp_exec_fini(struct warp_exec *x);
void warp_push(struct warp_exec *x, struct warp_frame *frame, struct warp_fragment fragment);
void warp_frame_leave(struct warp_exec *x, struct warp_frame *frame); /* frees what is empty */
bool warp_force_progress(struct warp_exec *x);
static inline struct warp_exec *warp_exec_of(struct warp *w)
{
    return (struct warp_exec *)w;
}
static inline struct warp_run *warp_run_of(const struct warp *w)
{
    return (struct warp_run *)w->block;
}
/* The value of a 32-bit operand in the first active lane. */
uint32_t warp_first_lane_value(const struct warp *w, uint32_t operand);

/* exec_barrier.c: lanes have exited: who waits for them need not any more. */
void warp_barrier_retest(struct warp_run *run);
void warp_sync_retest(struct warp_exec *x);

/* exec_block.c */
struct warp_run *warp_run_get(struct warp_worker *worker, struct warp_launch *launch,
                              uint64_t block_index); /* NULL: no memory */
enum warp_run_result warp_run_go(struct warp_run *run, struct warp_worker *worker);
void warp_run_put(struct warp_run *run, struct warp_worker *worker); /* also a half-run one */
struct warp_buffer *warp_buffer_get(struct warp_worker *worker, size_t size_bytes);
void warp_buffer_put(struct warp_worker *worker, struct warp_buffer *buffer);
void warp_worker_fini(struct warp_worker *worker);

/* fault.c */
void warp_net_check(void); /* our handlers are installed, whoever replaced them */
void warp_net_enter(struct warp_worker *worker); /* the thread is this worker; NULL: no more */

#endif /* SOFTCUDA_WARP_EXEC_INT_H */
