/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_address.h - the bytes by which a node is reached: its id and its rails' wires.
 *
 * They come through the attach protocol, from another machine: decoded with bounds first, fuzzed.
 * Layout: version u8, rail count u8, reserved u16, node id; for each rail the backend's name (16,
 * filled with zeros) and twice (control, bulk) a length u16 and the wire's own bytes. Thread: any.
 */
#ifndef UCX_TRANSPORT_XP_ADDRESS_H
#define UCX_TRANSPORT_XP_ADDRESS_H

#include "ucx-transport/xp_backend.h"

enum { XP_ADDRESS_VERSION = 1, XP_BACKEND_NAME_BYTES = 16 };

struct xp_wire_address {
    const uint8_t *bytes; /* into the input */
    size_t size_bytes;
};

struct xp_rail_address {
    char backend[XP_BACKEND_NAME_BYTES];
    struct xp_wire_address control, bulk;
};

struct xp_address {
    uint8_t node_id[XP_NODE_ID_BYTES];
    uint32_t rail_count;
    struct xp_rail_address rails[XP_RAILS_MAX];
};

/* FAB_ERR_RANGE if it does not fit the capacity. */
FAB_NODISCARD enum fab_status xp_address_encode(const struct xp_address *address, uint8_t *out,
                                                size_t capacity_bytes, size_t *size_bytes_out);
/* FAB_ERR_TRUNCATED, FAB_ERR_VERSION, FAB_ERR_FORMAT. `out` borrows from `bytes`. */
FAB_NODISCARD enum fab_status xp_address_decode(const uint8_t *bytes, size_t size_bytes,
                                                struct xp_address *out);

#endif /* UCX_TRANSPORT_XP_ADDRESS_H */
