/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/device_api.c - the calls that find and describe devices.
 *
 * Source: CUDA Driver API, Device Management.
 */
#include <stdio.h>
#include <string.h>

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/attr.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"

CUresult soft_cuDeviceGetCount(int *count)
{
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    *count = soft_device_count();
    return CUDA_SUCCESS;
}

CUresult soft_cuDeviceGet(CUdevice *device, int ordinal)
{
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    if (!soft_device_at(ordinal))
        return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

/* Text that is cut where the caller's room ends, as the driver does. */
static CUresult put_text(const char *from, char *text, int room)
{
    if (!text || room <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    (void)snprintf(text, (size_t)room, "%s", from);
    return CUDA_SUCCESS;
}

CUresult soft_cuDeviceGetName(char *name, int len, CUdevice dev)
{
    const struct soft_device *device = soft_device_at(dev);

    return device ? put_text(soft_device_model(device)->name, name, len)
                  : CUDA_ERROR_INVALID_DEVICE;
}

CUresult soft_cuDeviceGetPCIBusId(char *pciBusId, int len, CUdevice dev)
{
    const struct soft_device *device = soft_device_at(dev);

    return device ? put_text(soft_device_model(device)->pci_bus_id, pciBusId, len)
                  : CUDA_ERROR_INVALID_DEVICE;
}

CUresult soft_cuDeviceGetByPCIBusId(CUdevice *dev, const char *pciBusId)
{
    uint32_t wanted[3], have[3];

    if (!dev || !pciBusId ||
        device_pci_parse(pciBusId, &wanted[0], &wanted[1], &wanted[2]) != FAB_OK)
        return CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; i < soft_device_count(); i++) {
        const char *text = soft_device_model(soft_device_at(i))->pci_bus_id;

        if (device_pci_parse(text, &have[0], &have[1], &have[2]) == FAB_OK &&
            memcmp(have, wanted, sizeof(have)) == 0) {
            *dev = i;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

CUresult soft_cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
    const struct soft_device *device = soft_device_at(dev);

    if (!uuid)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    memcpy(uuid->bytes, soft_device_model(device)->uuid, sizeof(uuid->bytes));
    return CUDA_SUCCESS;
}

/* Local identifiers are Windows's. */
CUresult soft_cuDeviceGetLuid(char *luid, unsigned int *deviceNodeMask, CUdevice dev)
{
    if (!luid || !deviceNodeMask)
        return CUDA_ERROR_INVALID_VALUE;
    return soft_device_at(dev) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_DEVICE;
}

CUresult soft_cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
    const struct soft_device *device = soft_device_at(dev);

    if (!bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    *bytes = soft_device_model(device)->memory_bytes;
    return CUDA_SUCCESS;
}

CUresult soft_cuDeviceGetTexture1DLinearMaxWidth(size_t *maxWidthInElements, CUarray_format format,
                                                 unsigned numChannels, CUdevice dev)
{
    if (!maxWidthInElements || (numChannels != 1 && numChannels != 2 && numChannels != 4))
        return CUDA_ERROR_INVALID_VALUE;
    if (!soft_device_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    switch ((int)format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_HALF:
    case CU_AD_FORMAT_FLOAT:
        *maxWidthInElements = ATTR_TEXTURE1D_LINEAR_MAX;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult soft_cuDeviceGetExecAffinitySupport(int *pi, CUexecAffinityType type, CUdevice dev)
{
    if (!pi || type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
        return CUDA_ERROR_INVALID_VALUE;
    if (!soft_device_at(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    *pi = 0;
    return CUDA_SUCCESS;
}

CUresult soft_cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
    const struct soft_device *device = soft_device_at(dev);

    if (!major || !minor)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    *major = (int)soft_device_model(device)->compute_major;
    *minor = (int)soft_device_model(device)->compute_minor;
    return CUDA_SUCCESS;
}

static int attribute(const struct soft_device *device, CUdevice_attribute which)
{
    int value = 0;

    (void)soft_device_attribute(device, which, &value);
    return value;
}

CUresult soft_cuDeviceGetProperties(CUdevprop *prop, CUdevice dev)
{
    const struct soft_device *device = soft_device_at(dev);

    if (!prop)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    *prop = (CUdevprop){
        .maxThreadsPerBlock = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
        .maxThreadsDim = {attribute(device, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X),
                          attribute(device, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y),
                          attribute(device, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z)},
        .maxGridSize = {attribute(device, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X),
                        attribute(device, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y),
                        attribute(device, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z)},
        .sharedMemPerBlock = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK),
        .totalConstantMemory = attribute(device, CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY),
        .SIMDWidth = attribute(device, CU_DEVICE_ATTRIBUTE_WARP_SIZE),
        .memPitch = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_PITCH),
        .regsPerBlock = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK),
        .clockRate = attribute(device, CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
        .textureAlign = attribute(device, CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT)};
    return CUDA_SUCCESS;
}

/* No device here takes writes by GPUDirect RDMA (the attributes say so). */
CUresult soft_cuFlushGPUDirectRDMAWrites(CUflushGPUDirectRDMAWritesTarget target,
                                         CUflushGPUDirectRDMAWritesScope scope)
{
    struct soft_context *context;
    CUresult result = soft_context_current(&context);

    if (result != CUDA_SUCCESS)
        return result;
    if (target != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX ||
        (scope != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER &&
         scope != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_ALL_DEVICES))
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_ERROR_NOT_SUPPORTED;
}
