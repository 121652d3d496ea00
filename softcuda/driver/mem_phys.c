/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/mem_phys.c - physical memory of cuMemCreate: charged granules in memfds.
 *
 * Memory that cannot be exported lies in one sparse memfd a device, far larger than the device, so
 * that every piece is contiguous in it; the account, not the file, says how much there is.
 * Exportable memory has a memfd of its own, whose name carries the device and size for the
 * importer. Freed memory is punched out of the file, so it is always zeroed when it is used again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/parse.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/mem_int.h"

/* More than any process maps; a sparse file costs nothing. */
static const uint64_t file_bytes = UINT64_C(1) << 46;

struct phys_file {
    int fd; /* plus one: 0 is not opened */
    struct cuc_ranges taken;
};

static struct phys_file files[DEVICE_COUNT_MAX];
static uint64_t last_id;

static int memfd_of_size(const char *name, uint64_t bytes)
{
    int fd = fab_fault("memfd") ? -1 : memfd_create(name, MFD_CLOEXEC);

    if (fd >= 0 && ftruncate(fd, (off_t)bytes) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Takes a range of the device's shared file. */
static bool take_shared(struct mem_phys *phys)
{
    struct phys_file *file = &files[soft_device_ordinal(phys->device)];

    if (file->fd == 0) {
        int fd = memfd_of_size("softcuda-device", file_bytes);

        if (fd < 0)
            return false;
        file->fd = fd + 1;
    }
    phys->fd = file->fd - 1;
    return cuc_ranges_first_fit(&file->taken, 0, file_bytes, phys->bytes, MEM_GRANULE,
                                &phys->offset) &&
           cuc_ranges_insert(&file->taken, phys->offset, phys->offset + phys->bytes, NULL);
}

/* "softcuda:<uuid or host>:<bytes>" */
static bool take_own(struct mem_phys *phys)
{
    char uuid[DEVICE_UUID_TEXT_BYTES] = "host", name[96];

    if (phys->device)
        (void)device_uuid_format(soft_device_model(phys->device)->uuid, uuid);
    (void)snprintf(name, sizeof(name), "softcuda:%s:%llu", uuid, (unsigned long long)phys->bytes);
    phys->fd = memfd_of_size(name, phys->bytes);
    return phys->fd >= 0;
}

bool mem_charge(struct soft_device *device, uint64_t bytes)
{
    return soft_device_charge(device, bytes) ||
           (mem_pools_trim(device) && soft_device_charge(device, bytes));
}

CUresult mem_phys_create(struct soft_device *device, uint64_t bytes, bool exportable,
                         struct mem_phys **phys_out)
{
    struct mem_phys *phys = fab_alloc_zeroed(1, sizeof(*phys));

    if (!phys)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *phys = (struct mem_phys){
        .device = device, .fd = -1, .exportable = exportable || !device, .bytes = bytes, .refs = 1};
    if (device && !mem_charge(device, bytes)) {
        free(phys);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (phys->exportable ? take_own(phys) : take_shared(phys)) {
        *phys_out = phys;
        return CUDA_SUCCESS;
    }
    if (device)
        soft_device_uncharge(device, bytes);
    free(phys);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static struct soft_device *device_of_uuid(const char *text)
{
    char uuid[DEVICE_UUID_TEXT_BYTES];

    for (int i = 0; i < soft_device_count(); i++) {
        struct soft_device *device = soft_device_at(i);

        if (strcmp(device_uuid_format(soft_device_model(device)->uuid, uuid), text) == 0)
            return device;
    }
    return NULL;
}

/* Splits "/memfd:softcuda:<uuid>:<bytes> (deleted)". */
static bool split_name(char *name, const char **uuid_out, uint64_t *bytes_out)
{
    static const char head[] = "/memfd:softcuda:";
    char *uuid = name + sizeof(head) - 1, *colon, *end;

    if (strncmp(name, head, sizeof(head) - 1) != 0)
        return false;
    colon = strchr(uuid, ':');
    if (!colon)
        return false;
    *colon = '\0';
    end = colon + 1 + strcspn(colon + 1, " ");
    *end = '\0';
    *uuid_out = uuid;
    return fab_parse_size(colon + 1, bytes_out) == FAB_OK;
}

/* The device (NULL: the host) and size of memory that another process exports. The name is as
 * trustworthy as the descriptor: its sender could as well write to the memory. Its size is checked
 * against the file. */
static CUresult identify(int fd, struct soft_device **device_out, uint64_t *bytes_out)
{
    char link[64], name[256];
    const char *uuid;
    struct stat info;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, sizeof(name) - 1);

    if (length < 0 || fstat(fd, &info) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    name[length] = '\0';
    if (!split_name(name, &uuid, bytes_out) || *bytes_out == 0 || *bytes_out % MEM_GRANULE != 0 ||
        (uint64_t)info.st_size != *bytes_out)
        return CUDA_ERROR_INVALID_VALUE;
    *device_out = device_of_uuid(uuid);
    if (!*device_out && strcmp(uuid, "host") != 0)
        return CUDA_ERROR_INVALID_DEVICE; /* not visible here */
    return CUDA_SUCCESS;
}

CUresult mem_phys_import(int fd, struct mem_phys **phys_out)
{
    struct soft_device *device;
    uint64_t bytes;
    CUresult result = identify(fd, &device, &bytes);

    if (result != CUDA_SUCCESS)
        return result;
    struct mem_phys *phys = fab_alloc_zeroed(1, sizeof(*phys));

    if (!phys)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *phys = (struct mem_phys){.device = device,
                              .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3),
                              .exportable = true,
                              .imported = true,
                              .id = ++last_id,
                              .bytes = bytes,
                              .refs = 1};
    if (phys->fd < 0) {
        free(phys);
        return CUDA_ERROR_OPERATING_SYSTEM;
    }
    phys->properties = (CUmemAllocationProp){
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
        .location = {.type = device ? CU_MEM_LOCATION_TYPE_DEVICE : CU_MEM_LOCATION_TYPE_HOST,
                     .id = device ? soft_device_ordinal(device) : 0}};
    *phys_out = phys;
    return CUDA_SUCCESS;
}

void mem_phys_put(struct mem_phys *phys)
{
    if (!phys || --phys->refs > 0)
        return;
    if (phys->exportable) {
        (void)close(phys->fd);
    } else {
        (void)fallocate(phys->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)phys->offset,
                        (off_t)phys->bytes);
        (void)cuc_ranges_remove(&files[soft_device_ordinal(phys->device)].taken, phys->offset);
    }
    if (phys->device && !phys->imported)
        soft_device_uncharge(phys->device, phys->bytes);
    free(phys);
}

bool mem_phys_map(const struct mem_phys *phys, uint64_t address, uint64_t bytes)
{
    void *got = fab_fault("mmap") ? MAP_FAILED
                                  : mmap(mem_pointer(address), bytes, PROT_NONE,
                                         MAP_SHARED | MAP_FIXED, phys->fd, (off_t)phys->offset);

    if (got == MAP_FAILED)
        return false;
    (void)madvise(got, bytes, MADV_DONTDUMP);
    (void)madvise(got, bytes, MADV_DONTFORK);
    return true;
}
