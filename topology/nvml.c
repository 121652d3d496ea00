/* SPDX-License-Identifier: Apache-2.0
 * topology/nvml.c - what NVML says of the GPUs, joined to the PCI tree by bus id.
 *
 * The library is loaded and given back: an agent outlives drivers. A GPU that NVML cannot open (it
 * is lost) stays one of the PCI tree without a name.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "cuda-common/nvml.h"
#include "topology/machine_int.h"

struct nvml {
    void *library;
    nvmlReturn_t (*init)(void);
    nvmlReturn_t (*shutdown)(void);
    const char *(*error_text)(nvmlReturn_t result);
    nvmlReturn_t (*count)(unsigned *count);
    nvmlReturn_t (*handle)(unsigned index, nvmlDevice_t *device);
    nvmlReturn_t (*pci)(nvmlDevice_t device, nvmlPciInfo_t *pci);
    nvmlReturn_t (*name)(nvmlDevice_t device, char *name, unsigned size_bytes);
    nvmlReturn_t (*uuid)(nvmlDevice_t device, char *uuid, unsigned size_bytes);
    nvmlReturn_t (*memory)(nvmlDevice_t device, nvmlMemory_t *memory);
    nvmlReturn_t (*bar1)(nvmlDevice_t device, nvmlBAR1Memory_t *memory);
    nvmlReturn_t (*link_state)(nvmlDevice_t device, unsigned link, int *is_active);
    nvmlReturn_t (*link_version)(nvmlDevice_t device, unsigned link, unsigned *version);
    nvmlReturn_t (*link_remote)(nvmlDevice_t device, unsigned link, nvmlPciInfo_t *pci);
    nvmlReturn_t (*capability)(nvmlDevice_t device, int *major, int *minor);
    nvmlReturn_t (*driver_version)(char *version, unsigned size_bytes);
    nvmlReturn_t (*cuda_version)(int *version); /* NULL: before driver 410 */
};

static const struct topo_function functions[] = {
    {"nvmlInit_v2", offsetof(struct nvml, init), false},
    {"nvmlShutdown", offsetof(struct nvml, shutdown), false},
    {"nvmlErrorString", offsetof(struct nvml, error_text), false},
    {"nvmlDeviceGetCount_v2", offsetof(struct nvml, count), false},
    {"nvmlDeviceGetHandleByIndex_v2", offsetof(struct nvml, handle), false},
    {"nvmlDeviceGetPciInfo_v3", offsetof(struct nvml, pci), false},
    {"nvmlDeviceGetName", offsetof(struct nvml, name), false},
    {"nvmlDeviceGetUUID", offsetof(struct nvml, uuid), false},
    {"nvmlDeviceGetMemoryInfo", offsetof(struct nvml, memory), false},
    {"nvmlDeviceGetBAR1MemoryInfo", offsetof(struct nvml, bar1), false},
    {"nvmlDeviceGetNvLinkState", offsetof(struct nvml, link_state), false},
    {"nvmlDeviceGetNvLinkVersion", offsetof(struct nvml, link_version), false},
    {"nvmlDeviceGetNvLinkRemotePciInfo_v2", offsetof(struct nvml, link_remote), false},
    {"nvmlDeviceGetCudaComputeCapability", offsetof(struct nvml, capability), false},
    {"nvmlSystemGetDriverVersion", offsetof(struct nvml, driver_version), false},
    {"nvmlSystemGetCudaDriverVersion_v2", offsetof(struct nvml, cuda_version), true},
};

enum fab_status topo_nvml_load(const char *path, const struct topo_function *wanted, size_t count,
                               void *table, void **library_out, struct fab_err *err)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        const char *text = dlerror();
        bool is_missing =
            text && !strncmp(text, path, strlen(path)) && strstr(text, "No such file or directory");

        return fab_err_set(err, is_missing ? FAB_ERR_NOT_FOUND : FAB_ERR_DEVICE, "NVML: %s",
                           text ? text : path);
    }
    for (size_t i = 0; i < count; i++) {
        void *address = dlsym(library, wanted[i].name);

        if (!address && !wanted[i].is_optional) {
            (void)dlclose(library);
            return fab_err_set(err, FAB_ERR_DEVICE, "%s has no %s", path, wanted[i].name);
        }
        memcpy((char *)table + wanted[i].offset, &address, sizeof(address));
    }
    *library_out = library;
    return FAB_OK;
}

