/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/notice.h - asynchronous notifications of a device: callbacks that are kept.
 *
 * The only one that CUDA has, memory over budget, never happens here. Thread: any.
 * Source: CUDA Driver API, Device Management, cuDeviceRegisterAsyncNotification.
 */
#ifndef CUDA_COMMON_NOTICE_H
#define CUDA_COMMON_NOTICE_H

#include <cuda.h>

/* `device` tells devices apart and is not looked into; NULL: there is none of that number,
 * CUDA_ERROR_INVALID_DEVICE. CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_OUT_OF_MEMORY. */
CUresult cuc_notice_register(const void *device, CUasyncCallback fn, void *arg,
                             CUasyncCallbackHandle *handle_out);
/* CUDA_ERROR_INVALID_VALUE: not registered with this device. */
CUresult cuc_notice_unregister(const void *device, CUasyncCallbackHandle handle);

#endif /* CUDA_COMMON_NOTICE_H */
