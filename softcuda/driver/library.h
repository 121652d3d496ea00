/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/library.h - libraries and their kernels, for library.c and kernel.c.
 */
#ifndef SOFTCUDA_DRIVER_LIBRARY_H
#define SOFTCUDA_DRIVER_LIBRARY_H

#include <pthread.h>
#include <stdint.h>

#include "cuda-common/object.h"
#include "softcuda/driver/module.h"

/* Lives as long as its library. */
struct soft_kernel {
    struct cuc_object object;
    struct soft_library *library;
    uint32_t index;                          /* in the image's entries */
    struct soft_function_settings *settings; /* by device ordinal; made when one is first set.
                                                Guarded by library->lock */
};

struct soft_library {
    struct cuc_object object;
    struct soft_image *image;
    struct soft_kernel *kernels;
    pthread_mutex_t lock; /* before a context's lock; guards what follows */
    struct soft_module **instances;
    uint32_t instance_count;
};

#endif /* SOFTCUDA_DRIVER_LIBRARY_H */
