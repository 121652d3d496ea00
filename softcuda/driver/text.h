/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/text.h - the buffer of device printf: filled by kernels, printed at
 * synchronisation.
 */
#ifndef SOFTCUDA_DRIVER_TEXT_H
#define SOFTCUDA_DRIVER_TEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SOFT_TEXT_DEFAULT_BYTES = 1 << 20 }; /* CU_LIMIT_PRINTF_FIFO_SIZE at first */

/* A ring of records {u32 length, bytes}. Full: the oldest records make room, as CUDA documents. */
struct soft_text {
    pthread_mutex_t lock;
    uint8_t *ring; /* made at the first text */
    size_t ring_bytes, limit_bytes;
    size_t first, used_bytes;
    _Atomic size_t pending; /* records */
};

void soft_text_init(struct soft_text *text);
void soft_text_fini(struct soft_text *text);
void soft_text_set_limit(struct soft_text *text, size_t limit_bytes); /* at the next empty ring */

/* One record, for standard output or standard error. */
void soft_text_append(struct soft_text *text, bool is_error, const char *bytes, size_t length);

/* Writes what is there to stdout, in order. */
void soft_text_flush(struct soft_text *text);

#endif /* SOFTCUDA_DRIVER_TEXT_H */
