/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-runtime/fake_cuda.c - a driver that only takes notes (fake_cuda.h).
 *
 * Every function that the runtime may ask for exists (its own list, cuda-runtime/driver.h). Those
 * whose answer matters are written out below; all others note their name and succeed.
 */
#include "fake_cuda.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "cuda-runtime/driver.h"

enum { LOG_BYTES = 1 << 16, MAX_RULES = 16, MAX_HANDLES = 1024 };

static struct {
    pthread_mutex_t lock;
    char text[LOG_BYTES], taken[LOG_BYTES];
    size_t used;
    struct {
        const char *name;
        int result;
    } rules[MAX_RULES];
    size_t rule_count;
    const char *kernels[MAX_HANDLES]; /* handle - 1 */
    size_t kernel_count;
    unsigned next_handle;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .next_handle = 0x100};

static __thread CUcontext current;

static void append(const char *line)
{
    const char *path = getenv("FAKE_CUDA_LOG");
    size_t bytes = strlen(line);

    (void)pthread_mutex_lock(&fake.lock);
    if (fake.used + bytes < LOG_BYTES) {
        memcpy(fake.text + fake.used, line, bytes + 1);
        fake.used += bytes;
    }
    (void)pthread_mutex_unlock(&fake.lock);
    if (path) {
        int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

        if (file < 0 || write(file, line, bytes) != (ssize_t)bytes)
            abort();
        (void)close(file);
    }
}

/* Notes one call and says what it answers. */
static CUresult note(const char *name, const char *format, ...) FAB_PRINTF(2, 3);
static CUresult note(const char *name, const char *format, ...)
{
    char line[512];
    int used = snprintf(line, sizeof(line), "%s", name);
    va_list args;

    va_start(args, format);
    used += vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
    va_end(args);
    line[used] = '\n';
    line[used + 1] = '\0';
    append(line);
    for (size_t i = 0; i < fake.rule_count; i++)
        if (strcmp(fake.rules[i].name, name) == 0)
            return (CUresult)fake.rules[i].result;
    return CUDA_SUCCESS;
}

static void *handle(void)
{
    return (void *)(uintptr_t)__atomic_add_fetch(&fake.next_handle, 1, __ATOMIC_RELAXED);
}

static const char *take_log(void)
{
    (void)pthread_mutex_lock(&fake.lock);
    memcpy(fake.taken, fake.text, fake.used + 1);
    fake.used = 0;
    fake.text[0] = '\0';
    (void)pthread_mutex_unlock(&fake.lock);
    return fake.taken;
}

static void answer(const char *name, int result)
{
    for (size_t i = 0; i < fake.rule_count; i++)
        if (strcmp(fake.rules[i].name, name) == 0) {
            fake.rules[i].result = result;
            return;
        }
    if (fake.rule_count == MAX_RULES)
        abort();
    fake.rules[fake.rule_count].name = name;
    fake.rules[fake.rule_count++].result = result;
}

extern const struct fake_cuda fake_cuda;
FAB_EXPORT const struct fake_cuda fake_cuda = {.take_log = take_log, .answer = answer};

