/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/exec_group.c - several loads of .shared from one address register.
 *
 * Each half of the warp mostly reads 16 consecutive words, or one word for all: that is found out
 * once, and every load is then a copy or a broadcast. Anything else (inactive lanes, scattered or
 * bad addresses) runs the loads one by one with their own handlers, which also report faults.
 */
#include <string.h>

#include "softcuda/warp/exec_int.h"
#include "softcuda/warp/exec_ops_int.h"

enum { HALF = WARP_LANES / 2 };

typedef uint32_t half_row __attribute__((vector_size(HALF * 4), aligned(64)));
typedef uint32_t half_row_anywhere __attribute__((vector_size(HALF * 4), aligned(4)));

enum half_kind { HALF_ROW, HALF_SAME, HALF_OTHER };

static const half_row row_offsets = {0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60};

__attribute__((always_inline)) static inline bool is_zero(const half_row *v)
{
    uint64_t parts[sizeof(*v) / 8];

    memcpy(parts, v, sizeof(*v));
    return ((parts[0] | parts[1]) | (parts[2] | parts[3]) | (parts[4] | parts[5]) |
            (parts[6] | parts[7])) == 0;
}

__attribute__((always_inline)) static inline enum half_kind classify(const uint32_t *address)
{
    const half_row *lanes = (const half_row *)(const void *)address;
    half_row beyond = *lanes - address[0];
    half_row off_row = beyond ^ row_offsets;

    if (is_zero(&off_row))
        return HALF_ROW;
    return is_zero(&beyond) ? HALF_SAME : HALF_OTHER;
}

/* All of the group's words for the lanes of this half lie in shared memory, aligned. */
static inline bool in_window(const struct warp *w, const struct warp_group *group, uint32_t first,
                             enum half_kind kind)
{
    int64_t bytes = kind == HALF_ROW ? HALF * 4 : 4;

    return (first & 3u) == 0 && (int64_t)first + group->imm_min >= 0 &&
           (int64_t)first + group->imm_max + bytes <= (int64_t)w->block->shared_bytes;
}

__attribute__((always_inline)) static inline void load_half(const uint8_t *from, uint32_t *to,
                                                            enum half_kind kind)
{
    half_row *d = (half_row *)(void *)to;

    if (kind == HALF_ROW) {
        *d = *(const half_row_anywhere *)(const void *)from;
    } else {
        half_row zero = {0};
        uint32_t word;

        memcpy(&word, from, sizeof(word));
        *d = zero + word;
    }
}

__attribute__((always_inline)) static inline bool load_fast(struct warp *w,
                                                            const struct warp_insn *in)
{
    const struct warp_group *group = in->aux;
    const uint32_t *address = warp_at(w, in->a);
    enum half_kind low = classify(address), high = classify(address + HALF);
    const uint8_t *from_low, *from_high;

    if (w->mask != WARP_FULL || low == HALF_OTHER || high == HALF_OTHER ||
        !in_window(w, group, address[0], low) || !in_window(w, group, address[HALF], high))
        return false;
    from_low = w->block->shared + address[0];
    from_high = w->block->shared + address[HALF];
    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t *d = warp_at(w, group->insns[i].d);

        load_half(from_low + group->insns[i].imm, d, low);
        load_half(from_high + group->insns[i].imm, d + HALF, high);
    }
    return true;
}

static const struct warp_insn *one_by_one(struct warp *w, const struct warp_insn *in)
{
    const struct warp_group *group = in->aux;

    for (uint32_t i = 0; i < group->count; i++) {
        const struct warp_insn *part = &group->insns[i];
        const struct warp_insn *next = part->fn(w, part);

        if (next != part + 1)
            return next; /* a fault: loads have no other way out */
    }
    return in + 1;
}

const struct warp_insn *warp_op_load_group(struct warp *w, const struct warp_insn *in)
{
    return load_fast(w, in) ? in + 1 : one_by_one(w, in);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static const struct warp_insn *
load_group_avx2(struct warp *w, const struct warp_insn *in)
{
    return load_fast(w, in) ? in + 1 : one_by_one(w, in);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))) static const struct warp_insn *
load_group_avx512(struct warp *w, const struct warp_insn *in)
{
    return load_fast(w, in) ? in + 1 : one_by_one(w, in);
}
#endif

warp_fn warp_load_group_for(const char *isa)
{
#if defined(__x86_64__)
    if (strcmp(isa, "avx512") == 0)
        return load_group_avx512;
    if (strcmp(isa, "avx2") == 0)
        return load_group_avx2;
#endif
    (void)isa;
    return warp_op_load_group;
}
