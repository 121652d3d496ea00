/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/text.c - the buffer of device printf.
 */
#include "softcuda/driver/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* A record's header is its length, with this bit for text of standard error. */
#define IS_ERROR UINT32_C(0x80000000)
enum { HEADER_BYTES = sizeof(uint32_t) };

void soft_text_init(struct soft_text *text)
{
    *text = (struct soft_text){.limit_bytes = SOFT_TEXT_DEFAULT_BYTES};
    (void)pthread_mutex_init(&text->lock, NULL);
}

void soft_text_fini(struct soft_text *text)
{
    free(text->ring);
    text->ring = NULL;
    text->used_bytes = 0;
    atomic_store_explicit(&text->pending, 0, memory_order_relaxed);
}

void soft_text_set_limit(struct soft_text *text, size_t limit_bytes)
{
    pthread_mutex_lock(&text->lock);
    text->limit_bytes = limit_bytes;
    pthread_mutex_unlock(&text->lock);
}

static void put_bytes(struct soft_text *text, const void *bytes, size_t count)
{
    size_t at = (text->first + text->used_bytes) % text->ring_bytes;
    size_t before_end = text->ring_bytes - at;
    size_t head = count < before_end ? count : before_end;

    memcpy(text->ring + at, bytes, head);
    memcpy(text->ring, (const uint8_t *)bytes + head, count - head);
    text->used_bytes += count;
}

static void get_bytes(struct soft_text *text, void *bytes_out, size_t count)
{
    size_t before_end = text->ring_bytes - text->first;
    size_t head = count < before_end ? count : before_end;

    memcpy(bytes_out, text->ring + text->first, head);
    memcpy((uint8_t *)bytes_out + head, text->ring, count - head);
    text->first = (text->first + count) % text->ring_bytes;
    text->used_bytes -= count;
}

static void drop_oldest(struct soft_text *text)
{
    uint32_t length;

    get_bytes(text, &length, HEADER_BYTES);
    length &= ~IS_ERROR;
    text->first = (text->first + length) % text->ring_bytes;
    text->used_bytes -= length;
    atomic_fetch_sub_explicit(&text->pending, 1, memory_order_relaxed);
}

static bool ring_ready(struct soft_text *text)
{
    if (text->used_bytes == 0 && text->ring_bytes != text->limit_bytes) {
        free(text->ring);
        text->ring = NULL;
    }
    if (!text->ring) {
        text->ring = fab_alloc(text->limit_bytes);
        text->ring_bytes = text->limit_bytes;
        text->first = 0;
    }
    return text->ring != NULL;
}

void soft_text_append(struct soft_text *text, bool is_error, const char *bytes, size_t length)
{
    uint32_t stored = (uint32_t)length | (is_error ? IS_ERROR : 0);

    if (length == 0)
        return;
    pthread_mutex_lock(&text->lock);
    if (ring_ready(text) && length + HEADER_BYTES <= text->ring_bytes) {
        while (text->ring_bytes - text->used_bytes < length + HEADER_BYTES)
            drop_oldest(text);
        put_bytes(text, &stored, HEADER_BYTES);
        put_bytes(text, bytes, length);
        atomic_fetch_add_explicit(&text->pending, 1, memory_order_release);
    }
    pthread_mutex_unlock(&text->lock);
}

void soft_text_flush(struct soft_text *text)
{
    if (atomic_load_explicit(&text->pending, memory_order_acquire) == 0)
        return;
    pthread_mutex_lock(&text->lock);
    while (text->used_bytes > 0) {
        char part[512];
        uint32_t length;
        FILE *stream;

        get_bytes(text, &length, HEADER_BYTES);
        stream = length & IS_ERROR ? stderr : stdout;
        length &= ~IS_ERROR;
        while (length > 0) {
            uint32_t count = length < sizeof(part) ? length : (uint32_t)sizeof(part);

            get_bytes(text, part, count);
            (void)fwrite(part, 1, count, stream);
            length -= count;
        }
        atomic_fetch_sub_explicit(&text->pending, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&text->lock);
}
