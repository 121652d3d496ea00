/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/image.h - modules, libraries and their functions.
 */
#ifndef CUDA_SERVER_IMAGE_H
#define CUDA_SERVER_IMAGE_H

#include "cuda-server/context.h"

/* A module of a context, a library, or a library's module in a context (then the library is its
 * parent and the driver's handle is the library's). */
struct cudas_image {
    struct cudas_object object;
    struct cudas_worker *worker;
    union {
        CUmodule module;
        CUlibrary library;
    } handle;
};

struct cudas_function {
    struct cudas_object object; /* CUDAS_FUNCTION or CUDAS_KERNEL */
    struct cudas_worker *worker;
    union {
        CUfunction function;
        CUkernel kernel;
    } handle;
};

/* Describes functions for a reply: tails that grow until the reply is full. */
struct cudas_catalogue {
    struct fab_vec functions; /* struct wire_function */
    struct fab_vec params;    /* struct wire_param */
    struct fab_vec names;     /* bytes */
    bool is_full;
};
void cudas_catalogue_init(struct cudas_catalogue *catalogue);
void cudas_catalogue_fini(struct cudas_catalogue *catalogue);
/* Adds one; its name only if `with_name`. False: no room (is_full) or no memory. */
bool cudas_catalogue_add(struct cudas_catalogue *catalogue, const struct cudas_function *function,
                         bool with_name, bool with_params);

/* Makes the object of a function. `context` is NULL for kernels. */
CUresult cudas_function_add(struct cudas_worker *worker, uint64_t id, enum cudas_kind kind,
                            struct cudas_object *parent, struct cudas_context *context,
                            void *handle, struct cudas_function **function_out);
/* The function or kernel of that id with a reference, or NULL. */
struct cudas_function *cudas_function_get(struct cudas_worker *worker, uint64_t id);
/* All attributes as the driver has them, INT32_MIN where it does not. */
void cudas_function_attributes(const struct cudas_function *function, CUdevice device,
                               int32_t attributes_out[16]);
/* The device whose attributes a kernel shows. */
CUdevice cudas_function_device(const struct cudas_function *function, uint32_t vgpu);

#endif /* CUDA_SERVER_IMAGE_H */
