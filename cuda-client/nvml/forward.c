/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/nvml/forward.c - a question to a worker's NVML.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cuda-client/nvml/nvml_int.h"
#include "cuda-client/remote.h"
#include "generated/cuda-api/nvml_rows.h"

enum { SMALL_BYTES = 128 }; /* what a request without an array needs at most */

nvmlReturn_t cudac_nvml_refused(nvmlDevice_t device)
{
    nvmlReturn_t result = cudac_nvml_check(device, device);

    return result == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : result;
}

/* A worker of the system that still answers, for questions about no device. */
static uint32_t any_vgpu(void)
{
    const struct cudac_face *face = cudac_nvml_face();

    for (uint32_t i = 0; i < face->vgpu_count(); i++)
        if (face->vgpu_state(i) == CUDA_SUCCESS)
            return i;
    return 0;
}

/* Which worker, and what it is to be told of the devices. */
static nvmlReturn_t route(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args,
                          struct wire_nvml *ask, uint32_t *vgpu_out)
{
    uint32_t *const places[] = {&ask->vgpu, &ask->other};
    uint32_t found = 0;
    nvmlReturn_t result = cudac_nvml_ready();

    if (result != NVML_SUCCESS)
        return result;
    for (uint32_t i = 0; i < row->param_count && found < FAB_ARRAY_LEN(places); i++) {
        nvmlDevice_t device = args[i].pointer;

        if (row->params[i].kind != CUC_NVML_DEVICE)
            continue;
        result = cudac_nvml_check(device, device);
        if (result != NVML_SUCCESS)
            return result;
        *places[found++] = device->vgpu;
    }
    *vgpu_out = found > 0 ? ask->vgpu : any_vgpu();
    return NVML_SUCCESS;
}

/* Pid 0 is what serves this process. Others are of this host (cuda-server/nvml.c). */
static void name_processes(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args)
{
    const uint32_t list = (uint32_t)cuc_nvml_array(row);
    const uint32_t count = args[list].pointer ? cuc_nvml_elements(row, args, list) : 0;
    const unsigned int own = (unsigned int)getpid();

    for (uint32_t i = 0; i < count; i++) {
        uint8_t *entry = (uint8_t *)args[list].pointer + (size_t)i * row->params[list].bytes;
        unsigned int pid;

        memcpy(&pid, entry, sizeof(pid));
        if (pid == 0)
            memcpy(entry, &own, sizeof(own));
    }
}

static nvmlReturn_t send(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args,
                         const struct wire_nvml *ask, uint32_t vgpu)
{
    const struct cudac_face *face = cudac_nvml_face();
    struct wire_nvml_reply answer;
    struct cudac_reply reply;
    struct wire_parts parts;
    nvmlReturn_t result;

    wire_put_nvml(ask, &parts);
    switch ((int)face->ask(vgpu, WIRE_NVML, &parts, &reply)) {
    case CUDA_SUCCESS:
        break;
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
        return NVML_ERROR_GPU_IS_LOST;
    case CUDA_ERROR_OUT_OF_MEMORY:
        return NVML_ERROR_MEMORY;
    default:
        return NVML_ERROR_UNKNOWN;
    }
    if (wire_get_nvml_reply(reply.bytes, reply.size_bytes, &answer) &&
        cuc_nvml_reply_get(row, args, (nvmlReturn_t)answer.result, answer.output,
                           answer.output_count)) {
        result = (nvmlReturn_t)answer.result;
        if (result == NVML_SUCCESS && row->processes)
            name_processes(row, args);
    } else {
        face->broken(vgpu, "no answer of NVML");
        result = NVML_ERROR_GPU_IS_LOST;
    }
    face->reply_free(&reply);
    return result;
}

nvmlReturn_t cudac_nvml_forward(uint32_t number, const union cuc_nvml_arg *args)
{
    const struct cuc_nvml_row *row = &cuc_nvml_rows[number];
    const int array = cuc_nvml_array(row);
    const bool is_large = array >= 0 && row->params[array].kind == CUC_NVML_INOUT;
    struct wire_nvml ask = {.api_hash = CUC_NVML_HASH, .function = number};
    uint8_t small[SMALL_BYTES], *input = small;
    size_t used;
    uint32_t vgpu;
    nvmlReturn_t result = route(row, args, &ask, &vgpu);

    if (result != NVML_SUCCESS)
        return result;
    if (is_large)
        input = fab_alloc(CUC_NVML_BYTES_MAX);
    if (!input)
        return NVML_ERROR_MEMORY;
    if (cuc_nvml_request_put(row, args, input, is_large ? CUC_NVML_BYTES_MAX : SMALL_BYTES, &used,
                             &ask.nulls)) {
        ask.input = input;
        ask.input_count = (uint32_t)used;
        result = send(row, args, &ask, vgpu);
    } else {
        result = NVML_ERROR_INVALID_ARGUMENT;
    }
    if (is_large)
        free(input);
    return result;
}
