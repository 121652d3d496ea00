/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/remote/nvml_dump.c - calls every NVML function of the description with right and
 * wrong arguments and prints all answers but measurements. Native and remote must be the same.
 *
 * Libraries are found by name, so that one program meets either. It has device memory itself, in
 * the same process, so that there is a process to list.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cuda.h>

#include "base/compiler.h"
#include "generated/cuda-api/nvml_rows.h"

typedef void any_fn(void);

enum { SELF = 1, OTHER = 2, FIELDS = 6, MEMORY_BYTES = 4 << 20 };

static void *nvml;

static any_fn *find(void *library, const char *name)
{
    void *address = dlsym(library, name);
    any_fn *fn;

    if (!address) {
        printf("%s is missing\n", name);
        exit(EXIT_FAILURE);
    }
    memcpy(&fn, &address, sizeof(fn));
    return fn;
}

static void *load(const char *name)
{
    void *library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);

    if (!library) {
        printf("%s\n", dlerror());
        exit(EXIT_FAILURE);
    }
    return library;
}

/* ---- one call ---------------------------------------------------------------------------------
 */

/* Every function has at most one array, and its elements are few. */
static _Alignas(8) uint8_t room[CUC_NVML_PARAMS_MAX][CUC_NVML_ARRAY_MAX_BYTES];

static void fill_array(const struct cuc_nvml_row *row, uint32_t array)
{
    static const unsigned int fields[FIELDS] = {NVML_FI_DEV_NVLINK_LINK_COUNT,
                                                NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON,
                                                NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
                                                NVML_FI_DEV_POWER_INSTANT,
                                                1,
                                                UINT32_MAX};

    for (uint32_t i = 0; row->params[array].kind == CUC_NVML_INOUT && i < FIELDS; i++)
        memcpy(room[array] + (size_t)i * row->params[array].bytes, &fields[i], sizeof(fields[i]));
}

/* Values of pids and times differ from run to run; what may be compared of them is kept. */
static void print_bytes(const struct cuc_nvml_row *row, uint32_t param, uint32_t elements)
{
    const size_t bytes = row->params[param].bytes;

    printf(" [");
    for (uint32_t i = 0; i < elements; i++) {
        uint8_t *element = room[param] + i * bytes;

        if (row->processes && cuc_nvml_array(row) == (int)param) {
            unsigned int pid;

            memcpy(&pid, element, sizeof(pid));
            pid = pid == (unsigned int)getpid() ? SELF : OTHER;
            memcpy(element, &pid, sizeof(pid));
        }
        for (size_t at = 0; at < bytes; at++)
            printf("%02x", element[at]);
    }
    printf("]");
}

static void print_outputs(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args,
                          nvmlReturn_t result)
{
    const int array = cuc_nvml_array(row);

    for (uint32_t i = 0; i < row->param_count; i++) {
        const bool is_array = (int)i == array;
        const bool is_said =
            result == NVML_SUCCESS || (row->params[i].kind == CUC_NVML_INOUT && !is_array);

        if (row->params[i].bytes == 0 || !args[i].pointer || !is_said)
            continue;
        if (is_array && row->params[i].bytes == 1)
            printf(" \"%s\"", (const char *)room[i]);
        else if (!row->is_measurement)
            print_bytes(row, i, is_array ? cuc_nvml_elements(row, args, i) : 1);
    }
}

/* `shape` chooses values, counts and NULL pointers. */
struct shape {
    uint32_t device[2];
    int64_t value[2];
    uint32_t count, word; /* elements of an array; what an in-out parameter begins with */
    uint32_t nulls;
};

static void call(const struct cuc_nvml_row *row, const nvmlDevice_t *devices,
                 const struct shape *shape)
{
    const int array = cuc_nvml_array(row);
    const int count_at = array < 0 ? -1 : row->params[array].count_at;
    union cuc_nvml_arg args[CUC_NVML_PARAMS_MAX];
    uint32_t next_device = 0, next_value = 0;
    nvmlReturn_t result;

    memset(room, 0, sizeof(room));
    for (uint32_t i = 0; i < row->param_count; i++) {
        const uint32_t first = (int)i == count_at ? shape->count : shape->word;

        if (row->params[i].kind == CUC_NVML_DEVICE) {
            args[i].pointer = devices[shape->device[next_device++]];
        } else if (row->params[i].kind == CUC_NVML_VALUE) {
            args[i].value =
                (int)i == count_at ? shape->count : (uint64_t)shape->value[next_value++ & 1];
        } else {
            args[i].pointer = shape->nulls >> i & 1 ? NULL : room[i];
            if (row->params[i].kind == CUC_NVML_INOUT && (int)i != array)
                memcpy(room[i], &first, sizeof(first));
        }
    }
    if (array >= 0)
        fill_array(row, (uint32_t)array);
    result = row->invoke(find(nvml, row->name), args);
    printf("%s(%u %u, %lld %lld, %u %#x, %u): %d", row->name, shape->device[0], shape->device[1],
           (long long)shape->value[0], (long long)shape->value[1], shape->count, shape->word,
           shape->nulls, (int)result);
    print_outputs(row, args, result);
    printf("\n");
}

/* ---- all of them ------------------------------------------------------------------------------
 */

static uint32_t kinds(const struct cuc_nvml_row *row, enum cuc_nvml_kind kind)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < row->param_count; i++)
        count += row->params[i].kind == kind;
    return count;
}

