/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/session.c - hello, and what the worker tells of its devices and of itself.
 */
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cuda-server/dispatch.h"
#include "cuda-server/limit.h"
#include "cuda-server/meter.h"

/* ---- devices --------------------------------------------------------------------------------- */

static void describe_texts(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                           struct wire_device *device)
{
    const struct cudas_driver *cu = &worker->cu;
    unsigned mask = 0;
    CUuuid uuid;

    memset(&uuid, 0, sizeof(uuid));
    (void)cu->cuDeviceGetUuid_v2(&uuid, vgpu->device);
    memcpy(device->uuid, uuid.bytes, sizeof(device->uuid));
    (void)cu->cuDeviceGetName((char *)device->name, sizeof(device->name), vgpu->device);
    (void)cu->cuDeviceGetPCIBusId((char *)device->pci_bus_id, sizeof(device->pci_bus_id),
                                  vgpu->device);
    if (cu->cuDeviceGetLuid((char *)device->luid, &mask, vgpu->device) == CUDA_SUCCESS)
        device->luid_mask = mask;
}

/* How many elements a linear texture of each element size may have: 1, 2, 4, 8 and 16 bytes, by the
 * formats and channels that have them. */
static void describe_textures(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                              struct wire_device *device)
{
    static const struct {
        CUarray_format format;
        unsigned channels;
    } sizes[] = {
        {CU_AD_FORMAT_UNSIGNED_INT8, 1},  {CU_AD_FORMAT_UNSIGNED_INT16, 1},
        {CU_AD_FORMAT_UNSIGNED_INT32, 1}, {CU_AD_FORMAT_UNSIGNED_INT32, 2},
        {CU_AD_FORMAT_UNSIGNED_INT32, 4},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(sizes); i++) {
        size_t width = 0;

        if (worker->cu.cuDeviceGetTexture1DLinearMaxWidth)
            (void)worker->cu.cuDeviceGetTexture1DLinearMaxWidth(&width, sizes[i].format,
                                                                sizes[i].channels, vgpu->device);
        device->linear_1d_max[i] = width;
    }
}

static void describe_device(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                            struct wire_device *device)
{
    const struct cudas_driver *cu = &worker->cu;
    size_t total_bytes = 0;
    int affinity = 0;

    memset(device, 0, sizeof(*device));
    device->vgpu = vgpu->index;
    describe_texts(worker, vgpu, device);
    describe_textures(worker, vgpu, device);
    (void)cu->cuDeviceTotalMem_v2(&total_bytes, vgpu->device);
    device->total_bytes = cudas_limit_total(worker, vgpu, total_bytes);
    for (uint32_t i = 0; i < FAB_ARRAY_LEN(device->attributes); i++) {
        int value = 0;
        CUresult result =
            i > 0 && i < CU_DEVICE_ATTRIBUTE_MAX
                ? cu->cuDeviceGetAttribute(&value, (CUdevice_attribute)i, vgpu->device)
                : CUDA_ERROR_INVALID_VALUE;

        device->attributes[i] = result == CUDA_SUCCESS ? value : INT32_MIN;
    }
    if (cu->cuDeviceGetExecAffinitySupport)
        (void)cu->cuDeviceGetExecAffinitySupport(&affinity, CU_EXEC_AFFINITY_TYPE_SM_COUNT,
                                                 vgpu->device);
    device->affinity_sm = affinity != 0;
    for (uint32_t i = 0; i < worker->vgpu_count; i++) {
        int can = 0;

        if (worker->vgpus[i].device != vgpu->device && worker->vgpus[i].index < CUDAS_VGPUS_MAX &&
            cu->cuDeviceCanAccessPeer(&can, vgpu->device, worker->vgpus[i].device) ==
                CUDA_SUCCESS &&
            can)
            device->peer_mask |= UINT64_C(1) << worker->vgpus[i].index;
    }
}

static void describe_peer(struct cudas_worker *worker, const struct cudas_vgpu *from,
                          const struct cudas_vgpu *to, struct wire_peer *peer)
{
    *peer = (struct wire_peer){.from = from->index, .to = to->index};
    for (uint32_t i = 0; i < FAB_ARRAY_LEN(peer->attributes); i++) {
        int value = 0;
        CUresult result = i > 0 ? worker->cu.cuDeviceGetP2PAttribute(
                                      &value, (CUdevice_P2PAttribute)i, from->device, to->device)
                                : CUDA_ERROR_INVALID_VALUE;

        peer->attributes[i] = result == CUDA_SUCCESS ? value : INT32_MIN;
    }
}

/* ---- hello ----------------------------------------------------------------------------------- */

