/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/device.c - which device, its attributes, limits, peers, and its end.
 *
 * Numbers of attributes, limits and cache preferences are the driver's (abi_check.c).
 */
#include "generated/cuda-runtime/crt_impl.h"

cudaError_t crt_cudaGetDeviceCount(int *count)
{
    return count ? CRT_DRV(DeviceGetCount, count) : cudaErrorInvalidValue;
}

cudaError_t crt_cudaGetDevice(int *device)
{
    return device ? crt_device_current(device) : cudaErrorInvalidValue;
}

/* Since version 12 this also creates the primary context. */
cudaError_t crt_cudaSetDevice(int device)
{
    CUcontext context;
    cudaError_t status = crt_primary_get(device, &context);

    if (status == cudaSuccess)
        status = CRT_DRV(CtxSetCurrent, context);
    if (status == cudaSuccess)
        crt_self.device = device;
    return status;
}

/* The first of the list is what this thread uses until it chooses one itself. */
cudaError_t crt_cudaSetValidDevices(int *device_arr, int len)
{
    CUdevice handle;
    CUcontext current = NULL;
    cudaError_t status = CRT_DRV(CtxGetCurrent, &current);

    if (len < 0 || (len > 0 && !device_arr))
        return cudaErrorInvalidValue;
    for (int i = 0; i < len && status == cudaSuccess; i++)
        status = crt_device_get(device_arr[i], &handle);
    if (status == cudaSuccess && !current)
        crt_self.device = len ? device_arr[0] : 0;
    return status;
}

cudaError_t crt_cudaInitDevice(int device, unsigned int deviceFlags, unsigned int flags)
{
    CUcontext context;
    CUdevice handle;
    cudaError_t status = crt_device_get(device, &handle);

    if (status == cudaSuccess && (flags & ~(unsigned)cudaInitDeviceFlagsAreValid))
        status = cudaErrorInvalidValue;
    if (status == cudaSuccess && (flags & cudaInitDeviceFlagsAreValid))
        status = CRT_DRV(DevicePrimaryCtxSetFlags, handle, deviceFlags);
    return status == cudaSuccess ? crt_primary_get(device, &context) : status;
}

cudaError_t crt_cudaSetDeviceFlags(unsigned int flags)
{
    int device;
    cudaError_t status = crt_device_current(&device);

    return status == cudaSuccess ? CRT_DRV(DevicePrimaryCtxSetFlags, device, flags) : status;
}

cudaError_t crt_cudaGetDeviceFlags(unsigned int *flags)
{
    CUcontext current = NULL;
    int active;
    cudaError_t status = flags ? CRT_DRV(CtxGetCurrent, &current) : cudaErrorInvalidValue;

    if (status != cudaSuccess)
        return status;
    if (current)
        return CRT_DRV(CtxGetFlags, flags);
    return CRT_DRV(DevicePrimaryCtxGetState, crt_self.device, flags, &active);
}

cudaError_t crt_cudaDeviceReset(void)
{
    int device;
    cudaError_t status = crt_device_current(&device);

    if (status == cudaSuccess)
        status = crt_primary_reset(device);
    if (status == cudaSuccess) {
        (void)CRT_DRV(CtxSetCurrent, NULL); /* the next call binds a live one */
        crt_self.bound = NULL;
        crt_self.device = device;
        crt_self.last_error = cudaSuccess;
    }
    return status;
}

cudaError_t crt_cudaDeviceSynchronize(void)
{
    return CRT_DRV(CtxSynchronize);
}

cudaError_t crt_cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device)
{
    CUdevice handle;
    cudaError_t status = value ? crt_device_get(device, &handle) : cudaErrorInvalidValue;

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(DeviceGetAttribute, value, (CUdevice_attribute)attr, handle);
}

cudaError_t crt_cudaDeviceGetP2PAttribute(int *value, enum cudaDeviceP2PAttr attr, int srcDevice,
                                          int dstDevice)
{
    CUdevice from, to;
    cudaError_t status = crt_device_get(srcDevice, &from);

    if (status == cudaSuccess)
        status = crt_device_get(dstDevice, &to);
    if (status != cudaSuccess)
        return status;
    return CRT_DRV(DeviceGetP2PAttribute, value, (CUdevice_P2PAttribute)attr, from, to);
}

cudaError_t crt_cudaDeviceGetHostAtomicCapabilities(unsigned int *capabilities,
                                                    const enum cudaAtomicOperation *operations,
                                                    unsigned int count, int device)
{
    CUdevice handle;
    cudaError_t status = crt_device_get(device, &handle);

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(DeviceGetHostAtomicCapabilities, capabilities,
                   (const CUatomicOperation *)operations, count, handle);
}

