/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/text.c - what kernels print.
 *
 * A worker sends text before the reply that ends its launch, so whoever waited for that finds it
 * here. The program's stdio streams are used, so that its own output keeps its place.
 */
#include "cuda-client/text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-client/remote.h"

enum {
    TO_STDERR = 2,
    KEPT_MAX_BYTES = 64 << 20, /* a program that never synchronises loses the oldest */
};

struct piece {
    struct piece *next;
    uint32_t stream, size_bytes;
    char bytes[];
};

static struct {
    pthread_mutex_t lock;
    struct piece *first, **last;
    size_t kept_bytes;
    _Atomic bool is_pending;
} text = {.lock = PTHREAD_MUTEX_INITIALIZER, .last = &text.first};

static void drop_oldest_locked(void)
{
    struct piece *piece = text.first;

    text.first = piece->next;
    if (!text.first)
        text.last = &text.first;
    text.kept_bytes -= piece->size_bytes;
    free(piece);
}

void cudac_on_text(struct cudac_worker *worker, const void *bytes, size_t size_bytes)
{
    struct wire_text message;
    struct piece *piece;

    if (!wire_get_text(bytes, size_bytes, &message)) {
        (void)cudac_worker_broken(worker, "a text does not decode");
        return;
    }
    piece = fab_alloc(sizeof(*piece) + message.bytes_count);
    if (!piece)
        return;
    *piece = (struct piece){.stream = message.stream, .size_bytes = message.bytes_count};
    if (message.bytes_count > 0)
        memcpy(piece->bytes, message.bytes, message.bytes_count);
    pthread_mutex_lock(&text.lock);
    *text.last = piece;
    text.last = &piece->next;
    text.kept_bytes += piece->size_bytes;
    while (text.kept_bytes > KEPT_MAX_BYTES)
        drop_oldest_locked();
    atomic_store_explicit(&text.is_pending, true, memory_order_release);
    pthread_mutex_unlock(&text.lock);
}

void cudac_text_flush(void)
{
    struct piece *first;

    if (!atomic_load_explicit(&text.is_pending, memory_order_acquire))
        return;
    pthread_mutex_lock(&text.lock);
    first = text.first;
    text.first = NULL;
    text.last = &text.first;
    text.kept_bytes = 0;
    atomic_store_explicit(&text.is_pending, false, memory_order_relaxed);
    while (first) { /* under the lock: another thread's text comes behind it */
        struct piece *next = first->next;

        (void)fwrite(first->bytes, 1, first->size_bytes,
                     first->stream == TO_STDERR ? stderr : stdout);
        free(first);
        first = next;
    }
    pthread_mutex_unlock(&text.lock);
}
