/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx_ep.c - endpoints over UCX: frames, chunks, failure, closing by force.
 *
 * Frames are eager active messages, chunks rendezvous ones. A prefix of ours in front of the core's
 * header names the endpoints at both ends, so what arrives belongs to one of ours, and closing that
 * one waits for it. An initiator's first frame names none; it is put by and given to the core
 * outside UCX's callback, which adopts the endpoint that it came by (tcp), or opens one meanwhile
 * that answers it (InfiniBand). Ids are random: who does not know one gets nothing delivered.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "ucx-transport/xp_auth.h"
#include "ucx-transport/xp_bytes.h"
#include "ucx-transport/xp_ucx_int.h"

static enum fab_status status_of(ucs_status_t result)
{
    if (result == UCS_OK)
        return FAB_OK;
    return result == UCS_ERR_CANCELED ? FAB_ERR_CANCELLED : FAB_ERR_LINK_LOST;
}

static ucs_memory_type_t memory_type(enum xp_memory memory)
{
    return memory == XP_MEMORY_DEVICE ? UCS_MEMORY_TYPE_CUDA : UCS_MEMORY_TYPE_HOST;
}

/* xp_ucx_tend() will look at it. */
static void put_on_news(struct xp_ep *ep)
{
    fab_list_remove(&ep->news_link);
    fab_list_append(&ep->wire->news, &ep->news_link);
}

/* ---------------------------------------------------------------- opening */

void xp_ucx_on_error(void *argument, ucp_ep_h ucp, ucs_status_t result)
{
    struct xp_ep *ep = argument;

    (void)ucp;
    if (!ep || ep->failed || ep->closing)
        return;
    ep->failed = true;
    ep->why = result;
    put_on_news(ep);
}

static enum fab_status choose_id(struct xp_ep *ep, struct fab_err *err)
{
    if (xp_random(&ep->id, sizeof(ep->id)) != FAB_OK)
        return fab_err_set(err, FAB_ERR_IO, "no random numbers");
    ep->id &= ~XP_UCX_ID_STAGES;
    if (ep->id == 0)
        ep->id = 1;
    if (ep->wire->stages)
        ep->id |= XP_UCX_ID_STAGES;
    if (fab_map_find(&ep->wire->ids, ep->id))
        return fab_err_set(err, FAB_ERR_IO, "no random numbers");
    if (fab_map_put(&ep->wire->ids, ep->id, ep) != FAB_OK)
        return fab_err_set(err, FAB_ERR_NOMEM, "endpoint");
    return FAB_OK;
}

struct xp_ep *xp_ucx_ep_create(struct xp_wire *wire, void *owner, struct fab_err *err)
{
    struct xp_ep *ep = fab_alloc_zeroed(1, sizeof(*ep));

    if (!ep) {
        (void)fab_err_set(err, FAB_ERR_NOMEM, "endpoint");
        return NULL;
    }
    ep->wire = wire;
    ep->owner = owner;
    fab_list_init(&ep->link);
    fab_list_init(&ep->news_link);
    if (choose_id(ep, err) != FAB_OK) {
        free(ep);
        return NULL;
    }
    fab_list_append(&wire->eps, &ep->link);
    return ep;
}

static void destroy(struct xp_ep *ep)
{
    if (fab_map_find(&ep->wire->ids, ep->id) == ep)
        (void)fab_map_remove(&ep->wire->ids, ep->id);
    fab_list_remove(&ep->link);
    fab_list_remove(&ep->news_link);
    free(ep);
}

