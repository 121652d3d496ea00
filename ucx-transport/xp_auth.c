/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_auth.c - see xp_auth.h. The only file that knows nettle.
 */
#include "ucx-transport/xp_auth.h"

#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <string.h>
#include <sys/random.h>

#include "base/fault.h"
#include "ucx-transport/xp_bytes.h"

static const uint8_t label[] = "fabric xp 1"; /* so that no other use of the key collides */

void xp_auth_init(struct xp_auth *auth, const uint8_t key[XP_KEY_BYTES],
                  const uint8_t *initiator_address, size_t initiator_bytes,
                  const uint8_t *responder_address, size_t responder_bytes)
{
    struct sha256_ctx hash;
    uint8_t length[8];

    memcpy(auth->key, key, XP_KEY_BYTES);
    sha256_init(&hash);
    xp_put64(length, initiator_bytes);
    sha256_update(&hash, sizeof(length), length);
    sha256_update(&hash, initiator_bytes, initiator_address);
    sha256_update(&hash, responder_bytes, responder_address);
    sha256_digest(&hash, XP_MAC_BYTES, auth->addresses);
}

void xp_auth_fini(struct xp_auth *auth)
{
    explicit_bzero(auth, sizeof(*auth));
}

static void compute(const struct xp_auth *auth, const uint8_t *frame, size_t frame_bytes,
                    uint8_t mac_out[XP_MAC_BYTES])
{
    struct hmac_sha256_ctx hmac;

    hmac_sha256_set_key(&hmac, XP_KEY_BYTES, auth->key);
    hmac_sha256_update(&hmac, sizeof(label), label);
    hmac_sha256_update(&hmac, XP_MAC_BYTES, auth->addresses);
    hmac_sha256_update(&hmac, frame_bytes - XP_MAC_BYTES, frame);
    hmac_sha256_digest(&hmac, XP_MAC_BYTES, mac_out);
    explicit_bzero(&hmac, sizeof(hmac));
}

void xp_auth_sign(const struct xp_auth *auth, uint8_t *frame, size_t frame_bytes)
{
    compute(auth, frame, frame_bytes, frame + frame_bytes - XP_MAC_BYTES);
}

bool xp_auth_check(const struct xp_auth *auth, const uint8_t *frame, size_t frame_bytes)
{
    uint8_t mac[XP_MAC_BYTES];

    if (frame_bytes < XP_MAC_BYTES)
        return false;
    compute(auth, frame, frame_bytes, mac);
    return memeql_sec(mac, frame + frame_bytes - XP_MAC_BYTES, XP_MAC_BYTES) != 0;
}

enum fab_status xp_random(void *out, size_t size_bytes)
{
    /* Up to 256 bytes come whole or not at all (getrandom(2)). */
    if (fab_fault("getrandom") || getrandom(out, size_bytes, 0) != (ssize_t)size_bytes)
        return FAB_ERR_IO;
    return FAB_OK;
}
