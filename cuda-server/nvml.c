/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/nvml.c - see nvml.h.
 *
 * Processes: NVML lists those of this node, whose numbers mean nothing elsewhere. This worker is
 * told as 0, which the client replaces by itself. Others are told only to a client on this very
 * host, and only those of this worker's user. The rest is hidden.
 */
#include "cuda-server/nvml.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "cuda-server/dispatch.h"
#include "cuda-server/limit.h"
#include "generated/cuda-api/nvml_rows.h"

#define LIBRARY "libnvidia-ml.so.1"

typedef void nvml_fn(void);

struct cudas_nvml {
    const char *path, *driver;
    pthread_mutex_t lock; /* of what follows; written once, then only read */
    bool is_open;
    nvmlReturn_t state; /* of the opening */
    void *library;
    nvml_fn *functions[CUC_NVML_CALLS];    /* NULL: the library does not have it */
    nvmlDevice_t devices[CUDAS_VGPUS_MAX]; /* as worker->vgpus; NULL: NVML does not know it */
};

enum fab_status cudas_nvml_create(const char *path, const char *driver,
                                  struct cudas_nvml **nvml_out, struct fab_err *err)
{
    struct cudas_nvml *nvml = fab_alloc_zeroed(1, sizeof(*nvml));

    if (!nvml)
        return fab_err_set(err, FAB_ERR_NOMEM, "management");
    nvml->path = path;
    nvml->driver = driver;
    (void)pthread_mutex_init(&nvml->lock, NULL);
    *nvml_out = nvml;
    return FAB_OK;
}

static nvml_fn *find(void *library, const char *name)
{
    void *address = dlsym(library, name);
    nvml_fn *fn;

    memcpy(&fn, &address, sizeof(fn)); /* ISO C has no cast for what POSIX promises of dlsym() */
    return fn;
}

