/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_address.c - see xp_address.h.
 */
#include "ucx-transport/xp_address.h"

#include "ucx-transport/xp_bytes.h"

enum { PREFIX_BYTES = 4 + XP_NODE_ID_BYTES };

static uint8_t *put_wire(uint8_t *at, const struct xp_wire_address *wire)
{
    xp_put16(at, (uint16_t)wire->size_bytes);
    memcpy(at + 2, wire->bytes, wire->size_bytes);
    return at + 2 + wire->size_bytes;
}

static bool wire_fits(const struct xp_wire_address *wire)
{
    return wire->size_bytes > 0 && wire->size_bytes <= XP_WIRE_ADDRESS_MAX_BYTES;
}

enum fab_status xp_address_encode(const struct xp_address *address, uint8_t *out,
                                  size_t capacity_bytes, size_t *size_bytes_out)
{
    size_t needed = PREFIX_BYTES;
    uint8_t *at = out + PREFIX_BYTES;

    if (address->rail_count == 0 || address->rail_count > XP_RAILS_MAX)
        return FAB_ERR_RANGE;
    for (uint32_t i = 0; i < address->rail_count; i++) {
        const struct xp_rail_address *rail = &address->rails[i];

        if (!wire_fits(&rail->control) || !wire_fits(&rail->bulk))
            return FAB_ERR_RANGE;
        needed += XP_BACKEND_NAME_BYTES + 4 + rail->control.size_bytes + rail->bulk.size_bytes;
    }
    if (needed > capacity_bytes)
        return FAB_ERR_RANGE;
    out[0] = XP_ADDRESS_VERSION;
    out[1] = (uint8_t)address->rail_count;
    xp_put16(out + 2, 0);
    memcpy(out + 4, address->node_id, XP_NODE_ID_BYTES);
    for (uint32_t i = 0; i < address->rail_count; i++) {
        memcpy(at, address->rails[i].backend, XP_BACKEND_NAME_BYTES);
        at = put_wire(at + XP_BACKEND_NAME_BYTES, &address->rails[i].control);
        at = put_wire(at, &address->rails[i].bulk);
    }
    *size_bytes_out = needed;
    return FAB_OK;
}

static enum fab_status get_wire(const uint8_t *bytes, size_t size_bytes, size_t *cursor,
                                struct xp_wire_address *out)
{
    size_t wire_bytes;

    if (size_bytes - *cursor < 2)
        return FAB_ERR_TRUNCATED;
    wire_bytes = xp_get16(bytes + *cursor);
    if (wire_bytes == 0 || wire_bytes > XP_WIRE_ADDRESS_MAX_BYTES)
        return FAB_ERR_FORMAT;
    if (size_bytes - *cursor - 2 < wire_bytes)
        return FAB_ERR_TRUNCATED;
    *out = (struct xp_wire_address){.bytes = bytes + *cursor + 2, .size_bytes = wire_bytes};
    *cursor += 2 + wire_bytes;
    return FAB_OK;
}

static enum fab_status get_rail(const uint8_t *bytes, size_t size_bytes, size_t *cursor,
                                struct xp_rail_address *out)
{
    enum fab_status status;

    if (size_bytes - *cursor < XP_BACKEND_NAME_BYTES)
        return FAB_ERR_TRUNCATED;
    memcpy(out->backend, bytes + *cursor, XP_BACKEND_NAME_BYTES);
    if (out->backend[0] == '\0' || out->backend[XP_BACKEND_NAME_BYTES - 1] != '\0')
        return FAB_ERR_FORMAT;
    *cursor += XP_BACKEND_NAME_BYTES;
    status = get_wire(bytes, size_bytes, cursor, &out->control);
    return status == FAB_OK ? get_wire(bytes, size_bytes, cursor, &out->bulk) : status;
}

enum fab_status xp_address_decode(const uint8_t *bytes, size_t size_bytes, struct xp_address *out)
{
    struct xp_address address = {0};
    size_t cursor = PREFIX_BYTES;

    if (size_bytes < PREFIX_BYTES)
        return FAB_ERR_TRUNCATED;
    if (bytes[0] != XP_ADDRESS_VERSION)
        return FAB_ERR_VERSION;
    if (bytes[1] == 0 || bytes[1] > XP_RAILS_MAX || xp_get16(bytes + 2))
        return FAB_ERR_FORMAT;
    memcpy(address.node_id, bytes + 4, XP_NODE_ID_BYTES);
    address.rail_count = bytes[1];
    for (uint32_t i = 0; i < address.rail_count; i++) {
        enum fab_status status = get_rail(bytes, size_bytes, &cursor, &address.rails[i]);

        if (status != FAB_OK)
            return status;
    }
    if (cursor != size_bytes)
        return FAB_ERR_FORMAT;
    *out = address;
    return FAB_OK;
}
