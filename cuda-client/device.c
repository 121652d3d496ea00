/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/device.c - the calls that find and describe devices: from what the workers said.
 *
 * Source: CUDA Driver API, Device Management.
 */
#include <stdio.h>
#include <string.h>

#include "cuda-client/context_int.h"
#include "cuda-client/memory.h"
#include "cuda-client/remote_int.h"
#include "cuda-common/atomics.h"
#include "cuda-common/pci.h"
#include "generated/cuda-api/client_impl.h"

CUresult cudac_cuDeviceGetCount(int *count)
{
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    *count = cudac_vgpu_count();
    return CUDA_SUCCESS;
}

CUresult cudac_cuDeviceGet(CUdevice *device, int ordinal)
{
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    if (!cudac_vgpu_at(ordinal))
        return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

/* Text that is cut where the caller's room ends, as the driver does. */
static CUresult put_text(const uint8_t *from, char *text, int room)
{
    if (!text || room <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    (void)snprintf(text, (size_t)room, "%s", (const char *)from);
    return CUDA_SUCCESS;
}

CUresult cudac_cuDeviceGetName(char *name, int len, CUdevice dev)
{
    const struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);

    return vgpu ? put_text(vgpu->facts.name, name, len) : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cudac_cuDeviceGetPCIBusId(char *pciBusId, int len, CUdevice dev)
{
    const struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);

    return vgpu ? put_text(vgpu->facts.pci_bus_id, pciBusId, len) : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cudac_cuDeviceGetByPCIBusId(CUdevice *dev, const char *pciBusId)
{
    uint32_t wanted[3], have[3];

    if (!dev || !pciBusId || !cuc_pci_parse(pciBusId, wanted))
        return CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; i < cudac_vgpu_count(); i++)
        if (cuc_pci_parse((const char *)cudac_vgpu_at(i)->facts.pci_bus_id, have) &&
            memcmp(have, wanted, sizeof(have)) == 0) {
            *dev = i;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_INVALID_DEVICE;
}

CUresult cudac_cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
    const struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);

    if (!uuid)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    memcpy(uuid->bytes, vgpu->facts.uuid, sizeof(uuid->bytes));
    return CUDA_SUCCESS;
}

/* Local identifiers are Windows's. */
CUresult cudac_cuDeviceGetLuid(char *luid, unsigned int *deviceNodeMask, CUdevice dev)
{
    if (!luid || !deviceNodeMask)
        return CUDA_ERROR_INVALID_VALUE;
    return cudac_vgpu_at(dev) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cudac_cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
    const struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);

    if (!bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    *bytes = vgpu->facts.total_bytes;
    return CUDA_SUCCESS;
}

/* Bytes of one channel, or 0. */
static unsigned format_bytes(CUarray_format format)
{
    switch ((int)format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
        return 1;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
        return 2;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
        return 4;
    default:
        return 0;
    }
}

CUresult cudac_cuDeviceGetTexture1DLinearMaxWidth(size_t *maxWidthInElements, CUarray_format format,
                                                  unsigned numChannels, CUdevice dev)
{
    const struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);
    unsigned bytes = format_bytes(format);

    if (!maxWidthInElements || (numChannels != 1 && numChannels != 2 && numChannels != 4))
        return CUDA_ERROR_INVALID_VALUE;
    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    if (bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    *maxWidthInElements = vgpu->facts.linear_1d_max[__builtin_ctz(bytes * numChannels)];
    return CUDA_SUCCESS;
}

CUresult cudac_cuDeviceGetExecAffinitySupport(int *pi, CUexecAffinityType type, CUdevice dev)
{
    const struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);

    if (!pi || type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    *pi = (int)vgpu->facts.affinity_sm;
    return CUDA_SUCCESS;
}

/* ---- attributes ----------------------------------------------------------------------------- */

CUresult cudac_cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev)
{
    const struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);
    int value;

    if (!pi)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    if (!cudac_memory_attribute(vgpu, attrib, &value))
        value = cudac_vgpu_attribute(vgpu, attrib, INT32_MIN);
    if (value == INT32_MIN)
        return CUDA_ERROR_INVALID_VALUE;
    *pi = value;
    return CUDA_SUCCESS;
}

CUresult cudac_cuDeviceGetHostAtomicCapabilities(unsigned int *capabilities,
                                                 const CUatomicOperation *operations,
                                                 unsigned int count, CUdevice dev)
{
    int is_native;
    CUresult result = cudac_cuDeviceGetAttribute(
        &is_native, CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED, dev);

    if (result != CUDA_SUCCESS)
        return result;
    return cuc_atomic_capabilities(is_native == 1, capabilities, operations, count);
}

CUresult cudac_cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
    const struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);

    if (!major || !minor)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
    *major = cudac_vgpu_attribute(vgpu, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0);
    *minor = cudac_vgpu_attribute(vgpu, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0);
    return CUDA_SUCCESS;
}

CUresult cudac_cuDeviceGetProperties(CUdevprop *prop, CUdevice dev)
{
    const struct cudac_vgpu *vgpu = cudac_vgpu_at(dev);

    if (!prop)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vgpu)
        return CUDA_ERROR_INVALID_DEVICE;
#define VALUE(name) cudac_vgpu_attribute(vgpu, CU_DEVICE_ATTRIBUTE_##name, 0)
    *prop = (CUdevprop){
        .maxThreadsPerBlock = VALUE(MAX_THREADS_PER_BLOCK),
        .maxThreadsDim = {VALUE(MAX_BLOCK_DIM_X), VALUE(MAX_BLOCK_DIM_Y), VALUE(MAX_BLOCK_DIM_Z)},
        .maxGridSize = {VALUE(MAX_GRID_DIM_X), VALUE(MAX_GRID_DIM_Y), VALUE(MAX_GRID_DIM_Z)},
        .sharedMemPerBlock = VALUE(MAX_SHARED_MEMORY_PER_BLOCK),
        .totalConstantMemory = VALUE(TOTAL_CONSTANT_MEMORY),
        .SIMDWidth = VALUE(WARP_SIZE),
        .memPitch = VALUE(MAX_PITCH),
        .regsPerBlock = VALUE(MAX_REGISTERS_PER_BLOCK),
        .clockRate = VALUE(CLOCK_RATE),
        .textureAlign = VALUE(TEXTURE_ALIGNMENT)};
#undef VALUE
    return CUDA_SUCCESS;
}

CUresult cudac_cuFlushGPUDirectRDMAWrites(CUflushGPUDirectRDMAWritesTarget target,
                                          CUflushGPUDirectRDMAWritesScope scope)
{
    struct cudac_context *context;
    CUresult result = cudac_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (target != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX ||
        (scope != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER &&
         scope != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_ALL_DEVICES))
        return CUDA_ERROR_INVALID_VALUE;
    return cudac_context_set(context, WIRE_CTX_FLUSH_GDR, (uint32_t)target, (uint64_t)scope, NULL);
}
