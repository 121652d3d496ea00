/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/peer.c - which device reaches another's memory, and which context may.
 *
 * The device file says which devices are linked. Enabling gives the current context access to all
 * present and later memory of the peer's device that cuMemAlloc and kin made. Source: CUDA Driver
 * API, Peer Context Memory Access.
 */
#include "cuda-common/atomics.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem_int.h"

CUresult soft_cuDeviceCanAccessPeer(int *canAccessPeer, CUdevice dev, CUdevice peerDev)
{
    const struct soft_device *from = soft_device_at(dev), *to = soft_device_at(peerDev);

    if (!canAccessPeer)
        return CUDA_ERROR_INVALID_VALUE;
    if (!from || !to)
        return CUDA_ERROR_INVALID_DEVICE;
    *canAccessPeer = soft_device_can_peer(from, to);
    return CUDA_SUCCESS;
}

/* The current context's entry and the peer's device. */
static CUresult peer_pair(CUcontext peer, struct soft_context **current_out,
                          struct soft_device **owner_out)
{
    struct soft_context *current, *other;
    CUresult result = soft_context_current(&current);

    if (result != CUDA_SUCCESS)
        return result;
    if (!peer)
        return CUDA_ERROR_INVALID_CONTEXT;
    result = soft_context_of(peer, &other);
    if (result != CUDA_SUCCESS)
        return result;
    if (other == current)
        return CUDA_ERROR_INVALID_CONTEXT;
    *current_out = current;
    *owner_out = soft_context_device(other);
    return CUDA_SUCCESS;
}

/* Sets or clears the bit; `wrong` if it had the wanted value already. */
static CUresult peer_set(struct soft_context *current, const struct soft_device *owner, bool enable,
                         CUresult wrong)
{
    uint64_t bit = mem_device_bit(soft_device_ordinal(owner));
    CUresult result = CUDA_ERROR_INVALID_CONTEXT;

    (void)pthread_mutex_lock(&mem_lock);
    mem_table_write();
    struct mem_context *entry = mem_context_find(current);

    if (entry) {
        result = ((entry->peer_mask & bit) != 0) == enable ? wrong : CUDA_SUCCESS;
        entry->peer_mask = enable ? entry->peer_mask | bit : entry->peer_mask & ~bit;
    }
    mem_table_unlock();
    (void)pthread_mutex_unlock(&mem_lock);
    return result;
}

CUresult soft_cuCtxEnablePeerAccess(CUcontext peerContext, unsigned int Flags)
{
    struct soft_context *current;
    struct soft_device *owner;
    CUresult result = peer_pair(peerContext, &current, &owner);

    if (result != CUDA_SUCCESS)
        return result;
    if (Flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (!soft_device_can_peer(soft_context_device(current), owner))
        return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
    return peer_set(current, owner, true, CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
}

/* Kernels that use the access must be done: waits for them. */
CUresult soft_cuCtxDisablePeerAccess(CUcontext peerContext)
{
    struct soft_context *current;
    struct soft_device *owner;
    CUresult result = peer_pair(peerContext, &current, &owner);

    if (result == CUDA_SUCCESS)
        result = soft_context_wait(current);
    if (result != CUDA_SUCCESS)
        return result;
    return peer_set(current, owner, false, CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
}

CUresult soft_cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attrib, CUdevice srcDevice,
                                      CUdevice dstDevice)
{
    const struct soft_device *from = soft_device_at(srcDevice), *to = soft_device_at(dstDevice);

    if (!from || !to || from == to)
        return CUDA_ERROR_INVALID_DEVICE;
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    switch (attrib) {
    case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK:
        *value = soft_device_links(from, to) > 0 ? 0 : 1; /* lower is faster */
        return CUDA_SUCCESS;
    case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED:
    case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED: /* the CPU's, everywhere */
        *value = soft_device_can_peer(from, to);
        return CUDA_SUCCESS;
    case CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED: /* no arrays yet */
    case CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED:
        *value = 0;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* ---- atomics ------------------------------------------------------------------------------------
 */

/* Host and devices share one memory, so every atomic works everywhere. */
CUresult soft_cuDeviceGetHostAtomicCapabilities(unsigned int *capabilities,
                                                const CUatomicOperation *operations,
                                                unsigned int count, CUdevice dev)
{
    if (!soft_device_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    return cuc_atomic_capabilities(true, capabilities, operations, count);
}

CUresult soft_cuDeviceGetP2PAtomicCapabilities(unsigned int *capabilities,
                                               const CUatomicOperation *operations,
                                               unsigned int count, CUdevice srcDevice,
                                               CUdevice dstDevice)
{
    const struct soft_device *from = soft_device_at(srcDevice), *to = soft_device_at(dstDevice);

    if (!from || !to || from == to)
        return CUDA_ERROR_INVALID_DEVICE;
    return cuc_atomic_capabilities(soft_device_can_peer(from, to), capabilities, operations, count);
}
