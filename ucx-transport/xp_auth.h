/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_auth.h - proofs of the session key on hello and welcome.
 *
 * The code is HMAC-SHA256 over a label, both nodes' addresses (in an order that both ends know:
 * initiator first) and the frame up to its mac field. Knows no state: freshness comes from epochs
 * and nonces, which the legs check. Thread: any.
 */
#ifndef UCX_TRANSPORT_XP_AUTH_H
#define UCX_TRANSPORT_XP_AUTH_H

#include "ucx-transport/xp_frame.h"

/* What the two ends of a session have in common. */
struct xp_auth {
    uint8_t key[XP_KEY_BYTES];
    uint8_t addresses[XP_MAC_BYTES]; /* digest of both */
};

void xp_auth_init(struct xp_auth *auth, const uint8_t key[XP_KEY_BYTES],
                  const uint8_t *initiator_address, size_t initiator_bytes,
                  const uint8_t *responder_address, size_t responder_bytes);
void xp_auth_fini(struct xp_auth *auth); /* wipes the key */

/* `frame` is encoded but for its last XP_MAC_BYTES, which sign fills in and check compares in
 * constant time. */
void xp_auth_sign(const struct xp_auth *auth, uint8_t *frame, size_t frame_bytes);
bool xp_auth_check(const struct xp_auth *auth, const uint8_t *frame, size_t frame_bytes);

/* Bytes that nobody can guess. FAB_ERR_IO if the kernel gives none. */
FAB_NODISCARD enum fab_status xp_random(void *out, size_t size_bytes);

#endif /* UCX_TRANSPORT_XP_AUTH_H */
