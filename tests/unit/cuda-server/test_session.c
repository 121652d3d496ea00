/* SPDX-License-Identifier: Apache-2.0
 * A worker's session, contexts, streams, events and flags, by the wire.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rig.h"
#include "tests/unit/driver/support.h"

static struct rig rig;

static void test_hello(void)
{
    struct wire_hello_reply reply;

    rig_open(&rig, false);
    CHECK_CASE("another protocol");
    CHECK_EQ(rig_hello(&rig, WIRE_PROTOCOL + 1, WIRE_HASH), CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
    CHECK_CASE("another description");
    CHECK_EQ(rig_hello(&rig, WIRE_PROTOCOL, WIRE_HASH ^ 1), CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
    CHECK(wire_get_hello_reply(rig.reply, rig.reply_bytes, &reply));
    CHECK_EQ(reply.protocol, WIRE_PROTOCOL);
    CHECK_CASE("the same");
    CHECK_EQ(rig_hello(&rig, WIRE_PROTOCOL, WIRE_HASH), CUDA_SUCCESS);
    if (CHECK(wire_get_hello_reply(rig.reply, rig.reply_bytes, &reply))) {
        CHECK_EQ(reply.devices_count, 2);
        CHECK_EQ(reply.peers_count, 2);
        CHECK(reply.driver_version >= 12000);
        CHECK(reply.devices[0].name[0] != 0);
        CHECK(reply.devices[1].total_bytes > 0);
        CHECK_EQ(reply.devices[1].attributes[CU_DEVICE_ATTRIBUTE_WARP_SIZE], 32);
        CHECK_EQ(reply.devices[0].attributes[0], INT32_MIN);
    }
    rig_close(&rig);
}

static void test_contexts(void)
{
    struct wire_ctx_create_reply made;
    struct wire_ctx_set_reply set;

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_CASE("own context on the other GPU");
    CHECK_EQ(RIG_CALL(&rig, ctx_create, WIRE_CTX_CREATE, .ctx = 101, .vgpu = 1), CUDA_SUCCESS);
    CHECK(wire_get_ctx_create_reply(rig.reply, rig.reply_bytes, &made));
    CHECK(made.priority_greatest <= made.priority_least);
    CHECK(made.limits[CU_LIMIT_STACK_SIZE] > 0);
    CHECK_EQ(made.limits[15], UINT64_MAX);
    CHECK_CASE("refused");
    CHECK_EQ(RIG_CALL(&rig, ctx_create, WIRE_CTX_CREATE, .ctx = 102, .vgpu = 9),
             CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(RIG_CALL(&rig, ctx_create, WIRE_CTX_CREATE, .ctx = 101, .vgpu = 0),
             CUDA_ERROR_ALREADY_MAPPED);
    CHECK_CASE("a limit");
    CHECK_EQ(RIG_CALL(&rig, ctx_set, WIRE_CTX_SET, .ctx = 101, .what = WIRE_CTX_LIMIT,
                      .index = CU_LIMIT_STACK_SIZE, .value = 2048),
             CUDA_SUCCESS);
    CHECK(wire_get_ctx_set_reply(rig.reply, rig.reply_bytes, &set));
    CHECK_EQ(set.value, 2048);
    CHECK_EQ(RIG_CALL(&rig, ctx_set, WIRE_CTX_SET, .ctx = 101, .what = 99),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_CASE("peers");
    CHECK_EQ(RIG_CALL(&rig, ctx_peer, WIRE_CTX_PEER, .ctx = 101, .peer_ctx = 999, .enable = 1),
             CUDA_ERROR_INVALID_CONTEXT);
    CHECK_CASE("destroyed");
    CHECK_EQ(RIG_CALL(&rig, ctx_sync, WIRE_CTX_SYNC, .ctx = 101), CUDA_SUCCESS);
    CHECK_EQ(RIG_CALL(&rig, ctx_destroy, WIRE_CTX_DESTROY, .ctx = 101), CUDA_SUCCESS);
    CHECK_EQ(RIG_CALL(&rig, ctx_sync, WIRE_CTX_SYNC, .ctx = 101), CUDA_ERROR_INVALID_CONTEXT);
    CHECK_EQ(RIG_CALL(&rig, ctx_destroy, WIRE_CTX_DESTROY, .ctx = 101), CUDA_ERROR_INVALID_CONTEXT);
    CHECK_CASE("the primary one: released, and made again");
    CHECK_EQ(RIG_CALL(&rig, ctx_destroy, WIRE_CTX_DESTROY, .ctx = RIG_CTX), CUDA_SUCCESS);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_ERROR_INVALID_CONTEXT);
    CHECK_EQ(RIG_CALL(&rig, ctx_create, WIRE_CTX_CREATE, .ctx = 103, .vgpu = 0, .primary = 1),
             CUDA_SUCCESS);
    CHECK_EQ(rig_stats(&rig).late_errors, 0);
    rig_close(&rig);
}

static void test_streams_and_events(void)
{
    struct wire_event_elapsed_reply elapsed;

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_CASE("streams");
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    CHECK_EQ(rig_sync(&rig, 0), CUDA_SUCCESS);
    CHECK_EQ(rig_sync(&rig, 999), CUDA_ERROR_INVALID_HANDLE);
    CHECK_EQ(RIG_CALL(&rig, stream_watch, WIRE_STREAM_WATCH, .ctx = RIG_CTX, .stream = RIG_STREAM),
             CUDA_SUCCESS);
    CHECK_CASE("events");
    RIG_POST(&rig, event_create, WIRE_EVENT_CREATE, .event = 300, .ctx = RIG_CTX);
    RIG_POST(&rig, event_create, WIRE_EVENT_CREATE, .event = 301, .ctx = RIG_CTX);
    RIG_POST(&rig, event_record, WIRE_EVENT_RECORD, .event = 300, .ctx = RIG_CTX,
             .stream = RIG_STREAM, .generation = 1);
    RIG_POST(&rig, event_wait, WIRE_EVENT_WAIT, .event = 300, .ctx = RIG_CTX, .stream = 0);
    RIG_POST(&rig, event_record, WIRE_EVENT_RECORD, .event = 301, .ctx = RIG_CTX, .whole_ctx = 1);
    CHECK_EQ(RIG_CALL(&rig, event_sync, WIRE_EVENT_SYNC, .event = 301), CUDA_SUCCESS);
    CHECK_EQ(RIG_CALL(&rig, event_sync, WIRE_EVENT_SYNC, .event = 999), CUDA_ERROR_INVALID_HANDLE);
    CHECK_EQ(RIG_CALL(&rig, event_elapsed, WIRE_EVENT_ELAPSED, .start = 300, .end = 301),
             CUDA_SUCCESS);
    CHECK(wire_get_event_elapsed_reply(rig.reply, rig.reply_bytes, &elapsed));
    CHECK(elapsed.milliseconds >= 0);
    CHECK_EQ(RIG_CALL(&rig, event_watch, WIRE_EVENT_WATCH, .event = 301, .generation = 1),
             CUDA_SUCCESS);
    RIG_POST(&rig, event_destroy, WIRE_EVENT_DESTROY, .event = 300);
    RIG_POST(&rig, stream_destroy, WIRE_STREAM_DESTROY, .stream = RIG_STREAM);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_ERROR_INVALID_HANDLE);
    CHECK_EQ(rig_stats(&rig).late_errors, 0);
    rig_close(&rig);
}

/* A stream that waits for a flag is seen as busy, and the client hears when it is not. */
static void test_flags_and_watches(void)
{
    struct wire_reached reached;
    struct rig_signal signal;

    rig_open(&rig, false);
    rig_world(&rig);
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 400, .ctx = RIG_CTX, .stream = RIG_STREAM);
    CHECK_CASE("busy");
    CHECK_EQ(RIG_CALL(&rig, stream_watch, WIRE_STREAM_WATCH, .ctx = RIG_CTX, .stream = RIG_STREAM,
                      .position = 17),
             CUDA_ERROR_NOT_READY);
    RIG_POST(&rig, event_create, WIRE_EVENT_CREATE, .event = 300, .ctx = RIG_CTX);
    RIG_POST(&rig, event_record, WIRE_EVENT_RECORD, .event = 300, .ctx = RIG_CTX,
             .stream = RIG_STREAM, .generation = 5);
    CHECK_EQ(RIG_CALL(&rig, event_watch, WIRE_EVENT_WATCH, .event = 300, .generation = 5),
             CUDA_ERROR_NOT_READY);
    CHECK(!rig_has_signal(&rig, WIRE_REACHED));
    RIG_SIGNAL(&rig, flag, WIRE_FLAG, .flag = 400);
    for (int i = 0; i < 2; i++) {
        CHECK_CASE("reached %d", i);
        signal = rig_wait_signal(&rig, WIRE_REACHED);
        CHECK(wire_get_reached(signal.bytes, signal.size_bytes, &reached));
        CHECK(reached.object == RIG_STREAM ? reached.position == 17
                                           : reached.object == 300 && reached.position == 5);
        CHECK_EQ(reached.result, CUDA_SUCCESS);
        free(signal.bytes);
    }
    CHECK_CASE("set before anybody waits");
    RIG_SIGNAL(&rig, flag, WIRE_FLAG, .flag = 401);
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 401, .ctx = RIG_CTX, .stream = RIG_STREAM);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    CHECK_CASE("every stream of the context waits");
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 402, .ctx = RIG_CTX, .whole_ctx = 1);
    RIG_POST(&rig, event_record, WIRE_EVENT_RECORD, .event = 300, .ctx = RIG_CTX,
             .stream = RIG_STREAM, .generation = 6);
    CHECK_EQ(RIG_CALL(&rig, event_watch, WIRE_EVENT_WATCH, .event = 300, .generation = 6),
             CUDA_ERROR_NOT_READY);
    RIG_SIGNAL(&rig, flag, WIRE_FLAG, .flag = 402);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    CHECK_EQ(rig_stats(&rig).late_errors, 0);
    rig_close(&rig);
}

