/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx_pair.c - endpoints from worker addresses, for InfiniBand.
 *
 * UCX pairs the n-th endpoint that one worker makes to another with the n-th that that one makes
 * back. A dial that was lost would leave the counts apart, so a first frame carries its number and
 * the answer is made to be of that number.
 */
#include "base/hash.h"
#include "ucx-transport/xp_ucx_int.h"

/* Two peers with one hash would only lose their pairing. */
static uint64_t hash(const uint8_t *bytes, size_t size_bytes)
{
    return fab_hash_bytes(FAB_HASH_START, bytes, size_bytes);
}

/* One more UCX endpoint to that address; counts. */
static enum fab_status create(struct xp_wire *wire, const uint8_t *address, size_t address_bytes,
                              struct xp_ep *ep, ucp_ep_h *ucp_out, struct fab_err *err)
{
    uint64_t key = hash(address, address_bytes);
    uintptr_t count = (uintptr_t)fab_map_find(&wire->dials, key) + 1;
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS |
                                            UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                                            UCP_EP_PARAM_FIELD_ERR_HANDLER,
                              .address = (const ucp_address_t *)address,
                              .err_mode = UCP_ERR_HANDLING_MODE_PEER,
                              .err_handler = {.cb = xp_ucx_on_error, .arg = ep}};

    if (fab_map_put(&wire->dials, key, (void *)count) != FAB_OK)
        return fab_err_set(err, FAB_ERR_NOMEM, "endpoint");
    return xp_ucx_check(wire->lib, wire->lib->ucp_ep_create(wire->worker, &params, ucp_out), err,
                        "a UCX endpoint");
}

static void on_skipped(void *request, ucs_status_t result, void *user)
{
    struct xp_wire *wire = user;

    (void)result;
    wire->lib->ucp_request_free(request);
}

void xp_ucx_pair_skip_to(struct xp_wire *wire, const uint8_t *address, size_t address_bytes,
                         uint64_t dial)
{
    uint64_t key = hash(address, address_bytes);
    uint64_t count = (uintptr_t)fab_map_find(&wire->dials, key);
    ucp_request_param_t close = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                                 UCP_OP_ATTR_FIELD_USER_DATA |
                                                 UCP_OP_ATTR_FIELD_FLAGS,
                                 .flags = UCP_EP_CLOSE_FLAG_FORCE,
                                 .cb.send = on_skipped,
                                 .user_data = wire};

    if (dial > count + XP_UCX_SKIPS_MAX)
        return;
    for (; count + 1 < dial; count++) {
        ucp_ep_h ucp = NULL;

        if (create(wire, address, address_bytes, /* ep */ NULL, &ucp, /* err */ NULL) != FAB_OK)
            return; /* not paired then */
        (void)wire->lib->ucp_ep_close_nbx(ucp, &close);
    }
}

enum fab_status xp_ucx_pair(struct xp_ep *ep, const uint8_t *address, size_t address_bytes,
                            struct fab_err *err)
{
    enum fab_status status = create(ep->wire, address, address_bytes, ep, &ep->ucp, err);

    if (status == FAB_OK)
        ep->dial = (uintptr_t)fab_map_find(&ep->wire->dials, hash(address, address_bytes));
    else
        ep->ucp = NULL;
    return status;
}
