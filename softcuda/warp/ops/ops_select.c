/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_select.c - which instruction-set variant runs, and the lane constants that
 * all of them use.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "softcuda/warp/ops/ops_int.h"

#define BIT4(T, n) (T)1 << (n), (T)1 << ((n) + 1), (T)1 << ((n) + 2), (T)1 << ((n) + 3)
#define BITS(T)                                                                                    \
    BIT4(T, 0), BIT4(T, 4), BIT4(T, 8), BIT4(T, 12), BIT4(T, 16), BIT4(T, 20), BIT4(T, 24),        \
        BIT4(T, 28)
FAB_ALIGNED(64) const u32 ops_lane_bit[WARP_LANES] = {BITS(u32)};
FAB_ALIGNED(64) const u64 ops_lane_bit64[WARP_LANES] = {BITS(u64)};

#if defined(__x86_64__)
extern const struct warp_isa ops_isa_v2, ops_isa_avx2, ops_isa_avx512;

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx2");
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
}

static bool has_v2(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
}

static const struct {
    const struct warp_isa *isa;
    bool (*is_present)(void);
} variants[] = {{&ops_isa_avx512, has_avx512}, {&ops_isa_avx2, has_avx2}, {&ops_isa_v2, has_v2}};
#else
extern const struct warp_isa ops_isa_portable;

static bool has_portable(void)
{
    return true;
}

static const struct {
    const struct warp_isa *isa;
    bool (*is_present)(void);
} variants[] = {{&ops_isa_portable, has_portable}};
#endif

/* Asked of the processor once. */
static struct {
    pthread_once_t once;
    const struct warp_isa *isa[FAB_ARRAY_LEN(variants)];
    unsigned count;
} present = {.once = PTHREAD_ONCE_INIT};

static void find_present(void)
{
    for (size_t n = 0; n < FAB_ARRAY_LEN(variants); n++)
        if (variants[n].is_present())
            present.isa[present.count++] = variants[n].isa;
}

const struct warp_isa *const *warp_isa_list(unsigned *count_out)
{
    (void)pthread_once(&present.once, find_present);
    *count_out = present.count;
    return present.isa;
}

const struct warp_isa *warp_isa_select(const char *name)
{
    unsigned count;
    const struct warp_isa *const *list = warp_isa_list(&count);

    if (!name)
        name = getenv("SOFTCUDA_ISA");
    for (unsigned n = 0; n < count; n++)
        if (!name || !*name || strcmp(name, list[n]->name) == 0)
            return list[n];
    return NULL;
}
