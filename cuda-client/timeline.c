/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/timeline.c - see timeline.h.
 *
 * A line is one write: nothing of it is in the process when that is killed or forks.
 * Source: Trace Event Format (Google), and what Perfetto's importer says of it.
 */
#include "cuda-client/timeline.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/vec.h"
#include "cuda-client/remote_int.h"
#include "cuda-client/trace.h"
#include "ucx-transport/xp.h"

enum {
    WORKERS_MAX = 64,
    WORKER_PID = 1 << 30, /* and the index: no process has such a number */
    FETCH_NS = 50 * 1000 * 1000,
    SPANS_A_FETCH = 4096, /* as wire.toml says: more are there */
};

static const double ns_per_us = 1000;

/* A stream of the program, at one device. */
struct track {
    uint64_t context, stream;
    uint64_t end_ns; /* of the last span: the next one is later, whatever the clocks say */
    uint32_t worker;
};

static struct {
    pthread_mutex_t lock; /* after the transport's */
    FILE *file;
    _Atomic bool is_on;
    uint64_t batches;
    struct fab_vec tracks;
} timeline = {.lock = PTHREAD_MUTEX_INITIALIZER, .tracks = FAB_VEC(struct track)};

/* What a worker's clock says to ours, by the quickest answer so far. */
static struct {
    _Atomic uint64_t asked_ns; /* when the devices were asked last; 0: they are not */
    uint64_t round_trip_ns;    /* under `fetching` */
    int64_t ahead_ns;
    _Atomic uint64_t dropped;
} of_worker[WORKERS_MAX];
static pthread_mutex_t fetching = PTHREAD_MUTEX_INITIALIZER;

bool cudac_timeline_is_on(void)
{
    return atomic_load_explicit(&timeline.is_on, memory_order_acquire);
}

void cudac_timeline_forget(void)
{
    atomic_store_explicit(&timeline.is_on, false, memory_order_release);
}

/* ---- the file ------------------------------------------------------------------------------- */

static void name_locked(const char *what, uint32_t pid, uint64_t tid, const char *name)
{
    (void)fprintf(timeline.file,
                  "{\"name\":\"%s\",\"ph\":\"M\",\"pid\":%u,\"tid\":%" PRIu64
                  ",\"args\":{\"name\":\"%s\"}},\n",
                  what, pid, tid, name);
}

/* A name that needs no escapes. */
static const char *plain(const char *name, char *room, size_t room_bytes)
{
    size_t i;

    for (i = 0; name[i] && i + 1 < room_bytes; i++)
        room[i] =
            name[i] < ' ' || name[i] > '~' || name[i] == '"' || name[i] == '\\' ? '_' : name[i];
    room[i] = '\0';
    return room;
}

bool cudac_timeline_open(const char *path)
{
    char name[64];

    timeline.file = fopen(path, "we");
    if (!timeline.file)
        return false;
    (void)setvbuf(timeline.file, NULL, _IOLBF, BUFSIZ);
    (void)fputs("[\n", timeline.file);
    name_locked("process_name", (uint32_t)getpid(), 0,
                plain(program_invocation_short_name, name, sizeof(name)));
    atomic_store_explicit(&timeline.is_on, true, memory_order_release);
    return true;
}

static void span_locked(const char *name, const char *category, uint32_t pid, uint64_t tid,
                        uint64_t start_ns, uint64_t end_ns, const char *args)
{
    (void)fprintf(timeline.file,
                  "{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"ts\":%.3f,\"dur\":%.3f,"
                  "\"pid\":%u,\"tid\":%" PRIu64 "%s},\n",
                  name, category, (double)start_ns / ns_per_us,
                  (double)(end_ns - start_ns) / ns_per_us, pid, tid, args);
}

void cudac_timeline_span(const char *name, const char *category, uint64_t start_ns)
{
    uint64_t now_ns = cudac_now_ns();

    (void)pthread_mutex_lock(&timeline.lock);
    if (timeline.file)
        span_locked(name, category, (uint32_t)getpid(), (uint64_t)gettid(), start_ns, now_ns, "");
    (void)pthread_mutex_unlock(&timeline.lock);
}

