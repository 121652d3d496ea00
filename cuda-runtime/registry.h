/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/registry.h - what compiled code has registered: images, kernels, variables.
 *
 * A kernel or a variable is found by its host address. Nothing is given to the driver before a
 * first use, unless CUDA_MODULE_LOADING=EAGER. Thread: any, locked.
 */
#ifndef CRT_REGISTRY_H
#define CRT_REGISTRY_H

#include "cuda-runtime/crt_int.h"

/* The driver's kernel for a host function, or for a handle that this runtime has given out
 * (cudaGetKernel, cudaLibraryGetKernel ...). Loads the image at its first use. Needs a context.
 * 98 for an address that nobody registered; the driver's refusal of the image otherwise. */
cudaError_t crt_kernel_find(const void *function, CUkernel *kernel_out);

/* A kernel handle that goes to the program: from now on it is also accepted as a function. */
cudaError_t crt_kernel_remember(CUkernel kernel);

/* Device address and size of a variable, on the current device. 13 for an unknown one. */
cudaError_t crt_variable_find(const void *symbol, CUdeviceptr *address_out, size_t *bytes_out);

/* Called whenever a thread gets a context: eager loading happens here. */
void crt_registry_context_ready(void);

/* Held over a fork, so that the child's exit handlers find the tables whole. The child does not
 * unlock but makes the lock anew: the owner's thread id is not the child's. */
void crt_registry_lock(void);
void crt_registry_unlock(void);
void crt_registry_renew_lock(void);

#endif /* CRT_REGISTRY_H */