static struct topo_gpu *find(struct topo_machine *machine, const struct topo_bdf *bdf)
{
    for (uint32_t i = 0; i < machine->gpu_count; i++) {
        struct topo_gpu *gpu = &machine->gpus[i];

        if (gpu->pci != TOPO_NONE && topo_bdf_is_equal(&machine->pci[gpu->pci].bdf, bdf))
            return gpu;
    }
    return NULL;
}

static struct topo_gpu *find_by_info(struct topo_machine *machine, const nvmlPciInfo_t *pci)
{
    char text[sizeof(pci->busId)];
    struct topo_bdf bdf;

    topo_text_copy(text, sizeof(text), pci->busId);
    return topo_bdf_parse(text, &bdf) ? find(machine, &bdf) : NULL;
}

/* The GPU with this bus id; one that the PCI tree does not have is added, for the model to tell. */
static struct topo_gpu *place_of(struct topo_machine *machine, const nvmlPciInfo_t *pci)
{
    struct topo_gpu *gpu = find_by_info(machine, pci);

    if (!gpu && machine->gpu_count < TOPO_GPU_MAX) {
        gpu = &machine->gpus[machine->gpu_count++];
        gpu->pci = TOPO_NONE;
    }
    return gpu;
}

static enum fab_status read_one(const struct nvml *nvml, unsigned index,
                                struct topo_machine *machine, struct fab_err *err)
{
    nvmlDevice_t device;
    nvmlPciInfo_t pci = {0};
    nvmlMemory_t memory = {0};
    nvmlBAR1Memory_t bar1 = {0};
    char name[TOPO_TEXT_BYTES] = "", uuid[96] = "";
    int major = 0, minor = 0;
    struct topo_gpu *gpu;

    if (nvml->handle(index, &device) != NVML_SUCCESS || nvml->pci(device, &pci) != NVML_SUCCESS ||
        nvml->uuid(device, uuid, sizeof(uuid)) != NVML_SUCCESS)
        return FAB_OK;
    gpu = place_of(machine, &pci);
    if (!gpu)
        return fab_err_set(err, FAB_ERR_LIMIT, "more than %d GPUs", TOPO_GPU_MAX);
    /* What fails here stays unknown. */
    (void)nvml->name(device, name, sizeof(name));
    (void)nvml->memory(device, &memory);
    (void)nvml->bar1(device, &bar1);
    (void)nvml->capability(device, &major, &minor);
    topo_text_copy(gpu->name, sizeof(gpu->name), name);
    topo_text_copy(gpu->uuid, sizeof(gpu->uuid), uuid);
    gpu->index = index;
    gpu->memory_bytes = memory.total;
    gpu->bar1_bytes = bar1.bar1Total;
    gpu->cc_major = major > 0 ? (uint32_t)major : 0;
    gpu->cc_minor = minor > 0 ? (uint32_t)minor : 0;
    return FAB_OK;
}

/* ---- NVLinks ----------------------------------------------------------------------------------
 */

/* MB/s of a link in one direction. */
static uint32_t link_mbps(const struct nvml *nvml, nvmlDevice_t device, unsigned link)
{
    unsigned version = 0;

    if (nvml->link_version(device, link, &version) != NVML_SUCCESS)
        return 0;
    return version <= 1 ? 20000 : 25000;
}

static enum fab_status add_link(struct topo_machine *machine, int32_t a, int32_t b, uint32_t mbps,
                                struct fab_err *err)
{
    struct topo_nvlink *link = machine->nvlinks;

