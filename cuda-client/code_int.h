/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/code_int.h - images, modules and libraries, for the files that load and look up.
 *
 * An image is code with what a worker said of it: names, parameters, attributes. A module is an
 * image in a context. A library is an image without a context, known to each worker that needs it;
 * its modules (instances) come to life per context. Look-ups are local.
 */
#ifndef CUDA_CLIENT_CODE_INT_H
#define CUDA_CLIENT_CODE_INT_H

#include <pthread.h>

#include "base/map.h"
#include "cuda-client/code.h"
#include "cuda-common/jit.h"

enum { CODE_HASH_BYTES = 32 };

/* ---- image.c -------------------------------------------------------------------------------- */

struct cudac_symbol {
    const char *name;
    struct cuc_params params;
    int attributes[CUDAC_FUNCTION_ATTRIBUTES];
    uint32_t flags; /* WIRE_FUNCTION_* */
};

/* The same for all contexts; references are counted. */
struct cudac_image {
    _Atomic uint32_t refs;
    const uint8_t *code; /* the program's own if it promised to keep it */
    size_t code_bytes;
    uint8_t *owned; /* NULL, or where `code` points to */
    uint8_t hash[CODE_HASH_BYTES];
    bool is_preserved;
    /* What the first load said. */
    uint32_t count, count_in_all;
    struct cudac_symbol *symbols;
    char *names;
    uint32_t *params;
    struct fab_map by_name; /* index + 1 */
    bool is_complete;       /* false: there are more functions than these */
};

/* What to tell of options to the worker's compiler. */
struct cudac_load {
    uint64_t id, ctx, first_function;
    unsigned option_count;
    const CUjit_option *options;
    void *const *values;
    struct cuc_jit *jit; /* NULL: no log wanted */
};

/* Measures and hashes code; copies it unless the program keeps it (is_preserved).
 * CUDA_ERROR_INVALID_IMAGE (with a line in the error log), CUDA_ERROR_OUT_OF_MEMORY. */
CUresult cudac_image_of_code(const void *code, size_t code_bytes, bool is_preserved,
                             struct cuc_jit *jit, struct cudac_image **image_out);
/* The same from a file. CUDA_ERROR_FILE_NOT_FOUND, CUDA_ERROR_OPERATING_SYSTEM. */
CUresult cudac_image_of_file(const char *path, struct cuc_jit *jit, struct cudac_image **image_out);
/* Has the worker load it, sending the code if it must, and takes what it says the first time. */
CUresult cudac_image_load(struct cudac_image *image, struct cudac_worker *worker,
                          const struct cudac_load *load);
/* Has the worker drop a module or library. What the driver says was said by a wait before. */
void cudac_image_unload(struct cudac_worker *worker, uint64_t id);
void cudac_image_put(struct cudac_image *image); /* takes NULL */
/* Index of a function, or -1. */
int cudac_image_find(const struct cudac_image *image, const char *name);

/* Ids for the functions of an image that is about to be loaded: how many is known afterwards. */
uint64_t cudac_function_ids_new(void);

/* ---- module.c ------------------------------------------------------------------------------- */

/* A call that may have the worker load code. Without room there it is made once more when pools of
 * the device gave back what they did not use. */
CUresult cudac_code_call(struct cudac_context *context, uint32_t op, const struct wire_parts *parts,
                         struct cudac_reply *reply);

struct cudac_library;

struct cudac_module {
    struct cuc_object object;
    struct cudac_context *context; /* holds a reference */
    struct cudac_image *image;     /* holds a reference */
    struct cudac_library *library; /* whose instance this is, or NULL */
    struct cudac_module *next;     /* in the context, guarded by its lock */
    uint64_t id;                   /* on the wire */
    struct cuc_device_limits limits;
    struct cudac_function *functions; /* by index in image->symbols */
    pthread_mutex_t lock;             /* guards what follows */
    struct fab_map globals;           /* struct cudac_global, also of names that are not there */
    struct cudac_late *late;
};

/* A function that the load's reply had no room for, found by name since. */
struct cudac_late {
    struct cudac_late *next;
    struct cudac_symbol symbol;
    char *name;
    uint32_t *params;
    struct cudac_function function;
};

struct cudac_global {
    uint64_t address, bytes;
    bool is_there, is_managed;
};