/* More than a driver's queue takes: the leader would stand still in it, and answer nothing. */
static void test_whole_context(void)
{
    enum { WAITS = 30000, FLAG = 1000 }; /* softcuda takes 16384 commands */

    rig_open(&rig, false);
    rig_world(&rig);
    for (uint64_t i = 0; i < WAITS; i++)
        RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = FLAG + i, .ctx = RIG_CTX, .whole_ctx = 1);
    RIG_POST(&rig, event_create, WIRE_EVENT_CREATE, .event = 300, .ctx = RIG_CTX);
    RIG_POST(&rig, event_record, WIRE_EVENT_RECORD, .event = 300, .ctx = RIG_CTX,
             .stream = RIG_STREAM, .generation = 1);
    CHECK_EQ(RIG_CALL(&rig, event_watch, WIRE_EVENT_WATCH, .event = 300, .generation = 1),
             CUDA_ERROR_NOT_READY);
    for (uint64_t i = 0; i < WAITS; i++)
        RIG_SIGNAL(&rig, flag, WIRE_FLAG, .flag = FLAG + i);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    CHECK_EQ(rig_stats(&rig).late_errors, 0);
    CHECK_EQ(atomic_load(&rig.worker->stats.parked), 0); /* each call is counted off once */
    rig_close(&rig);
}