/* Every name in both default-stream forms, with no parameters read: the caller's are ignored. */
#define NOTE_ONLY(name, version)                                                                   \
    static CUresult note_##name(void)                                                              \
    {                                                                                              \
        return note("cu" #name, "%s", "");                                                         \
    }
CRT_DRIVER_LIST(NOTE_ONLY)
CRT_DRIVER_PTDS_LIST(NOTE_ONLY)
CRT_DRIVER_PLAIN_LIST(NOTE_ONLY)
#undef NOTE_ONLY

static int device_count(void)
{
    const char *text = getenv("FAKE_CUDA_DEVICES");

    return text ? (int)strtol(text, NULL, 10) : 2;
}

static CUresult init(unsigned flags)
{
    CUresult result = note("cuInit", " flags=%u", flags);

    return result == CUDA_SUCCESS && device_count() == 0 ? CUDA_ERROR_NO_DEVICE : result;
}

static CUresult driver_get_version(int *version)
{
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}

static CUresult device_get_count(int *count)
{
    *count = device_count();
    return CUDA_SUCCESS;
}

static CUresult device_get(CUdevice *device, int ordinal)
{
    *device = ordinal;
    return ordinal >= 0 && ordinal < device_count() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

static CUresult device_get_name(char *name, int bytes, CUdevice device)
{
    (void)snprintf(name, (size_t)bytes, "Fake GPU %d", device);
    return CUDA_SUCCESS;
}

static CUresult device_total_mem(size_t *bytes, CUdevice device)
{
    *bytes = (size_t)(device + 1) << 30;
    return CUDA_SUCCESS;
}

static CUresult device_get_uuid(CUuuid *uuid, CUdevice device)
{
    memset(uuid->bytes, 'a' + device, sizeof(uuid->bytes));
    return CUDA_SUCCESS;
}

/* The limits of a launch; any other attribute answers its own number, so that a mix-up shows. */
static CUresult device_get_attribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    (void)device;
    *value = (int)attribute;
    if (attribute >= CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK &&
        attribute <= CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y)
        *value = FAKE_MAX_THREADS;
    else if (attribute == CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X)
        *value = INT32_MAX;
    else if (attribute == CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y ||
             attribute == CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z)
        *value = FAKE_MAX_GRID_YZ;
    return CUDA_SUCCESS;
}

static CUcontext primary_of(CUdevice device)
{
    return (CUcontext)(uintptr_t)(0xc000 + device);
}

static CUresult primary_retain(CUcontext *context, CUdevice device)
{
    *context = primary_of(device);
    return note("cuDevicePrimaryCtxRetain", " device=%d", device);
}

static CUresult primary_reset(CUdevice device)
{
    return note("cuDevicePrimaryCtxReset", " device=%d", device);
}

static CUresult primary_get_state(CUdevice device, unsigned *flags, int *active)
{
    (void)device;
    *flags = 0;
    *active = 0;
    return CUDA_SUCCESS;
}

static CUresult primary_set_flags(CUdevice device, unsigned flags)
{
    return note("cuDevicePrimaryCtxSetFlags", " device=%d flags=%u", device, flags);
}

static CUresult ctx_get_current(CUcontext *context)
{
    *context = current;
    return CUDA_SUCCESS;
}

static CUresult ctx_set_current(CUcontext context)
{
    current = context;
    return note("cuCtxSetCurrent", " %#lx", (unsigned long)(uintptr_t)context);
}

static CUresult ctx_get_device(CUdevice *device)
{
    if (!current)
        return CUDA_ERROR_INVALID_CONTEXT;
    *device = (int)((uintptr_t)current & 0xff);
    return CUDA_SUCCESS;
}

static CUresult ctx_enable_peer(CUcontext peer, unsigned flags)
{
    return note("cuCtxEnablePeerAccess", " %#lx flags=%u", (unsigned long)(uintptr_t)peer, flags);
}

static CUresult library_load(CUlibrary *library, const void *code, CUjit_option *jit,
                             void **jit_values, unsigned jit_count, CUlibraryOption *options,
                             void **values, unsigned count)
{
    (void)code;
    (void)jit;
    (void)jit_values;
    (void)jit_count;
    *library = handle();
    return note("cuLibraryLoadData", " option=%d value=%d", count ? (int)options[0] : -1,
                count ? (int)(uintptr_t)values[0] : -1);
}

static CUresult library_get_kernel(CUkernel *kernel, CUlibrary library, const char *name)
{
    (void)library;
    if (strstr(name, "missing"))
        return CUDA_ERROR_NOT_FOUND;
    (void)pthread_mutex_lock(&fake.lock);
    if (fake.kernel_count == MAX_HANDLES)
        abort();
    fake.kernels[fake.kernel_count++] = name;
    *kernel = (CUkernel)(uintptr_t)fake.kernel_count;
    (void)pthread_mutex_unlock(&fake.lock);
    return note("cuLibraryGetKernel", " %s", name);
}

static const char *kernel_name(CUfunction function)
{
    uintptr_t number = (uintptr_t)function;
    const char *name = "?";

    (void)pthread_mutex_lock(&fake.lock);
    if (number && number <= fake.kernel_count)
        name = fake.kernels[number - 1];
    (void)pthread_mutex_unlock(&fake.lock);
    return name;
}

static CUresult library_get_variable(const char *call, CUdeviceptr *address, size_t *bytes,
                                     const char *name)
{
    static char storage[MAX_HANDLES][FAKE_VARIABLE_BYTES];
    static const char *names[MAX_HANDLES];
    size_t i = 0;

    while (i < MAX_HANDLES && names[i] && strcmp(names[i], name) != 0)
        i++;
    if (strstr(name, "missing") || i == MAX_HANDLES)
        return CUDA_ERROR_NOT_FOUND;
    names[i] = name;
    *address = (CUdeviceptr)(uintptr_t)storage[i];
    *bytes = FAKE_VARIABLE_BYTES;
    return note(call, " %s", name);
}

static CUresult library_get_global(CUdeviceptr *address, size_t *bytes, CUlibrary library,
                                   const char *name)
{
    (void)library;
    return library_get_variable("cuLibraryGetGlobal", address, bytes, name);
}

static CUresult library_get_managed(CUdeviceptr *address, size_t *bytes, CUlibrary library,
                                    const char *name)
{
    (void)library;
    return library_get_variable("cuLibraryGetManaged", address, bytes, name);
}

static CUresult kernel_get_attribute(int *value, CUfunction_attribute attribute, CUkernel kernel,
                                     CUdevice device)
{
    (void)kernel;
    (void)device;
    *value = 100 + (int)attribute;
    return CUDA_SUCCESS;
}

static CUresult launch(const char *name, CUfunction f, const unsigned g[3], const unsigned b[3],
                       unsigned shared_bytes, CUstream stream)
{
    CUresult result =
        note(name, " %s grid=%u,%u,%u block=%u,%u,%u shared=%u stream=%lu", kernel_name(f), g[0],
             g[1], g[2], b[0], b[1], b[2], shared_bytes, (unsigned long)(uintptr_t)stream);

    if (result == CUDA_SUCCESS &&
        (!g[0] || !g[1] || !g[2] || !b[0] || !b[1] || !b[2] || g[1] > FAKE_MAX_GRID_YZ ||
         (uint64_t)b[0] * b[1] * b[2] > FAKE_MAX_THREADS || shared_bytes > 227 * 1024))
        return CUDA_ERROR_INVALID_VALUE;
    return result;
}

static CUresult launch_kernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                              unsigned by, unsigned bz, unsigned shared_bytes, CUstream stream,
                              void **params, void **extra)
{
    (void)params;
    (void)extra;
    return launch("cuLaunchKernel", f, (unsigned[]){gx, gy, gz}, (unsigned[]){bx, by, bz},
                  shared_bytes, stream);
}

