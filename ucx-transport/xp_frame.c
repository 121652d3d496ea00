/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_frame.c - encodes and decodes frames; see xp_frame.h.
 *
 * Prefix (16): version u8, kind u8, flags u16, body_bytes u32, token u64. What follows is written
 * once in each encoder, in the order of the offsets, and read the same way in its decoder.
 */
#include "ucx-transport/xp_frame.h"

#include <assert.h>

#include "ucx-transport/xp_backend.h"
#include "ucx-transport/xp_bytes.h"

static_assert((int)XP_HELLO_BYTES <= (int)XP_HEADER_MAX_BYTES, "a hello must fit a header");
static_assert((int)XP_CHUNK_HEADER_BYTES <= (int)XP_HEADER_MAX_BYTES, "so must a chunk's");

static void encode_prefix(uint8_t *out, enum xp_frame_kind kind, uint16_t flags,
                          uint32_t body_bytes, uint64_t token)
{
    out[0] = XP_FRAME_VERSION;
    out[1] = (uint8_t)kind;
    xp_put16(out + 2, flags);
    xp_put32(out + 4, body_bytes);
    xp_put64(out + 8, token);
}

enum fab_status xp_frame_decode_prefix(const uint8_t *bytes, size_t size_bytes,
                                       struct xp_frame_prefix *out)
{
    uint16_t flags;

    if (size_bytes < XP_FRAME_PREFIX_BYTES)
        return FAB_ERR_TRUNCATED;
    if (bytes[0] != XP_FRAME_VERSION)
        return FAB_ERR_VERSION;
    if (bytes[1] < XP_FRAME_HELLO || bytes[1] > XP_FRAME_CHUNK)
        return FAB_ERR_FORMAT;
    flags = xp_get16(bytes + 2);
    if (flags & ~XP_FRAME_FLAGS || (flags && bytes[1] != XP_FRAME_DATA))
        return FAB_ERR_FORMAT;
    *out = (struct xp_frame_prefix){
        .kind = (enum xp_frame_kind)bytes[1],
        .flags = flags,
        .body_bytes = xp_get32(bytes + 4),
        .token = xp_get64(bytes + 8),
    };
    return FAB_OK;
}

/* A header of exactly `wanted` bytes and one of two kinds. */
static enum fab_status decode_exact(const uint8_t *bytes, size_t size_bytes, size_t wanted,
                                    enum xp_frame_kind kind, enum xp_frame_kind or_kind,
                                    struct xp_frame_prefix *out)
{
    struct xp_frame_prefix prefix;
    enum fab_status status = xp_frame_decode_prefix(bytes, size_bytes, &prefix);

    if (status != FAB_OK)
        return status;
    if (prefix.kind != kind && prefix.kind != or_kind)
        return FAB_ERR_FORMAT;
    if (size_bytes < wanted)
        return FAB_ERR_TRUNCATED;
    if (size_bytes > wanted)
        return FAB_ERR_FORMAT;
    *out = prefix;
    return FAB_OK;
}

void xp_frame_encode_data(const struct xp_data_header *in, uint8_t out[XP_DATA_HEADER_BYTES])
{
    uint8_t *at = out + XP_FRAME_PREFIX_BYTES;

    encode_prefix(out, XP_FRAME_DATA, in->flags, in->body_bytes, in->token);
    xp_put32(at, (uint32_t)in->lane);
    xp_put32(at + 4, in->count);
    xp_put64(at + 8, in->first);
    xp_put64(at + 16, in->received[XP_LANE_ORDERED]);
    xp_put64(at + 24, in->received[XP_LANE_URGENT]);
    xp_put64(at + 32, in->executed);
    xp_put64(at + 40, in->executed_bytes);
}

enum fab_status xp_frame_decode_data(const uint8_t *bytes, size_t size_bytes,
                                     struct xp_data_header *out)
{
    struct xp_frame_prefix prefix;
    const uint8_t *at = bytes + XP_FRAME_PREFIX_BYTES;
    enum fab_status status = decode_exact(bytes, size_bytes, XP_DATA_HEADER_BYTES, XP_FRAME_DATA,
                                          XP_FRAME_DATA, &prefix);
    uint32_t lane, count;
    uint64_t first;

    if (status != FAB_OK)
        return status;
    lane = xp_get32(at);
    count = xp_get32(at + 4);
    first = xp_get64(at + 8);
    if (lane >= XP_LANE_COUNT || (count == 0) != (first == 0) ||
        (count == 0) != (prefix.body_bytes == 0) || first > UINT64_MAX - count)
        return FAB_ERR_FORMAT;
    *out = (struct xp_data_header){
        .flags = prefix.flags,
        .token = prefix.token,
        .lane = (enum xp_lane_id)lane,
        .count = count,
        .body_bytes = prefix.body_bytes,
        .first = first,
        .received = {xp_get64(at + 16), xp_get64(at + 24)},
        .executed = xp_get64(at + 32),
        .executed_bytes = xp_get64(at + 40),
    };
    return FAB_OK;
}

void xp_frame_encode_chunk(const struct xp_chunk_header *in, uint8_t out[XP_CHUNK_HEADER_BYTES])
{
    uint8_t *at = out + XP_FRAME_PREFIX_BYTES;

    encode_prefix(out, XP_FRAME_CHUNK, /* flags */ 0, in->body_bytes, in->token);
    xp_put64(at, in->transfer_id);
    xp_put64(at + 8, in->command);
    xp_put64(at + 16, in->offset);
    xp_put64(at + 24, in->total_bytes);
    xp_put32(at + 32, in->index);
    xp_put32(at + 36, in->attempt);
    xp_put32(at + 40, in->unit_bytes);
    xp_put32(at + 44, 0);
    memcpy(at + 48, in->digest, XP_DIGEST_BYTES);
}