/* ---- batches -------------------------------------------------------------------------------- */

/* One may be opened before the one in front of it has left, so they are no slices of one track. */
void cudac_timeline_batch(void *user, const struct xp_batch_info *info)
{
    const struct cudac_worker *worker = user;
    const char *name = info->again ? "batch again" : "batch";
    const uint32_t pid = WORKER_PID + worker->index;

    (void)pthread_mutex_lock(&timeline.lock);
    if (timeline.file) {
        const uint64_t id = ++timeline.batches;

        (void)fprintf(timeline.file,
                      "{\"name\":\"%s\",\"cat\":\"batch\",\"ph\":\"b\",\"id\":%" PRIu64
                      ",\"ts\":%.3f,\"pid\":%u,\"tid\":0,\"args\":{\"commands\":%u,\"bytes\":%u,"
                      "\"first\":%" PRIu64 "}},\n",
                      name, id, (double)info->opened_ns / ns_per_us, pid, info->commands,
                      info->bytes, info->first);
        (void)fprintf(timeline.file,
                      "{\"name\":\"%s\",\"cat\":\"batch\",\"ph\":\"e\",\"id\":%" PRIu64
                      ",\"ts\":%.3f,\"pid\":%u,\"tid\":0},\n",
                      name, id, (double)info->sent_ns / ns_per_us, pid);
    }
    (void)pthread_mutex_unlock(&timeline.lock);
}

/* ---- devices -------------------------------------------------------------------------------- */

/* The number of the stream's track, from 1; 0: no memory. */
static uint32_t track_locked(const struct cudac_worker *worker, const struct wire_span *span)
{
    struct track *track;
    char name[64];

    for (uint32_t i = 0; i < timeline.tracks.count; i++) {
        track = fab_vec_at(&timeline.tracks, struct track, i);
        if (track->worker == worker->index && track->context == span->ctx &&
            track->stream == span->stream)
            return i + 1;
    }
    track = fab_vec_add(&timeline.tracks);
    if (!track)
        return 0;
    *track = (struct track){.context = span->ctx, .stream = span->stream, .worker = worker->index};
    (void)snprintf(name, sizeof(name), "GPU %u, stream %" PRIu64, span->vgpu, span->stream);
    name_locked("thread_name", WORKER_PID + worker->index, timeline.tracks.count, name);
    return (uint32_t)timeline.tracks.count;
}

static void kernels_write(const struct cudac_worker *worker, const struct wire_span *span)
{
    const int64_t ahead_ns = worker->is_same_host ? 0 : of_worker[worker->index].ahead_ns;
    uint64_t start_ns = span->start_ns - (uint64_t)ahead_ns;
    uint64_t end_ns = span->end_ns - (uint64_t)ahead_ns;
    char args[64];

    (void)snprintf(args, sizeof(args), ",\"args\":{\"launches\":%u}", span->launches);
    (void)pthread_mutex_lock(&timeline.lock);
    const uint32_t number = timeline.file ? track_locked(worker, span) : 0;

    if (number > 0) {
        struct track *track = fab_vec_at(&timeline.tracks, struct track, number - 1);

        if (start_ns < track->end_ns)
            start_ns = track->end_ns;
        if (end_ns < start_ns)
            end_ns = start_ns;
        track->end_ns = end_ns;
        span_locked("kernels", "device", WORKER_PID + worker->index, number, start_ns, end_ns,
                    args);
    }
    (void)pthread_mutex_unlock(&timeline.lock);
}