/* Takes over the caller's reference on the image, also on failure. The worker knows the module as
 * `id`, its functions from `first_function` on. */
CUresult cudac_module_new(struct cudac_context *context, struct cudac_image *image,
                          struct cudac_library *library, uint64_t id, uint64_t first_function,
                          struct cudac_module **module_out);
/* Forgets it here; the worker is told by the caller. The work of the context must be done. */
void cudac_module_forget(struct cudac_module *module);
CUmodule cudac_module_handle(const struct cudac_module *module);
CUfunction cudac_function_handle(const struct cudac_function *function);

/* Gives a function of the module its handle and what is known of it. */
CUresult cudac_function_init(struct cudac_module *module, struct cudac_function *function,
                             uint64_t id, const struct cudac_symbol *symbol);
/* Of all the module's functions, late ones too. CUDA_ERROR_NOT_FOUND. */
CUresult cudac_module_function(struct cudac_module *module, const char *name,
                               struct cudac_function **function_out);
/* late.c: asks the worker for one that the image does not list. CUDA_ERROR_NOT_FOUND. */
CUresult cudac_late_function(struct cudac_module *module, const char *name,
                             struct cudac_function **function_out);
/* Whether the worker knows such a kernel in a library. CUDA_ERROR_NOT_FOUND. */
CUresult cudac_late_symbol(struct cudac_worker *worker, uint64_t image, uint64_t function,
                           const char *name, struct cudac_late *late_out);
void cudac_late_fini(struct cudac_late *late);
void cudac_late_clear(struct cudac_module *module);

/* Address and size of a module-scope variable; CUDA_ERROR_NOT_FOUND. Outputs may be NULL. */
CUresult cudac_module_variable(struct cudac_module *module, const char *name, bool must_be_managed,
                               CUdeviceptr *address_out, size_t *bytes_out);

/* ---- library.c ------------------------------------------------------------------------------ */

/* Lives as long as its library. */
struct cudac_kernel {
    struct cuc_object object;
    struct cudac_library *library;
    struct cudac_kernel *next_late;        /* guarded by library->lock */
    struct cudac_late *late;               /* NULL: listed by the image */
    uint32_t index;                        /* in the image's symbols */
    int (*set)[CUDAC_FUNCTION_ATTRIBUTES]; /* by vgpu index; made when one is first set */
    uint64_t set_mask; /* of vgpus that `set` holds; both guarded by library->lock */
};

struct cudac_library {
    struct cuc_object object;
    struct cudac_image *image;
    struct cudac_kernel *kernels;
    uint64_t id, first_function; /* the same at every worker */
    pthread_mutex_t lock;        /* before a context's lock; guards what follows */
    struct cudac_module **instances;
    uint32_t instance_count;
    uint64_t loaded_mask; /* workers that have it */
    struct cudac_kernel *late;
};

const struct cudac_symbol *cudac_kernel_symbol(const struct cudac_kernel *kernel);
struct cudac_kernel *cudac_kernel_get(CUkernel handle); /* with one more reference; NULL */
/* A kernel's function in a context (NULL: the current one): loads its library there if needed. */
CUresult cudac_kernel_function(CUkernel handle, struct cudac_context *context,
                               struct cudac_function **function_out);
/* Has the worker know the library. */
CUresult cudac_library_need(struct cudac_library *library, struct cudac_worker *worker);
/* Called while a context closes: the library forgets its instance. */
void cudac_library_forget(struct cudac_library *library, struct cudac_module *module);

/* ---- function.c ----------------------------------------------------------------------------- */

/* What a first use does: an error of the code shows now. CUDA_ERROR_INVALID_PTX .. */
CUresult cudac_function_need(struct cudac_function *function);
/* Sets something at the worker; `attributes_out` (16, may be NULL) is what it then says. */
CUresult cudac_function_set(struct cudac_worker *worker, uint64_t id, uint32_t what,
                            CUfunction_attribute attribute, int value, uint32_t vgpu,
                            int *attributes_out);
CUresult cudac_params_info(const struct cuc_params *params, size_t index, size_t *offset_out,
                           size_t *size_out);
struct cuc_kernel_limits cudac_function_limits(const struct cudac_function *function);

#endif /* CUDA_CLIENT_CODE_INT_H */
