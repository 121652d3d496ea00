/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/log.h - a driver's log of the last errors and warnings, as cuLogs* hands it out.
 * Thread: any.
 */
#ifndef CUDA_COMMON_LOG_H
#define CUDA_COMMON_LOG_H

#include <stddef.h>

#include <cuda.h>

#include "base/compiler.h"

/* Keeps the line and tells the callbacks. */
void cuc_log_add(CUlogLevel level, const char *line);
/* One line to stderr, and into the log. */
void cuc_say(CUlogLevel level, const char *format, ...) FAB_PRINTF(2, 3);

/* cuLogs*, with their checks. */
CUresult cuc_log_callback_register(CUlogsCallback callbackFunc, void *userData,
                                   CUlogsCallbackHandle *callback_out);
CUresult cuc_log_callback_unregister(CUlogsCallbackHandle handle);
CUresult cuc_log_current(CUlogIterator *iterator_out, unsigned int flags);
CUresult cuc_log_dump_to_file(CUlogIterator *iterator, const char *pathToFile, unsigned int flags);
CUresult cuc_log_dump_to_memory(CUlogIterator *iterator, char *buffer, size_t *size,
                                unsigned int flags);

#endif /* CUDA_COMMON_LOG_H */
