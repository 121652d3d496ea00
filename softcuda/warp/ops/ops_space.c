/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_space.c - addresses as values (cvta, isspacep, mapa, getctarank), fences,
 * and the instructions that only hint. A general source.
 *
 * Generic addresses are host addresses. Global and constant memory have no other; shared and local
 * addresses are offsets from a base that cvta adds or takes away.
 */
#include "softcuda/warp/ops/ops_list.h"

/* ---- cvta ------------------------------------------------------------------------------------ */

OPS_UNARY(copy_u32, u32, u32, x)
OPS_UNARY(copy_u64, u64, u64, x)

OPS_HANDLER(from_shared)
{
    u64 *d = OPS_VECTOR(u64, w, in->d);
    const u64 *a = OPS_VECTOR(const u64, w, in->a);
    const u64 base = (u64)(uintptr_t)w->block->shared;

    OPS_WRITE(u64, w, d, a[i] + base);
    return in + 1;
}

OPS_HANDLER(to_shared)
{
    u64 *d = OPS_VECTOR(u64, w, in->d);
    const u64 *a = OPS_VECTOR(const u64, w, in->a);
    const u64 base = (u64)(uintptr_t)w->block->shared;

    OPS_WRITE(u64, w, d, a[i] - base);
    return in + 1;
}

OPS_HANDLER(from_local)
{
    u64 *d = OPS_VECTOR(u64, w, in->d);
    const u64 *a = OPS_VECTOR(const u64, w, in->a);
    const u64 base = (u64)(uintptr_t)w->local, stride = w->local_stride;

    OPS_WRITE(u64, w, d, a[i] + (base + i * stride));
    return in + 1;
}

OPS_HANDLER(to_local)
{
    u64 *d = OPS_VECTOR(u64, w, in->d);
    const u64 *a = OPS_VECTOR(const u64, w, in->a);
    const u64 base = (u64)(uintptr_t)w->local, stride = w->local_stride;

    OPS_WRITE(u64, w, d, a[i] - (base + i * stride));
    return in + 1;
}

static warp_fn find_cvta(const struct ptx_op *op)
{
    const bool to = (op->flags & PTX_F_TO) != 0;

    if (op->type != PTX_U64 || (op->flags & ~(u32)PTX_F_TO))
        return NULL;
    switch ((enum ptx_space)op->space) {
    case PTX_SPACE_GLOBAL:
    case PTX_SPACE_CONST:
    case PTX_SPACE_PARAM:
        return copy_u64;
    case PTX_SPACE_SHARED:
        return to ? to_shared : from_shared;
    case PTX_SPACE_LOCAL:
        return to ? to_local : from_local;
    case PTX_SPACE_GENERIC:
    case PTX_SPACE_REG:
        break;
    }
    return NULL;
}

/* ---- isspacep -------------------------------------------------------------------------------- */

static bool in_shared(const struct warp *w, u64 address)
{
    return address - (u64)(uintptr_t)w->block->shared < w->block->shared_bytes;
}

static bool in_local(const struct warp *w, u64 address)
{
    return w->local && address - (u64)(uintptr_t)w->local < WARP_LANES * w->local_stride;
}

#define ISSPACEP(name, expr)                                                                       \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        u32 *d = OPS_AT(u32, w, in->d), bits = 0;                                                  \
        const u64 *a = OPS_VECTOR(const u64, w, in->a);                                            \
        for (unsigned i = 0; i < WARP_LANES; i++)                                                  \
            bits |= (expr) ? 1u << i : 0;                                                          \
        *d = (*d & ~w->mask) | (bits & w->mask);                                                   \
        return in + 1;                                                                             \
    }
ISSPACEP(is_shared, in_shared(w, a[i]))
ISSPACEP(is_local, in_local(w, a[i]))
ISSPACEP(is_global, !in_shared(w, a[i]) && !in_local(w, a[i]))

/* Constants and parameters lie in device memory and cannot be told from it: refused. */
static warp_fn find_isspacep(const struct ptx_op *op)
{
    return op->space == PTX_SPACE_GLOBAL   ? is_global
           : op->space == PTX_SPACE_SHARED ? is_shared
           : op->space == PTX_SPACE_LOCAL  ? is_local
                                           : NULL;
}

/* ---- fences and hints ------------------------------------------------------------------------ */

OPS_HANDLER(nothing)
{
    (void)w;
    return in + 1;
}

OPS_HANDLER(fence_all)
{
    (void)w;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return in + 1;
}

/* Within a block nothing runs at the same time: a block is on one worker thread. */
OPS_HANDLER(fence_block)
{
    (void)w;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return in + 1;
}

/* A cache policy is a token that nobody looks into; a cluster is one block of rank 0. */
OPS_HANDLER(zero_u64)
{
    u64 *d = OPS_VECTOR(u64, w, in->d);

    OPS_WRITE(u64, w, d, 0);
    return in + 1;
}

OPS_HANDLER(zero_u32)
{
    u32 *d = OPS_VECTOR(u32, w, in->d);

    OPS_WRITE(u32, w, d, 0);
    return in + 1;
}

warp_fn ops_find_space(const struct ptx_op *op, const struct warp_form *form)
{
    (void)form;
    if (op->family == PTX_CVTA)
        return find_cvta(op);
    if (op->flags)
        return NULL;
    switch (op->family) {
    case PTX_ISSPACEP:
        return find_isspacep(op);
    case PTX_MAPA:
        return op->type == PTX_U32 ? copy_u32 : op->type == PTX_U64 ? copy_u64 : NULL;
    case PTX_GETCTARANK:
        return op->type == PTX_U32 || op->type == PTX_U64 ? zero_u32 : NULL;
    case PTX_MEMBAR:
    case PTX_FENCE:
        return op->scope == PTX_SCOPE_CTA || op->scope == PTX_SCOPE_CLUSTER ? fence_block
                                                                            : fence_all;
    case PTX_CREATEPOLICY:
        return zero_u64;
    case PTX_PREFETCH:
    case PTX_PREFETCHU:
    case PTX_DISCARD: /* what is discarded may keep its value */
    case PTX_APPLYPRIORITY:
    case PTX_GRIDDEPCONTROL: /* a grid starts after those before it */
    case PTX_PMEVENT:
        return nothing;
    default:
        return NULL;
    }
}