/* Half of what the way there and back took without the worker's part is the error at most. */
static void compare_clocks(const struct cudac_worker *worker, uint64_t sent_ns, uint64_t came_ns,
                           const struct wire_trace_reply *reply)
{
    const uint64_t worked_ns = reply->answered_ns - reply->asked_ns;
    const uint64_t total_ns = came_ns - sent_ns;
    const uint64_t round_trip_ns = total_ns > worked_ns ? total_ns - worked_ns : 0;

    if (of_worker[worker->index].round_trip_ns != 0 &&
        round_trip_ns >= of_worker[worker->index].round_trip_ns)
        return;
    of_worker[worker->index].round_trip_ns = round_trip_ns + 1;
    of_worker[worker->index].ahead_ns =
        (int64_t)(reply->asked_ns - sent_ns) / 2 + (int64_t)(reply->answered_ns - came_ns) / 2;
}

/* True: there is more. */
static bool fetch_locked(struct cudac_worker *worker)
{
    const struct wire_trace nothing = {0};
    struct wire_trace_reply got;
    struct cudac_reply reply;
    struct wire_parts parts;
    const uint64_t sent_ns = cudac_now_ns();
    bool is_more = false;

    wire_put_trace(&nothing, &parts);
    if (cudac_call(worker, WIRE_TRACE, &parts, &reply) == CUDA_SUCCESS &&
        wire_get_trace_reply(reply.bytes, reply.size_bytes, &got)) {
        compare_clocks(worker, sent_ns, cudac_now_ns(), &got);
        for (uint32_t i = 0; i < got.spans_count; i++)
            kernels_write(worker, &got.spans[i]);
        is_more = got.spans_count == SPANS_A_FETCH;
        of_worker[worker->index].dropped = got.dropped;
    }
    cudac_reply_free(&reply);
    return is_more;
}

static void fetch(struct cudac_worker *worker)
{
    atomic_store_explicit(&of_worker[worker->index].asked_ns, cudac_now_ns(), memory_order_relaxed);
    if (pthread_mutex_trylock(&fetching) != 0)
        return; /* somebody else does, or is held up there while the process ends */
    while (fetch_locked(worker))
        ;
    (void)pthread_mutex_unlock(&fetching);
}

void cudac_timeline_begin(struct cudac_worker *worker)
{
    char name[128], node[64];

    if (!cudac_timeline_is_on())
        return;
    (void)snprintf(name, sizeof(name), "worker on %s", plain(worker->node, node, sizeof(node)));
    (void)pthread_mutex_lock(&timeline.lock);
    if (timeline.file) {
        name_locked("process_name", WORKER_PID + worker->index, 0, name);
        name_locked("thread_name", WORKER_PID + worker->index, 0, "batches");
    }
    (void)pthread_mutex_unlock(&timeline.lock);
    fetch(worker);
}

void cudac_timeline_after_wait(struct cudac_worker *worker)
{
    uint64_t asked_ns =
        atomic_load_explicit(&of_worker[worker->index].asked_ns, memory_order_relaxed);

    if (cudac_timeline_is_on() && cudac_now_ns() - asked_ns >= FETCH_NS)
        fetch(worker);
}

static void close_locked(void)
{
    uint64_t dropped = 0;

    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        dropped += of_worker[i].dropped;
    (void)fprintf(timeline.file,
                  "{\"name\":\"end\",\"ph\":\"i\",\"s\":\"p\",\"ts\":%.3f,\"pid\":%u,\"tid\":%u,"
                  "\"args\":{\"dropped\":%" PRIu64 "}}\n]\n",
                  (double)cudac_now_ns() / ns_per_us, (unsigned)getpid(), (unsigned)gettid(),
                  dropped);
    (void)fclose(timeline.file);
    timeline.file = NULL;
}

void cudac_timeline_close(void)
{
    if (!cudac_timeline_is_on())
        return;
    for (uint32_t i = 0; i < cudac_worker_count(); i++)
        if (cudac_worker_state(cudac_worker_at(i)) == CUDA_SUCCESS)
            fetch(cudac_worker_at(i));
    atomic_store_explicit(&timeline.is_on, false, memory_order_release);
    (void)pthread_mutex_lock(&timeline.lock);
    if (timeline.file)
        close_locked();
    (void)pthread_mutex_unlock(&timeline.lock);
}
