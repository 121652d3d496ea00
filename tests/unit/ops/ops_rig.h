/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ops/ops_rig.h - one warp without a scheduler, to run single instruction handlers.
 *
 * A rig has a register frame with a slot for each operand, device memory of one writable and one
 * read-only range, shared and local memory. It provides the services of warp_int.h that handlers
 * call, and records the fault. rig_check() runs an operation over edge and random operands, for
 * several lane masks, in every variant that the processor has, against a scalar oracle.
 */
#ifndef TESTS_UNIT_OPS_OPS_RIG_H
#define TESTS_UNIT_OPS_OPS_RIG_H

#include "softcuda/warp/ops/ops.h"
#include "tests/support/check.h"

enum rig_slot { SLOT_D, SLOT_E, SLOT_A, SLOT_B, SLOT_C, SLOT_X0, SLOT_X1, SLOT_X2, SLOTS };
enum {
    RIG_SLOT_BYTES = 512, /* the widest operand: 128 bits a lane */
    RIG_DEVICE_BYTES = 8192,
    RIG_SHARED_BYTES = 4096,
    RIG_LOCAL_BYTES = 256, /* a lane */
};

struct rig {
    struct warp warp;
    struct warp_block block;
    struct warp_tlb tlb;
    struct warp_insn insn[2];
    uint32_t ext[3];
    FAB_ALIGNED(64) uint8_t frame[SLOTS * RIG_SLOT_BYTES];
    FAB_ALIGNED(64) uint8_t device[RIG_DEVICE_BYTES];
    FAB_ALIGNED(64) uint8_t constant[RIG_DEVICE_BYTES]; /* may not be written */
    FAB_ALIGNED(64) uint8_t shared[RIG_SHARED_BYTES];
    FAB_ALIGNED(64) uint8_t local[WARP_LANES * RIG_LOCAL_BYTES];
    /* The last fault. */
    bool has_fault;
    enum warp_fault_kind fault;
    uint64_t fault_address;
    unsigned fault_lane;
    unsigned range_finds; /* how often the driver was asked for a range */
    bool collects;        /* the answer of warp_collect */
};

/* The one rig of the process; the services find it here. */
extern struct rig rig;

/* All zero but for the pointers; every lane active, no operand set. */
void rig_reset(void);
void rig_mask(uint32_t mask);
/* Sets the operand in the instruction to its slot; SLOT_X0.. are ext[0].. */
void rig_use(enum rig_slot slot);
void *rig_lanes(enum rig_slot slot);
uint64_t rig_get(enum rig_slot slot, unsigned bytes, unsigned lane);
void rig_put(enum rig_slot slot, unsigned bytes, unsigned lane, uint64_t value);
/* A predicate: the first word of the slot. */
uint32_t *rig_predicate(enum rig_slot slot);
/* Runs one instruction; its outcome. */
const struct warp_insn *rig_run(warp_fn fn);
bool rig_went_on(const struct warp_insn *next);

/* A fixed sequence of numbers, and one that prefers the edges of a type of `bytes` bytes. */
uint64_t rig_random(void);
uint64_t rig_operand(unsigned bytes);

/* An operation for rig_check: the widths of its operands in bytes (0: absent), a predicate's 1. */
struct rig_case {
    struct ptx_op op;
    struct warp_form form;
    unsigned d, a, b, c, x;
    /* The value of d for these sources. */
    uint64_t (*oracle)(const struct ptx_op *op, uint64_t a, uint64_t b, uint64_t c, uint64_t x);
    /* Makes sources; NULL: rig_operand. */
    uint64_t (*operand)(unsigned bytes);
    /* Are two results the same? NULL: bit by bit. */
    bool (*same)(const struct ptx_op *op, uint64_t got, uint64_t wanted);
};

/* Every variant, several masks, d apart from and equal to a. Fails with family and operands. */
void rig_check(const struct rig_case *rig_case);
/* No variant has a handler. */
void rig_check_refused(const struct ptx_op *op);

const char *rig_family(const struct ptx_op *op);
const char *rig_type(uint8_t type);

#endif /* TESTS_UNIT_OPS_OPS_RIG_H */
