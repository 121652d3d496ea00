/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy_side.c - streams of our own at each context, for what other streams do there.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-client/copy.h"

struct side_stream {
    struct side_stream *next;
    const struct cudac_context *context;
    uint64_t key, id;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct side_stream *streams;

static CUresult side_new_locked(struct cudac_context *context, uint64_t key,
                                struct side_stream **side_out)
{
    const struct wire_stream_create message = {
        .stream = cudac_id_new(), .ctx = context->id, .flags = CU_STREAM_NON_BLOCKING, .is_own = 1};
    struct side_stream *side = fab_alloc(sizeof(*side));
    struct wire_parts parts;
    CUresult result;

    if (!side)
        return CUDA_ERROR_OUT_OF_MEMORY;
    wire_put_stream_create(&message, &parts);
    result = cudac_post(cudac_context_worker(context), WIRE_STREAM_CREATE, &parts, NULL);
    if (result != CUDA_SUCCESS) {
        free(side);
        return result;
    }
    *side = (struct side_stream){streams, context, key, message.stream};
    *side_out = streams = side;
    return CUDA_SUCCESS;
}

CUresult cudac_side_stream(struct cudac_context *context, uint64_t key, uint64_t *stream_out)
{
    struct side_stream *side;
    CUresult result = CUDA_SUCCESS;

    pthread_mutex_lock(&lock);
    for (side = streams; side && (side->context != context || side->key != key);)
        side = side->next;
    if (!side)
        result = side_new_locked(context, key, &side);
    if (result == CUDA_SUCCESS)
        *stream_out = side->id;
    pthread_mutex_unlock(&lock);
    return result;
}

/* The worker drops them with the context. */
void cudac_side_streams_forget(const struct cudac_context *context)
{
    pthread_mutex_lock(&lock);
    for (struct side_stream **at = &streams; *at;) {
        struct side_stream *side = *at;

        if (side->context != context) {
            at = &side->next;
            continue;
        }
        *at = side->next;
        free(side);
    }
    pthread_mutex_unlock(&lock);
}
