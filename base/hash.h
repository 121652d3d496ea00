/* SPDX-License-Identifier: Apache-2.0
 * base/hash.h - a hash of bytes, for tables, tags and "is it still the same": not against an enemy.
 *
 * FNV-1a, 64 bits. Source: draft-eastlake-fnv. Thread: any.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FAB_HASH_START UINT64_C(0xcbf29ce484222325)

/* Goes on from `hash`, which is FAB_HASH_START for the first bytes. */
static inline uint64_t fab_hash_bytes(uint64_t hash, const void *bytes, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static inline uint64_t fab_hash_text(uint64_t hash, const char *text)
{
    return fab_hash_bytes(hash, text, strlen(text));
}

#endif /* BASE_HASH_H */