cudaError_t crt_cudaDeviceGetP2PAtomicCapabilities(unsigned int *capabilities,
                                                   const enum cudaAtomicOperation *operations,
                                                   unsigned int count, int srcDevice, int dstDevice)
{
    CUdevice from, to;
    cudaError_t status = crt_device_get(srcDevice, &from);

    if (status == cudaSuccess)
        status = crt_device_get(dstDevice, &to);
    if (status != cudaSuccess)
        return status;
    return CRT_DRV(DeviceGetP2PAtomicCapabilities, capabilities,
                   (const CUatomicOperation *)operations, count, from, to);
}

cudaError_t crt_cudaDeviceGetByPCIBusId(int *device, const char *pciBusId)
{
    return device && pciBusId ? CRT_DRV(DeviceGetByPCIBusId, device, pciBusId)
                              : cudaErrorInvalidValue;
}

cudaError_t crt_cudaDeviceGetPCIBusId(char *pciBusId, int len, int device)
{
    CUdevice handle;
    cudaError_t status = pciBusId ? crt_device_get(device, &handle) : cudaErrorInvalidValue;

    return status == cudaSuccess ? CRT_DRV(DeviceGetPCIBusId, pciBusId, len, handle) : status;
}

cudaError_t crt_cudaDeviceCanAccessPeer(int *canAccessPeer, int device, int peerDevice)
{
    CUdevice from, to;
    cudaError_t status = canAccessPeer ? crt_device_get(device, &from) : cudaErrorInvalidValue;

    if (status == cudaSuccess)
        status = crt_device_get(peerDevice, &to);
    return status == cudaSuccess ? CRT_DRV(DeviceCanAccessPeer, canAccessPeer, from, to) : status;
}

cudaError_t crt_cudaDeviceEnablePeerAccess(int peerDevice, unsigned int flags)
{
    CUcontext peer;
    int device;
    cudaError_t status = crt_device_current(&device);

    if (status == cudaSuccess && device == peerDevice)
        status = cudaErrorInvalidDevice;
    if (status == cudaSuccess)
        status = crt_primary_get(peerDevice, &peer);
    return status == cudaSuccess ? CRT_DRV(CtxEnablePeerAccess, peer, flags) : status;
}

cudaError_t crt_cudaDeviceDisablePeerAccess(int peerDevice)
{
    CUcontext peer;
    cudaError_t status = crt_primary_get(peerDevice, &peer);

    return status == cudaSuccess ? CRT_DRV(CtxDisablePeerAccess, peer) : status;
}

cudaError_t crt_cudaDeviceGetLimit(size_t *pValue, enum cudaLimit limit)
{
    return CRT_DRV(CtxGetLimit, pValue, (CUlimit)limit);
}

cudaError_t crt_cudaDeviceSetLimit(enum cudaLimit limit, size_t value)
{
    return CRT_DRV(CtxSetLimit, (CUlimit)limit, value);
}

cudaError_t crt_cudaDeviceGetCacheConfig(enum cudaFuncCache *pCacheConfig)
{
    return CRT_DRV(CtxGetCacheConfig, (CUfunc_cache *)pCacheConfig);
}

cudaError_t crt_cudaDeviceSetCacheConfig(enum cudaFuncCache cacheConfig)
{
    return CRT_DRV(CtxSetCacheConfig, (CUfunc_cache)cacheConfig);
}

/* Shared memory banks have had one size since compute capability 5; the calls remain. */
cudaError_t crt_cudaDeviceGetSharedMemConfig(enum cudaSharedMemConfig *pConfig)
{
    if (!pConfig)
        return cudaErrorInvalidValue;
    *pConfig = cudaSharedMemBankSizeFourByte;
    return cudaSuccess;
}

cudaError_t crt_cudaDeviceSetSharedMemConfig(enum cudaSharedMemConfig config)
{
    (void)config;
    return cudaSuccess;
}

cudaError_t crt_cudaDeviceGetStreamPriorityRange(int *leastPriority, int *greatestPriority)
{
    return CRT_DRV(CtxGetStreamPriorityRange, leastPriority, greatestPriority);
}

cudaError_t crt_cudaCtxResetPersistingL2Cache(void)
{
    return CRT_DRV(CtxResetPersistingL2Cache);
}

cudaError_t crt_cudaDeviceFlushGPUDirectRDMAWrites(enum cudaFlushGPUDirectRDMAWritesTarget target,
                                                   enum cudaFlushGPUDirectRDMAWritesScope scope)
{
    return CRT_DRV(FlushGPUDirectRDMAWrites, (CUflushGPUDirectRDMAWritesTarget)target,
                   (CUflushGPUDirectRDMAWritesScope)scope);
}
