/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/library.c - libraries and kernels as handles of the program.
 *
 * The handles are the driver's. A kernel handle given out here is accepted wherever a host function
 * is, so it is noted in the registry.
 */
#include "cuda-runtime/registry.h"
#include "generated/cuda-runtime/crt_impl.h"

cudaError_t crt_cudaGetKernel(cudaKernel_t *kernelPtr, const void *entryFuncAddr)
{
    CUkernel kernel;
    cudaError_t status =
        kernelPtr ? crt_kernel_find(entryFuncAddr, &kernel) : cudaErrorInvalidValue;

    if (status == cudaSuccess)
        status = crt_kernel_remember(kernel);
    if (status == cudaSuccess)
        *kernelPtr = kernel;
    return status;
}

cudaError_t crt_cudaKernelSetAttributeForDevice(cudaKernel_t kernel, enum cudaFuncAttribute attr,
                                                int value, int device)
{
    CUdevice handle;
    cudaError_t status = crt_device_get(device, &handle);

    if (status != cudaSuccess)
        return status;
    return CRT_DRV(KernelSetAttribute, (CUfunction_attribute)attr, value, kernel, handle);
}

/* The option numbers of both APIs are the same (abi_check.c). */
cudaError_t crt_cudaLibraryLoadData(cudaLibrary_t *library, const void *code,
                                    enum cudaJitOption *jitOptions, void **jitOptionsValues,
                                    unsigned int numJitOptions,
                                    enum cudaLibraryOption *libraryOptions,
                                    void **libraryOptionValues, unsigned int numLibraryOptions)
{
    return CRT_DRV(LibraryLoadData, library, code, (CUjit_option *)jitOptions, jitOptionsValues,
                   numJitOptions, (CUlibraryOption *)libraryOptions, libraryOptionValues,
                   numLibraryOptions);
}

cudaError_t crt_cudaLibraryLoadFromFile(cudaLibrary_t *library, const char *fileName,
                                        enum cudaJitOption *jitOptions, void **jitOptionsValues,
                                        unsigned int numJitOptions,
                                        enum cudaLibraryOption *libraryOptions,
                                        void **libraryOptionValues, unsigned int numLibraryOptions)
{
    return CRT_DRV(LibraryLoadFromFile, library, fileName, (CUjit_option *)jitOptions,
                   jitOptionsValues, numJitOptions, (CUlibraryOption *)libraryOptions,
                   libraryOptionValues, numLibraryOptions);
}

cudaError_t crt_cudaLibraryUnload(cudaLibrary_t library)
{
    return CRT_DRV(LibraryUnload, library);
}

cudaError_t crt_cudaLibraryGetKernel(cudaKernel_t *pKernel, cudaLibrary_t library, const char *name)
{
    cudaError_t status = CRT_DRV(LibraryGetKernel, pKernel, library, name);

    return status == cudaSuccess ? crt_kernel_remember(*pKernel) : status;
}

cudaError_t crt_cudaLibraryGetKernelCount(unsigned int *count, cudaLibrary_t lib)
{
    return CRT_DRV(LibraryGetKernelCount, count, lib);
}

cudaError_t crt_cudaLibraryEnumerateKernels(cudaKernel_t *kernels, unsigned int numKernels,
                                            cudaLibrary_t lib)
{
    unsigned count = 0;
    cudaError_t status = CRT_DRV(LibraryEnumerateKernels, kernels, numKernels, lib);

    /* At most numKernels are written, at most as many as there are. */
    if (status == cudaSuccess)
        status = CRT_DRV(LibraryGetKernelCount, &count, lib);
    for (unsigned i = 0; i < count && i < numKernels && status == cudaSuccess; i++)
        status = crt_kernel_remember(kernels[i]);
    return status;
}

cudaError_t crt_cudaLibraryGetGlobal(void **dptr, size_t *bytes, cudaLibrary_t library,
                                     const char *name)
{
    return CRT_DRV(LibraryGetGlobal, (CUdeviceptr *)dptr, bytes, library, name);
}

cudaError_t crt_cudaLibraryGetManaged(void **dptr, size_t *bytes, cudaLibrary_t library,
                                      const char *name)
{
    return CRT_DRV(LibraryGetManaged, (CUdeviceptr *)dptr, bytes, library, name);
}

cudaError_t crt_cudaLibraryGetUnifiedFunction(void **fptr, cudaLibrary_t library,
                                              const char *symbol)
{
    return CRT_DRV(LibraryGetUnifiedFunction, fptr, library, symbol);
}
