/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/object.c - the handle table: chunks of slots that never move or go away.
 *
 * A slot is one 64-bit word {generation, live bit, references} and a pointer. A look-up is one
 * compare-and-swap on that word, so that an object cannot vanish between look-up and use.
 */
#include "cuda-common/object.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/alloc.h"

enum {
    CHUNK_SLOTS = 1024,
    CHUNK_COUNT = 1024, /* a million live objects */
    INDEX_SHIFT = 4,    /* handles look like aligned addresses: programs use low bits of pointers */
    GENERATION_SHIFT = 24,
    KIND_SHIFT = 40,
};
#define INDEX_MASK UINT64_C(0xfffff)
#define GENERATION_MASK UINT64_C(0xffff)
#define KIND_MASK UINT64_C(0x3f)

#define WORD_REFS UINT64_C(0xffffffff)
#define WORD_LIVE (UINT64_C(1) << 32)
#define WORD_GENERATION_SHIFT 33

struct slot {
    _Atomic uint64_t word;
    struct cuc_object *object;
    uint32_t next_free; /* index + 1; 0 ends the list */
};

static struct {
    pthread_mutex_t lock;
    _Atomic(struct slot *) chunk[CHUNK_COUNT];
    uint32_t used; /* slots ever given out */
    uint32_t free; /* index + 1 of the first free slot */
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct slot *slot_at(uint32_t index)
{
    struct slot *chunk;

    if (index / CHUNK_SLOTS >= CHUNK_COUNT)
        return NULL;
    chunk = atomic_load_explicit(&table.chunk[index / CHUNK_SLOTS], memory_order_acquire);
    return chunk ? &chunk[index % CHUNK_SLOTS] : NULL;
}

static struct slot *slot_take_locked(uint32_t *index_out)
{
    struct slot *slot;
    uint32_t index = table.used;

    if (table.free) {
        index = table.free - 1;
        slot = slot_at(index);
        table.free = slot->next_free;
        *index_out = index;
        return slot;
    }
    if (index / CHUNK_SLOTS >= CHUNK_COUNT)
        return NULL;
    if (index % CHUNK_SLOTS == 0) {
        struct slot *chunk = fab_alloc_zeroed(CHUNK_SLOTS, sizeof(*chunk));

        if (!chunk)
            return NULL;
        atomic_store_explicit(&table.chunk[index / CHUNK_SLOTS], chunk, memory_order_release);
    }
    table.used++;
    *index_out = index;
    return slot_at(index);
}

CUresult cuc_object_register(struct cuc_object *object, enum cuc_kind kind,
                             void (*destroy)(struct cuc_object *object))
{
    struct slot *slot;
    uint64_t generation;
    uint32_t index = 0;

    pthread_mutex_lock(&table.lock);
    slot = slot_take_locked(&index);
    pthread_mutex_unlock(&table.lock);
    if (!slot)
        return CUDA_ERROR_OUT_OF_MEMORY;

    generation = atomic_load_explicit(&slot->word, memory_order_relaxed) >> WORD_GENERATION_SHIFT;
    object->kind = kind;
    object->index = index;
    object->destroy = destroy;
    object->handle = (uint64_t)kind << KIND_SHIFT |
                     (generation & GENERATION_MASK) << GENERATION_SHIFT |
                     (uint64_t)(index + 1) << INDEX_SHIFT;
    slot->object = object;
    atomic_store_explicit(&slot->word, generation << WORD_GENERATION_SHIFT | WORD_LIVE | 1,
                          memory_order_release);
    return CUDA_SUCCESS;
}

enum cuc_kind cuc_handle_kind(uint64_t handle)
{
    uint64_t kind = handle >> KIND_SHIFT;

    if (kind < CUC_CONTEXT || kind > CUC_CALLBACK || handle & ((1u << INDEX_SHIFT) - 1))
        return (enum cuc_kind)0;
    return (enum cuc_kind)kind;
}

struct cuc_object *cuc_object_get(uint64_t handle, enum cuc_kind kind)
{
    uint64_t index = (handle >> INDEX_SHIFT & INDEX_MASK) - 1;
    uint64_t generation = handle >> GENERATION_SHIFT & GENERATION_MASK;
    struct slot *slot;
    uint64_t word;

    if (cuc_handle_kind(handle) != kind || index >= INDEX_MASK)
        return NULL;
    slot = slot_at((uint32_t)index);
    if (!slot)
        return NULL;
    word = atomic_load_explicit(&slot->word, memory_order_acquire);
    do {
        if (!(word & WORD_LIVE) || (word >> WORD_GENERATION_SHIFT & GENERATION_MASK) != generation)
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&slot->word, &word, word + 1,
                                                    memory_order_acquire, memory_order_acquire));
    if (slot->object->kind == kind)
        return slot->object;
    cuc_object_put(slot->object);
    return NULL;
}

void cuc_object_ref(struct cuc_object *object)
{
    struct slot *slot = slot_at(object->index);

    (void)atomic_fetch_add_explicit(&slot->word, 1, memory_order_relaxed);
}

void cuc_object_put(struct cuc_object *object)
{
    struct slot *slot;
    uint32_t index;

    if (!object)
        return;
    index = object->index;
    slot = slot_at(index);
    if ((atomic_fetch_sub_explicit(&slot->word, 1, memory_order_acq_rel) & WORD_REFS) != 1)
        return;

    /* The live bit is off: retiring gave up the handle's reference. */
    object->destroy(object);
    pthread_mutex_lock(&table.lock);
    slot->object = NULL;
    (void)atomic_fetch_add_explicit(&slot->word, UINT64_C(1) << WORD_GENERATION_SHIFT,
                                    memory_order_release);
    slot->next_free = table.free;
    table.free = index + 1;
    pthread_mutex_unlock(&table.lock);
}

bool cuc_object_retire(struct cuc_object *object)
{
    struct slot *slot = slot_at(object->index);

    return (atomic_fetch_and_explicit(&slot->word, ~WORD_LIVE, memory_order_acq_rel) & WORD_LIVE) !=
           0;
}