enum fab_status xp_ucx_ep_open(struct xp_wire *wire, const uint8_t *address, size_t address_bytes,
                               void *owner, struct xp_ep **ep_out, struct fab_err *err)
{
    bool is_socket = address_bytes == XP_UCX_SOCKET_BYTES;
    struct xp_ep *ep;
    enum fab_status status;

    if (address_bytes < XP_UCX_SOCKET_BYTES || is_socket != (wire->listener != NULL))
        return fab_err_set(err, FAB_ERR_FORMAT, "a UCX address of %zu bytes", address_bytes);
    ep = xp_ucx_ep_create(wire, owner, err);
    if (!ep)
        return FAB_ERR_NOMEM;
    if (wire->answering && !is_socket) {
        ep->peer_id = wire->answering->peer_id;
        xp_ucx_pair_skip_to(wire, address, address_bytes, wire->answering->dial);
    }
    status =
        is_socket ? xp_ucx_connect(ep, address, err) : xp_ucx_pair(ep, address, address_bytes, err);
    if (status != FAB_OK) {
        destroy(ep);
        return status;
    }
    *ep_out = ep;
    return FAB_OK;
}

/* No stranger any more: adopted, or closed. */
static void know(struct xp_ep *ep)
{
    if (ep->is_stranger)
        ep->wire->stranger_count--;
    ep->is_stranger = false;
}

void xp_ucx_ep_own(struct xp_ep *ep, void *owner)
{
    ep->owner = owner;
    know(ep);
}

/* ---------------------------------------------------------------- closing */

static void on_released(void *request, ucs_status_t result, void *user)
{
    struct xp_ep *ep = user;

    (void)result; /* by force: there is no other end to this */
    ep->wire->lib->ucp_request_free(request);
    ep->released = true;
    put_on_news(ep);
}

void xp_ucx_ep_close(struct xp_ep *ep)
{
    struct xp_wire *wire = ep->wire;
    ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                                 UCP_OP_ATTR_FIELD_USER_DATA |
                                                 UCP_OP_ATTR_FIELD_FLAGS,
                                 .flags = UCP_EP_CLOSE_FLAG_FORCE,
                                 .cb.send = on_released,
                                 .user_data = ep};
    ucs_status_ptr_t request;

    fab_assert(!ep->closing);
    ep->closing = true;
    know(ep);
    (void)fab_map_remove(&wire->ids, ep->id);
    if (ep->ucp && fab_map_find(&wire->handles, (uintptr_t)ep->ucp) == ep)
        (void)fab_map_remove(&wire->handles, (uintptr_t)ep->ucp);
    if (!ep->ucp) {
        ep->released = true;
        put_on_news(ep);
        return;
    }
    request = wire->lib->ucp_ep_close_nbx(ep->ucp, &param);
    ep->ucp = NULL;
    if (!UCS_PTR_IS_PTR(request))
        ep->released = true;
    put_on_news(ep);
}

void xp_ucx_eps_drop(struct xp_wire *wire)
{
    FAB_LIST_EACH(node, after, &wire->firsts)
    free(fab_list_object(node, struct xp_ucx_first, link));
    FAB_LIST_EACH(node, after, &wire->eps)
    destroy(fab_list_object(node, struct xp_ep, link));
}

void xp_ucx_eps_close(struct xp_wire *wire)
{
    FAB_LIST_EACH(node, after, &wire->eps)
    {
        struct xp_ep *ep = fab_list_object(node, struct xp_ep, link);

        if (!ep->closing)
            xp_ucx_ep_close(ep);
    }
}

