/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/peer.c - see peer.h.
 *
 * The client introduces two workers: one makes a ticket, the other redeems it. What they say to
 * each other is `flag` and bulk transfers. When a peer is lost, the flags that this worker's
 * streams wait for are set by the client, which hears of it, too.
 */
#include "cuda-server/peer.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/mutex.h"
#include "cuda-server/flag.h"
#include "cuda-server/gate.h"
#include "cuda-server/outbox.h"
#include "cuda-server/transfer.h"

struct peer {
    struct cudas_worker *worker;
    uint64_t id;
    struct xp_conn *conn; /* NULL: closed */
};

struct cudas_peers {
    struct cudas_worker *worker;
    struct fab_mutex lock; /* guards what follows */
    struct fab_map by_id;  /* struct peer; they live as long as this */
};

enum fab_status cudas_peers_create(struct cudas_worker *worker, struct cudas_peers **peers_out,
                                   struct fab_err *err)
{
    struct cudas_peers *peers = fab_alloc_zeroed(1, sizeof(*peers));

    if (!peers)
        return fab_err_set(err, FAB_ERR_NOMEM, "peers");
    peers->worker = worker;
    fab_mutex_init(&peers->lock);
    fab_map_init(&peers->by_id);
    *peers_out = peers;
    return FAB_OK;
}

void cudas_peers_close(struct cudas_peers *peers)
{
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    fab_mutex_lock(&peers->lock);
    while ((entry = fab_map_next(&peers->by_id, &cursor)) != NULL) {
        struct peer *peer = entry->value;

        if (peer->conn)
            xp_conn_close(peer->conn);
        peer->conn = NULL;
    }
    fab_mutex_unlock(&peers->lock);
}

void cudas_peers_destroy(struct cudas_peers *peers)
{
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    if (!peers)
        return;
    while ((entry = fab_map_next(&peers->by_id, &cursor)) != NULL)
        free(entry->value);
    fab_map_fini(&peers->by_id);
    fab_mutex_fini(&peers->lock);
    free(peers);
}

/* ---- what peers say -------------------------------------------------------------------------- */

static void on_peer_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    struct peer *peer = user;
    struct wire_flag m;

    if (message->kind == XP_SIGNAL && message->op == WIRE_FLAG &&
        wire_get_flag(message->args, message->args_bytes, &m))
        cudas_flag_set(peer->worker, m.flag, (CUresult)m.result);
    else
        xp_conn_condemn(conn, FAB_ERR_PROTOCOL, "a worker sent what only a client may");
}

static const struct xp_handlers peer_handlers = {.message = on_peer_message};

void cudas_peer_flag(struct cudas_worker *worker, uint64_t id, uint64_t flag, CUresult result)
{
    const struct wire_flag m = {.flag = flag, .result = (int32_t)result};
    struct wire_parts parts;
    struct peer *peer;
    enum fab_status status = FAB_ERR_NOT_FOUND;

    wire_put_flag(&m, &parts);
    if (id != 0) {
        fab_mutex_lock(&worker->peers->lock);
        peer = fab_map_find(&worker->peers->by_id, id);
        if (peer && peer->conn)
            status = xp_signal(peer->conn, WIRE_FLAG, parts.part, parts.count);
        fab_mutex_unlock(&worker->peers->lock);
    }
    if (status != FAB_OK) /* the client passes it on */
        cudas_signal(worker, WIRE_FLAG, &parts);
}

/* ---- meeting --------------------------------------------------------------------------------- */

static struct peer *enter(struct cudas_worker *worker, uint64_t id)
{
    struct cudas_peers *peers = worker->peers;
    struct peer *peer = fab_alloc_zeroed(1, sizeof(*peer));

    if (!peer)
        return NULL;
    peer->worker = worker;
    peer->id = id;
    fab_mutex_lock(&peers->lock);
    if (id == 0 || fab_map_find(&peers->by_id, id) ||
        fab_map_put(&peers->by_id, id, peer) != FAB_OK) {
        free(peer);
        peer = NULL;
    }
    fab_mutex_unlock(&peers->lock);
    return peer;
}

static void set_conn(struct peer *peer, struct xp_conn *conn)
{
    fab_mutex_lock(&peer->worker->peers->lock);
    peer->conn = conn;
    fab_mutex_unlock(&peer->worker->peers->lock);
}

static struct xp_conn_config conn_config(struct peer *peer)
{
    return (struct xp_conn_config){
        .handlers = &peer_handlers, .user = peer, .limits = {.chunk_bytes = CUDAS_SLOT_BYTES}};
}