void cudas_nvml_destroy(struct cudas_nvml *nvml)
{
    if (!nvml)
        return;
    if (nvml->library) {
        nvml_fn *shutdown = find(nvml->library, "nvmlShutdown");

        if (nvml->state == NVML_SUCCESS && shutdown)
            (void)((nvmlReturn_t(*)(void))shutdown)();
        (void)dlclose(nvml->library);
    }
    (void)pthread_mutex_destroy(&nvml->lock);
    free(nvml);
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static void *load(const struct cudas_nvml *nvml)
{
    const char *slash = nvml->driver ? strrchr(nvml->driver, '/') : NULL;
    char beside[4096];

    if (nvml->path)
        return dlopen(nvml->path, RTLD_NOW | RTLD_LOCAL);
    if (slash && (size_t)(slash - nvml->driver) < sizeof(beside) - sizeof("/" LIBRARY)) {
        (void)snprintf(beside, sizeof(beside), "%.*s/" LIBRARY, (int)(slash - nvml->driver),
                       nvml->driver);
        if (access(beside, R_OK) == 0)
            return dlopen(beside, RTLD_NOW | RTLD_LOCAL);
    }
    return dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

/* The driver counts devices in its own order: only the UUID names one in both libraries. */
static nvmlDevice_t device_of(struct cudas_worker *worker, CUdevice ordinal)
{
    nvml_fn *by_uuid = find(worker->nvml->library, "nvmlDeviceGetHandleByUUID");
    nvmlDevice_t device = NULL;
    char text[NVML_DEVICE_UUID_V2_BUFFER_SIZE];
    CUuuid uuid;

    if (!by_uuid || worker->cu.cuDeviceGetUuid_v2(&uuid, ordinal) != CUDA_SUCCESS)
        return NULL;
    cuc_nvml_put_uuid((const uint8_t *)uuid.bytes, text);
    return ((nvmlReturn_t(*)(const char *, nvmlDevice_t *))by_uuid)(text, &device) == NVML_SUCCESS
               ? device
               : NULL;
}

static nvmlReturn_t open_locked(struct cudas_worker *worker)
{
    struct cudas_nvml *nvml = worker->nvml;
    nvml_fn *init;
    nvmlReturn_t result;

    nvml->library = load(nvml);
    if (!nvml->library) {
        fab_log_warn(worker->log, "no NVML", "why %s", dlerror());
        return NVML_ERROR_LIBRARY_NOT_FOUND;
    }
    init = find(nvml->library, "nvmlInit_v2");
    if (!init)
        return NVML_ERROR_FUNCTION_NOT_FOUND;
    result = ((nvmlReturn_t(*)(void))init)();
    if (result != NVML_SUCCESS) {
        fab_log_warn(worker->log, "NVML does not start", "result %d", (int)result);
        return result;
    }
    for (uint32_t i = 0; i < CUC_NVML_CALLS; i++)
        if (cuc_nvml_rows[i].name)
            nvml->functions[i] = find(nvml->library, cuc_nvml_rows[i].name);
    for (uint32_t i = 0; i < worker->vgpu_count; i++)
        nvml->devices[i] = device_of(worker, worker->vgpus[i].device);
    return NVML_SUCCESS;
}

static nvmlReturn_t open_once(struct cudas_worker *worker)
{
    struct cudas_nvml *nvml = worker->nvml;

    (void)pthread_mutex_lock(&nvml->lock);
    if (!nvml->is_open)
        nvml->state = open_locked(worker);
    nvml->is_open = true;
    (void)pthread_mutex_unlock(&nvml->lock);
    return nvml->state;
}

/* ---- processes --------------------------------------------------------------------------------
 */

/* Source: proc(5), "/proc/[pid]/status": the second number of Uid is the effective one. */
static bool is_of_our_user(unsigned int pid)
{
    char path[40], line[128];
    unsigned int uid = 0;
    bool is_found = false;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%u/status", pid);
    file = fopen(path, "re");
    while (file && !is_found && fgets(line, sizeof(line), file))
        is_found = sscanf(line, "Uid: %*u %u", &uid) == 1;
    if (file)
        (void)fclose(file);
    return is_found && uid == geteuid();
}

/* Leaves those that the client may see, and returns their number. Each begins with its pid. */
static uint32_t keep_visible(struct cudas_worker *worker, uint8_t *list, uint32_t count,
                             size_t bytes)
{
    const bool is_here = atomic_load_explicit(&worker->same_host, memory_order_relaxed);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint8_t *entry = list + i * bytes;
        unsigned int pid;

        memcpy(&pid, entry, sizeof(pid));
        if (pid == (unsigned int)getpid())
            memset(entry, 0, sizeof(pid));
        else if (!is_here || !is_of_our_user(pid))
            continue;
        memmove(list + kept++ * bytes, entry, bytes);
    }
    return kept;
}

/* What a list of `found` is answered with, as NVML does it. */
static nvmlReturn_t fit(enum cuc_nvml_processes kind, uint32_t found, uint32_t room, bool has_list)
{
    if (kind == CUC_NVML_SAMPLES) {
        if (found == 0)
            return NVML_ERROR_NOT_FOUND;
        return has_list && room >= found ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
    }
    if (room < found)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    return has_list || found == 0 ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

/* Asks for all of them, whatever room the client has, so that its count is of what it may see. */
static nvmlReturn_t invoke_processes(struct cudas_worker *worker, const struct cuc_nvml_row *row,
                                     nvml_fn *fn, const union cuc_nvml_arg *args)
{
    const int list = cuc_nvml_array(row);
    const size_t bytes = row->params[list].bytes;
    const uint8_t count_at = row->params[list].count_at;
    union cuc_nvml_arg all[CUC_NVML_PARAMS_MAX];
    unsigned int count = (unsigned int)(CUC_NVML_ARRAY_MAX_BYTES / bytes), *room;
    nvmlReturn_t result;

    room = args[count_at].pointer;
    if (!room)
        return row->invoke(fn, args);
    memcpy(all, args, row->param_count * sizeof(*args));
    all[count_at].pointer = &count;
    all[list].pointer = fab_alloc_zeroed(1, CUC_NVML_ARRAY_MAX_BYTES);
    if (!all[list].pointer)
        return NVML_ERROR_MEMORY;
    result = row->invoke(fn, all);
    if (result == NVML_SUCCESS) {
        count = keep_visible(worker, all[list].pointer, count, bytes);
        result = fit(row->processes, count, *room, args[list].pointer != NULL);
        if (result == NVML_SUCCESS && count > 0)
            memcpy(args[list].pointer, all[list].pointer, count * bytes);
    }
    if (result == NVML_SUCCESS || result == NVML_ERROR_INSUFFICIENT_SIZE ||
        result == NVML_ERROR_NOT_FOUND)
        *room = count;
    free(all[list].pointer);
    return result;
}

bool cudas_nvml_process_bytes(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                              uint64_t *bytes_out)
{
    enum { PROCESSES_MAX = 1024 };
    nvmlProcessInfo_t *list = NULL;
    unsigned int count = PROCESSES_MAX;
    nvmlReturn_t result = open_once(worker);
    nvml_fn *fn = NULL;

    *bytes_out = 0;
    if (result == NVML_SUCCESS)
        fn = find(worker->nvml->library, "nvmlDeviceGetComputeRunningProcesses_v3");
    if (fn)
        list = fab_alloc_zeroed(PROCESSES_MAX, sizeof(*list));
    if (!list)
        return false;
    result = ((nvmlReturn_t(*)(nvmlDevice_t, unsigned int *, nvmlProcessInfo_t *))fn)(
        worker->nvml->devices[vgpu - worker->vgpus], &count, list);
    for (unsigned int i = 0; result == NVML_SUCCESS && i < count; i++)
        if (list[i].pid == (unsigned int)getpid())
            *bytes_out = list[i].usedGpuMemory;
    free(list);
    return result == NVML_SUCCESS && *bytes_out != UINT64_MAX; /* "not available" */
}

/* ---- the limit --------------------------------------------------------------------------------
 */

/* Memory of a device is that of the limit (F9). */
static void apply_limit(struct cudas_worker *worker, const struct cuc_nvml_row *row, uint32_t index,
                        const union cuc_nvml_arg *args)
{
    const struct cudas_vgpu *vgpu = cudas_vgpu_find(worker, index);
    nvmlMemory_t *memory = args[1].pointer;
    nvmlMemory_v2_t *memory_v2 = args[1].pointer;

    if (!vgpu || !memory)
        return;
    if (strcmp(row->name, "nvmlDeviceGetMemoryInfo") == 0) {
        memory->free = cudas_limit_free(worker, vgpu, memory->free);
        memory->total = cudas_limit_total(worker, vgpu, memory->total);
        memory->used = memory->total - memory->free;
    } else if (strcmp(row->name, "nvmlDeviceGetMemoryInfo_v2") == 0) {
        memory_v2->free = cudas_limit_free(worker, vgpu, memory_v2->free);
        memory_v2->total = cudas_limit_total(worker, vgpu, memory_v2->total);
        if (memory_v2->reserved > memory_v2->total - memory_v2->free)
            memory_v2->reserved = memory_v2->total - memory_v2->free;
        memory_v2->used = memory_v2->total - memory_v2->free - memory_v2->reserved;
    }
}

/* ---- a question -------------------------------------------------------------------------------
 */

/* False: a virtual GPU that this worker does not serve. */
static bool put_devices(struct cudas_worker *worker, const struct wire_nvml *ask,
                        const struct cuc_nvml_row *row, union cuc_nvml_arg *args, bool *known)
{
    const uint32_t vgpus[] = {ask->vgpu, ask->other};
    uint32_t next = 0;

    *known = true;
    for (uint32_t i = 0; i < row->param_count; i++) {
        const struct cudas_vgpu *vgpu;

        if (row->params[i].kind != CUC_NVML_DEVICE)
            continue;
        vgpu = next < FAB_ARRAY_LEN(vgpus) ? cudas_vgpu_find(worker, vgpus[next++]) : NULL;
        if (!vgpu)
            return false;
        args[i].pointer = worker->nvml->devices[vgpu - worker->vgpus];
        *known = *known && args[i].pointer;
    }
    return true;
}

/* False: malformed. `room` has CUC_NVML_BYTES_MAX zero bytes, and `output` as many. */
static bool answer(struct cudas_worker *worker, const struct wire_nvml *ask, uint8_t *room,
                   uint8_t *output, struct wire_nvml_reply *reply)
{
    const struct cuc_nvml_row *row = &cuc_nvml_rows[ask->function];
    union cuc_nvml_arg args[CUC_NVML_PARAMS_MAX];
    nvmlReturn_t result = open_once(worker);
    nvml_fn *fn = worker->nvml->functions[ask->function];
    bool is_known;

    if (!cuc_nvml_request_get(row, ask->nulls, ask->input, ask->input_count, room, args) ||
        !put_devices(worker, ask, row, args, &is_known))
        return false;
    if (result == NVML_SUCCESS && !is_known)
        result = NVML_ERROR_NOT_FOUND;
    if (result == NVML_SUCCESS && !fn)
        result = NVML_ERROR_FUNCTION_NOT_FOUND;
    if (result == NVML_SUCCESS)
        result = row->processes ? invoke_processes(worker, row, fn, args) : row->invoke(fn, args);
    if (result == NVML_SUCCESS)
        apply_limit(worker, row, ask->vgpu, args);
    reply->result = (int32_t)result;
    reply->output = output;
    reply->output_count = (uint32_t)cuc_nvml_reply_put(row, args, result, output);
    return true;
}

void cudas_on_nvml(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_nvml_reply reply = {.result = NVML_ERROR_LIB_RM_VERSION_MISMATCH};
    struct wire_parts parts;
    struct wire_nvml ask;
    uint8_t *room;

    if (!wire_get_nvml(command->bytes, command->size_bytes, &ask)) {
        cudas_malformed(worker, command);
        return;
    }
    if (ask.api_hash != CUC_NVML_HASH) {
        wire_put_nvml_reply(&reply, &parts);
        cudas_reply(worker, command, CUDA_SUCCESS, &parts);
        return;
    }
    room = fab_alloc_zeroed(2, CUC_NVML_BYTES_MAX);
    if (!room) {
        cudas_reply(worker, command, CUDA_ERROR_OUT_OF_MEMORY, NULL);
        return;
    }
    if (ask.function >= CUC_NVML_CALLS || !cuc_nvml_rows[ask.function].name ||
        !answer(worker, &ask, room, room + CUC_NVML_BYTES_MAX, &reply)) {
        cudas_malformed(worker, command);
    } else {
        wire_put_nvml_reply(&reply, &parts);
        cudas_reply(worker, command, CUDA_SUCCESS, &parts);
    }
    free(room);
}