bool xp_ucx_eps_are_released(const struct xp_wire *wire)
{
    FAB_LIST_EACH(node, after, &wire->eps)
    {
        if (!fab_list_object(node, struct xp_ep, link)->released)
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------- sending */

static struct xp_ucx_send *take_send(struct xp_wire *wire)
{
    struct xp_ucx_send *record = wire->free_sends;

    if (record)
        wire->free_sends = record->next_free;
    else
        record = fab_alloc(sizeof(*record));
    return record;
}

static void give_send(struct xp_wire *wire, struct xp_ucx_send *record)
{
    record->next_free = wire->free_sends;
    wire->free_sends = record;
}

static void on_sent(void *request, ucs_status_t result, void *user)
{
    struct xp_ucx_send *record = user;
    struct xp_ep *ep = record->ep;
    struct xp_send *send = record->send;

    ep->wire->lib->ucp_request_free(request);
    if (ep->wire->is_quiet)
        return;
    give_send(ep->wire, record);
    ep->send_count--;
    if (ep->closing)
        put_on_news(ep);
    send->done(send, status_of(result));
}

static unsigned message_id(const struct xp_ep *ep, const struct xp_send *send)
{
    if (send->chunk)
        return XP_UCX_AM_CHUNK;
    return ep->peer_id ? XP_UCX_AM_FRAME : XP_UCX_AM_FIRST;
}

static bool is_staged(const struct xp_ep *ep)
{
    return ((ep->id | ep->peer_id) & XP_UCX_ID_STAGES) != 0;
}

enum fab_status xp_ucx_send(struct xp_ep *ep, struct xp_send *send)
{
    struct xp_wire *wire = ep->wire;
    struct xp_ucx_send *record;
    ucs_status_ptr_t request;
    ucp_request_param_t param = {
        .op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA |
                        UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_MEMORY_TYPE,
        .flags = send->chunk && !is_staged(ep) ? UCP_AM_SEND_FLAG_RNDV : UCP_AM_SEND_FLAG_EAGER,
        .memory_type = memory_type(send->body.memory),
        .cb.send = on_sent};

    if (ep->failed || ep->closing || (send->chunk && !ep->peer_id))
        return FAB_ERR_LINK_LOST;
    if (message_id(ep, send) == XP_UCX_AM_FIRST && wire->listener)
        param.flags |= UCP_AM_SEND_FLAG_REPLY; /* tells by which endpoint it comes */
    record = take_send(wire);
    if (!record)
        return FAB_ERR_NOMEM;
    record->ep = ep;
    record->send = send;
    xp_put64(record->header, ep->id);
    xp_put64(record->header + 8, ep->peer_id ? ep->peer_id : ep->dial);
    memcpy(record->header + XP_UCX_PREFIX_BYTES, send->header, send->header_bytes);
    param.user_data = record;
    if (send->body.registration) {
        param.op_attr_mask |= UCP_OP_ATTR_FIELD_MEMH;
        param.memh = send->body.registration;
    }
    ep->send_count++;
    request = wire->lib->ucp_am_send_nbx(ep->ucp, message_id(ep, send), record->header,
                                         XP_UCX_PREFIX_BYTES + send->header_bytes,
                                         send->body.address, send->body.size_bytes, &param);
    wire->must_turn = wire->must_turn || request != NULL;
    if (UCS_PTR_IS_PTR(request))
        return FAB_OK;
    ep->send_count--;
    give_send(wire, record);
    if (UCS_PTR_IS_ERR(request))
        return status_of(UCS_PTR_STATUS(request));
    send->done(send, FAB_OK);
    return FAB_OK;
}

/* ---------------------------------------------------------------- hearing */

/* The endpoint that a message is for; NULL: a stranger's, or one that is closed. */
static struct xp_ep *find_ep(struct xp_wire *wire, const uint8_t *header)
{
    uint64_t from = xp_get64(header);
    struct xp_ep *ep = fab_map_find(&wire->ids, xp_get64(header + 8));

    if (!ep || from == 0)
        return NULL;
    if (ep->peer_id == 0)
        ep->peer_id = from; /* the answer to our first frame; only its receiver knows our id */
    return ep->peer_id == from ? ep : NULL;
}

static bool is_sound(size_t header_bytes)
{
    return header_bytes > XP_UCX_PREFIX_BYTES &&
           header_bytes <= XP_UCX_PREFIX_BYTES + XP_HEADER_MAX_BYTES;
}

ucs_status_t xp_ucx_on_first(void *argument, const void *header, size_t header_bytes, void *body,
                             size_t body_bytes, const ucp_am_recv_param_t *param)
{
    struct xp_wire *wire = argument;
    const uint8_t *bytes = header;
    struct xp_ucx_first *first;
    const struct xp_ep *ep = NULL;

    (void)body;
    if (wire->listener) {
        if (param->recv_attr & UCP_AM_RECV_ATTR_FIELD_REPLY_EP)
            ep = fab_map_find(&wire->handles, (uintptr_t)param->reply_ep);
        if (!ep || ep->owner)
            return UCS_OK;
    }
    if (!is_sound(header_bytes) || body_bytes > 0 || xp_get64(bytes) == 0 ||
        wire->first_count >= XP_UCX_FIRSTS_MAX)
        return UCS_OK; /* an honest sender tries again */
    first = fab_alloc(sizeof(*first));
    if (!first)
        return UCS_OK;
    fab_list_init(&first->link);
    first->ep_id = ep ? ep->id : 0;
    first->peer_id = xp_get64(bytes);
    first->dial = xp_get64(bytes + 8);
    first->header_bytes = header_bytes - XP_UCX_PREFIX_BYTES;
    memcpy(first->header, bytes + XP_UCX_PREFIX_BYTES, first->header_bytes);
    fab_list_append(&wire->firsts, &first->link);
    wire->first_count++;
    return UCS_OK;
}

/* The core wants bodies at multiples of 8. NULL: no memory. */
static const uint8_t *align(struct xp_wire *wire, const void *body, size_t body_bytes)
{
    if ((uintptr_t)body % sizeof(uint64_t) == 0 || body_bytes == 0)
        return body;
    if (wire->aligned_bytes < body_bytes) {
        uint8_t *grown = fab_alloc_resize(wire->aligned, body_bytes, 1);

        if (!grown)
            return NULL;
        wire->aligned = grown;
        wire->aligned_bytes = body_bytes;
    }
    memcpy(wire->aligned, body, body_bytes);
    return wire->aligned;
}

ucs_status_t xp_ucx_on_frame(void *argument, const void *header, size_t header_bytes, void *body,
                             size_t body_bytes, const ucp_am_recv_param_t *param)
{
    struct xp_wire *wire = argument;
    const struct xp_wire_config *config = &wire->config;
    const uint8_t *bytes = header;

    if (!is_sound(header_bytes) || (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) ||
        wire->is_quiet)
        return UCS_OK; /* none of ours */
    if (find_ep(wire, bytes)) {
        const uint8_t *aligned = align(wire, body, body_bytes);

        if (aligned || body_bytes == 0)
            config->events->frame(config->core, /* ep */ NULL, bytes + XP_UCX_PREFIX_BYTES,
                                  header_bytes - XP_UCX_PREFIX_BYTES, aligned, body_bytes);
    }
    return UCS_OK;
}

ucs_status_t xp_ucx_on_chunk(void *argument, const void *header, size_t header_bytes, void *body,
                             size_t body_bytes, const ucp_am_recv_param_t *param)
{
    struct xp_wire *wire = argument;
    const uint8_t *bytes = header;
    struct xp_offer offer = {.descriptor = body};

    if (!is_sound(header_bytes) ||
        !(param->recv_attr & (UCP_AM_RECV_ATTR_FLAG_RNDV | UCP_AM_RECV_ATTR_FLAG_DATA)) ||
        wire->is_quiet)
        return UCS_OK;
    offer.ep = find_ep(wire, bytes);
    if (offer.ep) {
        wire->config.events->offer(wire->config.core, offer.ep, bytes + XP_UCX_PREFIX_BYTES,
                                   header_bytes - XP_UCX_PREFIX_BYTES, body_bytes, &offer);
        fab_assert(offer.answered);
    }
    return UCS_OK; /* not received: UCX tells the sender that it is done with */
}

/* ---------------------------------------------------------------- offers */

static void landed(struct xp_landing *landing, ucs_status_t result)
{
    struct xp_ep *ep = landing->backend_data;

    if (ep->wire->is_quiet)
        return;
    ep->landing_count--;
    if (ep->closing)
        put_on_news(ep);
    landing->done(landing, status_of(result));
}

static void on_landed(void *request, ucs_status_t result, size_t bytes, void *user)
{
    struct xp_landing *landing = user;
    struct xp_ep *ep = landing->backend_data;

    (void)bytes;
    ep->wire->lib->ucp_request_free(request);
    landed(landing, result);
}

enum fab_status xp_ucx_accept(struct xp_offer *offer, struct xp_landing *landing)
{
    struct xp_ep *ep = offer->ep;
    ucp_request_param_t param = {.op_attr_mask =
                                     UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA |
                                     UCP_OP_ATTR_FIELD_MEMORY_TYPE | UCP_OP_ATTR_FLAG_NO_IMM_CMPL,
                                 .memory_type = memory_type(landing->place.memory),
                                 .cb.recv_am = on_landed,
                                 .user_data = landing};
    ucs_status_ptr_t request;

    offer->answered = true;
    if (ep->failed || ep->closing)
        return FAB_ERR_LINK_LOST;
    if (landing->place.registration) {
        param.op_attr_mask |= UCP_OP_ATTR_FIELD_MEMH;
        param.memh = landing->place.registration;
    }
    landing->backend_data = ep;
    ep->landing_count++;
    request = ep->wire->lib->ucp_am_recv_data_nbx(ep->wire->worker, offer->descriptor,
                                                  landing->place.address, landing->place.size_bytes,
                                                  &param);
    if (UCS_PTR_IS_PTR(request))
        return FAB_OK;
    if (UCS_PTR_IS_ERR(request)) {
        ep->landing_count--;
        return status_of(UCS_PTR_STATUS(request));
    }
    landed(landing, UCS_OK);
    return FAB_OK;
}

void xp_ucx_refuse(struct xp_offer *offer)
{
    offer->answered = true;
}

/* ---------------------------------------------------------------- outside UCX's callbacks */

static void tend_first(struct xp_wire *wire, const struct xp_ucx_first *first)
{
    struct xp_ep *ep = first->ep_id ? fab_map_find(&wire->ids, first->ep_id) : NULL;

    if (ep && !ep->owner)
        ep->peer_id = first->peer_id;
    wire->answering = first;
    if (first->ep_id ? ep && !ep->owner : !ep)
        wire->config.events->frame(wire->config.core, ep, first->header, first->header_bytes,
                                   /* body */ NULL, /* body_bytes */ 0);
    wire->answering = NULL;
    if (ep && !ep->owner && !ep->closing)
        xp_ucx_ep_close(ep); /* the core did not want it */
}

static bool tend_firsts(struct xp_wire *wire)
{
    bool did = false;

    FAB_LIST_EACH(node, after, &wire->firsts)
    {
        struct xp_ucx_first *first = fab_list_object(node, struct xp_ucx_first, link);

        fab_list_remove(node);
        wire->first_count--;
        tend_first(wire, first);
        free(first);
        did = true;
    }
    return did;
}

/* On no list of news. */
static void tend_ep(struct xp_wire *wire, struct xp_ep *ep)
{
    void *owner = ep->owner;

    if (ep->closing) {
        if (!ep->released || ep->send_count || ep->landing_count)
            return;
        destroy(ep);
        wire->config.events->ep_closed(owner);
    } else if (ep->failed && !ep->told) {
        ep->told = true;
        if (owner)
            wire->config.events->ep_failed(owner, status_of(ep->why),
                                           wire->lib->ucs_status_string(ep->why));
        else
            xp_ucx_ep_close(ep);
    }
}

/* What is told may close others, which comes to the end of the list. */
static bool tend_eps(struct xp_wire *wire)
{
    bool did = false;

    /* The analyzer loses track of what is still in a list. */
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
    FAB_LIST_EACH(node, after, &wire->news)
    {
        fab_list_remove(node);
        tend_ep(wire, fab_list_object(node, struct xp_ep, news_link));
        did = true;
    }
    return did;
}

bool xp_ucx_tend(struct xp_wire *wire)
{
    bool did = false;

    while (tend_eps(wire))
        did = true;
    did = tend_firsts(wire) || did;
    while (xp_ucx_listen_progress(wire))
        did = true;
    return did;
}