static void check_told(int result, uint64_t object, uint64_t position)
{
    struct rig_signal signal = rig_wait_signal(&rig, WIRE_REACHED);
    struct wire_reached reached;

    CHECK(wire_get_reached(signal.bytes, signal.size_bytes, &reached));
    CHECK_EQ(reached.result, result);
    CHECK_EQ(reached.object, object);
    CHECK_EQ(reached.position, position);
    free(signal.bytes);
}

/* A record may ask to be told of, and is once, whatever becomes of the event meanwhile. */
static void test_told(void)
{
    struct wire_reached reached;
    struct rig_signal signal;

    rig_open(&rig, false);
    rig_world(&rig);
    RIG_POST(&rig, event_create, WIRE_EVENT_CREATE, .event = 300, .ctx = RIG_CTX);
    CHECK_CASE("nothing to wait for");
    RIG_POST(&rig, event_record, WIRE_EVENT_RECORD, .event = 300, .ctx = RIG_CTX,
             .stream = RIG_STREAM, .generation = 1, .tell = 31);
    check_told(CUDA_SUCCESS, 300, 31);
    CHECK_CASE("busy, recorded anew and destroyed");
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 400, .ctx = RIG_CTX, .stream = RIG_STREAM);
    RIG_POST(&rig, event_record, WIRE_EVENT_RECORD, .event = 300, .ctx = RIG_CTX,
             .stream = RIG_STREAM, .generation = 2, .tell = 32);
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 401, .ctx = RIG_CTX, .stream = RIG_STREAM);
    RIG_POST(&rig, event_record, WIRE_EVENT_RECORD, .event = 300, .ctx = RIG_CTX,
             .stream = RIG_STREAM, .generation = 3, .tell = 33);
    RIG_POST(&rig, event_destroy, WIRE_EVENT_DESTROY, .event = 300);
    CHECK_EQ(rig_sync(&rig, 0), CUDA_SUCCESS); /* it is not told of as others are */
    CHECK(!rig_has_signal(&rig, WIRE_REACHED));
    RIG_SIGNAL(&rig, flag, WIRE_FLAG, .flag = 400);
    check_told(CUDA_SUCCESS, 300, 32);
    CHECK(!rig_has_signal(&rig, WIRE_REACHED));
    RIG_SIGNAL(&rig, flag, WIRE_FLAG, .flag = 401);
    check_told(CUDA_SUCCESS, 300, 33);
    CHECK_EQ(rig_stats(&rig).late_errors, 0);
    CHECK_CASE("more than there are lanes for");
    RIG_POST(&rig, event_create, WIRE_EVENT_CREATE, .event = 301, .ctx = RIG_CTX);
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 402, .ctx = RIG_CTX, .stream = RIG_STREAM);
    for (uint64_t i = 1; i <= 257; i++)
        RIG_POST(&rig, event_record, WIRE_EVENT_RECORD, .event = 301, .ctx = RIG_CTX,
                 .stream = RIG_STREAM, .generation = i, .tell = 1000 + i);
    check_told(CUDA_ERROR_NOT_READY, 301, 1257);
    RIG_SIGNAL(&rig, flag, WIRE_FLAG, .flag = 402);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    for (int told = 0; told < 256; told++) { /* in whatever order */
        signal = rig_wait_signal(&rig, WIRE_REACHED);
        CHECK(wire_get_reached(signal.bytes, signal.size_bytes, &reached));
        CHECK_EQ(reached.result, CUDA_SUCCESS);
        CHECK(reached.position > 1000 && reached.position < 1257);
        free(signal.bytes);
    }
    CHECK_CASE("no such event: it is said that nothing will be told");
    RIG_POST(&rig, event_record, WIRE_EVENT_RECORD, .event = 300, .ctx = RIG_CTX,
             .stream = RIG_STREAM, .generation = 4, .tell = 34);
    check_told(CUDA_ERROR_NOT_READY, 300, 34);
    CHECK_EQ(rig_stats(&rig).late_errors, 1);
    rig_close(&rig);
}

