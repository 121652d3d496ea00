/* SPDX-License-Identifier: Apache-2.0
 * perf/cuda-table.h - driver functions of a library that the program opens itself.
 *
 *     #define FUNCTIONS(X) X(cuInit) X(cuMemAlloc)
 *     CUDA_TABLE(FUNCTIONS)            static struct cu: cu.cuInit(0); load_driver(path)
 *
 * Names are those that cuda.h makes of them: cuMemAlloc is cuMemAlloc_v2.
 */
#ifndef PERF_CUDA_TABLE_H
#define PERF_CUDA_TABLE_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include <cuda.h>

enum { CUDA_TABLE_MISSING = 3 }; /* exit status */

#define CUDA_TABLE(FUNCTIONS)                                                                      \
    static struct {                                                                                \
        FUNCTIONS(CUDA_TABLE_FIELD_)                                                               \
    } cu;                                                                                          \
    static void load_driver(const char *path)                                                      \
    {                                                                                              \
        void *library = cuda_table_open_(path);                                                    \
                                                                                                   \
        FUNCTIONS(CUDA_TABLE_LOAD_)                                                                \
    }

#define CUDA_TABLE_FIELD_(name) __typeof__(&name) name;
#define CUDA_TABLE_LOAD_(name)                                                                     \
    *(void **)&cu.name = cuda_table_find_(library, CUDA_TABLE_TEXT_(name));
#define CUDA_TABLE_TEXT_(name) #name

static inline void *cuda_table_open_(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (library)
        return library;
    (void)fprintf(stderr, "%s\n", dlerror());
    exit(CUDA_TABLE_MISSING);
}

static inline void *cuda_table_find_(void *library, const char *name)
{
    void *function = dlsym(library, name);

    if (function)
        return function;
    (void)fprintf(stderr, "%s\n", dlerror());
    exit(CUDA_TABLE_MISSING);
}

#endif /* PERF_CUDA_TABLE_H */
