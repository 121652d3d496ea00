/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/trace.c - what the client says and records of calls, on request.
 */
#include "cuda-client/trace.h"

#include <limits.h>
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
#include "cuda-client/timeline.h"
#include "generated/cuda-api/capi_names.h"

_Atomic bool cudac_trace_calls;
static _Atomic bool warn_wanted, lines_wanted;
static _Atomic bool was_named[CAPI_CALL_LIMIT];
static struct fab_log debug_log;
static bool has_log;

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

bool cudac_env_path(const char *name, char *path, size_t path_bytes)
{
    const char *value = getenv(name);
    size_t bytes = 0;

    if (!value || !value[0])
        return false;
    for (; *value && bytes + 1 < path_bytes; value++) {
        if (value[0] == '%' && value[1] == 'p') {
            bytes += (size_t)snprintf(path + bytes, path_bytes - bytes, "%d", (int)getpid());
            value++;
        } else {
            path[bytes++] = *value;
        }
    }
    if (bytes >= path_bytes)
        bytes = path_bytes - 1;
    path[bytes] = '\0';
    return true;
}

static void init_once(void)
{
    char path[PATH_MAX];

    log_init();
    if (cudac_env_path("FABRIC_TRACE", path, sizeof(path)) && !cudac_timeline_open(path))
        cudac_tell("fabric: FABRIC_TRACE=%s can not be written", path);
    cudac_trace_calls = lines_wanted || cudac_timeline_is_on();
}

void cudac_trace_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, init_once);
    if (cudac_thread.call_ns == 0)
        cudac_thread.call_ns = cudac_now_ns(); /* of the call that got us here */
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
    if (cudac_timeline_is_on())
        cudac_timeline_span(capi_call_name(number), "call", cudac_thread.call_ns);
}

/* On the track of the thread that waits; the category names the worker. */
void cudac_trace_span(const char *name, uint32_t worker, uint64_t start_ns)
{
    char category[32];

    if (!cudac_timeline_is_on())
        return;
    (void)snprintf(category, sizeof(category), "worker%u", worker);
    cudac_timeline_span(name, category, start_ns);
}

void cudac_trace_refused(uint32_t number)
{
    cudac_trace_init(); /* may come before cuInit */
    if (!warn_wanted || number >= CAPI_CALL_LIMIT ||
        atomic_exchange_explicit(&was_named[number], true, memory_order_relaxed))
        return;
    (void)fprintf(stderr, "fabric: %s is not supported\n", capi_call_name(number));
}
