/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_bytes.h - little-endian integers at an address; the only place that knows.
 */
#ifndef UCX_TRANSPORT_XP_BYTES_H
#define UCX_TRANSPORT_XP_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void xp_put16(uint8_t *at, uint16_t value)
{
    value = htole16(value);
    memcpy(at, &value, sizeof(value));
}

static inline void xp_put32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof(value));
}

static inline void xp_put64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof(value));
}

static inline uint16_t xp_get16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return le16toh(value);
}

static inline uint32_t xp_get32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

static inline uint64_t xp_get64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

#endif /* UCX_TRANSPORT_XP_BYTES_H */
