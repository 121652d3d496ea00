/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/driver.c - see driver.h.
 */
#include "cuda-server/driver.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct function_row {
    const char *name;
    size_t offset; /* of the pointer in struct cudas_driver */
    bool is_required;
};

#define CUDAS_ROW_REQUIRED(name) {#name, offsetof(struct cudas_driver, name), true},
#define CUDAS_ROW_OPTIONAL(name) {#name, offsetof(struct cudas_driver, name), false},
static const struct function_row rows[] = {
    CUDAS_ROW_REQUIRED(cuCtxCreate_v2) CUDAS_ROW_OPTIONAL(cuCtxCreate_v3)
        CUDAS_DRIVER_REQUIRED(CUDAS_ROW_REQUIRED) CUDAS_DRIVER_OPTIONAL(CUDAS_ROW_OPTIONAL)};

enum fab_status cudas_driver_load(const char *path, struct cudas_driver *driver_out,
                                  struct fab_err *err)
{
    struct cudas_driver driver = {.library = NULL};

    driver.library = dlopen(path ? path : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!driver.library)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "no CUDA driver: %s", dlerror());
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        void *function = dlsym(driver.library, rows[i].name);

        if (!function && rows[i].is_required)
            return fab_err_set(err, FAB_ERR_UNSUPPORTED, "the CUDA driver has no %s", rows[i].name);
        memcpy((char *)&driver + rows[i].offset, &function, sizeof(function));
    }
    *driver_out = driver;
    return FAB_OK;
}

bool cudas_is_sticky(CUresult result)
{
    switch ((int)result) {
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_CONTAINED:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_TENSOR_MEMORY_LEAK:
    case CUDA_ERROR_EXTERNAL_DEVICE:
        return true;
    default:
        return false;
    }
}
