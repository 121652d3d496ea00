/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/image.c - gives a registered fat binary to the driver and takes it back.
 *
 * A library of the driver is not bound to a context: one load serves every device, and the driver
 * loads the code into a context when a kernel first runs there.
 */
#include "cuda-runtime/registry_int.h"

#include "cuda-runtime/registry.h"

/* What is wrong with the image itself and will be at the next try. */
static bool is_final(cudaError_t status)
{
    return status == cudaErrorInvalidKernelImage || status == cudaErrorNoKernelImageForDevice ||
           status == cudaErrorInvalidPtx || status == cudaErrorUnsupportedPtxVersion ||
           status == cudaErrorJitCompilationDisabled;
}

static cudaError_t load_library(struct crt_image *image, CUlibrary *library_out)
{
    CUlibraryOption options[] = {CU_LIBRARY_BINARY_IS_PRESERVED};
    void *values[] = {(void *)1}; /* the wrapper stays valid until it is unregistered */

    return CRT_DRV(LibraryLoadData, library_out, image->code, NULL, NULL, 0, options, values, 1);
}

/* Host code reads a managed variable through a pointer that we fill in. The symbol functions are
 * called with the variable's own address, so that becomes a key too. */
static cudaError_t publish_managed(struct crt_image *image, CUlibrary library)
{
    for (struct crt_symbol *symbol = image->symbols; symbol; symbol = symbol->next) {
        CUdeviceptr address = 0;
        size_t bytes = 0;
        cudaError_t status;

        if (symbol->kind != CRT_MANAGED || !symbol->managed)
            continue;
        status = CRT_DRV(LibraryGetManaged, &address, &bytes, library, symbol->name);
        if (status != cudaSuccess)
            return status;
        if (!crt_symbol_add(image, CRT_MANAGED, crt_pointer(address), symbol->name, bytes))
            return cudaErrorMemoryAllocation;
        *symbol->managed = crt_pointer(address);
    }
    return cudaSuccess;
}

static cudaError_t load_locked(struct crt_image *image)
{
    CUlibrary library = NULL;
    cudaError_t status = load_library(image, &library);

    if (status == cudaSuccess)
        status = publish_managed(image, library);
    if (status == cudaSuccess)
        atomic_store_explicit(&image->library, library, memory_order_release);
    else if (library)
        (void)CRT_DRV(LibraryUnload, library);
    if (is_final(status))
        image->refused = status;
    return status;
}

cudaError_t crt_image_load(struct crt_image *image)
{
    cudaError_t status = cudaSuccess;

    if (atomic_load_explicit(&image->library, memory_order_acquire))
        return cudaSuccess;
    (void)pthread_mutex_lock(&image->lock);
    if (image->refused != cudaSuccess)
        status = image->refused;
    else if (!image->library)
        status = load_locked(image);
    (void)pthread_mutex_unlock(&image->lock);
    return status;
}

void crt_image_unload(struct crt_image *image)
{
    CUlibrary library = atomic_load(&image->library);

    if (library && !crt_driver_is_leaving() && crt_driver_open() == cudaSuccess)
        (void)CRT_DRV(LibraryUnload, library); /* nobody is left to tell */
}