/* The context goes first, and a new one may have its name: neither an error nor an end is told. */
static void test_told_of_no_context(void)
{
    rig_open(&rig, false);
    rig_world(&rig);
    RIG_POST(&rig, event_create, WIRE_EVENT_CREATE, .event = 300, .ctx = RIG_CTX);
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 400, .ctx = RIG_CTX, .stream = RIG_STREAM);
    RIG_POST(&rig, event_record, WIRE_EVENT_RECORD, .event = 300, .ctx = RIG_CTX,
             .stream = RIG_STREAM, .generation = 1, .tell = 31);
    CHECK_EQ(RIG_CALL(&rig, ctx_destroy, WIRE_CTX_DESTROY, .ctx = RIG_CTX, .reset = 1),
             CUDA_SUCCESS);
    check_told(CUDA_ERROR_NOT_READY, 300, 31);
    CHECK_EQ(rig_stats(&rig).late_errors, 0);
    rig_close(&rig);
}

static void test_host_calls(void)
{
    struct wire_host_run run;
    struct rig_signal signal;

    rig_open(&rig, false);
    rig_world(&rig);
    for (uint32_t kind = WIRE_HOST_FUNCTION; kind <= WIRE_HOST_CALLBACK; kind++) {
        CHECK_CASE("kind %u", kind);
        RIG_POST(&rig, host_call, WIRE_HOST_CALL, .ctx = RIG_CTX, .stream = RIG_STREAM,
                 .token = 500 + kind, .kind = kind);
        signal = rig_wait_signal(&rig, WIRE_HOST_RUN);
        CHECK(wire_get_host_run(signal.bytes, signal.size_bytes, &run));
        CHECK_EQ(run.token, 500 + kind);
        CHECK_EQ(run.result, CUDA_SUCCESS);
        free(signal.bytes);
        CHECK_EQ(RIG_CALL(&rig, stream_watch, WIRE_STREAM_WATCH, .ctx = RIG_CTX,
                          .stream = RIG_STREAM, .position = kind),
                 CUDA_ERROR_NOT_READY);
        RIG_SIGNAL(&rig, host_done, WIRE_HOST_DONE, .token = 500 + kind);
        CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    }
    rig_close(&rig);
}

