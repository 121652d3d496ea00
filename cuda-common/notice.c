/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/notice.c - see notice.h.
 */
#include "cuda-common/notice.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-common/object.h"

struct notice {
    struct cuc_object object;
    const void *device;
    CUasyncCallback fn;
    void *arg;
};

static void notice_destroy(struct cuc_object *object)
{
    free(object);
}

CUresult cuc_notice_register(const void *device, CUasyncCallback fn, void *arg,
                             CUasyncCallbackHandle *handle_out)
{
    struct notice *notice;
    CUresult result;

    if (!fn || !handle_out)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    notice = fab_alloc_zeroed(1, sizeof(*notice));
    if (!notice)
        return CUDA_ERROR_OUT_OF_MEMORY;
    notice->device = device;
    notice->fn = fn;
    notice->arg = arg;
    result = cuc_object_register(&notice->object, CUC_CALLBACK, notice_destroy);
    if (result != CUDA_SUCCESS) {
        free(notice);
        return result;
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    *handle_out = (CUasyncCallbackHandle)(uintptr_t)notice->object.handle;
    return CUDA_SUCCESS;
}

CUresult cuc_notice_unregister(const void *device, CUasyncCallbackHandle handle)
{
    struct cuc_object *object;
    bool is_ours;

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    object = cuc_object_get((uint64_t)(uintptr_t)handle, CUC_CALLBACK);
    if (!object)
        return CUDA_ERROR_INVALID_VALUE;
    is_ours = object->destroy == notice_destroy && ((struct notice *)object)->device == device;
    if (is_ours && cuc_object_retire(object))
        cuc_object_put(object);
    cuc_object_put(object);
    return is_ours ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
