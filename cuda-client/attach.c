/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/attach.c - how a process comes to its workers: session, addresses, transport, hello.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cuda-client/init.h"
#include "cuda-client/layout_int.h"
#include "cuda-client/remote_int.h"
#include "cuda-client/timeline.h"
#include "cuda-client/trace.h"
#include "cuda-common/log.h"
#include "ucx-transport/xp.h"
#include "ucx-transport/xp_backend.h"
#include "ucx-transport/xp_ucx.h"

enum { SPIN_US = 30, CORES_FEW = 4 }; /* design D7 */
#define HELLO_NS UINT64_C(30000000000)

static struct {
    _Atomic bool is_done;
    struct ses_client *session;
    struct xp_node *node;
    struct cudac_worker *workers;
    uint32_t worker_count;
    bool uses_ucx; /* for ever, once it did */
} attached;

bool cudac_is_attached(void)
{
    return atomic_load_explicit(&attached.is_done, memory_order_acquire);
}

struct xp_node *cudac_node(void)
{
    return attached.node;
}

uint32_t cudac_worker_count(void)
{
    return attached.worker_count;
}

struct cudac_worker *cudac_worker_at(uint32_t index)
{
    return index < attached.worker_count ? &attached.workers[index] : NULL;
}

uint32_t cudac_worker_index(const struct cudac_worker *worker)
{
    return worker->index;
}

struct xp_conn *cudac_worker_conn(const struct cudac_worker *worker)
{
    return worker->conn;
}

bool cudac_worker_is_same_host(const struct cudac_worker *worker)
{
    return worker->is_same_host;
}

const uint8_t *cudac_worker_address(const struct cudac_worker *worker, size_t *size_bytes_out)
{
    *size_bytes_out = worker->address_bytes;
    return worker->address;
}

bool cudac_workers_share_host(const struct cudac_worker *one, const struct cudac_worker *other)
{
    return one->is_same_host && other->is_same_host;
}

int cudac_workers_version(void)
{
    int lowest = 0;

    for (uint32_t i = 0; cudac_is_attached() && i < attached.worker_count; i++)
        if (lowest == 0 || attached.workers[i].driver_version < lowest)
            lowest = attached.workers[i].driver_version;
    return lowest;
}

/* ---- steps ---------------------------------------------------------------------------------- */

/* The cause, in one line, and what cuInit returns for it. */
static CUresult failed(const struct fab_err *err)
{
    cuc_say(CU_LOG_LEVEL_ERROR, "fabric: no GPUs: %s", err->text);
    switch ((int)err->status) {
    case FAB_ERR_NOT_FOUND:
        return CUDA_ERROR_NO_DEVICE;
    case FAB_ERR_NOMEM:
        return CUDA_ERROR_OUT_OF_MEMORY;
    case FAB_ERR_VERSION:
        return CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
    default:
        return CUDA_ERROR_SYSTEM_NOT_READY;
    }
}

static enum fab_status node_open(const struct ses_grant *grant, struct fab_err *err)
{
    struct xp_rail_config rails[SES_RAILS_MAX];
    struct xp_node_config config = {
        .rails = rails,
        .rail_count = grant->node.rail_count,
        .clock = fab_clock_real(),
        .log = cudac_log(),
        .spin_us = SPIN_US,
        .cores_short = sysconf(_SC_NPROCESSORS_ONLN) < CORES_FEW,
    };

    for (uint32_t i = 0; i < grant->node.rail_count; i++) {
        const struct ses_rail *rail = &grant->node.rails[i];

        attached.uses_ucx |= rail->wire != SES_WIRE_SHM;
        rails[i] = (struct xp_rail_config){
            .backend = rail->wire == SES_WIRE_SHM ? &xp_backend_shm : &xp_backend_ucx,
            .device = rail->device,
            .numa_node = rail->numa_node,
        };
    }
    memcpy(config.node_id, grant->node.id, sizeof(config.node_id));
    return xp_node_create(&config, &attached.node, err);
}

