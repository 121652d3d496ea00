/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/log.c - the driver's log and its notifications, handed on.
 *
 * The callbacks' types differ between the two APIs only in the names of an enum and of a record
 * that are the same (abi_check.c), so the program's function goes to the driver as it is.
 */
#include "generated/cuda-runtime/crt_impl.h"

typedef void (*any_function)(void);

cudaError_t crt_cudaLogsRegisterCallback(cudaLogsCallback_t callbackFunc, void *userData,
                                         cudaLogsCallbackHandle *callback_out)
{
    return CRT_DRV(LogsRegisterCallback, (CUlogsCallback)(any_function)callbackFunc, userData,
                   callback_out);
}

cudaError_t crt_cudaLogsUnregisterCallback(cudaLogsCallbackHandle callback)
{
    return CRT_DRV(LogsUnregisterCallback, callback);
}

cudaError_t crt_cudaLogsCurrent(cudaLogIterator *iterator_out, unsigned int flags)
{
    return CRT_DRV(LogsCurrent, iterator_out, flags);
}

cudaError_t crt_cudaLogsDumpToFile(cudaLogIterator *iterator, const char *pathToFile,
                                   unsigned int flags)
{
    return CRT_DRV(LogsDumpToFile, iterator, pathToFile, flags);
}

cudaError_t crt_cudaLogsDumpToMemory(cudaLogIterator *iterator, char *buffer, size_t *size,
                                     unsigned int flags)
{
    return CRT_DRV(LogsDumpToMemory, iterator, buffer, size, flags);
}

cudaError_t crt_cudaDeviceRegisterAsyncNotification(int device, cudaAsyncCallback callbackFunc,
                                                    void *userData,
                                                    cudaAsyncCallbackHandle_t *callback)
{
    CUdevice handle;
    cudaError_t status = crt_device_get(device, &handle);

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(DeviceRegisterAsyncNotification, handle,
                   (CUasyncCallback)(any_function)callbackFunc, userData,
                   (CUasyncCallbackHandle *)callback);
}

cudaError_t crt_cudaDeviceUnregisterAsyncNotification(int device,
                                                      cudaAsyncCallbackHandle_t callback)
{
    CUdevice handle;
    cudaError_t status = crt_device_get(device, &handle);

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(DeviceUnregisterAsyncNotification, handle, (CUasyncCallbackHandle)callback);
}