static CUresult launch_cooperative(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                                   unsigned by, unsigned bz, unsigned shared_bytes, CUstream stream,
                                   void **params)
{
    (void)params;
    return launch("cuLaunchCooperativeKernel", f, (unsigned[]){gx, gy, gz},
                  (unsigned[]){bx, by, bz}, shared_bytes, stream);
}

static CUresult launch_ex(const CUlaunchConfig *c, CUfunction f, void **params, void **extra)
{
    (void)params;
    (void)extra;
    for (unsigned i = 0; i < c->numAttrs; i++)
        (void)note("attribute", " %d x=%u", (int)c->attrs[i].id, c->attrs[i].value.clusterDim.x);
    return launch("cuLaunchKernelEx", f, (unsigned[]){c->gridDimX, c->gridDimY, c->gridDimZ},
                  (unsigned[]){c->blockDimX, c->blockDimY, c->blockDimZ}, c->sharedMemBytes,
                  c->hStream);
}

static CUresult launch_host(CUstream stream, CUhostFn function, void *user_data)
{
    CUresult result = note("cuLaunchHostFunc", " stream=%lu", (unsigned long)(uintptr_t)stream);

    if (result == CUDA_SUCCESS)
        function(user_data);
    return result;
}

static CUresult stream_add_callback(CUstream stream, CUstreamCallback callback, void *user_data,
                                    unsigned flags)
{
    CUresult result = note("cuStreamAddCallback", " stream=%lu flags=%u",
                           (unsigned long)(uintptr_t)stream, flags);

    if (result == CUDA_SUCCESS)
        callback(stream, CUDA_SUCCESS, user_data);
    return result;
}

static CUresult mem_alloc(CUdeviceptr *address, size_t bytes)
{
    CUresult result = note("cuMemAlloc", " %zu", bytes);

    if (result == CUDA_SUCCESS)
        *address = (CUdeviceptr)(uintptr_t)calloc(1, bytes);
    return result;
}

