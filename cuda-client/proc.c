/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/proc.c - cuGetProcAddress; the choice itself is cuda-api/proc.c's.
 */
#include "cuda-api/proc.h"

#include "generated/cuda-api/client_impl.h"
#include "generated/cuda-api/client_procs.h"

CUresult cudac_cuGetProcAddress_v2(const char *symbol, void **pfn, int cudaVersion,
                                   cuuint64_t flags, CUdriverProcAddressQueryResult *symbolStatus)
{
    const cuuint64_t known =
        CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
    enum capi_proc_status status;
    const struct capi_proc *proc;

    if (!pfn || !symbol || flags & ~known || flags == known)
        return CUDA_ERROR_INVALID_VALUE;
    proc = capi_proc_find(client_procs, client_proc_count, symbol, cudaVersion, flags, &status);
    *pfn = proc ? (void *)(uintptr_t)proc->fn : NULL; // NOLINT(performance-no-int-to-ptr)
    if (symbolStatus)
        *symbolStatus = (CUdriverProcAddressQueryResult)status;
    return proc || symbolStatus ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult cudac_cuGetProcAddress(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags)
{
    return cudac_cuGetProcAddress_v2(symbol, pfn, cudaVersion, flags, /* symbolStatus */ NULL);
}