static enum fab_status worker_open(struct cudac_worker *worker, const struct ses_link *link,
                                   uint64_t grace_ns, struct fab_err *err)
{
    struct xp_rail_pair pairs[SES_RAILS_MAX * SES_RAILS_MAX];
    struct xp_conn_config config = {
        .session_id = link->session_id,
        .initiator = true,
        .peer_address = link->address,
        .peer_address_bytes = link->address_bytes,
        .pairs = pairs,
        .pair_count = link->pair_count,
        .limits = {.grace_ns = grace_ns},
        .handlers = cudac_timeline_is_on() ? &cudac_traced_handlers : &cudac_handlers,
        .user = worker,
    };

    for (uint32_t i = 0; i < link->pair_count; i++)
        pairs[i] = (struct xp_rail_pair){link->pairs[i].local, link->pairs[i].peer};
    memcpy(config.key, link->key, sizeof(config.key));
    worker->is_same_host = link->pair_count == 0;
    worker->address = link->address;
    worker->address_bytes = link->address_bytes;
    return xp_conn_open(attached.node, &config, &worker->conn, err);
}

static CUresult hello_start(const struct ses_grant *grant, struct cudac_worker *worker,
                            struct cudac_pending *pending)
{
    struct wire_vgpu vgpus[SES_VGPUS_MAX];
    struct wire_hello hello = {.protocol = WIRE_PROTOCOL,
                               .address_row = cudac_layout_row(),
                               .api_hash = WIRE_HASH,
                               .pid = (uint32_t)getpid(),
                               .same_host = worker->is_same_host,
                               .vgpus = vgpus};
    struct wire_parts parts;

    for (uint32_t i = 0; i < grant->vgpu_count; i++) {
        const struct ses_vgpu *vgpu = &grant->vgpus[i];

        if (vgpu->worker == worker->index)
            vgpus[hello.vgpus_count++] =
                (struct wire_vgpu){i, vgpu->device, vgpu->role, vgpu->epoch, vgpu->fence};
    }
    wire_put_hello(&hello, &parts);
    return cudac_call_start(worker, WIRE_HELLO, &parts, pending);
}

static CUresult hello_finish(struct cudac_worker *worker, CUresult started,
                             struct cudac_pending *pending)
{
    struct wire_hello_reply hello;
    struct cudac_reply reply;
    CUresult result = cudac_call_finish(pending, &reply);

    if (started != CUDA_SUCCESS)
        result = started;
    if (cudac_worker_state(worker) != CUDA_SUCCESS) {
        cuc_say(CU_LOG_LEVEL_ERROR, "fabric: no GPUs: the worker on %s is gone", worker->node);
        result = CUDA_ERROR_SYSTEM_NOT_READY;
    } else if (result == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH ||
               (result == CUDA_SUCCESS &&
                (!wire_get_hello_reply(reply.bytes, reply.size_bytes, &hello) ||
                 !cudac_vgpus_describe(worker, &hello)))) {
        cuc_say(CU_LOG_LEVEL_ERROR,
                "fabric: no GPUs: the worker on %s is of another version: install the same version "
                "of fabricd, the client and the workers on all nodes",
                worker->node);
        result = CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
    } else if (result != CUDA_SUCCESS) {
        cuc_say(CU_LOG_LEVEL_ERROR, "fabric: no GPUs: the worker on %s refused: error %d",
                worker->node, (int)result);
    } else {
        worker->driver_version = (int)hello.driver_version;
        worker->flags = hello.flags;
        worker->queue_depth = hello.queue_depth;
    }
    cudac_reply_free(&reply);
    return result;
}

/* All at the same time: one round trip, whatever their number. */
static CUresult hello_all(const struct ses_grant *grant)
{
    struct cudac_pending pending[SES_WORKERS_MAX];
    CUresult started[SES_WORKERS_MAX], first = CUDA_SUCCESS;

    for (uint32_t i = 0; i < attached.worker_count; i++)
        started[i] = hello_start(grant, &attached.workers[i], &pending[i]);
    for (uint32_t i = 0; i < attached.worker_count; i++) {
        CUresult result = hello_finish(&attached.workers[i], started[i], &pending[i]);

        if (first == CUDA_SUCCESS)
            first = result;
    }
    return first;
}

static enum fab_status connect_all(const struct ses_grant *grant, const struct ses_attach *attach,
                                   struct fab_err *err)
{
    uint64_t deadline_ns = cudac_now_ns() + HELLO_NS;
    enum fab_status status = FAB_OK;

    for (uint32_t i = 0; status == FAB_OK && i < grant->worker_count; i++)
        status =
            worker_open(&attached.workers[i], &attach->links[i], grant->settings.grace_ns, err);
    if (status == FAB_OK && !cudac_watch_start(attached.session))
        status = fab_err_set(err, FAB_ERR_IO, "the system refuses a thread");
    for (uint32_t i = 0; status == FAB_OK && i < grant->worker_count; i++) {
        status = xp_conn_wait_up(attached.workers[i].conn, deadline_ns, err);
        if (status != FAB_OK)
            fab_err_context(err, "%s", attached.workers[i].node);
    }
    return status;
}

