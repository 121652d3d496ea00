/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/nvml/fuzz_nvml.c - the parameters of NVML functions, as a worker and as a client read
 * them.
 *
 * An input is {function}{NULL parameters}{elements that the program has room for}{result} and the
 * bytes of a request, then of a reply. Room is given exactly, so that a sanitizer sees what is
 * written beyond it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "generated/cuda-api/nvml_rows.h"

enum { HEADER = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void as_worker(const struct cuc_nvml_row *row, uint32_t nulls, nvmlReturn_t result,
                      const uint8_t *bytes, size_t size_bytes)
{
    uint8_t *room = calloc(2, CUC_NVML_BYTES_MAX);
    union cuc_nvml_arg args[CUC_NVML_PARAMS_MAX];

    if (room && cuc_nvml_request_get(row, nulls, bytes, size_bytes, room, args) &&
        cuc_nvml_reply_put(row, args, result, room + CUC_NVML_BYTES_MAX) > CUC_NVML_BYTES_MAX)
        abort();
    free(room);
}

static size_t room_of(size_t bytes)
{
    return bytes > 0 ? bytes : 1;
}

static void as_client(const struct cuc_nvml_row *row, uint32_t nulls, unsigned int elements,
                      nvmlReturn_t result, const uint8_t *bytes, size_t size_bytes)
{
    const int array = cuc_nvml_array(row);
    union cuc_nvml_arg args[CUC_NVML_PARAMS_MAX];

    for (uint32_t i = 0; i < row->param_count; i++) {
        const bool is_count = array >= 0 && row->params[array].count_at == i;
        const size_t count = (int)i == array ? elements : 1;

        args[i] = (union cuc_nvml_arg){.value = is_count ? elements : 0};
        if (row->params[i].kind == CUC_NVML_VALUE)
            continue;
        args[i].pointer = NULL;
        if (!(nulls >> i & 1))
            args[i].pointer =
                calloc(1, room_of(count * row->params[i].bytes)); /* not a byte more */
        if (args[i].pointer && is_count)
            memcpy(args[i].pointer, &elements, sizeof(elements));
    }
    (void)!cuc_nvml_reply_get(row, args, result, bytes, size_bytes);
    for (uint32_t i = 0; i < row->param_count; i++)
        if (row->params[i].kind != CUC_NVML_VALUE)
            free(args[i].pointer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    const struct cuc_nvml_row *row;

    if (size_bytes < HEADER)
        return 0;
    row = &cuc_nvml_rows[data[0] % CUC_NVML_CALLS];
    if (!row->name)
        return 0;
    as_worker(row, data[1], (nvmlReturn_t)data[3], data + HEADER, size_bytes - HEADER);
    as_client(row, data[1], data[2], (nvmlReturn_t)data[3], data + HEADER, size_bytes - HEADER);
    return 0;
}
