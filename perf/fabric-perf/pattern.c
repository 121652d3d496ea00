/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/pattern.c - bytes that say whose they are and where they belong.
 */
#include <string.h>

#include "perf/fabric-perf/lanes.h"

/* The word at an index: neighbours, and the same word of another seed, have nothing in common. */
static uint64_t word_at(uint64_t index, uint64_t seed)
{
    const uint64_t mixed = (index + (seed << 32)) * UINT64_C(0x9E3779B97F4A7C15);

    return mixed ^ mixed >> 29;
}

void fp_pattern_fill(void *at, uint64_t bytes, uint64_t seed, bool is_inverted)
{
    const uint64_t inverse = is_inverted ? UINT64_MAX : 0;
    char *to = at;

    for (uint64_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        const uint64_t word = word_at(i / sizeof(word), seed) ^ inverse;

        memcpy(to + i, &word, bytes - i < sizeof(word) ? bytes - i : sizeof(word));
    }
}

bool fp_pattern_is(const void *at, uint64_t bytes, uint64_t seed)
{
    const char *from = at;

    for (uint64_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        const uint64_t word = word_at(i / sizeof(word), seed);

        if (memcmp(from + i, &word, bytes - i < sizeof(word) ? bytes - i : sizeof(word)) != 0)
            return false;
    }
    return true;
}
