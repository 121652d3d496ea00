/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/pinned.c - see pinned.h.
 */
#include "cuda-server/pinned.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "cuda-server/context.h"

enum {
    PAGE_BYTES = 4096,
    WORD_STRIDE = 64, /* a cache line each: streams poll them */
    AREA_BYTES = 4 << 20,
    SMALL_AREA_BYTES = 1 << 20,
};

/* Waits end when the word is not below the value, counted round. */
struct cudas_word {
    struct fab_list link;
    uint32_t *at;
    CUdeviceptr device;
    uint32_t value;
};

struct area {
    struct fab_list link;
    void *bytes;
    size_t size_bytes;
};

void cudas_pinned_init(struct cudas_pinned *pinned)
{
    *pinned = (struct cudas_pinned){.slot_count = 0};
    fab_list_init(&pinned->areas);
    fab_list_init(&pinned->words);
    fab_list_init(&pinned->slots);
    fab_list_init(&pinned->small_slots);
}

static void free_slots(struct fab_list *slots)
{
    struct fab_list *node;

    while ((node = fab_list_take(slots)) != NULL)
        free(fab_list_object(node, struct cudas_slot, link));
}

void cudas_pinned_fini(struct cudas_pinned *pinned)
{
    struct fab_list *node;

    while ((node = fab_list_take(&pinned->words)) != NULL)
        free(fab_list_object(node, struct cudas_word, link));
    free_slots(&pinned->slots);
    free_slots(&pinned->small_slots);
    while ((node = fab_list_take(&pinned->areas)) != NULL) {
        struct area *area = fab_list_object(node, struct area, link);

        (void)munmap(area->bytes, area->size_bytes);
        free(area);
    }
}

/* New memory that the driver knows. The context is current. */
static CUresult area_make_locked(struct cudas_context *context, size_t bytes, void **bytes_out,
                                 CUdeviceptr *device_out)
{
    const struct cudas_driver *cu = &context->worker->cu;
    struct area *area = fab_alloc_zeroed(1, sizeof(*area));
    CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

    if (!area)
        return result;
    area->size_bytes = bytes;
    area->bytes = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area->bytes == MAP_FAILED) {
        free(area);
        return result;
    }
    result = cu->cuMemHostRegister_v2(area->bytes, bytes, CU_MEMHOSTREGISTER_DEVICEMAP);
    if (result == CUDA_SUCCESS)
        result = cu->cuMemHostGetDevicePointer_v2(device_out, area->bytes, 0);
    if (result != CUDA_SUCCESS) {
        (void)munmap(area->bytes, bytes);
        free(area);
        return result;
    }
    fab_list_append(&context->pinned.areas, &area->link);
    *bytes_out = area->bytes;
    return CUDA_SUCCESS;
}

/* ---- words ----------------------------------------------------------------------------------- */

static CUresult words_make_locked(struct cudas_context *context)
{
    CUdeviceptr device;
    void *bytes;
    CUresult result = area_make_locked(context, PAGE_BYTES, &bytes, &device);

    for (uint32_t at = 0; result == CUDA_SUCCESS && at < PAGE_BYTES; at += WORD_STRIDE) {
        struct cudas_word *word = fab_alloc_zeroed(1, sizeof(*word));

        if (!word)
            break; /* then fewer */
        word->at = (uint32_t *)(void *)((char *)bytes + at);
        word->device = device + at;
        fab_list_append(&context->pinned.words, &word->link);
    }
    return result;
}

CUresult cudas_wait_also(const struct cudas_wait *wait, CUstream stream)
{
    return wait->context->worker->cu.cuStreamWaitValue32_v2(
        stream, wait->word->device, wait->word->value, CU_STREAM_WAIT_VALUE_GEQ);
}

CUresult cudas_wait_begin(struct cudas_context *context, CUstream stream,
                          struct cudas_wait *wait_out)
{
    struct cudas_wait wait = {.context = context};
    struct fab_list *node;
    CUresult result = CUDA_SUCCESS;

