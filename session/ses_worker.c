/* SPDX-License-Identifier: Apache-2.0
 * session/ses_worker.c - a gpu-worker's end of the attach protocol.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "session/ses_int.h"

struct ses_worker {
    int fd;
    bool is_over;
    struct ses_prepare prepare;
};

static enum fab_status receive_prepare(struct ses_worker *worker, struct fab_err *err)
{
    struct ses_prepare *prepare = &worker->prepare;
    struct ses_packet packet;
    struct ses_grant grant;
    enum fab_status status = ses_expect(worker->fd, SESM_GRANT, &packet, err);

    if (status == FAB_OK)
        status = ses_grant_get(&packet, &grant, prepare->vgpu_index, err);
    if (status != FAB_OK)
        return status;
    prepare->node = grant.node;
    memcpy(prepare->vgpus, grant.vgpus, sizeof(prepare->vgpus));
    prepare->vgpu_count = grant.vgpu_count;
    prepare->settings = grant.settings;
    return FAB_OK;
}

enum fab_status ses_worker_open_at(int fd, struct ses_worker **worker_out, struct fab_err *err)
{
    struct ses_worker *worker = fab_alloc_zeroed(1, sizeof(*worker));
    enum fab_status status;

    if (!worker) {
        (void)close(fd);
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    }
    worker->fd = fd;
    status = receive_prepare(worker, err);
    if (status != FAB_OK) {
        ses_worker_close(worker);
        return status;
    }
    *worker_out = worker;
    return FAB_OK;
}

enum fab_status ses_worker_open(struct ses_worker **worker_out, struct fab_err *err)
{
    int fd;
    const enum fab_status status = ses_inherit("FABRIC_WORKER_FD", &fd, err);

    if (status == FAB_ERR_NOT_FOUND)
        return fab_err_set(err, FAB_ERR_NOT_FOUND,
                           "FABRIC_WORKER_FD is not set: gpu-worker is started by fabricd or "
                           "remote-run, not by hand");
    return status == FAB_OK ? ses_worker_open_at(fd, worker_out, err) : status;
}

const struct ses_prepare *ses_worker_prepare(const struct ses_worker *worker)
{
    return &worker->prepare;
}

enum fab_status ses_worker_offer(struct ses_worker *worker, const uint8_t *address,
                                 size_t address_bytes, uint32_t rows, struct ses_accept *accept_out,
                                 struct fab_err *err)
{
    struct sesm_address message = {
        .rows = rows, .address = address, .address_count = (uint32_t)address_bytes};
    struct ses_packet packet;
    struct sesm_parts parts;
    uint32_t index;
    enum fab_status status;

    if (address_bytes == 0 || address_bytes > SES_ADDRESS_MAX_BYTES)
        return fab_err_set(err, FAB_ERR_RANGE, "transport address of %zu bytes", address_bytes);
    sesm_put_address(&message, &parts);
    status = ses_send(worker->fd, SESM_ADDRESS, &parts, err);
    if (status == FAB_OK)
        status = ses_receive(worker->fd, SES_WAIT_FOREVER, &packet, err);
    if (status == FAB_ERR_PEER_LOST || (status == FAB_OK && packet.op != SESM_LINK))
        return fab_err_set(err, FAB_ERR_CANCELLED, "no client is coming");
    if (status == FAB_OK)
        status = ses_link_get(&packet, &accept_out->link, &index, &accept_out->row, err);
    return status;
}

enum fab_status ses_worker_ready(struct ses_worker *worker, struct fab_err *err)
{
    const struct sesm_ready ready = {0};
    struct sesm_parts parts;

    sesm_put_ready(&ready, &parts);
    return ses_send(worker->fd, SESM_READY, &parts, err);
}

void ses_worker_refuse(struct ses_worker *worker, const struct fab_err *why)
{
    ses_refuse(worker->fd, why->status, why->text);
}

int ses_worker_fd(const struct ses_worker *worker)
{
    return worker->fd;
}

void ses_worker_event(struct ses_worker *worker, struct ses_event *event_out)
{
    ses_event_take(worker->fd, &worker->is_over, event_out);
    /* The broker starts and ends workers: without it nobody would. */
    if (event_out->kind == SES_EVENT_BROKER_GONE)
        event_out->kind = SES_EVENT_REVOKED;
}

void ses_worker_close(struct ses_worker *worker)
{
    if (!worker)
        return;
    if (worker->fd >= 0)
        (void)close(worker->fd);
    free(worker);
}
