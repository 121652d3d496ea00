/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-client/test_stream.c - what the end of one stream says of another.
 *
 * Contexts and streams that no worker knows: only their counts are asked. The moment that matters
 * lies between two threads (a launch is enqueued, and counted after another thread has posted), so
 * here both are one.
 */
#include "tests/support/check.h"

#include "cuda-client/stream_int.h"
#include "generated/cuda-api/wire.h"

static struct cudac_context context = {
    .id = 1, .lock = PTHREAD_MUTEX_INITIALIZER, .order = PTHREAD_MUTEX_INITIALIZER};

enum whose { LEGACY, BLOCKING, FREE, END };
static struct cudac_stream streams[END];

static void streams_new(void)
{
    streams[LEGACY] = (struct cudac_stream){.context = &context, .next = &streams[BLOCKING]};
    streams[BLOCKING] = (struct cudac_stream){.context = &context, .id = 2, .next = &streams[FREE]};
    streams[FREE] =
        (struct cudac_stream){.context = &context, .id = 3, .flags = CU_STREAM_NON_BLOCKING};
    context.streams = context.legacy = streams;
}

struct work {
    enum whose whose;
    uint32_t op;
};

static void test_default_stream(void)
{
    static const struct {
        const char *label;
        struct work work[4];
        bool is_idle; /* the default stream, when the blocking one is known to be done */
    } rows[] = {
        {"a copy behind it", {{LEGACY, WIRE_SET}, {BLOCKING, WIRE_COPY_DEVICE}, {END, 0}}, true},
        {"a launch behind it", {{LEGACY, WIRE_SET}, {BLOCKING, WIRE_LAUNCH}, {END, 0}}, true},
        {"a record behind it", {{LEGACY, WIRE_SET}, {BLOCKING, WIRE_EVENT_RECORD}, {END, 0}}, true},
        {"work before it", {{BLOCKING, WIRE_LAUNCH}, {LEGACY, WIRE_SET}, {END, 0}}, false},
        {"a wait, which may be over",
         {{LEGACY, WIRE_SET}, {BLOCKING, WIRE_EVENT_WAIT}, {END, 0}},
         false},
        {"work before it, and a wait",
         {{BLOCKING, WIRE_LAUNCH}, {LEGACY, WIRE_SET}, {BLOCKING, WIRE_EVENT_WAIT}, {END, 0}},
         false},
        {"a wait, and work",
         {{LEGACY, WIRE_SET}, {BLOCKING, WIRE_EVENT_WAIT}, {BLOCKING, WIRE_LAUNCH}, {END, 0}},
         true},
        {"a launch that is counted later than it was enqueued",
         {{LEGACY, WIRE_SET}, {BLOCKING, WIRE_LAUNCH_CALL}, {END, 0}},
         false},
        {"such a launch, and another",
         {{LEGACY, WIRE_SET}, {BLOCKING, WIRE_LAUNCH_CALL}, {BLOCKING, WIRE_LAUNCH}, {END, 0}},
         true},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        CHECK_CASE("%s", rows[i].label);
        streams_new();
        for (const struct work *at = rows[i].work; at->whose != END; at++)
            (void)cudac_stream_count(&streams[at->whose], at->op);
        CHECK(!cudac_stream_is_idle(&streams[LEGACY]));
        cudac_stream_reached(&streams[BLOCKING], atomic_load(&context.sequence));
        CHECK(cudac_stream_is_idle(&streams[BLOCKING]));
        CHECK_EQ(cudac_stream_is_idle(&streams[LEGACY]), rows[i].is_idle);
        cudac_stream_reached(&streams[LEGACY], atomic_load(&context.sequence));
        CHECK(cudac_stream_is_idle(&streams[LEGACY]));
    }
}

/* What kernels of another stream printed may be in the driver, unless a synchronisation said that
 * this one is done. */