static CUresult mem_alloc_pitch(CUdeviceptr *address, size_t *pitch, size_t width, size_t height,
                                unsigned element)
{
    *pitch = (width + 511) / 512 * 512;
    *address = (CUdeviceptr)(uintptr_t)calloc(height, *pitch);
    return note("cuMemAllocPitch", " %zux%zu element=%u", width, height, element);
}

static CUresult mem_alloc_managed(CUdeviceptr *address, size_t bytes, unsigned flags)
{
    *address = (CUdeviceptr)(uintptr_t)calloc(1, bytes);
    return note("cuMemAllocManaged", " %zu flags=%u", bytes, flags);
}

static CUresult mem_free(CUdeviceptr address)
{
    CUresult result = note("cuMemFree", "%s", "");

    if (result == CUDA_SUCCESS)
        free((void *)(uintptr_t)address);
    return result;
}

static CUresult mem_host_alloc(void **memory, size_t bytes, unsigned flags)
{
    *memory = calloc(1, bytes);
    return note("cuMemHostAlloc", " %zu flags=%u", bytes, flags);
}

static CUresult mem_free_host(void *memory)
{
    free(memory);
    return note("cuMemFreeHost", "%s", "");
}

static CUresult mem_alloc_async(CUdeviceptr *address, size_t bytes, CUstream stream)
{
    *address = (CUdeviceptr)(uintptr_t)calloc(1, bytes);
    return note("cuMemAllocAsync", " %zu stream=%lu", bytes, (unsigned long)(uintptr_t)stream);
}

static CUresult mem_free_async(CUdeviceptr address, CUstream stream)
{
    free((void *)(uintptr_t)address);
    return note("cuMemFreeAsync", " stream=%lu", (unsigned long)(uintptr_t)stream);
}

static CUresult mem_get_info(size_t *left, size_t *total)
{
    *left = 1000;
    *total = 2000;
    return note("cuMemGetInfo", "%s", "");
}

static CUresult mem_prefetch(CUdeviceptr address, size_t bytes, CUmemLocation location,
                             unsigned flags, CUstream stream)
{
    (void)address;
    return note("cuMemPrefetchAsync", " %zu to=%d,%d flags=%u stream=%lu", bytes,
                (int)location.type, location.id, flags, (unsigned long)(uintptr_t)stream);
}

static CUresult pointer_get_attributes(unsigned count, CUpointer_attribute *attributes,
                                       void **answers, CUdeviceptr address)
{
    /* One address is device memory, all others are unknown. */
    for (unsigned i = 0; i < count; i++) {
        if (attributes[i] == CU_POINTER_ATTRIBUTE_MEMORY_TYPE)
            *(unsigned *)answers[i] = address == 0x1000 ? CU_MEMORYTYPE_DEVICE : 0;
        else if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_POINTER)
            *(CUdeviceptr *)answers[i] = address == 0x1000 ? address : 0;
        else if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
            *(int *)answers[i] = address == 0x1000 ? 1 : -2;
    }
    return CUDA_SUCCESS;
}

static CUresult copy(const char *name, CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    CUresult result = note(name, " %zu", bytes);

    if (result == CUDA_SUCCESS)
        memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
    return result;
}

static CUresult copy_async(const char *name, CUdeviceptr to, CUdeviceptr from, size_t bytes,
                           CUstream stream)
{
    CUresult result = note(name, " %zu stream=%lu", bytes, (unsigned long)(uintptr_t)stream);

    if (result == CUDA_SUCCESS)
        memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
    return result;
}

#define COPY(function, name, to_type, from_type)                                                   \
    static CUresult function(to_type to, from_type from, size_t bytes)                             \
    {                                                                                              \
        return copy(name, (CUdeviceptr)(uintptr_t)to, (CUdeviceptr)(uintptr_t)from, bytes);        \
    }                                                                                              \
    static CUresult function##_async(to_type to, from_type from, size_t bytes, CUstream stream)    \
    {                                                                                              \
        return copy_async(name "Async", (CUdeviceptr)(uintptr_t)to, (CUdeviceptr)(uintptr_t)from,  \
                          bytes, stream);                                                          \
    }
COPY(copy_any, "cuMemcpy", CUdeviceptr, CUdeviceptr)
COPY(copy_htod, "cuMemcpyHtoD", CUdeviceptr, const void *)
COPY(copy_dtoh, "cuMemcpyDtoH", void *, CUdeviceptr)
COPY(copy_dtod, "cuMemcpyDtoD", CUdeviceptr, CUdeviceptr)

