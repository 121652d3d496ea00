/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/nvml/init.c - initialisation, the list of devices, what the library says by itself.
 *
 * The process stays attached after the last nvmlShutdown(): the session is libcuda.so.1's.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "cuda-client/nvml/nvml_int.h"
#include "cuda-common/visible.h"

enum { INIT_FLAGS = 3 /* NO_GPUS, NO_ATTACH: both are met */ };

static struct {
    pthread_mutex_t lock;   /* of the initialisation */
    _Atomic uint32_t users; /* nvmlInit calls that were not undone */
    const struct cudac_face *face;
    struct nvmlDevice_st devices[CUC_DEVICES_MAX];
    uint32_t count;
} library = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- devices ----------------------------------------------------------------------------------
 */

static bool is_before(const struct nvmlDevice_st *one, const struct nvmlDevice_st *two)
{
    if (one->domain != two->domain)
        return one->domain < two->domain;
    return one->bus != two->bus ? one->bus < two->bus : one->slot < two->slot;
}

/* In the order of bus ids, which the attach has made unique. */
static void list_devices(void)
{
    const uint32_t count = library.face->vgpu_count();

    for (uint32_t i = 0; i < count; i++) {
        struct nvmlDevice_st device = {.vgpu = i};
        uint32_t at = i;

        (void)sscanf((const char *)library.face->vgpu_facts(i)->pci_bus_id, "%x:%x:%x",
                     &device.domain, &device.bus, &device.slot);
        for (; at > 0 && is_before(&device, &library.devices[at - 1]); at--)
            library.devices[at] = library.devices[at - 1];
        library.devices[at] = device;
    }
    for (uint32_t i = 0; i < count; i++)
        library.devices[i].index = i;
    library.count = count;
}

static nvmlReturn_t open_locked(void)
{
    CUresult result;

    library.face = fabric_client_face(CUDAC_FACE_VERSION);
    if (!library.face)
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    result = library.face->attach();
    switch ((int)result) {
    case CUDA_SUCCESS:
        break;
    case CUDA_ERROR_OUT_OF_MEMORY:
        return NVML_ERROR_MEMORY;
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    default:
        return NVML_ERROR_DRIVER_NOT_LOADED;
    }
    if (library.count == 0)
        list_devices();
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlInitWithFlags(unsigned int flags)
{
    nvmlReturn_t result = NVML_SUCCESS;

    if (flags & ~(unsigned)INIT_FLAGS)
        return NVML_ERROR_INVALID_ARGUMENT;
    (void)pthread_mutex_lock(&library.lock);
    if (atomic_load(&library.users) == 0)
        result = open_locked();
    if (result == NVML_SUCCESS)
        (void)atomic_fetch_add(&library.users, 1);
    (void)pthread_mutex_unlock(&library.lock);
    return result;
}

nvmlReturn_t nvmlInit_v2(void)
{
    return nvmlInitWithFlags(0);
}

nvmlReturn_t nvmlInit(void)
{
    return nvmlInitWithFlags(0);
}

nvmlReturn_t nvmlShutdown(void)
{
    nvmlReturn_t result = NVML_ERROR_UNINITIALIZED;

    (void)pthread_mutex_lock(&library.lock);
    if (atomic_load(&library.users) > 0) {
        (void)atomic_fetch_sub(&library.users, 1);
        result = NVML_SUCCESS;
    }
    (void)pthread_mutex_unlock(&library.lock);
    return result;
}

/* ---- for the other files ----------------------------------------------------------------------
 */

/* A forked child, whose parent initialised the library, attaches for itself: the same devices. */
nvmlReturn_t cudac_nvml_ready(void)
{
    if (atomic_load(&library.users) == 0)
        return NVML_ERROR_UNINITIALIZED;
    if (!library.face->is_usable())
        (void)library.face->attach();
    return library.face->is_usable() ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

nvmlReturn_t cudac_nvml_check(nvmlDevice_t device, const void *out)
{
    nvmlReturn_t result = cudac_nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    for (uint32_t i = 0; i < library.count; i++)
        if (device == &library.devices[i])
            return out ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
    return NVML_ERROR_INVALID_ARGUMENT;
}

uint32_t cudac_nvml_device_count(void)
{
    return library.count;
}

nvmlDevice_t cudac_nvml_device_at(uint32_t index)
{
    return index < library.count ? &library.devices[index] : NULL;
}

const struct cudac_face *cudac_nvml_face(void)
{
    return library.face;
}

bool cudac_nvml_share_worker(nvmlDevice_t one, nvmlDevice_t two)
{
    return library.face->vgpu_worker(one->vgpu) == library.face->vgpu_worker(two->vgpu);
}

/* ---- the system -------------------------------------------------------------------------------
 */

const char *nvmlErrorString(nvmlReturn_t result)
{
    return cuc_nvml_error_text(result);
}

/* Of the lowest driver of the system; NVML answers this without initialisation. */
nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version)
{
    const struct cudac_face *face = fabric_client_face(CUDAC_FACE_VERSION);

    if (!version)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!face)
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    *version = face->driver_version();
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    return nvmlSystemGetCudaDriverVersion(version);
}

/* Processes that NVML lists here are this host's. */
nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char *name, unsigned int length)
{
    nvmlReturn_t result = cudac_nvml_ready();

    return result == NVML_SUCCESS ? cuc_nvml_process_name(pid, name, length) : result;
}

nvmlReturn_t nvmlUnitGetCount(unsigned int *count)
{
    nvmlReturn_t result = cudac_nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetCreate(void **set)
{
    nvmlReturn_t result = cudac_nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    return set ? NVML_ERROR_NOT_SUPPORTED : NVML_ERROR_INVALID_ARGUMENT;
}
