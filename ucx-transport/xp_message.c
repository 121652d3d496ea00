/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_message.c - messages inside a data frame, and the core's notes; see xp_frame.h.
 *
 * Message (16): op u32, kind u16, reserved u16, args_bytes u32, result i32; then the arguments,
 * filled up with zeros to 8 bytes.
 */
#include "ucx-transport/xp_bytes.h"
#include "ucx-transport/xp_frame.h"

static size_t padded(size_t bytes)
{
    return (bytes + XP_MESSAGE_ALIGN - 1) & ~(size_t)(XP_MESSAGE_ALIGN - 1);
}

size_t xp_message_bytes(size_t args_bytes)
{
    return XP_MESSAGE_HEADER_BYTES + padded(args_bytes);
}

uint8_t *xp_message_encode(uint8_t *out, enum xp_wire_message kind, uint32_t op, int32_t result,
                           uint32_t args_bytes)
{
    uint8_t *args = out + XP_MESSAGE_HEADER_BYTES;

    xp_put32(out, op);
    xp_put16(out + 4, (uint16_t)kind);
    xp_put16(out + 6, 0);
    xp_put32(out + 8, args_bytes);
    xp_put32(out + 12, (uint32_t)result);
    memset(args + args_bytes, 0, padded(args_bytes) - args_bytes);
    return args;
}

static bool kind_fits_lane(uint16_t kind, enum xp_lane_id lane)
{
    bool ordered = kind == XP_WIRE_POST || kind == XP_WIRE_CALL;

    return kind >= XP_WIRE_POST && kind <= XP_WIRE_BYE && ordered == (lane == XP_LANE_ORDERED);
}

enum fab_status xp_message_decode(const uint8_t *body, size_t body_bytes, enum xp_lane_id lane,
                                  size_t *cursor, struct xp_message_view *out)
{
    size_t left = body_bytes - *cursor;
    const uint8_t *at = body + *cursor;
    uint32_t args_bytes;
    uint16_t kind;

    if (*cursor > body_bytes || left < XP_MESSAGE_HEADER_BYTES)
        return FAB_ERR_TRUNCATED;
    kind = xp_get16(at + 4);
    args_bytes = xp_get32(at + 8);
    if (!kind_fits_lane(kind, lane) || xp_get16(at + 6) ||
        args_bytes > XP_MESSAGE_MAX_BYTES + XP_REPLY_PREFIX_BYTES)
        return FAB_ERR_FORMAT;
    if (left < xp_message_bytes(args_bytes))
        return FAB_ERR_TRUNCATED;
    if (kind == XP_WIRE_REPLY && args_bytes < XP_REPLY_PREFIX_BYTES)
        return FAB_ERR_FORMAT;
    for (size_t i = args_bytes; i < padded(args_bytes); i++) {
        if (at[XP_MESSAGE_HEADER_BYTES + i])
            return FAB_ERR_FORMAT;
    }
    *out = (struct xp_message_view){
        .kind = (enum xp_wire_message)kind,
        .op = xp_get32(at),
        .result = (int32_t)xp_get32(at + 12),
        .args = at + XP_MESSAGE_HEADER_BYTES,
        .args_bytes = args_bytes,
    };
    *cursor += xp_message_bytes(args_bytes);
    return FAB_OK;
}

void xp_note_encode(const struct xp_note *in, uint8_t out[XP_NOTE_BYTES])
{
    xp_put64(out, in->id);
    xp_put32(out + 8, in->index);
    xp_put32(out + 12, in->attempt);
    xp_put32(out + 16, (uint32_t)in->kind);
    xp_put32(out + 20, 0);
}

enum fab_status xp_note_decode(const uint8_t *bytes, size_t size_bytes, struct xp_note *out)
{
    uint32_t kind;

    if (size_bytes < XP_NOTE_BYTES)
        return FAB_ERR_TRUNCATED;
    kind = xp_get32(bytes + 16);
    if (size_bytes > XP_NOTE_BYTES || kind < XP_NOTE_ACK || kind > XP_NOTE_LEG ||
        xp_get32(bytes + 20))
        return FAB_ERR_FORMAT;
    *out = (struct xp_note){
        .kind = (enum xp_note_kind)kind,
        .id = xp_get64(bytes),
        .index = xp_get32(bytes + 8),
        .attempt = xp_get32(bytes + 12),
    };
    return FAB_OK;
}
