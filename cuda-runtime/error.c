/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/error.c - names and texts of errors, the last error, the driver's numbers.
 */
#include "cuda-runtime/error_list.h"
#include "generated/cuda-runtime/crt_impl.h"

static const struct error_row {
    cudaError_t number;
    const char *name, *text;
} rows[] = {
#define ROW(name, text) {name, #name, text},
    CRT_ERROR_LIST(ROW)
#undef ROW
};

static const struct error_row *find_row(cudaError_t error)
{
    static const struct error_row unknown = {
        .name = "unrecognized error code",
        .text = "unrecognized error code",
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++)
        if (rows[i].number == error)
            return &rows[i];
    return &unknown;
}

const char *crt_cudaGetErrorName(cudaError_t error)
{
    return find_row(error)->name;
}

const char *crt_cudaGetErrorString(cudaError_t error)
{
    return find_row(error)->text;
}

/* A switch, so that the compiler finds an error that the list lacks. */
static bool is_runtime_error(int number)
{
    switch ((cudaError_t)number) {
#define KNOWN(name, text) case name:
        CRT_ERROR_LIST(KNOWN)
#undef KNOWN
        return true;
    }
    return false;
}

cudaError_t crt_status(CUresult result)
{
    if (FAB_LIKELY(result == CUDA_SUCCESS))
        return cudaSuccess;
    return is_runtime_error((int)result) ? (cudaError_t)result : cudaErrorUnknown;
}

/* Where the driver cannot be used, that is the answer of these two as well, however often. */
static cudaError_t last_error(bool take)
{
    cudaError_t error = crt_driver_open();

    if (error != cudaSuccess)
        return error;
    error = crt_self.last_error;
    if (take) /* what stays with the context is told again by the next call that meets it */
        crt_self.last_error = cudaSuccess;
    return error;
}

cudaError_t crt_cudaGetLastError(void)
{
    return last_error(/* take */ true);
}

cudaError_t crt_cudaPeekAtLastError(void)
{
    return last_error(/* take */ false);
}
