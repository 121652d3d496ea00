/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/nvml_row.c - see nvml_row.h.
 *
 * One walk over the parameters serves all four directions, so that both ends agree on the order.
 */
#include "cuda-common/nvml_row.h"

#include <string.h>

struct walk {
    uint8_t *to;         /* when bytes are put */
    const uint8_t *from; /* when they are taken */
    size_t left_bytes;
};

static size_t padded(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static bool move(struct walk *walk, void *data, size_t bytes)
{
    const size_t whole = padded(bytes);

    if (bytes == 0)
        return true; /* an empty message has no bytes to point to */
    if (whole > walk->left_bytes)
        return false;
    walk->left_bytes -= whole;
    if (walk->to) {
        memset(walk->to, 0, whole);
        memcpy(walk->to, data, bytes);
        walk->to += whole;
    } else {
        memcpy(data, walk->from, bytes);
        walk->from += whole;
    }
    return true;
}

static bool is_array(const struct cuc_nvml_row *row, uint32_t param)
{
    return row->params[param].count_at != param;
}

int cuc_nvml_array(const struct cuc_nvml_row *row)
{
    for (uint32_t i = 0; i < row->param_count; i++)
        if (is_array(row, i))
            return (int)i;
    return -1;
}

/* As the caller said it, without a limit. */
static uint32_t wanted_elements(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args,
                                uint32_t param)
{
    const uint32_t at = row->params[param].count_at;

    if (at == param)
        return 1;
    if (row->params[at].kind == CUC_NVML_VALUE)
        return (uint32_t)args[at].value;
    return args[at].pointer ? *(const unsigned int *)args[at].pointer : 0;
}

uint32_t cuc_nvml_elements(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args,
                           uint32_t param)
{
    const uint32_t wanted = wanted_elements(row, args, param);
    const uint32_t most = CUC_NVML_ARRAY_MAX_BYTES / row->params[param].bytes;

    return wanted < most ? wanted : most;
}

/* ---- requests ----------------------------------------------------------------------------------
 */

static bool walk_request(const struct cuc_nvml_row *row, union cuc_nvml_arg *args,
                         struct walk *walk)
{
    const int array = cuc_nvml_array(row);

    for (uint32_t i = 0; i < row->param_count; i++) {
        const struct cuc_nvml_param *param = &row->params[i];
        const bool goes = param->kind == CUC_NVML_INOUT && args[i].pointer && !is_array(row, i);

        if (param->kind == CUC_NVML_VALUE && !move(walk, &args[i].value, sizeof(args[i].value)))
            return false;
        if (goes && !move(walk, args[i].pointer, param->bytes))
            return false;
    }
    if (array < 0 || row->params[array].kind != CUC_NVML_INOUT || !args[array].pointer)
        return true;
    return move(walk, args[array].pointer,
                (size_t)cuc_nvml_elements(row, args, (uint32_t)array) * row->params[array].bytes);
}

bool cuc_nvml_request_put(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args,
                          uint8_t *to, size_t room_bytes, size_t *used, uint32_t *nulls)
{
    union cuc_nvml_arg copy[CUC_NVML_PARAMS_MAX];
    struct walk walk = {.to = to, .left_bytes = room_bytes};
    const int array = cuc_nvml_array(row);

    if (array >= 0 && row->params[array].kind == CUC_NVML_INOUT &&
        wanted_elements(row, args, (uint32_t)array) > cuc_nvml_elements(row, args, (uint32_t)array))
        return false;
    *nulls = 0;
    for (uint32_t i = 0; i < row->param_count; i++) {
        copy[i] = args[i];
        if (row->params[i].kind != CUC_NVML_VALUE && !args[i].pointer)
            *nulls |= 1u << i;
    }
    if (!walk_request(row, copy, &walk))
        return false;
    *used = room_bytes - walk.left_bytes;
    return true;
}

bool cuc_nvml_request_get(const struct cuc_nvml_row *row, uint32_t nulls, const uint8_t *bytes,
                          size_t size_bytes, uint8_t *room, union cuc_nvml_arg *args)
{
    struct walk walk = {.from = bytes, .left_bytes = size_bytes};
    const int array = cuc_nvml_array(row);

    for (uint32_t i = 0; i < row->param_count; i++) {
        args[i] = (union cuc_nvml_arg){.value = 0};
        if (row->params[i].bytes == 0 || (nulls >> i & 1))
            continue;
        args[i].pointer = room;
        room += is_array(row, i) ? CUC_NVML_ARRAY_MAX_BYTES : padded(row->params[i].bytes);
    }
    if (!walk_request(row, args, &walk) || walk.left_bytes != 0)
        return false;
    if (array >= 0 && row->params[row->params[array].count_at].kind == CUC_NVML_VALUE)
        args[row->params[array].count_at].value = cuc_nvml_elements(row, args, (uint32_t)array);
    return true;
}

/* ---- replies -----------------------------------------------------------------------------------
 */

/* `most`: elements that the array has room for. */
static bool walk_reply(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args,
                       nvmlReturn_t result, uint32_t most, struct walk *walk)
{
    const int array = cuc_nvml_array(row);
    uint32_t count;

    for (uint32_t i = 0; i < row->param_count; i++) {
        const struct cuc_nvml_param *param = &row->params[i];
        const bool comes = param->kind == CUC_NVML_INOUT ||
                           (param->kind == CUC_NVML_OUT && result == NVML_SUCCESS);

        if (comes && args[i].pointer && !is_array(row, i) &&
            !move(walk, args[i].pointer, param->bytes))
            return false;
    }
    if (array < 0 || !args[array].pointer || result != NVML_SUCCESS)
        return true;
    count = cuc_nvml_elements(row, args, (uint32_t)array);
    if (count > most)
        return false;
    return move(walk, args[array].pointer, (size_t)count * row->params[array].bytes);
}

size_t cuc_nvml_reply_put(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args,
                          nvmlReturn_t result, uint8_t *to)
{
    struct walk walk = {.to = to, .left_bytes = CUC_NVML_BYTES_MAX};

    return walk_reply(row, args, result, UINT32_MAX, &walk) ? CUC_NVML_BYTES_MAX - walk.left_bytes
                                                            : 0;
}

bool cuc_nvml_reply_get(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args,
                        nvmlReturn_t result, const uint8_t *bytes, size_t size_bytes)
{
    struct walk walk = {.from = bytes, .left_bytes = size_bytes};
    const int array = cuc_nvml_array(row);
    const uint32_t most = array < 0 ? 0 : cuc_nvml_elements(row, args, (uint32_t)array);

    if (!walk_reply(row, args, result, most, &walk) || walk.left_bytes != 0)
        return false;
    if (array >= 0 && row->params[array].bytes == 1 && args[array].pointer && most > 0 &&
        result == NVML_SUCCESS)
        ((char *)args[array].pointer)[most - 1] = '\0'; /* text ends, whatever a worker says */
    return true;
}
