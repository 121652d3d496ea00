/* SPDX-License-Identifier: Apache-2.0
 * cuda-api/proc.h - which function a cuGetProcAddress request means.
 *
 * Programs ask for a plain name and the CUDA version whose ABI they were compiled for; one name can
 * stand for several functions with different parameters. The table comes from the API description;
 * this file holds only the choice. It allocates nothing, locks nothing, and any thread may call it.
 */
#ifndef CUDA_API_PROC_H
#define CUDA_API_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One exported function. A table is sorted by name, then plain before per-thread, then version. */
struct capi_proc {
    const char *name;   /* without _v2, _ptds, _ptsz */
    int version;        /* CUDA version in which this ABI appeared, as 1000 * major + 10 * minor */
    bool is_per_thread; /* stream 0 means the calling thread's own default stream */
    bool is_implemented;
    void (*fn)(void);
};

/* Bits of the request; the numbers of CUdriverProcAddress_flags. */
enum {
    CAPI_PROC_LEGACY_STREAM = 1u << 0,
    CAPI_PROC_PER_THREAD_STREAM = 1u << 1,
};

/* The numbers of CUdriverProcAddressQueryResult. */
enum capi_proc_status {
    CAPI_PROC_FOUND = 0,
    CAPI_PROC_NOT_FOUND = 1,
    CAPI_PROC_VERSION_NOT_SUFFICIENT = 2, /* the name appeared in a later version than asked for */
};

/**
 * capi_proc_find - the newest ABI of a name that is not newer than the program.
 * @table, @count: borrowed, sorted as above.
 * @name:          as programs ask for it. NULL, "" and unknown names are not found.
 * @version:       the highest ABI version that the caller understands.
 * @flags:         CAPI_PROC_*. With PER_THREAD_STREAM a per-thread variant is preferred; a name
 *                 that has none for this version gives the plain function.
 * @status_out:    always set.
 *
 * A name whose chosen ABI is not implemented is not found: an older ABI would have other
 * parameters. Returns the row, or NULL when the status is not CAPI_PROC_FOUND.
 * Source: CUDA Driver API, Driver Entry Point Access, cuGetProcAddress.
 */
const struct capi_proc *capi_proc_find(const struct capi_proc *table, size_t count,
                                       const char *name, int version, uint64_t flags,
                                       enum capi_proc_status *status_out);

#endif /* CUDA_API_PROC_H */