/* The client and the broker must mean the same virtual GPUs of the same lease. */
static CUresult check_vgpus(struct cudas_worker *worker, const struct wire_hello *m)
{
    for (uint32_t i = 0; i < m->vgpus_count; i++) {
        const struct cudas_vgpu *ours = cudas_vgpu_find(worker, m->vgpus[i].vgpu);

        if (!ours || (uint32_t)ours->device != m->vgpus[i].device)
            return CUDA_ERROR_INVALID_DEVICE;
        if (m->vgpus[i].fence != ours->fence || m->vgpus[i].epoch != ours->epoch)
            return CUDA_ERROR_DEVICE_UNAVAILABLE;
    }
    return m->vgpus_count == worker->vgpu_count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

static void reply_hello(struct cudas_worker *worker, const struct cudas_command *command,
                        struct wire_device *devices, struct wire_peer *peers)
{
    struct wire_hello_reply reply = {.protocol = WIRE_PROTOCOL,
                                     .worker_pid = (uint32_t)getpid(),
                                     .queue_depth = worker->queue_depth,
                                     .devices = devices,
                                     .devices_count = worker->vgpu_count,
                                     .peers = peers};
    struct wire_parts parts;
    int version = 0;

    (void)worker->cu.cuDriverGetVersion(&version);
    reply.driver_version = (uint32_t)version;
    for (uint32_t i = 0; i < worker->vgpu_count; i++) {
        describe_device(worker, &worker->vgpus[i], &devices[i]);
        for (uint32_t k = 0; k < worker->vgpu_count; k++)
            if (k != i)
                describe_peer(worker, &worker->vgpus[i], &worker->vgpus[k],
                              &peers[reply.peers_count++]);
    }
    /* A driver that pages host memory in on a kernel's access can meet a page that another thread
     * fills. */
    if (devices[0].attributes[CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS] == 1)
        reply.flags |= WIRE_WORKER_FAULTS;
    wire_put_hello_reply(&reply, &parts);
    cudas_reply(worker, command, CUDA_SUCCESS, &parts);
}

static void refuse_hello(struct cudas_worker *worker, const struct cudas_command *command,
                         CUresult result)
{
    const struct wire_hello_reply reply = {.protocol = WIRE_PROTOCOL};
    struct wire_parts parts;

    wire_put_hello_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
}

void cudas_on_hello(struct cudas_worker *worker, const struct cudas_command *command)
{
    const size_t count = worker->vgpu_count;
    struct wire_device *devices;
    struct wire_peer *peers;
    struct wire_hello m;
    CUresult result;

    if (!wire_get_hello(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = m.protocol == WIRE_PROTOCOL && m.api_hash == WIRE_HASH
                 ? check_vgpus(worker, &m)
                 : CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
    if (result == CUDA_SUCCESS && m.address_row != worker->row)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS) {
        refuse_hello(worker, command, result);
        return;
    }
    devices = fab_alloc_zeroed(count, sizeof(*devices));
    peers = fab_alloc_zeroed(count * count, sizeof(*peers));
    if (devices && peers) {
        atomic_store(&worker->same_host, m.same_host != 0);
        atomic_store(&worker->is_greeted, true);
        reply_hello(worker, command, devices, peers);
    } else {
        refuse_hello(worker, command, CUDA_ERROR_OUT_OF_MEMORY);
    }
    free(devices);
    free(peers);
}

/* ---- statistics ------------------------------------------------------------------------------ */

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void cudas_on_stats(struct cudas_worker *worker, const struct cudas_command *command)
{
    const struct cudas_stats *stats = &worker->stats;
    struct wire_stats_reply reply;
    struct wire_stats m;
    struct wire_parts parts;

    if (!wire_get_stats(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    cudas_meter_read_all(worker);
    reply = (struct wire_stats_reply){
        .commands = read_counter(&stats->commands),
        .launches = read_counter(&stats->launches),
        .bytes_in = read_counter(&stats->bytes_in),
        .bytes_out = read_counter(&stats->bytes_out),
        .bytes_window = read_counter(&stats->bytes_window),
        .bytes_direct = read_counter(&stats->bytes_direct),
        .bytes_peer = read_counter(&stats->bytes_peer),
        .gate_wait_ns = read_counter(&stats->gate_wait_ns),
        .gpu_ns = read_counter(&stats->gpu_ns),
        .late_errors = read_counter(&stats->late_errors),
        .parked_max = read_counter(&stats->parked_max),
        .charged_bytes = cudas_charged_bytes(worker),
    };
    wire_put_stats_reply(&reply, &parts);
    cudas_reply(worker, command, CUDA_SUCCESS, &parts);
}