/* While one call waits in the driver, commands and calls go on. */
static void wait_done(struct xp_call *call, const struct xp_reply *reply)
{
    (void)pthread_mutex_lock(&rig.lock);
    *(int *)call->user = reply->result;
    (void)pthread_cond_broadcast(&rig.changed);
    (void)pthread_mutex_unlock(&rig.lock);
}

/* Threads of this process that may lead. */
static uint32_t leader_count(void)
{
    DIR *folder = opendir("/proc/self/task");
    const struct dirent *entry;
    uint32_t count = 0;

    while (folder && (entry = readdir(folder)) != NULL) {
        char path[sizeof("/proc/self/task//comm") + sizeof(entry->d_name)], name[32] = "";
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
        file = fopen(path, "re"); /* it may have ended */
        if (file && fgets(name, sizeof(name), file) && strcmp(name, "cudas-lead\n") == 0)
            count++;
        if (file)
            (void)fclose(file);
    }
    if (folder)
        (void)closedir(folder);
    return count;
}

/* The threads that a burst of waiting calls needs end when they have been idle for long. */
static bool few_leaders_stay(void)
{
    enum { LOOKS = 2000, PAUSE_NS = 10000000, FEW = 2 };
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    for (uint32_t i = 0; i < LOOKS && leader_count() > FEW; i++)
        (void)nanosleep(&pause, NULL);
    return leader_count() <= FEW;
}