    fab_mutex_lock(&context->lock);
    if (fab_list_is_empty(&context->pinned.words))
        result = words_make_locked(context);
    node = fab_list_take(&context->pinned.words);
    fab_mutex_unlock(&context->lock);
    if (!node)
        return result == CUDA_SUCCESS ? CUDA_ERROR_OUT_OF_MEMORY : result;
    wait.word = fab_list_object(node, struct cudas_word, link);
    wait.word->value++;
    cudas_object_ref(&context->object);
    if (stream) {
        result = cudas_wait_also(&wait, stream);
        if (result != CUDA_SUCCESS) {
            cudas_wait_end(&wait);
            return result;
        }
    }
    *wait_out = wait;
    return CUDA_SUCCESS;
}

void cudas_wait_end(struct cudas_wait *wait)
{
    struct cudas_context *context = wait->context;

    if (!context)
        return;
    __atomic_store_n(wait->word->at, wait->word->value, __ATOMIC_RELEASE);
    fab_mutex_lock(&context->lock);
    fab_list_append(&context->pinned.words, &wait->word->link);
    fab_mutex_unlock(&context->lock);
    *wait = (struct cudas_wait){.context = NULL};
    cudas_context_put(context);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static void slots_make_locked(struct cudas_context *context, size_t size_bytes)
{
    struct cudas_pinned *pinned = &context->pinned;
    const bool is_small = size_bytes == CUDAS_SMALL_SLOT_BYTES;
    const size_t area_bytes = is_small ? SMALL_AREA_BYTES : AREA_BYTES;
    uint32_t *count = is_small ? &pinned->small_slot_count : &pinned->slot_count;
    CUdeviceptr device;
    void *bytes;

    if (*count >= (is_small ? CUDAS_SMALL_SLOTS_MAX : CUDAS_SLOTS_MAX) ||
        area_make_locked(context, area_bytes, &bytes, &device) != CUDA_SUCCESS)
        return;
    for (size_t at = 0; at < area_bytes; at += size_bytes) {
        struct cudas_slot *slot = fab_alloc_zeroed(1, sizeof(*slot));

        if (!slot)
            break;
        slot->bytes = (char *)bytes + at;
        slot->size_bytes = size_bytes;
        if (!is_small && context->worker->cu.cuEventCreate(&slot->event, CU_EVENT_DISABLE_TIMING) !=
                             CUDA_SUCCESS) {
            free(slot);
            break;
        }
        fab_list_append(is_small ? &pinned->small_slots : &pinned->slots, &slot->link);
        (*count)++;
    }
}

struct cudas_slot *cudas_slot_take(struct cudas_context *context, size_t size_bytes, bool may_grow)
{
    const bool is_small = size_bytes <= CUDAS_SMALL_SLOT_BYTES;
    struct fab_list *slots = is_small ? &context->pinned.small_slots : &context->pinned.slots;
    struct fab_list *node;

    if (size_bytes > CUDAS_SLOT_BYTES)
        return NULL;
    fab_mutex_lock(&context->lock);
    if (fab_list_is_empty(slots) && may_grow)
        slots_make_locked(context, is_small ? CUDAS_SMALL_SLOT_BYTES : CUDAS_SLOT_BYTES);
    node = fab_list_take(slots);
    fab_mutex_unlock(&context->lock);
    return node ? fab_list_object(node, struct cudas_slot, link) : NULL;
}

void cudas_slot_give(struct cudas_context *context, struct cudas_slot *slot)
{
    if (!slot)
        return;
    fab_mutex_lock(&context->lock);
    /* In front: it is still in a cache. */
    fab_list_insert(slot->size_bytes == CUDAS_SMALL_SLOT_BYTES ? &context->pinned.small_slots
                                                               : &context->pinned.slots,
                    &slot->link);
    fab_mutex_unlock(&context->lock);
}

bool cudas_slots_are_plenty(struct cudas_context *context)
{
    uint32_t free_count = 0;

    fab_mutex_lock(&context->lock);
    free_count = CUDAS_SLOTS_MAX - context->pinned.slot_count;
    FAB_LIST_EACH(node, after, &context->pinned.slots)
    free_count++;
    fab_mutex_unlock(&context->lock);
    return free_count >= CUDAS_SLOTS_MAX / 2;
}
