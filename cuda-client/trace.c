/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/trace.c - what the client says and records of calls, on request.
 *
 * The timeline is written while it happens, one event a line behind a '[': a program that is killed
 * leaves a file that Perfetto opens all the same.
 */
#include "cuda-client/trace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cuda-client/remote_int.h"
#include "cuda-client/thread.h"
#include "generated/cuda-api/capi_names.h"

enum { NS_PER_US = 1000 };

bool cudac_trace_calls;
static bool warn_wanted, lines_wanted;
static _Atomic bool was_named[CAPI_CALL_LIMIT];
static struct fab_log debug_log;
static bool has_log;

static struct {
    pthread_mutex_t lock;
    FILE *file;
} timeline = {.lock = PTHREAD_MUTEX_INITIALIZER};

uint64_t cudac_now_ns(void)
{
    return fab_clock_now_ns(fab_clock_real());
}

bool cudac_env_is_on(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] && strcmp(value, "0") != 0;
}

const struct fab_log *cudac_log(void)
{
    return has_log ? &debug_log : NULL;
}

static void log_init(void)
{
    const char *level = getenv("FABRIC_LOG");
    enum fab_log_level wanted = FAB_LOG_OFF;

    if (!level || fab_log_level_parse(level, &wanted) != FAB_OK)
        return; /* silent */
    warn_wanted = wanted >= FAB_LOG_WARN;
    lines_wanted = wanted >= FAB_LOG_TRACE;
    has_log = wanted >= FAB_LOG_DEBUG && fab_log_init(&debug_log, "libcuda", 2, NULL) == FAB_OK;
}

static void init_once(void)
{
    const char *path = getenv("FABRIC_TRACE");

    log_init();
    if (path && path[0]) {
        timeline.file = fopen(path, "we");
        if (timeline.file)
            (void)fputs("[\n", timeline.file);
        else
            cudac_tell("fabric: FABRIC_TRACE=%s can not be written", path);
    }
    cudac_trace_calls = lines_wanted || timeline.file;
}

void cudac_trace_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, init_once);
    if (cudac_thread.call_ns == 0)
        cudac_thread.call_ns = cudac_now_ns(); /* of the call that got us here */
}

static void span_write(const char *name, const char *category, uint32_t track, uint64_t start_ns)
{
    uint64_t now_ns = cudac_now_ns();

    pthread_mutex_lock(&timeline.lock);
    if (timeline.file)
        (void)fprintf(timeline.file,
                      "{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"ts\":%.3f,\"dur\":%.3f,"
                      "\"pid\":%d,\"tid\":%u},\n",
                      name, category, (double)start_ns / NS_PER_US,
                      (double)(now_ns - start_ns) / NS_PER_US, (int)getpid(), track);
    pthread_mutex_unlock(&timeline.lock);
}

void cudac_trace_begin(uint32_t number)
{
    if (lines_wanted)
        (void)fprintf(stderr, "fabric: call %s\n", capi_call_name(number));
    cudac_thread.call_ns = cudac_now_ns();
}

void cudac_trace_end(uint32_t number, CUresult result)
{
    if (lines_wanted)
        (void)fprintf(stderr, "fabric: result %s %d\n", capi_call_name(number), (int)result);
    if (timeline.file)
        span_write(capi_call_name(number), "call", (uint32_t)gettid(), cudac_thread.call_ns);
}

/* On the track of the thread that waits; the category names the worker. */
void cudac_trace_span(const char *name, uint32_t worker, uint64_t start_ns)
{
    char category[32];

    if (!timeline.file)
        return;
    (void)snprintf(category, sizeof(category), "worker%u", worker);
    span_write(name, category, (uint32_t)gettid(), start_ns);
}

void cudac_trace_refused(uint32_t number)
{
    cudac_trace_init(); /* may come before cuInit */
    if (!warn_wanted || number >= CAPI_CALL_LIMIT ||
        atomic_exchange_explicit(&was_named[number], true, memory_order_relaxed))
        return;
    (void)fprintf(stderr, "fabric: %s is not supported\n", capi_call_name(number));
}

void cudac_trace_write(void)
{
    pthread_mutex_lock(&timeline.lock);
    if (timeline.file) {
        (void)fputs("{\"name\":\"end\",\"ph\":\"i\",\"s\":\"p\",\"ts\":0,\"pid\":0,\"tid\":0}\n]\n",
                    timeline.file);
        (void)fclose(timeline.file);
        timeline.file = NULL;
    }
    pthread_mutex_unlock(&timeline.lock);
}