static void test_quiet(void)
{
    struct cudac_stream *waiting = &streams[FREE], *launching = &streams[BLOCKING];

    streams_new();
    CHECK_CASE("nothing was launched");
    (void)cudac_stream_count(waiting, WIRE_SET);
    CHECK(!cudac_stream_is_quiet(waiting));
    cudac_stream_reached(waiting, atomic_load(&context.sequence));
    CHECK(cudac_stream_is_quiet(waiting));
    CHECK_CASE("a launch elsewhere");
    (void)cudac_stream_count(launching, WIRE_LAUNCH);
    (void)cudac_stream_count(waiting, WIRE_EVENT_WAIT);
    cudac_stream_reached(waiting, atomic_load(&context.sequence));
    CHECK(cudac_stream_is_idle(waiting));
    CHECK(!cudac_stream_is_quiet(waiting));
    cudac_stream_synced(waiting, atomic_load(&context.sequence));
    CHECK(cudac_stream_is_quiet(waiting));
    CHECK(!cudac_stream_is_quiet(launching));
    CHECK_CASE("that was waited for itself");
    cudac_stream_synced(launching, atomic_load(&context.sequence));
    (void)cudac_stream_count(waiting, WIRE_EVENT_WAIT);
    cudac_stream_reached(waiting, atomic_load(&context.sequence));
    CHECK(cudac_stream_is_quiet(waiting));
}

/* What a copy that is posted now would wait for may be the program itself. */
static void test_reads_now(void)
{
    static const struct {
        const char *label;
        struct work work[4];
        bool reads_now[END]; /* each stream's next copy */
    } rows[] = {
        {"nothing", {{END, 0}}, {true, true, true}},
        {"copies", {{FREE, WIRE_COPY_IN}, {FREE, WIRE_COPY_OUT}, {END, 0}}, {true, true, true}},
        {"a set and a record",
         {{LEGACY, WIRE_SET}, {FREE, WIRE_EVENT_RECORD}, {END, 0}},
         {true, true, true}},
        {"a kernel", {{FREE, WIRE_LAUNCH}, {END, 0}}, {true, true, false}},
        {"a kernel, and a copy",
         {{FREE, WIRE_LAUNCH_CALL}, {FREE, WIRE_COPY_IN}, {END, 0}},
         {true, true, false}},
        {"a kernel in the default stream", {{LEGACY, WIRE_LAUNCH}, {END, 0}}, {false, false, true}},
        {"a kernel in a blocking stream",
         {{BLOCKING, WIRE_LAUNCH}, {END, 0}},
         {false, false, true}},
        {"an event", {{FREE, WIRE_EVENT_WAIT}, {END, 0}}, {true, true, false}},
        {"an event elsewhere", {{FREE, WIRE_FLAG_WAIT}, {END, 0}}, {true, true, false}},
        {"a host function", {{FREE, WIRE_HOST_CALL}, {END, 0}}, {true, true, false}},
        {"values", {{FREE, WIRE_STREAM_MEMOPS}, {END, 0}}, {true, true, false}},
        {"a copy between devices", {{FREE, WIRE_COPY_DEVICE}, {END, 0}}, {true, true, false}},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        CHECK_CASE("%s", rows[i].label);
        streams_new();
        for (const struct work *at = rows[i].work; at->whose != END; at++)
            (void)cudac_stream_count(&streams[at->whose], at->op);
        for (int j = 0; j < END; j++)
            CHECK_EQ(cudac_stream_reads_now(&streams[j]), rows[i].reads_now[j]);
        for (int j = 0; j < END; j++)
            cudac_stream_reached(&streams[j], atomic_load(&context.sequence));
        for (int j = 0; j < END; j++)
            CHECK(cudac_stream_reads_now(&streams[j]));
    }
}

/* All streams wait; each of them is past that when later work of its own is done. */
static void test_all_wait(void)
{
    streams_new();
    cudac_streams_gate(&context);
    for (int i = 0; i < END; i++)
        CHECK(!cudac_stream_reads_now(&streams[i]));
    (void)cudac_stream_count(&streams[FREE], WIRE_COPY_IN);
    CHECK(!cudac_stream_reads_now(&streams[FREE]));
    cudac_stream_reached(&streams[FREE], atomic_load(&context.sequence));
    CHECK(cudac_stream_reads_now(&streams[FREE]));
    CHECK(!cudac_stream_reads_now(&streams[BLOCKING]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_default_stream),
        CHECK_TEST(test_quiet),
        CHECK_TEST(test_reads_now),
        CHECK_TEST(test_all_wait),
    };

    return check_run(tests);
}
