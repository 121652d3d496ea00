/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/test_object.c - handles: one tagged space, stale ones, references, determinism.
 */
#include "tests/support/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cuda-common/object.h"

static atomic_int destroyed;

static void count_destroyed(struct cuc_object *object)
{
    (void)object;
    atomic_fetch_add(&destroyed, 1);
}

static void end(struct cuc_object *object)
{
    if (CHECK(cuc_object_retire(object)))
        cuc_object_put(object);
}

static void test_look_up(void)
{
    struct cuc_object stream, event;

    CHECK_EQ(cuc_object_register(&stream, CUC_STREAM, count_destroyed), CUDA_SUCCESS);
    CHECK_EQ(cuc_object_register(&event, CUC_EVENT, count_destroyed), CUDA_SUCCESS);
    CHECK(stream.handle != event.handle);

    const struct {
        const char *label;
        uint64_t handle;
        enum cuc_kind kind;
        struct cuc_object *found;
    } cases[] = {
        {"a stream", stream.handle, CUC_STREAM, &stream},
        {"an event", event.handle, CUC_EVENT, &event},
        {"another kind", stream.handle, CUC_EVENT, NULL},
        {"null", 0, CUC_STREAM, NULL},
        {"the default stream's value", 1, CUC_STREAM, NULL},
        {"a pointer", (uint64_t)(uintptr_t)&stream, CUC_STREAM, NULL},
        {"low bits set", stream.handle | 1, CUC_STREAM, NULL},
        {"a slot never used", stream.handle + (500 << 4), CUC_STREAM, NULL},
        {"a chunk never made", stream.handle + (5000 << 4), CUC_STREAM, NULL},
        {"another generation", stream.handle + (UINT64_C(1) << 24), CUC_STREAM, NULL},
        {"a kind made up", (stream.handle & 0xffffffffff) | UINT64_C(60) << 40, (enum cuc_kind)60,
         NULL},
        {"all ones", UINT64_MAX, CUC_STREAM, NULL},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct cuc_object *found = cuc_object_get(cases[i].handle, cases[i].kind);

        CHECK_CASE("%s", cases[i].label);
        CHECK(found == cases[i].found);
        cuc_object_put(found);
    }
    end(&stream);
    end(&event);
}

static void test_life(void)
{
    struct cuc_object first, second;
    uint64_t stale;

    destroyed = 0;
    CHECK_EQ(cuc_object_register(&first, CUC_MODULE, count_destroyed), CUDA_SUCCESS);
    stale = first.handle;
    CHECK(cuc_object_get(stale, CUC_MODULE) == &first);
    CHECK_CASE("retired: not found, but alive while referred to");
    CHECK(cuc_object_retire(&first));
    CHECK(!cuc_object_retire(&first));
    CHECK(cuc_object_get(stale, CUC_MODULE) == NULL);
    cuc_object_put(&first);
    CHECK_EQ(destroyed, 0);
    cuc_object_put(&first);
    CHECK_EQ(destroyed, 1);
    CHECK_CASE("the slot's next object has another handle");
    CHECK_EQ(cuc_object_register(&second, CUC_MODULE, count_destroyed), CUDA_SUCCESS);
    CHECK(second.index == first.index && second.handle != stale);
    CHECK(cuc_object_get(stale, CUC_MODULE) == NULL);
    end(&second);
    CHECK_EQ(destroyed, 2);
}

/* Look-ups race with the end of the object: found or not, never freed under a reader. */
enum { ROUNDS = 2000 };
static _Atomic uint64_t shared_handle;
static atomic_bool stop;

static void *look_up(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        struct cuc_object *found = cuc_object_get(atomic_load(&shared_handle), CUC_EVENT);

        if (found && found->kind != CUC_EVENT)
            abort();
        cuc_object_put(found);
    }
    return NULL;
}

static void destroy_heap(struct cuc_object *object)
{
    object->kind = (enum cuc_kind)0;
    atomic_fetch_add(&destroyed, 1);
    free(object);
}

static void test_race(void)
{
    pthread_t threads[2];

    destroyed = 0;
    for (size_t i = 0; i < FAB_ARRAY_LEN(threads); i++)
        if (!CHECK_EQ(pthread_create(&threads[i], NULL, look_up, NULL), 0))
            abort();
    for (int i = 0; i < ROUNDS; i++) {
        struct cuc_object *object = calloc(1, sizeof(*object));

        CHECK_EQ(cuc_object_register(object, CUC_EVENT, destroy_heap), CUDA_SUCCESS);
        atomic_store(&shared_handle, object->handle);
        end(object);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < FAB_ARRAY_LEN(threads); i++)
        (void)pthread_join(threads[i], NULL);
    CHECK_EQ(destroyed, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_look_up), CHECK_TEST(test_life),
                                       CHECK_TEST(test_race)};

    return check_run(tests);
}
