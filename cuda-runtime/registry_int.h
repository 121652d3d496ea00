/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/registry_int.h - records of the registry, shared by registry.c and image.c.
 */
#ifndef CRT_REGISTRY_INT_H
#define CRT_REGISTRY_INT_H

#include <pthread.h>

#include "cuda-runtime/crt_int.h"

enum crt_symbol_kind { CRT_KERNEL, CRT_VARIABLE, CRT_MANAGED, CRT_HANDLE };

struct crt_image;

/* One registered name. Lives as long as its image. Thread: any; the atomics change at first use. */
struct crt_symbol {
    enum crt_symbol_kind kind;
    const void *key;  /* host address; of a managed variable that of its pointer, and its own */
    const char *name; /* the device name, kept by the object that registered it */
    struct crt_image *image;  /* NULL for CRT_HANDLE */
    struct crt_symbol *chain; /* next in the same hash bucket */
    struct crt_symbol *next;  /* next of the same image */
    _Atomic(CUkernel) kernel; /* CRT_KERNEL, CRT_HANDLE */
    void **managed;           /* CRT_MANAGED: the pointer that host code reads */
    size_t bytes;
};

/* One fat binary, between register and unregister. */
struct crt_image {
    const void *code; /* the wrapper record in the program */
    struct crt_symbol *symbols;
    struct crt_image *next;
    pthread_mutex_t lock;       /* serialises loading */
    _Atomic(CUlibrary) library; /* NULL until loaded */
    bool is_complete;           /* all is registered; under the registry's lock, as the next */
    bool tried_eagerly;
    cudaError_t refused; /* what the driver said of an image it can never take */
};

/* Loads the image if it is not yet; managed pointers are set then. Needs a context. */
cudaError_t crt_image_load(struct crt_image *image);

/* The driver's part of unregistering; nothing after the process has begun to exit. */
void crt_image_unload(struct crt_image *image);

/* Makes a record of the image (NULL for a handle) and adds it to the table, in front of others of
 * the same key. NULL without memory. Takes the registry's lock. */
struct crt_symbol *crt_symbol_add(struct crt_image *image, enum crt_symbol_kind kind,
                                  const void *key, const char *name, size_t bytes);

#endif /* CRT_REGISTRY_INT_H */
