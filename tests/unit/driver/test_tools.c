/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/test_tools.c - the log, notifications, the profiler, and what stands around a
 * call: initialisation, default-stream mode, refusals.
 */
#include "tests/unit/driver/driver.h"

#include <string.h>

#include "generated/cuda-api/capi_names.h"
#include "softcuda/driver/soft_call.h"
#include "softcuda/driver/trace.h"

static char heard[256];
static size_t heard_bytes;

static void CUDA_CB hear(void *data, CUlogLevel level, char *message, size_t length)
{
    CUlogIterator now;

    (void)snprintf(heard, sizeof(heard), "%d %s", (int)level, message);
    heard_bytes = length;
    *(int *)data += 1;
    /* A callback may call the log itself: no lock is held while it runs. */
    CHECK_EQ(soft_cuLogsCurrent(&now, 0), CUDA_SUCCESS);
}

static void test_log(void)
{
    CUlogsCallbackHandle callback = NULL;
    CUlogIterator iterator = 99;
    char text[256];
    size_t bytes = sizeof(text), small = 12;
    int count = 0;

    CHECK_EQ(soft_cuLogsRegisterCallback(NULL, NULL, &callback), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuLogsRegisterCallback(hear, &count, &callback), CUDA_SUCCESS);
    CHECK_EQ(soft_cuLogsCurrent(&iterator, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuLogsCurrent(&iterator, 1), CUDA_ERROR_INVALID_VALUE);
    cuc_say(CU_LOG_LEVEL_WARNING, "first %d", 1);
    cuc_say(CU_LOG_LEVEL_ERROR, "second %d", 2);
    CHECK_EQ(count, 2);
    CHECK_STR(heard, "0 second 2");
    CHECK_EQ(heard_bytes, strlen("second 2"));
    CHECK_EQ(soft_cuLogsUnregisterCallback(callback), CUDA_SUCCESS);
    CHECK_EQ(soft_cuLogsUnregisterCallback(callback), CUDA_ERROR_INVALID_VALUE);

    CHECK_CASE("since the iterator");
    CHECK_EQ(soft_cuLogsDumpToMemory(&iterator, text, &bytes, 0), CUDA_SUCCESS);
    CHECK_STR(text, "first 1\nsecond 2\n");
    CHECK_EQ(bytes, strlen(text) + 1);
    CHECK_CASE("nothing since");
    bytes = sizeof(text);
    CHECK_EQ(soft_cuLogsDumpToMemory(&iterator, text, &bytes, 0), CUDA_SUCCESS);
    CHECK_STR(text, "");
    CHECK_CASE("the newest lines that fit");
    CHECK_EQ(soft_cuLogsDumpToMemory(NULL, text, &small, 0), CUDA_SUCCESS);
    CHECK_STR(text, "second 2\n");
    CHECK_CASE("no room");
    bytes = 0;
    CHECK_EQ(soft_cuLogsDumpToMemory(NULL, text, &bytes, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_CASE("no such folder");
    CHECK_EQ(soft_cuLogsDumpToFile(NULL, "/nonexistent/log", 0), CUDA_ERROR_INVALID_VALUE);
}

static void never(CUasyncNotificationInfo *info, void *arg, CUasyncCallbackHandle callback)
{
    (void)info, (void)arg, (void)callback;
    abort();
}

static void test_notifications(void)
{
    CUasyncCallbackHandle callback = NULL;

    CHECK_EQ(soft_cuDeviceRegisterAsyncNotification(0, NULL, NULL, &callback),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuDeviceRegisterAsyncNotification(9, never, NULL, &callback),
             CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(soft_cuDeviceRegisterAsyncNotification(0, never, NULL, &callback), CUDA_SUCCESS);
    CHECK_EQ(soft_cuDeviceUnregisterAsyncNotification(1, callback), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuDeviceUnregisterAsyncNotification(0, callback), CUDA_SUCCESS);
    CHECK_EQ(soft_cuDeviceUnregisterAsyncNotification(0, callback), CUDA_ERROR_INVALID_VALUE);
}

static void test_profiler(void)
{
    CHECK_EQ(soft_cuProfilerStart(), CUDA_SUCCESS);
    CHECK_EQ(soft_cuProfilerStop(), CUDA_SUCCESS);
    CHECK_EQ(soft_cuProfilerInitialize("a", "b", CU_OUT_CSV), CUDA_ERROR_NOT_SUPPORTED);
}

/* The mode of a call is back when the call ends, also when calls nest. */
static void test_default_stream_mode(void)
{
    struct soft_call outer, inner;

    CHECK(!soft_call_is_per_thread());
    CHECK_EQ(
        soft_call_begin(&outer, CAPI_cuStreamQuery, SOFT_CALL_NEEDS_INIT | SOFT_CALL_PER_THREAD),
        CUDA_SUCCESS);
    CHECK(soft_call_is_per_thread());
    CHECK_EQ(soft_call_begin(&inner, CAPI_cuStreamQuery, SOFT_CALL_NEEDS_INIT), CUDA_SUCCESS);
    CHECK(!soft_call_is_per_thread());
    CHECK_EQ(soft_call_end(&inner, CUDA_ERROR_NOT_READY), CUDA_ERROR_NOT_READY);
    CHECK(soft_call_is_per_thread());
    CHECK_EQ(soft_call_end(&outer, CUDA_SUCCESS), CUDA_SUCCESS);
    CHECK(!soft_call_is_per_thread());
    CHECK_EQ(soft_call_refused(CAPI_cuGraphLaunch), CUDA_ERROR_NOT_SUPPORTED);
}

static void test_export_table(void)
{
    const CUuuid id = {{1}};
    const void *table = &id;

    CHECK_EQ(soft_cuGetExportTable(&table, &id), CUDA_ERROR_NOT_FOUND);
    CHECK(table == NULL);
    CHECK_EQ(soft_cuGetExportTable(NULL, &id), CUDA_ERROR_INVALID_VALUE);
}

static void test_before_init(void)
{
    struct soft_call call;

    CHECK_EQ(soft_call_begin(&call, CAPI_cuStreamQuery, SOFT_CALL_NEEDS_INIT),
             CUDA_ERROR_NOT_INITIALIZED);
    CHECK_EQ(soft_call_end(&call, CUDA_ERROR_NOT_INITIALIZED), CUDA_ERROR_NOT_INITIALIZED);
    CHECK_EQ(soft_call_begin(&call, CAPI_cuInit, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_call_end(&call, CUDA_SUCCESS), CUDA_SUCCESS);
    (void)driver_start(NULL, "2"); /* for the tests that follow */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_before_init),         CHECK_TEST(test_log),
        CHECK_TEST(test_notifications),       CHECK_TEST(test_profiler),
        CHECK_TEST(test_default_stream_mode), CHECK_TEST(test_export_table)};

    return check_run(tests);
}
