/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/log.c - what stands behind cuLogs*: the last errors and warnings, as text and by
 * callback.
 *
 * Source: CUDA Driver API, Error Log Management Functions.
 */
#include "cuda-common/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-common/object.h"

enum {
    LINES_MAX = 100, /* kept; older ones go */
    DUMP_BYTES_MAX = 25600,
    CALLBACKS_MAX = 16, /* registered at a time */
    LINE_BYTES = 1024,
};

struct log_callback {
    struct cuc_object object;
    struct log_callback *next;
    CUlogsCallback fn;
    void *arg;
};

static struct {
    pthread_mutex_t lock;
    char *line[LINES_MAX]; /* ring: line number n is at n % LINES_MAX */
    unsigned next;         /* number of the next line */
    struct log_callback *callbacks;
    size_t callback_count; /* at most CALLBACKS_MAX */
} journal = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* References to the callbacks of this moment, the newest first: they run without the lock, since
 * they may call cuLogs functions themselves. Returns how many of `list` are filled. */
static size_t take_callbacks_locked(struct log_callback *list[CALLBACKS_MAX])
{
    size_t count = 0;

    for (struct log_callback *at = journal.callbacks; at; at = at->next) {
        cuc_object_ref(&at->object);
        list[count++] = at;
    }
    return count;
}

void cuc_log_add(CUlogLevel level, const char *line)
{
    char *kept = fab_alloc_text(line);
    struct log_callback *callbacks[CALLBACKS_MAX];
    size_t count;

    pthread_mutex_lock(&journal.lock);
    if (kept) {
        free(journal.line[journal.next % LINES_MAX]);
        journal.line[journal.next++ % LINES_MAX] = kept;
    }
    count = take_callbacks_locked(callbacks);
    pthread_mutex_unlock(&journal.lock);
    for (size_t i = 0; i < count; i++) {
        char copy[256];

        (void)snprintf(copy, sizeof(copy), "%s", line);
        callbacks[i]->fn(callbacks[i]->arg, level, copy, strlen(copy));
        cuc_object_put(&callbacks[i]->object);
    }
}

static void callback_destroy(struct cuc_object *object)
{
    free(object);
}

CUresult cuc_log_callback_register(CUlogsCallback callbackFunc, void *userData,
                                   CUlogsCallbackHandle *callback_out)
{
    struct log_callback *callback;
    CUresult result;

    if (!callbackFunc)
        return CUDA_ERROR_INVALID_VALUE;
    callback = fab_alloc_zeroed(1, sizeof(*callback));
    if (!callback)
        return CUDA_ERROR_OUT_OF_MEMORY;
    callback->fn = callbackFunc;
    callback->arg = userData;
    result = cuc_object_register(&callback->object, CUC_CALLBACK, callback_destroy);
    if (result != CUDA_SUCCESS) {
        free(callback);
        return result;
    }
    if (callback_out)
        *callback_out = (CUlogsCallbackHandle)(uintptr_t)callback->object.handle;
    pthread_mutex_lock(&journal.lock);
    if (journal.callback_count == CALLBACKS_MAX) {
        pthread_mutex_unlock(&journal.lock);
        if (cuc_object_retire(&callback->object))
            cuc_object_put(&callback->object);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    callback->next = journal.callbacks;
    journal.callbacks = callback;
    journal.callback_count++;
    pthread_mutex_unlock(&journal.lock);
    return CUDA_SUCCESS;
}

CUresult cuc_log_callback_unregister(CUlogsCallbackHandle handle)
{
    struct log_callback **at;

    pthread_mutex_lock(&journal.lock);
    for (at = &journal.callbacks; *at && (*at)->object.handle != (uint64_t)(uintptr_t)handle;)
        at = &(*at)->next;
    if (*at) {
        struct log_callback *callback = *at;

        *at = callback->next;
        journal.callback_count--;
        if (cuc_object_retire(&callback->object))
            cuc_object_put(&callback->object);
        pthread_mutex_unlock(&journal.lock);
        return CUDA_SUCCESS;
    }
    pthread_mutex_unlock(&journal.lock);
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuc_log_current(CUlogIterator *iterator_out, unsigned int flags)
{
    if (!iterator_out || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&journal.lock);
    *iterator_out = journal.next;
    pthread_mutex_unlock(&journal.lock);
    return CUDA_SUCCESS;
}

static unsigned first_line_locked(const CUlogIterator *iterator)
{
    unsigned oldest = journal.next > LINES_MAX ? journal.next - LINES_MAX : 0;

    return iterator && *iterator > oldest ? *iterator : oldest;
}

CUresult cuc_log_dump_to_file(CUlogIterator *iterator, const char *pathToFile, unsigned int flags)
{
    FILE *file;

    if (!pathToFile || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    file = fopen(pathToFile, "we");
    if (!file)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&journal.lock);
    for (unsigned i = first_line_locked(iterator); i < journal.next; i++)
        (void)fprintf(file, "%s\n", journal.line[i % LINES_MAX]);
    if (iterator)
        *iterator = journal.next;
    pthread_mutex_unlock(&journal.lock);
    return fclose(file) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}

/* The newest lines that fit, in order; *size then says how much is used, with the NUL. */
CUresult cuc_log_dump_to_memory(CUlogIterator *iterator, char *buffer, size_t *size,
                                unsigned int flags)
{
    size_t room, used = 0;
    unsigned first;

    if (!buffer || !size || *size == 0 || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    room = *size < DUMP_BYTES_MAX ? *size : DUMP_BYTES_MAX;
    pthread_mutex_lock(&journal.lock);
    first = journal.next;
    for (size_t needed = 1; first > first_line_locked(iterator); first--) {
        needed += strlen(journal.line[(first - 1) % LINES_MAX]) + 1;
        if (needed > room)
            break;
    }
    for (unsigned i = first; i < journal.next; i++)
        used += (size_t)snprintf(buffer + used, room - used, "%s\n", journal.line[i % LINES_MAX]);
    buffer[used] = '\0';
    if (iterator)
        *iterator = journal.next;
    pthread_mutex_unlock(&journal.lock);
    *size = used + 1;
    return CUDA_SUCCESS;
}

void cuc_say(CUlogLevel level, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    (void)fprintf(stderr, "%s\n", line);
    cuc_log_add(level, line);
}