static void test_calls_that_wait_block_nobody(void)
{
    enum { WAITING = 3, NOT_YET = -1 };
    struct xp_call calls[WAITING];
    struct wire_parts parts;
    int results[WAITING];

    rig_open(&rig, false);
    rig_world(&rig);
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 400, .ctx = RIG_CTX, .stream = RIG_STREAM);
    wire_put_stream_sync(&(struct wire_stream_sync){.ctx = RIG_CTX, .stream = RIG_STREAM}, &parts);
    for (int i = 0; i < WAITING; i++) {
        results[i] = NOT_YET;
        calls[i] = (struct xp_call){.done = wait_done, .user = &results[i]};
        CHECK_EQ(xp_call_start(rig.conn, WIRE_STREAM_SYNC, parts.part, parts.count, &calls[i]),
                 FAB_OK);
    }
    CHECK_CASE("others are answered");
    CHECK_EQ(rig_sync(&rig, 0), CUDA_SUCCESS);
    CHECK_EQ(rig_map(&rig, 0, 0, 2 * RIG_MIB), CUDA_SUCCESS);
    (void)pthread_mutex_lock(&rig.lock);
    CHECK(results[0] == NOT_YET && results[1] == NOT_YET && results[2] == NOT_YET);
    (void)pthread_mutex_unlock(&rig.lock);
    RIG_SIGNAL(&rig, flag, WIRE_FLAG, .flag = 400);
    (void)pthread_mutex_lock(&rig.lock);
    for (int i = 0; i < WAITING; i++) {
        while (results[i] == NOT_YET)
            (void)pthread_cond_wait(&rig.changed, &rig.lock);
        CHECK_EQ(results[i], CUDA_SUCCESS);
    }
    (void)pthread_mutex_unlock(&rig.lock);
    CHECK(rig_stats(&rig).parked_max >= WAITING);
    CHECK_CASE("idle threads end");
    CHECK(few_leaders_stay());
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    rig_close(&rig);
}

static void test_hold(void)
{
    struct wire_held held;
    struct rig_signal signal;
    struct xp_watermarks at;

    rig_open(&rig, false);
    rig_world(&rig);
    xp_watermarks(rig.conn, &at);
    RIG_SIGNAL(&rig, hold, WIRE_HOLD, .number = at.posted + 1);
    signal = rig_wait_signal(&rig, WIRE_HELD);
    CHECK_CASE("held when all before is done");
    CHECK(wire_get_held(signal.bytes, signal.size_bytes, &held));
    CHECK_EQ(held.number, at.posted + 1);
    free(signal.bytes);
    RIG_SIGNAL(&rig, release, WIRE_RELEASE, .nothing = 0);
    CHECK_CASE("goes on");
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    rig_close(&rig);
}

/* Each of these holds is over before it is at the gate. */
static void test_release_comes_first(void)
{
    enum { LATER = 3 };
    struct xp_watermarks at;

    rig_open(&rig, false);
    rig_world(&rig);
    xp_watermarks(rig.conn, &at);
    CHECK_CASE("a hold of a later command");
    RIG_SIGNAL(&rig, hold, WIRE_HOLD, .number = at.posted + LATER);
    RIG_SIGNAL(&rig, release, WIRE_RELEASE, .nothing = 0);
    for (int i = 0; i < LATER; i++)
        CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    CHECK_CASE("a hold that waits behind another one");
    for (int i = 0; i < 2; i++) {
        xp_watermarks(rig.conn, &at);
        RIG_SIGNAL(&rig, hold, WIRE_HOLD, .number = at.posted + 1);
        if (i == 0)
            free(rig_wait_signal(&rig, WIRE_HELD).bytes);
    }
    RIG_SIGNAL(&rig, release, WIRE_RELEASE, .nothing = 0);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    rig_close(&rig);
}

/* The client goes while streams wait for it. */
static void test_the_client_goes(void)
{
    rig_open(&rig, false);
    rig_world(&rig);
    RIG_POST(&rig, host_call, WIRE_HOST_CALL, .ctx = RIG_CTX, .stream = RIG_STREAM, .token = 500);
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 400, .ctx = RIG_CTX, .stream = 0);
    xp_flush(rig.conn);
    free(rig_wait_signal(&rig, WIRE_HOST_RUN).bytes);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_hello),
                                       CHECK_TEST(test_contexts),
                                       CHECK_TEST(test_streams_and_events),
                                       CHECK_TEST(test_flags_and_watches),
                                       CHECK_TEST(test_whole_context),
                                       CHECK_TEST(test_told),
                                       CHECK_TEST(test_told_of_no_context),
                                       CHECK_TEST(test_host_calls),
                                       CHECK_TEST(test_calls_that_wait_block_nobody),
                                       CHECK_TEST(test_hold),
                                       CHECK_TEST(test_release_comes_first),
                                       CHECK_TEST(test_the_client_goes)};

    support_devices(NULL, "2");
    return check_run(tests);
}