static enum fab_status workers_make(const struct ses_grant *grant, struct fab_err *err)
{
    attached.workers = fab_alloc_zeroed(grant->worker_count, sizeof(*attached.workers));
    if (!attached.workers)
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    attached.worker_count = grant->worker_count;
    for (uint32_t i = 0; i < grant->worker_count; i++) {
        attached.workers[i].index = i;
        memcpy(attached.workers[i].node, grant->worker_nodes[i], SES_NAME_BYTES);
        atomic_init(&attached.workers[i].state, CUDA_SUCCESS);
    }
    return FAB_OK;
}

/* A failed attach leaves nothing: cuInit may be called again. */
static void undo(void)
{
    cudac_watch_abandon();
    for (uint32_t i = 0; i < attached.worker_count; i++)
        if (attached.workers[i].conn)
            xp_conn_close(attached.workers[i].conn);
    xp_node_destroy(attached.node);
    ses_client_close(attached.session);
    free(attached.workers);
    cudac_layout_release();
    attached.node = NULL;
    attached.session = NULL;
    attached.workers = NULL;
    attached.worker_count = 0;
}

static enum fab_status open_all(struct fab_err *err)
{
    const struct ses_grant *grant;
    struct ses_attach attach;
    const uint8_t *address;
    size_t address_bytes;
    enum fab_status status = ses_client_open(NULL, &attached.session, err);

    if (status != FAB_OK)
        return status;
    grant = ses_client_grant(attached.session);
    cudac_remote_set_sync(grant->settings.sync || cudac_env_is_on("FABRIC_SYNC"));
    status = workers_make(grant, err);
    if (status == FAB_OK)
        status = node_open(grant, err);
    if (status != FAB_OK)
        return status;
    address = xp_node_address(attached.node, &address_bytes);
    status = ses_client_attach(attached.session, address, address_bytes,
                               cudac_layout_reserve(grant->vgpu_count), &attach, err);
    if (status != FAB_OK)
        return status;
    cudac_layout_choose(attach.row);
    status = connect_all(grant, &attach, err);
    ses_client_forget_keys(attached.session);
    return status;
}

CUresult cudac_attach(void)
{
    struct fab_err err = {.status = FAB_OK};
    CUresult result;

    if (cudac_is_attached())
        return CUDA_SUCCESS;
    err.status = open_all(&err);
    result = err.status == FAB_OK ? CUDA_SUCCESS : failed(&err);
    if (result == CUDA_SUCCESS)
        result = cudac_vgpus_build(ses_client_grant(attached.session), attached.workers);
    if (result == CUDA_SUCCESS)
        result = hello_all(ses_client_grant(attached.session));
    if (result == CUDA_SUCCESS)
        result = cudac_vgpus_finish();
    if (result != CUDA_SUCCESS) {
        undo();
        return result;
    }
    atomic_store_explicit(&attached.is_done, true, memory_order_release);
    for (uint32_t i = 0; i < attached.worker_count; i++)
        cudac_timeline_begin(&attached.workers[i]);
    cudac_watch_wake(); /* silence counts from now on */
    return CUDA_SUCCESS;
}

bool cudac_ucx_is_foreign(void)
{
    struct xp_ucx_info info;

    return attached.uses_ucx && xp_ucx_load(&info, NULL) == FAB_OK && info.was_there;
}

/* Connections and memory stay: other threads may still use them. UCX's destructors come next. */
void cudac_detach(void)
{
    for (uint32_t i = 0; i < attached.worker_count; i++)
        xp_flush(attached.workers[i].conn);
    (void)xp_node_quiet(attached.node); /* busy in an interrupted thread: it stays as it is */
    cudac_watch_stop();
}

/* Threads, connections and descriptors are left as they are: nothing here uses them any more. */
bool cudac_attach_forget(void)
{
    if (attached.uses_ucx)
        return false;
    atomic_store_explicit(&attached.is_done, false, memory_order_release);
    attached.node = NULL;
    attached.session = NULL;
    attached.workers = NULL;
    attached.worker_count = 0;
    cudac_layout_release();
    cudac_watch_forget();
    return true;
}