static CUresult copy_htod_ptds(CUdeviceptr to, const void *from, size_t bytes)
{
    return copy("cuMemcpyHtoD_ptds", to, (CUdeviceptr)(uintptr_t)from, bytes);
}

static CUresult copy_2d(const CUDA_MEMCPY2D *c)
{
    return note("cuMemcpy2DUnaligned", " %zux%zu types=%d,%d pitches=%zu,%zu", c->WidthInBytes,
                c->Height, (int)c->srcMemoryType, (int)c->dstMemoryType, c->srcPitch, c->dstPitch);
}

static CUresult copy_3d(const CUDA_MEMCPY3D *c)
{
    return note("cuMemcpy3D", " %zux%zux%zu types=%d,%d from=%zu,%zu,%zu heights=%zu,%zu",
                c->WidthInBytes, c->Height, c->Depth, (int)c->srcMemoryType, (int)c->dstMemoryType,
                c->srcXInBytes, c->srcY, c->srcZ, c->srcHeight, c->dstHeight);
}

static CUresult copy_peer(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                          CUcontext from_context, size_t bytes)
{
    (void)to;
    (void)from;
    return note("cuMemcpyPeer", " %zu to=%#lx from=%#lx", bytes,
                (unsigned long)(uintptr_t)to_context, (unsigned long)(uintptr_t)from_context);
}

static CUresult set_bytes(CUdeviceptr address, unsigned char value, size_t bytes)
{
    memset((void *)(uintptr_t)address, value, bytes);
    return note("cuMemsetD8", " %u %zu", value, bytes);
}

static CUresult set_rows(CUdeviceptr address, size_t pitch, unsigned char value, size_t width,
                         size_t rows)
{
    (void)address;
    return note("cuMemsetD2D8", " %u %zux%zu pitch=%zu", value, width, rows, pitch);
}

static CUresult stream_create(CUstream *stream, unsigned flags)
{
    *stream = handle();
    return note("cuStreamCreate", " flags=%u", flags);
}

static CUresult stream_create_with_priority(CUstream *stream, unsigned flags, int priority)
{
    *stream = handle();
    return note("cuStreamCreateWithPriority", " flags=%u priority=%d", flags, priority);
}

static CUresult stream_synchronize(CUstream stream)
{
    return note("cuStreamSynchronize", " stream=%lu", (unsigned long)(uintptr_t)stream);
}

static CUresult stream_query(CUstream stream)
{
    return note("cuStreamQuery", " stream=%lu", (unsigned long)(uintptr_t)stream);
}

static CUresult event_create(CUevent *event, unsigned flags)
{
    *event = handle();
    return note("cuEventCreate", " flags=%u", flags);
}

static CUresult event_record(CUevent event, CUstream stream)
{
    (void)event;
    return note("cuEventRecord", " stream=%lu", (unsigned long)(uintptr_t)stream);
}

static CUresult event_elapsed(float *ms, CUevent start, CUevent end)
{
    (void)start;
    (void)end;
    *ms = 1.5F;
    return note("cuEventElapsedTime", "%s", "");
}

