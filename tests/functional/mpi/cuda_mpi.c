/* SPDX-License-Identifier: Apache-2.0
 * An MPI that takes device memory, made of one that does not: preloaded, it says so when asked
 * (MPIX_Query_cuda_support), and its MPI_Allreduce copies what lies on a device by cuMemcpy*, which
 * is the way that works with any driver. The distribution's MPI has no CUDA support to try.
 */
#include <cuda.h>
#include <dlfcn.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

FAB_EXPORT int
MPIX_Query_cuda_support(void); /* mpi-ext.h's own is a macro where there is no support */

static struct {
    CUresult (*attribute)(void *value, CUpointer_attribute attribute, CUdeviceptr address);
    CUresult (*to_host)(void *host, CUdeviceptr device, size_t bytes);
    CUresult (*to_device)(CUdeviceptr device, const void *host, size_t bytes);
} driver;

static void find(void *library, const char *name, void *function_out)
{
    void *found = dlsym(library, name);

    memcpy(function_out, &found, sizeof(found));
}

/* The driver that the program uses, if it uses one. */
static bool load(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);

    if (!library)
        return false;
    find(library, "cuPointerGetAttribute", &driver.attribute);
    find(library, "cuMemcpyDtoH_v2", &driver.to_host);
    find(library, "cuMemcpyHtoD_v2", &driver.to_device);
    return driver.attribute && driver.to_host && driver.to_device;
}

static bool is_on_device(CUdeviceptr address)
{
    unsigned type = 0;

    return load() &&
           driver.attribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address) == CUDA_SUCCESS &&
           type == CU_MEMORYTYPE_DEVICE;
}

int MPIX_Query_cuda_support(void)
{
    return 1;
}

/* In place, as train-mpi asks. */
FAB_EXPORT int MPI_Allreduce(const void *from, void *to, int count, MPI_Datatype type, MPI_Op op,
                             MPI_Comm comm)
{
    const CUdeviceptr device = (CUdeviceptr)(uintptr_t)to;
    int size = 0, status = MPI_ERR_OTHER;
    size_t bytes;
    void *host;

    if (from != MPI_IN_PLACE || !is_on_device(device))
        return PMPI_Allreduce(from, to, count, type, op, comm);
    (void)MPI_Type_size(type, &size);
    bytes = (size_t)count * (size_t)size;
    host = malloc(bytes);
    if (host && driver.to_host(host, device, bytes) == CUDA_SUCCESS)
        status = PMPI_Allreduce(MPI_IN_PLACE, host, count, type, op, comm);
    if (status == MPI_SUCCESS && driver.to_device(device, host, bytes) != CUDA_SUCCESS)
        status = MPI_ERR_OTHER;
    free(host);
    return status;
}
