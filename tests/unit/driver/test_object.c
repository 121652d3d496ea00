/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/test_object.c - handles: one tagged space, stale ones, references, determinism.
 */
#include "tests/support/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "softcuda/driver/object.h"

static atomic_int destroyed;

static void count_destroyed(struct soft_object *object)
{
    (void)object;
    atomic_fetch_add(&destroyed, 1);
}

static void end(struct soft_object *object)
{
    if (CHECK(soft_object_retire(object)))
        soft_object_put(object);
}

static void test_look_up(void)
{
    struct soft_object stream, event;

    CHECK_EQ(soft_object_register(&stream, SOFT_STREAM, count_destroyed), CUDA_SUCCESS);
    CHECK_EQ(soft_object_register(&event, SOFT_EVENT, count_destroyed), CUDA_SUCCESS);
    CHECK(stream.handle != event.handle);

    const struct {
        const char *label;
        uint64_t handle;
        enum soft_kind kind;
        struct soft_object *found;
    } cases[] = {
        {"a stream", stream.handle, SOFT_STREAM, &stream},
        {"an event", event.handle, SOFT_EVENT, &event},
        {"another kind", stream.handle, SOFT_EVENT, NULL},
        {"null", 0, SOFT_STREAM, NULL},
        {"the default stream's value", 1, SOFT_STREAM, NULL},
        {"a pointer", (uint64_t)(uintptr_t)&stream, SOFT_STREAM, NULL},
        {"low bits set", stream.handle | 1, SOFT_STREAM, NULL},
        {"a slot never used", stream.handle + (500 << 4), SOFT_STREAM, NULL},
        {"a chunk never made", stream.handle + (5000 << 4), SOFT_STREAM, NULL},
        {"another generation", stream.handle + (UINT64_C(1) << 24), SOFT_STREAM, NULL},
        {"a kind made up", (stream.handle & 0xffffffffff) | UINT64_C(60) << 40, (enum soft_kind)60,
         NULL},
        {"all ones", UINT64_MAX, SOFT_STREAM, NULL},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct soft_object *found = soft_object_get(cases[i].handle, cases[i].kind);

        CHECK_CASE("%s", cases[i].label);
        CHECK(found == cases[i].found);
        soft_object_put(found);
    }
    end(&stream);
    end(&event);
}

static void test_life(void)
{
    struct soft_object first, second;
    uint64_t stale;

    destroyed = 0;
    CHECK_EQ(soft_object_register(&first, SOFT_MODULE, count_destroyed), CUDA_SUCCESS);
    stale = first.handle;
    CHECK(soft_object_get(stale, SOFT_MODULE) == &first);
    CHECK_CASE("retired: not found, but alive while referred to");
    CHECK(soft_object_retire(&first));
    CHECK(!soft_object_retire(&first));
    CHECK(soft_object_get(stale, SOFT_MODULE) == NULL);
    soft_object_put(&first);
    CHECK_EQ(destroyed, 0);
    soft_object_put(&first);
    CHECK_EQ(destroyed, 1);
    CHECK_CASE("the slot's next object has another handle");
    CHECK_EQ(soft_object_register(&second, SOFT_MODULE, count_destroyed), CUDA_SUCCESS);
    CHECK(second.index == first.index && second.handle != stale);
    CHECK(soft_object_get(stale, SOFT_MODULE) == NULL);
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
        struct soft_object *found = soft_object_get(atomic_load(&shared_handle), SOFT_EVENT);

        if (found && found->kind != SOFT_EVENT)
            abort();
        soft_object_put(found);
    }
    return NULL;
}

static void destroy_heap(struct soft_object *object)
{
    object->kind = (enum soft_kind)0;
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
        struct soft_object *object = calloc(1, sizeof(*object));

        CHECK_EQ(soft_object_register(object, SOFT_EVENT, destroy_heap), CUDA_SUCCESS);
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
