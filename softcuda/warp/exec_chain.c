/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/exec_chain.c - fma.rn.f32 whose addend is the result of the one before.
 *
 * The sum of a dot product stays in registers for up to WARP_GROUP_MAX steps, where single
 * instructions would wait for it to come back from memory each time. Same operations in the same
 * order, so the same bits. All lanes compute; active ones are written.
 */
#include <string.h>

#include "softcuda/warp/exec_int.h"
#include "softcuda/warp/exec_ops_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { LANES_512 = 16, LANES_256 = 8 };

__attribute__((target("avx512f"))) static const struct warp_insn *
fma_chain_avx512(struct warp *w, const struct warp_insn *in)
{
    const struct warp_chain *chain = in->aux;

    for (unsigned at = 0; at < WARP_LANES; at += LANES_512) {
        __m512 sum = _mm512_load_ps((const float *)warp_at(w, in->c) + at);

        for (uint32_t i = 0; i < chain->count; i++)
            sum = _mm512_fmadd_ps(
                _mm512_load_ps((const float *)warp_at(w, chain->operands[(size_t)2 * i]) + at),
                _mm512_load_ps((const float *)warp_at(w, chain->operands[(size_t)2 * i + 1]) + at),
                sum);
        _mm512_mask_store_ps((float *)warp_at(w, in->d) + at, (__mmask16)(w->mask >> at), sum);
    }
    return in + 1;
}

__attribute__((target("avx2,fma"))) static const struct warp_insn *
fma_chain_avx2(struct warp *w, const struct warp_insn *in)
{
    const struct warp_chain *chain = in->aux;

    for (unsigned at = 0; at < WARP_LANES; at += LANES_256) {
        __m256 sum = _mm256_load_ps((const float *)warp_at(w, in->c) + at);

        for (uint32_t i = 0; i < chain->count; i++)
            sum = _mm256_fmadd_ps(
                _mm256_load_ps((const float *)warp_at(w, chain->operands[(size_t)2 * i]) + at),
                _mm256_load_ps((const float *)warp_at(w, chain->operands[(size_t)2 * i + 1]) + at),
                sum);
        _mm256_maskstore_ps((float *)warp_at(w, in->d) + at,
                            _mm256_load_si256((const __m256i *)(const void *)&w->lanes[at]), sum);
    }
    return in + 1;
}
#endif

warp_fn warp_fma_chain_for(const char *isa)
{
#if defined(__x86_64__)
    if (strcmp(isa, "avx512") == 0)
        return fma_chain_avx512;
    if (strcmp(isa, "avx2") == 0)
        return fma_chain_avx2;
#endif
    (void)isa;
    return NULL;
}