enum fab_status xp_frame_decode_chunk(const uint8_t *bytes, size_t size_bytes,
                                      struct xp_chunk_header *out)
{
    struct xp_frame_prefix prefix;
    const uint8_t *at = bytes + XP_FRAME_PREFIX_BYTES;
    enum fab_status status = decode_exact(bytes, size_bytes, XP_CHUNK_HEADER_BYTES, XP_FRAME_CHUNK,
                                          XP_FRAME_CHUNK, &prefix);
    struct xp_chunk_header header;

    if (status != FAB_OK)
        return status;
    header = (struct xp_chunk_header){
        .token = prefix.token,
        .transfer_id = xp_get64(at),
        .command = xp_get64(at + 8),
        .offset = xp_get64(at + 16),
        .total_bytes = xp_get64(at + 24),
        .index = xp_get32(at + 32),
        .attempt = xp_get32(at + 36),
        .body_bytes = prefix.body_bytes,
        .unit_bytes = xp_get32(at + 40),
    };
    memcpy(header.digest, at + 48, XP_DIGEST_BYTES);
    if (xp_get32(at + 44) || header.body_bytes == 0 || header.offset > header.total_bytes ||
        header.body_bytes > header.total_bytes - header.offset)
        return FAB_ERR_FORMAT;
    *out = header;
    return FAB_OK;
}

void xp_frame_encode_probe(enum xp_frame_kind kind, uint64_t token, uint64_t cookie,
                           uint8_t out[XP_PROBE_BYTES])
{
    encode_prefix(out, kind, /* flags */ 0, /* body_bytes */ 0, token);
    xp_put64(out + XP_FRAME_PREFIX_BYTES, cookie);
}

enum fab_status xp_frame_decode_probe(const uint8_t *bytes, size_t size_bytes, uint64_t *cookie_out)
{
    struct xp_frame_prefix prefix;
    enum fab_status status = decode_exact(bytes, size_bytes, XP_PROBE_BYTES, XP_FRAME_PROBE,
                                          XP_FRAME_PROBE_REPLY, &prefix);

    if (status != FAB_OK)
        return status;
    if (prefix.body_bytes)
        return FAB_ERR_FORMAT;
    *cookie_out = xp_get64(bytes + XP_FRAME_PREFIX_BYTES);
    return FAB_OK;
}

void xp_frame_encode_hello(const struct xp_hello *in, uint8_t out[XP_HELLO_BYTES])
{
    uint8_t *at = out + XP_FRAME_PREFIX_BYTES;

    encode_prefix(out, in->kind, /* flags */ 0, /* body_bytes */ 0, /* token */ 0);
    xp_put64(at, in->session_id);
    xp_put64(at + 8, in->epoch);
    xp_put64(at + 16, in->your_token);
    xp_put32(at + 24, in->leg);
    xp_put32(at + 28, in->window_calls);
    xp_put64(at + 32, in->window_bytes);
    xp_put32(at + 40, in->chunk_bytes);
    xp_put32(at + 44, in->chunks_in_flight);
    xp_put64(at + 48, in->received[XP_LANE_ORDERED]);
    xp_put64(at + 56, in->received[XP_LANE_URGENT]);
    xp_put64(at + 64, in->executed);
    xp_put64(at + 72, in->executed_bytes);
    xp_put64(at + 80, 0);
    xp_put64(at + 88, 0);
    xp_put64(at + 96, 0);
    memcpy(at + 104, in->nonce, XP_NONCE_BYTES);
    memcpy(at + 120, in->peer_nonce, XP_NONCE_BYTES);
    memcpy(at + 136, in->mac, XP_MAC_BYTES);
}

enum fab_status xp_frame_decode_hello(const uint8_t *bytes, size_t size_bytes, struct xp_hello *out)
{
    struct xp_frame_prefix prefix;
    const uint8_t *at = bytes + XP_FRAME_PREFIX_BYTES;
    enum fab_status status =
        decode_exact(bytes, size_bytes, XP_HELLO_BYTES, XP_FRAME_HELLO, XP_FRAME_WELCOME, &prefix);
    struct xp_hello hello;

    if (status != FAB_OK)
        return status;
    hello = (struct xp_hello){
        .kind = prefix.kind,
        .session_id = xp_get64(at),
        .epoch = xp_get64(at + 8),
        .your_token = xp_get64(at + 16),
        .leg = xp_get32(at + 24),
        .window_calls = xp_get32(at + 28),
        .window_bytes = xp_get64(at + 32),
        .chunk_bytes = xp_get32(at + 40),
        .chunks_in_flight = xp_get32(at + 44),
        .received = {xp_get64(at + 48), xp_get64(at + 56)},
        .executed = xp_get64(at + 64),
        .executed_bytes = xp_get64(at + 72),
    };
    memcpy(hello.nonce, at + 104, XP_NONCE_BYTES);
    memcpy(hello.peer_nonce, at + 120, XP_NONCE_BYTES);
    memcpy(hello.mac, at + 136, XP_MAC_BYTES);
    if (prefix.body_bytes || prefix.token || xp_get64(at + 80) || xp_get64(at + 88) ||
        xp_get64(at + 96) || hello.your_token == 0 || hello.session_id == 0 || hello.epoch == 0 ||
        hello.leg >= 2 * XP_RAILS_MAX)
        return FAB_ERR_FORMAT;
    *out = hello;
    return FAB_OK;
}