    while (link < machine->nvlinks + machine->nvlink_count && (link->a != a || link->b != b))
        link++;
    if (link == machine->nvlinks + TOPO_NVLINK_MAX)
        return fab_err_set(err, FAB_ERR_LIMIT, "NVLinks between more than %d pairs of GPUs",
                           TOPO_NVLINK_MAX);
    if (link == machine->nvlinks + machine->nvlink_count) {
        *link = (struct topo_nvlink){.a = a, .b = b};
        machine->nvlink_count++;
    }
    link->links++;
    link->mbps += mbps;
    return FAB_OK;
}

/* Links to another GPU, told by the lower of the two; those to a switch lead nowhere here. */
static enum fab_status read_links(const struct nvml *nvml, unsigned index,
                                  struct topo_machine *machine, struct fab_err *err)
{
    enum fab_status status = FAB_OK;
    nvmlPciInfo_t pci = {0};
    nvmlDevice_t device;
    struct topo_gpu *gpu, *other;

    if (nvml->handle(index, &device) != NVML_SUCCESS || nvml->pci(device, &pci) != NVML_SUCCESS)
        return FAB_OK;
    gpu = find_by_info(machine, &pci);
    for (unsigned link = 0; gpu && link < NVML_NVLINK_MAX_LINKS && status == FAB_OK; link++) {
        int is_active = 0;

        if (nvml->link_state(device, link, &is_active) != NVML_SUCCESS || !is_active ||
            nvml->link_remote(device, link, &pci) != NVML_SUCCESS)
            continue;
        other = find_by_info(machine, &pci);
        if (other > gpu)
            status = add_link(machine, (int32_t)(gpu - machine->gpus),
                              (int32_t)(other - machine->gpus), link_mbps(nvml, device, link), err);
    }
    return status;
}

static void read_software(const struct nvml *nvml, struct topo_software *software)
{
    char driver[TOPO_NAME_BYTES] = "";
    int cuda = 0;

    (void)nvml->driver_version(driver, sizeof(driver));
    topo_text_copy(software->driver, sizeof(software->driver), driver);
    if (nvml->cuda_version && nvml->cuda_version(&cuda) == NVML_SUCCESS && cuda > 0)
        software->cuda = (uint32_t)cuda;
}

static enum fab_status read_gpus(const struct nvml *nvml, struct topo_machine *machine,
                                 struct fab_err *err)
{
    enum fab_status status = FAB_OK;
    unsigned count = 0, next;
    nvmlReturn_t result = nvml->count(&count);

    if (result != NVML_SUCCESS)
        return fab_err_foreign(err, FAB_ERR_DEVICE, "nvml", (int)result, "counting GPUs: %s",
                               nvml->error_text(result));
    for (unsigned i = 0; i < count && status == FAB_OK; i++)
        status = read_one(nvml, i, machine, err);
    for (unsigned i = 0; i < count && status == FAB_OK; i++)
        status = read_links(nvml, i, machine, err);
    next = count;
    for (uint32_t i = 0; i < machine->gpu_count; i++) {
        if (machine->gpus[i].uuid[0] == '\0')
            machine->gpus[i].index = next++;
    }
    return status;
}

enum fab_status topo_nvml_read(const char *library, struct topo_machine *machine,
                               struct fab_err *err)
{
    struct nvml nvml = {0};
    enum fab_status status =
        topo_nvml_load(library, functions, FAB_ARRAY_LEN(functions), &nvml, &nvml.library, err);

    if (status == FAB_ERR_NOT_FOUND)
        return FAB_OK; /* a host without GPUs */
    if (status == FAB_OK) {
        nvmlReturn_t result = nvml.init();

        if (result == NVML_ERROR_DRIVER_NOT_LOADED) {
            status = FAB_OK; /* a host without GPUs that has the library, or GPUs without driver */
        } else if (result != NVML_SUCCESS) {
            status = fab_err_foreign(err, FAB_ERR_DEVICE, "nvml", (int)result, "NVML: %s",
                                     nvml.error_text(result));
        } else {
            read_software(&nvml, &machine->software);
            status = read_gpus(&nvml, machine, err);
            (void)nvml.shutdown();
        }
    }
    if (nvml.library)
        (void)dlclose(nvml.library);
    return status;
}
