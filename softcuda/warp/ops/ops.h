/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops.h - the instruction handlers, one table per instruction-set variant.
 *
 * The same handler sources are compiled once for each variant (x86-64-v2, AVX2, AVX-512; a
 * portable baseline elsewhere); the widest one that the processor has is chosen at run time.
 * Control flow (bra, brx, call, ret, exit, bar, barrier, bar.warp.sync, guards, special registers
 * that change) is not here but in warp/exec*.c: it has nothing to vectorise.
 */
#ifndef SOFTCUDA_WARP_OPS_OPS_H
#define SOFTCUDA_WARP_OPS_OPS_H

#include "softcuda/warp/warp_int.h"

/* What the lowering knows about the operands beyond the operation. A handler may use it to choose
 * a faster form; ignoring it is always right. */
struct warp_form {
    uint32_t uniform;     /* bit 0: a, 1: b, 2: c ... hold one value in all lanes (CONST, BLOCK) */
    uint64_t constant[3]; /* the value of a, b, c where it is known at decode (see `known`) */
    uint32_t known;       /* bit per operand, as in uniform */
    bool addr32;          /* WARP_I_ADDR32 will be set */
    bool addr_constant;   /* the address is imm alone */
    /* Bytes of a register that may be wider than the type it holds (2, 4, 8 or 16): the first
     * destination of ld and cvt; the source of cvt and the stored value of st. ld.u8 into a .b32
     * register: dst_bytes = 4. 0: the type's own, max(2, bytes of the type). */
    uint8_t dst_bytes, src_bytes;
    /* mov only: elements of {x, y, ...} at the destination or the source; 0 or 1: a plain one. */
    uint8_t dst_elems, src_elems;
    uint8_t source_count; /* of cp.async: 4 when it gives the bytes to read; 0: not told */
};

struct warp_isa {
    const char *name; /* "x86-64-v2", "avx2", "avx512", "portable" */
    /* The handler for an operation, or NULL if it is not supported (the caller reports
     * CUDA_ERROR_INVALID_PTX with the line). Thread: any. */
    warp_fn (*find)(const struct ptx_op *op, const struct warp_form *form);
};

/* The best variant of this processor, or the one named in SOFTCUDA_ISA / by `name` (NULL: choose).
 * NULL when the name is unknown or the processor lacks it. */
const struct warp_isa *warp_isa_select(const char *name);

/* All variants compiled in that this processor can run, best first; for tests. */
const struct warp_isa *const *warp_isa_list(unsigned *count_out);

#endif /* SOFTCUDA_WARP_OPS_OPS_H */
