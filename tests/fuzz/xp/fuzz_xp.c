/* SPDX-License-Identifier: Apache-2.0
 * Fuzzes every decoder of the transport: the first byte chooses, the rest is input. What decodes
 * must encode to the same bytes again, where there is an encoder.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "ucx-transport/xp_address.h"
#include "ucx-transport/xp_frame.h"
#include "ucx-transport/xp_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void frame(const uint8_t *bytes, size_t size_bytes)
{
    uint8_t again[XP_HEADER_MAX_BYTES];
    struct xp_frame_prefix prefix;
    struct xp_data_header header;
    struct xp_chunk_header chunk;
    struct xp_hello hello;
    uint64_t cookie;

    if (xp_frame_decode_prefix(bytes, size_bytes, &prefix) != FAB_OK)
        return;
    if (xp_frame_decode_data(bytes, size_bytes, &header) == FAB_OK) {
        xp_frame_encode_data(&header, again);
        fab_assert(memcmp(again, bytes, XP_DATA_HEADER_BYTES) == 0);
    }
    if (xp_frame_decode_chunk(bytes, size_bytes, &chunk) == FAB_OK) {
        xp_frame_encode_chunk(&chunk, again);
        fab_assert(memcmp(again, bytes, XP_CHUNK_HEADER_BYTES) == 0);
    }
    if (xp_frame_decode_probe(bytes, size_bytes, &cookie) == FAB_OK) {
        xp_frame_encode_probe(prefix.kind, prefix.token, cookie, again);
        fab_assert(memcmp(again, bytes, XP_PROBE_BYTES) == 0);
    }
    if (xp_frame_decode_hello(bytes, size_bytes, &hello) == FAB_OK) {
        xp_frame_encode_hello(&hello, again);
        fab_assert(memcmp(again, bytes, XP_HELLO_BYTES) == 0);
    }
}

static void messages(enum xp_lane_id lane, const uint8_t *bytes, size_t size_bytes)
{
    struct xp_message_view view;
    struct xp_note note;
    size_t cursor = 0, before = 0;
    uint8_t again[XP_NOTE_BYTES];

    while (xp_message_decode(bytes, size_bytes, lane, &cursor, &view) == FAB_OK) {
        fab_assert(cursor > before && cursor <= size_bytes);
        fab_assert(view.args + view.args_bytes <= bytes + size_bytes);
        before = cursor;
        if (xp_note_decode(view.args, view.args_bytes, &note) != FAB_OK)
            continue;
        xp_note_encode(&note, again);
        fab_assert(memcmp(again, view.args, XP_NOTE_BYTES) == 0);
    }
}

static void address(const uint8_t *bytes, size_t size_bytes)
{
    static uint8_t again[XP_ADDRESS_MAX_BYTES];
    struct xp_address decoded;
    size_t again_bytes;

    if (xp_address_decode(bytes, size_bytes, &decoded) != FAB_OK)
        return;
    fab_assert(xp_address_encode(&decoded, again, sizeof(again), &again_bytes) == FAB_OK);
    fab_assert(again_bytes == size_bytes && memcmp(again, bytes, size_bytes) == 0);
}

static void plan(const uint8_t *bytes, size_t size_bytes)
{
    struct xp_plan made;
    uint64_t total, offset, end = 0;
    uint32_t unit, chunk_bytes;

    if (size_bytes < sizeof(total) + sizeof(unit))
        return;
    memcpy(&total, bytes, sizeof(total));
    memcpy(&unit, bytes + sizeof(total), sizeof(unit));
    if (xp_plan_make(total, unit, &made) != FAB_OK || made.chunk_count > 1 << 16)
        return;
    for (uint32_t i = 0; i < made.chunk_count; i++) {
        xp_plan_chunk(&made, i, &offset, &chunk_bytes);
        fab_assert(offset == end && chunk_bytes > 0);
        end += chunk_bytes;
    }
    fab_assert(end == total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    enum { CHOICES = 5 };

    if (size_bytes == 0)
        return 0;
    switch (data[0] % CHOICES) {
    case 0:
        frame(data + 1, size_bytes - 1);
        break;
    case 1:
        messages(XP_LANE_ORDERED, data + 1, size_bytes - 1);
        break;
    case 2:
        messages(XP_LANE_URGENT, data + 1, size_bytes - 1);
        break;
    case 3:
        address(data + 1, size_bytes - 1);
        break;
    default:
        plan(data + 1, size_bytes - 1);
        break;
    }
    return 0;
}