/* `devices` has one more that is no device. */
static void dump_function(const struct cuc_nvml_row *row, const nvmlDevice_t *devices,
                          uint32_t count)
{
    static const int64_t values[] = {0, 1, 2, 3, 4, 5, 17, 18, -1};
    static const uint32_t counts[] = {FIELDS, 0, 1, 96};
    const bool has_array = cuc_nvml_array(row) >= 0;
    const uint32_t firsts = kinds(row, CUC_NVML_DEVICE) > 0 ? count + 1 : 1;
    const uint32_t seconds = kinds(row, CUC_NVML_DEVICE) > 1 ? count + 1 : 1;
    const size_t some = kinds(row, CUC_NVML_VALUE) > 0 ? FAB_ARRAY_LEN(values) : 1;
    const size_t more = kinds(row, CUC_NVML_VALUE) > 1 ? FAB_ARRAY_LEN(values) : 1;
    struct shape shape = {.count = FIELDS, .word = nvmlMemory_v2};

    for (shape.device[0] = 0; shape.device[0] < firsts; shape.device[0]++)
        for (shape.device[1] = 0; shape.device[1] < seconds; shape.device[1]++)
            for (size_t i = 0; i < some * more; i++)
                for (size_t k = 0; k < (has_array ? FAB_ARRAY_LEN(counts) : 1); k++) {
                    shape.value[0] = values[i % some];
                    shape.value[1] = values[i / some];
                    shape.count = counts[k];
                    call(row, devices, &shape);
                }
    shape = (struct shape){.count = FIELDS, .word = 1};
    call(row, devices, &shape); /* a structure of another version */
    shape.word = nvmlMemory_v2;
    for (shape.nulls = 1; shape.nulls < 1u << row->param_count; shape.nulls++)
        call(row, devices, &shape);
}

static void dump_local(const nvmlDevice_t *devices, uint32_t count)
{
    nvmlDevice_t near[8];
    char text[96];

    for (uint32_t i = 0; i <= count; i++) {
        nvmlReturn_t (*get_number)(nvmlDevice_t, unsigned int *) =
            (nvmlReturn_t(*)(nvmlDevice_t, unsigned int *))find(nvml, "nvmlDeviceGetIndex");
        nvmlReturn_t (*get_uuid)(nvmlDevice_t, char *, unsigned int) =
            (nvmlReturn_t(*)(nvmlDevice_t, char *, unsigned int))find(nvml, "nvmlDeviceGetUUID");
        nvmlReturn_t (*get_near)(nvmlDevice_t, int, unsigned int *, nvmlDevice_t *) =
            (nvmlReturn_t(*)(nvmlDevice_t, int, unsigned int *, nvmlDevice_t *))find(
                nvml, "nvmlDeviceGetTopologyNearestGpus");
        unsigned int number = 99;
        int result = (int)get_number(devices[i], &number);

        memset(text, 0, sizeof(text));
        printf("device %u: %d %u, ", i, result, number);
        result = (int)get_uuid(devices[i], text, sizeof(text));
        printf("%d %s, %d\n", result, text, (int)get_uuid(devices[i], text, 8));
        for (int level = NVML_TOPOLOGY_INTERNAL; level <= NVML_TOPOLOGY_SYSTEM; level += 10) {
            number = 1 + i % 2;
            result = (int)get_near(devices[i], level, &number, near);
            printf("near %d: %d %u\n", level, result, number);
        }
    }
}

/* Something to list, by the other library of the same process. */
static void take_memory(void)
{
    void *cuda = load("libcuda.so.1");
    CUcontext context;
    CUdeviceptr memory;

    if (((CUresult(*)(unsigned int))find(cuda, "cuInit"))(0) != CUDA_SUCCESS ||
        ((CUresult(*)(CUcontext *, CUdevice))find(cuda, "cuDevicePrimaryCtxRetain"))(&context, 0) !=
            CUDA_SUCCESS ||
        ((CUresult(*)(CUcontext))find(cuda, "cuCtxSetCurrent"))(context) != CUDA_SUCCESS ||
        ((CUresult(*)(CUdeviceptr *, size_t))find(cuda, "cuMemAlloc_v2"))(&memory, MEMORY_BYTES) !=
            CUDA_SUCCESS) {
        printf("no device memory\n");
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    nvmlDevice_t devices[9] = {NULL};
    unsigned int count = 0;

    nvml = load("libnvidia-ml.so.1");
    for (uint32_t i = 0; i < CUC_NVML_CALLS; i++) /* too early */
        if (cuc_nvml_rows[i].name && kinds(&cuc_nvml_rows[i], CUC_NVML_DEVICE) > 0)
            call(&cuc_nvml_rows[i], devices, &(struct shape){.count = FIELDS});
    if (((nvmlReturn_t(*)(void))find(nvml, "nvmlInit_v2"))() != NVML_SUCCESS)
        return EXIT_FAILURE;
    take_memory();
    (void)((nvmlReturn_t(*)(unsigned int *))find(nvml, "nvmlDeviceGetCount_v2"))(&count);
    printf("%u devices\n", count);
    for (unsigned int i = 0; i < count && i < FAB_ARRAY_LEN(devices) - 1; i++)
        (void)((nvmlReturn_t(*)(unsigned int, nvmlDevice_t *))find(
            nvml, "nvmlDeviceGetHandleByIndex_v2"))(i, &devices[i]);
    dump_local(devices, count);
    for (uint32_t i = 0; i < CUC_NVML_CALLS; i++)
        if (cuc_nvml_rows[i].name)
            dump_function(&cuc_nvml_rows[i], devices, count);
    return EXIT_SUCCESS;
}