void cudas_on_peer_invite(struct cudas_worker *worker, const struct cudas_command *command)
{
    uint8_t ticket[XP_TICKET_MAX_BYTES];
    size_t ticket_bytes = 0;
    struct wire_peer_invite_reply reply = {.ticket = ticket};
    struct wire_peer_invite m;
    struct wire_parts parts;
    struct peer *peer;
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!wire_get_peer_invite(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    peer = enter(worker, m.peer);
    if (peer) {
        const struct xp_conn_config config = conn_config(peer);
        struct xp_conn *conn;

        result = CUDA_ERROR_OPERATING_SYSTEM;
        if (xp_ticket_issue(worker->node, &config, m.session, m.address, m.address_count, ticket,
                            &ticket_bytes, &conn, NULL) == FAB_OK) {
            set_conn(peer, conn);
            result = CUDA_SUCCESS;
        }
    }
    reply.ticket_count = (uint32_t)ticket_bytes;
    wire_put_peer_invite_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
}

void cudas_on_peer_join(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_peer_join m;
    struct peer *peer;
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!wire_get_peer_join(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    peer = enter(worker, m.peer);
    if (peer) {
        const struct xp_conn_config config = conn_config(peer);
        struct xp_conn *conn;

        result = CUDA_ERROR_OPERATING_SYSTEM;
        if (xp_ticket_redeem(worker->node, &config, m.ticket, m.ticket_count, &conn, NULL) ==
            FAB_OK) {
            set_conn(peer, conn);
            result = CUDA_SUCCESS;
        }
    }
    cudas_reply(worker, command, result, NULL);
}

/* The client knows before the transport does. The connection itself stays until the session ends:
 * transfers that are ending use it. */
void cudas_on_peer_leave(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_peer_leave m;
    struct peer *peer;

    if (!wire_get_peer_leave(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    fab_mutex_lock(&worker->peers->lock);
    peer = fab_map_find(&worker->peers->by_id, m.peer);
    if (peer && peer->conn)
        xp_conn_condemn(peer->conn, FAB_ERR_PEER_LOST, "its worker is lost");
    fab_mutex_unlock(&worker->peers->lock);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static CUresult start(struct cudas_worker *worker, const struct cudas_place *place,
                      struct cudas_transfer_config *config, uint64_t peer_id)
{
    struct peer *peer;

    fab_mutex_lock(&worker->peers->lock);
    peer = fab_map_find(&worker->peers->by_id, peer_id);
    config->conn = peer ? peer->conn : NULL;
    fab_mutex_unlock(&worker->peers->lock);
    cudas_gate(worker, place->context->vgpu);
    return config->conn ? cudas_transfer_start(worker, place, config) : CUDA_ERROR_INVALID_VALUE;
}

void cudas_on_peer_send(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct wire_peer_send m;
    uint64_t bytes;
    CUresult result;

    if (!wire_get_peer_send(command->bytes, command->size_bytes, &m) ||
        !cudas_box_bytes(&m.from, &bytes) || bytes == 0 || m.transfer == 0) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_work_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS) {
        struct cudas_transfer_config config = {
            .id = m.transfer, .command = command->number, .direction = CUDAS_OUT, .box = m.from};

        result = start(worker, &place, &config, m.peer);
        if (result == CUDA_SUCCESS && m.flag != 0)
            result = cudas_flag_wait(worker, m.flag, place.context, place.stream->handle);
    }
    cudas_posted(worker, place.context, result);
    cudas_place_put(&place);
}

void cudas_on_peer_receive(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct wire_peer_receive m;
    uint64_t bytes;
    CUresult result;

    if (!wire_get_peer_receive(command->bytes, command->size_bytes, &m) ||
        !cudas_box_bytes(&m.to, &bytes) || bytes == 0 || m.transfer == 0) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_work_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS) {
        struct cudas_transfer_config config = {.id = m.transfer,
                                               .command = command->number,
                                               .direction = CUDAS_IN,
                                               .box = m.to,
                                               .peer = m.peer,
                                               .peer_flag = m.flag};

        result = start(worker, &place, &config, m.peer);
    }
    /* Who waits for the flag must go on, whatever happened here. */
    if (result != CUDA_SUCCESS && m.flag != 0)
        cudas_peer_flag(worker, m.peer, m.flag, result);
    cudas_posted(worker, place.context, result);
    cudas_place_put(&place);
}
