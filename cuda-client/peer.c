/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/peer.c - which virtual GPU reaches another's memory, and which context may.
 *
 * Direct access exists inside a node, as its driver says; copies work between all. Source: CUDA
 * Driver API, Peer Context Memory Access.
 */
#include "cuda-client/peer.h"

#include <string.h>

#include "cuda-client/context.h"
#include "cuda-client/remote_int.h"
#include "cuda-common/atomics.h"
#include "generated/cuda-api/client_impl.h"

enum {
    ATTRIBUTE_COUNT = 8,
    RANK_OTHER_NODE = 2, /* higher is slower: behind NVLink and PCIe of one node */
};

/* By indices of two virtual GPUs of one worker; written while attaching. */
static struct {
    bool is_known;
    int32_t attributes[ATTRIBUTE_COUNT];
} pairs[SES_VGPUS_MAX][SES_VGPUS_MAX];

bool cudac_peer_describe(const struct cudac_worker *worker, const struct wire_peer *peer)
{
    const struct cudac_vgpu *from = cudac_vgpu_of_index(peer->from);
    const struct cudac_vgpu *to = cudac_vgpu_of_index(peer->to);

    if (!from || !to || cudac_vgpu_worker(from) != worker || cudac_vgpu_worker(to) != worker)
        return false;
    pairs[peer->from][peer->to].is_known = true;
    memcpy(pairs[peer->from][peer->to].attributes, peer->attributes, sizeof(peer->attributes));
    return true;
}

bool cudac_vgpu_can_peer(const struct cudac_vgpu *from, const struct cudac_vgpu *to)
{
    return from != to && cudac_vgpu_worker(from) == cudac_vgpu_worker(to) &&
           (from->facts.peer_mask >> to->index & 1) != 0;
}

CUresult cudac_cuDeviceCanAccessPeer(int *canAccessPeer, CUdevice dev, CUdevice peerDev)
{
    const struct cudac_vgpu *from = cudac_vgpu_at(dev), *to = cudac_vgpu_at(peerDev);

    if (!canAccessPeer)
        return CUDA_ERROR_INVALID_VALUE;
    if (!from || !to)
        return CUDA_ERROR_INVALID_DEVICE;
    *canAccessPeer = cudac_vgpu_can_peer(from, to);
    return CUDA_SUCCESS;
}

/* ---- contexts ------------------------------------------------------------------------------- */

bool cudac_context_can_access(struct cudac_context *context, const struct cudac_vgpu *vgpu)
{
    bool can = context->vgpu == vgpu;

    if (!can) {
        pthread_mutex_lock(&context->lock);
        can = (context->peer_mask >> vgpu->index & 1) != 0;
        pthread_mutex_unlock(&context->lock);
    }
    return can;
}

/* The current context and the peer's. */
static CUresult peer_pair(CUcontext peer, struct cudac_context **current_out,
                          struct cudac_context **other_out)
{
    CUresult result = cudac_context_current(current_out);

    if (result != CUDA_SUCCESS)
        return result;
    if (!peer)
        return CUDA_ERROR_INVALID_CONTEXT;
    result = cudac_context_of(peer, other_out);
    if (result != CUDA_SUCCESS)
        return result;
    return *other_out == *current_out ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

/* Sets or clears the bit here and in the worker; `wrong` if it had the wanted value already. */
static CUresult peer_set(struct cudac_context *current, struct cudac_context *other, bool enable,
                         CUresult wrong)
{
    const struct wire_ctx_peer message = {
        .ctx = current->id, .peer_ctx = other->id, .enable = enable};
    uint64_t bit = UINT64_C(1) << other->vgpu->index;
    struct wire_parts parts;
    CUresult result;

    pthread_mutex_lock(&current->lock);
    result = ((current->peer_mask & bit) != 0) == enable ? wrong : CUDA_SUCCESS;
    if (result == CUDA_SUCCESS)
        current->peer_mask ^= bit;
    pthread_mutex_unlock(&current->lock);
    if (result != CUDA_SUCCESS)
        return result;
    wire_put_ctx_peer(&message, &parts);
    result = cudac_call(cudac_context_worker(current), WIRE_CTX_PEER, &parts, NULL);
    if (result != CUDA_SUCCESS) {
        pthread_mutex_lock(&current->lock);
        current->peer_mask ^= bit;
        pthread_mutex_unlock(&current->lock);
    }
    return cudac_context_result(current, result);
}

CUresult cudac_cuCtxEnablePeerAccess(CUcontext peerContext, unsigned int Flags)
{
    struct cudac_context *current, *other;
    CUresult result = peer_pair(peerContext, &current, &other);

    if (result != CUDA_SUCCESS)
        return result;
    if (Flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (!cudac_vgpu_can_peer(current->vgpu, other->vgpu))
        return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
    return peer_set(current, other, true, CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
}

/* Kernels that use the access must be done: waits for them. */
CUresult cudac_cuCtxDisablePeerAccess(CUcontext peerContext)
{
    struct cudac_context *current, *other;
    CUresult result = peer_pair(peerContext, &current, &other);

    if (result == CUDA_SUCCESS)
        result = cudac_context_wait(current);
    if (result != CUDA_SUCCESS)
        return result;
    return peer_set(current, other, false, CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
}

/* ---- questions ------------------------------------------------------------------------------ */

/* Between GPUs of two nodes there is no access, only a rank. INT32_MIN: no such attribute. */
static int32_t pair_attribute(const struct cudac_vgpu *from, const struct cudac_vgpu *to,
                              CUdevice_P2PAttribute attribute)
{
    if ((unsigned)attribute >= ATTRIBUTE_COUNT)
        return INT32_MIN;
    if (pairs[from->index][to->index].is_known)
        return pairs[from->index][to->index].attributes[attribute];
    switch ((int)attribute) {
    case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK:
        return RANK_OTHER_NODE;
    case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED:
    case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED:
    case CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED:
    case CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED:
        return 0;
    default:
        return INT32_MIN;
    }
}

CUresult cudac_cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attrib, CUdevice srcDevice,
                                       CUdevice dstDevice)
{
    const struct cudac_vgpu *from = cudac_vgpu_at(srcDevice), *to = cudac_vgpu_at(dstDevice);
    int32_t known;

    if (!from || !to || from == to)
        return CUDA_ERROR_INVALID_DEVICE;
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    known = pair_attribute(from, to, attrib);
    if (known == INT32_MIN)
        return CUDA_ERROR_INVALID_VALUE;
    *value = known;
    return CUDA_SUCCESS;
}

CUresult cudac_cuDeviceGetP2PAtomicCapabilities(unsigned int *capabilities,
                                                const CUatomicOperation *operations,
                                                unsigned int count, CUdevice srcDevice,
                                                CUdevice dstDevice)
{
    const struct cudac_vgpu *from = cudac_vgpu_at(srcDevice), *to = cudac_vgpu_at(dstDevice);

    if (!from || !to || from == to)
        return CUDA_ERROR_INVALID_DEVICE;
    return cuc_atomic_capabilities(
        pair_attribute(from, to, CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED) == 1,
        capabilities, operations, count);
}
