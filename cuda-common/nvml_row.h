/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/nvml_row.h - an NVML function as data, and its parameters as bytes.
 *
 * The client library forwards most NVML functions to a worker. What goes there: values, and what
 * pointers of in-out parameters point to. What comes back: in-out parameters always, the others and
 * arrays when the function succeeded. Single parameters first, then the array, each in the order of
 * the prototype and filled up to 8 bytes. Thread: any.
 */
#ifndef CUDA_COMMON_NVML_ROW_H
#define CUDA_COMMON_NVML_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "cuda-common/nvml.h"

enum {
    CUC_NVML_PARAMS_MAX = 4,
    CUC_NVML_ARRAY_MAX_BYTES = 65536, /* what is longer is cut (output) or refused (input) */
    CUC_NVML_BYTES_MAX = 131072,      /* of all parameters together */
};

enum cuc_nvml_kind { CUC_NVML_DEVICE, CUC_NVML_VALUE, CUC_NVML_OUT, CUC_NVML_INOUT };

/* What the array of a function has of processes. */
enum cuc_nvml_processes { CUC_NVML_NONE, CUC_NVML_RUNNING, CUC_NVML_SAMPLES };

struct cuc_nvml_param {
    uint8_t kind;     /* enum cuc_nvml_kind */
    uint8_t count_at; /* the parameter that says how many elements; its own index: one element */
    uint16_t bytes;   /* of an element; 0: no pointer */
};

union cuc_nvml_arg {
    uint64_t value; /* of a value, sign-extended */
    void *pointer;  /* of all others */
};

/* Calls `fn`, which has the row's prototype. */
typedef nvmlReturn_t cuc_nvml_invoke_fn(void (*fn)(void), const union cuc_nvml_arg *args);

struct cuc_nvml_row {
    const char *name;
    cuc_nvml_invoke_fn *invoke;
    struct cuc_nvml_param params[CUC_NVML_PARAMS_MAX];
    uint8_t param_count;
    bool is_measurement; /* changes by itself */
    enum cuc_nvml_processes processes;
};

/* The index of the array, or -1. */
int cuc_nvml_array(const struct cuc_nvml_row *row);
/* How many elements a parameter has, by the arguments, at most what CUC_NVML_ARRAY_MAX_BYTES hold.
 */
uint32_t cuc_nvml_elements(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args,
                           uint32_t param);

/* ---- the client's side */

/* False: an array that goes in is too long. Sets *nulls and *used. */
FAB_NODISCARD bool cuc_nvml_request_put(const struct cuc_nvml_row *row,
                                        const union cuc_nvml_arg *args, uint8_t *to,
                                        size_t room_bytes, size_t *used, uint32_t *nulls);
/* Into what `args` point to. False: not an answer to this; nothing beyond their room is touched. */
FAB_NODISCARD bool cuc_nvml_reply_get(const struct cuc_nvml_row *row,
                                      const union cuc_nvml_arg *args, nvmlReturn_t result,
                                      const uint8_t *bytes, size_t size_bytes);

/* ---- the worker's side */

/* Arguments that point into `room`: CUC_NVML_BYTES_MAX zero bytes, 8-aligned. Devices are left for
 * the caller. False: not a request for this. */
FAB_NODISCARD bool cuc_nvml_request_get(const struct cuc_nvml_row *row, uint32_t nulls,
                                        const uint8_t *bytes, size_t size_bytes, uint8_t *room,
                                        union cuc_nvml_arg *args);
/* Returns the bytes written to `to`, which has CUC_NVML_BYTES_MAX. */
size_t cuc_nvml_reply_put(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args,
                          nvmlReturn_t result, uint8_t *to);

/* ---- what an NVML library answers by itself (nvml_text.c) */

const char *cuc_nvml_error_text(nvmlReturn_t result);
/* Copies text, or NVML_ERROR_INSUFFICIENT_SIZE. */
nvmlReturn_t cuc_nvml_put_text(const char *from, char *text, unsigned int length);
/* The first word of a process's command line, cut to `length`. */
nvmlReturn_t cuc_nvml_process_name(unsigned int pid, char *name, unsigned int length);
/* "GPU-" and the 16 bytes; `text` has NVML_DEVICE_UUID_V2_BUFFER_SIZE. Returns text. */
const char *cuc_nvml_put_uuid(const uint8_t *uuid, char *text);
/* The texts of a bus id from its numbers, as NVML writes them. */
void cuc_nvml_put_bus_id(nvmlPciInfo_t *pci);

#endif /* CUDA_COMMON_NVML_ROW_H */