/* The answers that matter, before the list of those that only take a note. */
static const struct {
    const char *name;
    bool per_thread;
    void (*function)(void);
} written[] = {
#define ROW(name, function)                                                                        \
    {                                                                                              \
        name, false, (void (*)(void))(function)                                                    \
    }
    ROW("cuInit", init),
    ROW("cuDriverGetVersion", driver_get_version),
    ROW("cuDeviceGetCount", device_get_count),
    ROW("cuDeviceGet", device_get),
    ROW("cuDeviceGetName", device_get_name),
    ROW("cuDeviceTotalMem", device_total_mem),
    ROW("cuDeviceGetUuid", device_get_uuid),
    ROW("cuDeviceGetAttribute", device_get_attribute),
    ROW("cuDevicePrimaryCtxRetain", primary_retain),
    ROW("cuDevicePrimaryCtxReset", primary_reset),
    ROW("cuDevicePrimaryCtxGetState", primary_get_state),
    ROW("cuDevicePrimaryCtxSetFlags", primary_set_flags),
    ROW("cuCtxGetCurrent", ctx_get_current),
    ROW("cuCtxSetCurrent", ctx_set_current),
    ROW("cuCtxGetDevice", ctx_get_device),
    ROW("cuCtxEnablePeerAccess", ctx_enable_peer),
    ROW("cuLibraryLoadData", library_load),
    ROW("cuLibraryGetKernel", library_get_kernel),
    ROW("cuLibraryGetGlobal", library_get_global),
    ROW("cuLibraryGetManaged", library_get_managed),
    ROW("cuKernelGetAttribute", kernel_get_attribute),
    ROW("cuLaunchKernel", launch_kernel),
    ROW("cuLaunchCooperativeKernel", launch_cooperative),
    ROW("cuLaunchKernelEx", launch_ex),
    ROW("cuLaunchHostFunc", launch_host),
    ROW("cuStreamAddCallback", stream_add_callback),
    ROW("cuMemAlloc", mem_alloc),
    ROW("cuMemAllocPitch", mem_alloc_pitch),
    ROW("cuMemAllocManaged", mem_alloc_managed),
    ROW("cuMemFree", mem_free),
    ROW("cuMemHostAlloc", mem_host_alloc),
    ROW("cuMemFreeHost", mem_free_host),
    ROW("cuMemAllocAsync", mem_alloc_async),
    ROW("cuMemFreeAsync", mem_free_async),
    ROW("cuMemGetInfo", mem_get_info),
    ROW("cuMemPrefetchAsync", mem_prefetch),
    ROW("cuPointerGetAttributes", pointer_get_attributes),
    ROW("cuMemcpy", copy_any),
    ROW("cuMemcpyAsync", copy_any_async),
    ROW("cuMemcpyHtoD", copy_htod),
    ROW("cuMemcpyHtoDAsync", copy_htod_async),
    ROW("cuMemcpyDtoH", copy_dtoh),
    ROW("cuMemcpyDtoHAsync", copy_dtoh_async),
    ROW("cuMemcpyDtoD", copy_dtod),
    ROW("cuMemcpyDtoDAsync", copy_dtod_async),
    ROW("cuMemcpy2DUnaligned", copy_2d),
    ROW("cuMemcpy3D", copy_3d),
    ROW("cuMemcpyPeer", copy_peer),
    ROW("cuMemsetD8", set_bytes),
    ROW("cuMemsetD2D8", set_rows),
    ROW("cuStreamCreate", stream_create),
    ROW("cuStreamCreateWithPriority", stream_create_with_priority),
    ROW("cuStreamSynchronize", stream_synchronize),
    ROW("cuStreamQuery", stream_query),
    ROW("cuEventCreate", event_create),
    ROW("cuEventRecord", event_record),
    ROW("cuEventElapsedTime", event_elapsed),
#undef ROW
    {"cuMemcpyHtoD", true, (void (*)(void))copy_htod_ptds},
};

static const struct {
    const char *name;
    void (*function)(void);
} noted[] = {
#define ROW(name, version) {"cu" #name, (void (*)(void))note_##name},
    CRT_DRIVER_LIST(ROW) CRT_DRIVER_PTDS_LIST(ROW) CRT_DRIVER_PLAIN_LIST(ROW)
#undef ROW
};

static void *find_function(const char *name, bool per_thread)
{
    void (*function)(void) = NULL;
    void *pointer;

    for (size_t i = 0; i < FAB_ARRAY_LEN(noted); i++)
        if (strcmp(noted[i].name, name) == 0)
            function = noted[i].function;
    for (size_t i = 0; i < FAB_ARRAY_LEN(written); i++)
        if (strcmp(written[i].name, name) == 0 && (!written[i].per_thread || per_thread))
            function = written[i].function;
    memcpy(&pointer, &function, sizeof(pointer));
    return pointer;
}

FAB_EXPORT CUresult CUDAAPI cuGetProcAddress_v2(const char *symbol, void **function, int version,
                                                cuuint64_t flags,
                                                CUdriverProcAddressQueryResult *status);
CUresult CUDAAPI cuGetProcAddress_v2(const char *symbol, void **function, int version,
                                     cuuint64_t flags, CUdriverProcAddressQueryResult *status)
{
    const char *hidden = getenv("FAKE_CUDA_LACKS");

    *function = find_function(symbol, flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
    if (hidden && strstr(hidden, symbol))
        *function = NULL;
    if (version < 2000)
        *function = NULL;
    if (status)
        *status = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
