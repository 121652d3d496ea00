/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/watch.c - the thread that hears the broker and tells the user of silence.
 *
 * It sleeps in poll() until the broker has news or a worker falls silent.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cuda-client/init.h"
#include "cuda-client/remote_int.h"
#include "cuda-client/trace.h"
#include "cuda-common/log.h"
#include "cuda-common/thread.h"
#include "ucx-transport/xp.h"

enum { LINE_BYTES = 512, NS_PER_MS = 1000000 };
#define SILENCE_NS UINT64_C(2000000000)

static struct {
    pthread_mutex_t lock;       /* guards what follows; a session is used by one thread at a time */
    pthread_cond_t thread_gone; /* for cudac_watch_abandon() */
    struct ses_client *session;
    bool has_thread, is_abandoned;
    _Atomic int wake_fd; /* once open, for ever: engines write to it */
} watch = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .thread_gone = PTHREAD_COND_INITIALIZER, .wake_fd = -1};

void cudac_tell(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;

    if (cudac_is_ending())
        return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    cuc_say(CU_LOG_LEVEL_ERROR, "%s", line);
}

/* A program may close all descriptors, and use the numbers for its own files. */
static bool has_descriptors(void)
{
    struct xp_node *node = cudac_node();

    return !node || xp_node_has_descriptors(node);
}

void cudac_watch_wake(void)
{
    const uint64_t one = 1;
    const int fd = atomic_load_explicit(&watch.wake_fd, memory_order_acquire);

    if (fd >= 0 && has_descriptors())
        (void)!write(fd, &one, sizeof(one));
}

/* Tells of workers that have not answered for 2 s, once, and of their return. How long to sleep
 * until the next one is due, in ms; -1: for ever. */
static int look_for_silence(void)
{
    uint64_t now_ns = cudac_now_ns();
    int sleep_ms = -1;

    /* A failed attach says why itself. */
    for (uint32_t i = 0; cudac_is_attached() && i < cudac_worker_count(); i++) {
        struct cudac_worker *worker = cudac_worker_at(i);
        uint64_t since_ns = atomic_load_explicit(&worker->silent_since, memory_order_relaxed);

        if (cudac_worker_state(worker) != CUDA_SUCCESS)
            continue; /* said already */
        if (since_ns == 0) {
            if (worker->is_silence_told)
                cudac_tell("fabric: %s answers again", worker->node);
            worker->is_silence_told = false;
        } else if (!worker->is_silence_told && now_ns - since_ns >= SILENCE_NS) {
            cudac_tell("fabric: %s does not answer: calls wait", worker->node);
            worker->is_silence_told = true;
        } else if (!worker->is_silence_told) {
            int left_ms = (int)((since_ns + SILENCE_NS - now_ns) / NS_PER_MS) + 1;

            if (sleep_ms < 0 || left_ms < sleep_ms)
                sleep_ms = left_ms;
        }
    }
    return sleep_ms;
}

static void condemn(uint32_t index, enum fab_status status, const char *why)
{
    struct cudac_worker *worker = cudac_worker_at(index);

    if (worker)
        xp_conn_condemn(worker->conn, status, why);
}

/* False: nothing more will come. */
static bool take_event(const struct ses_event *event)
{
    switch (event->kind) {
    case SES_EVENT_NONE:
        return false;
    case SES_EVENT_WORKER_GONE:
        condemn(event->worker, FAB_ERR_PEER_LOST, event->text);
        return true;
    case SES_EVENT_REVOKED:
        for (uint32_t i = 0; i < cudac_worker_count(); i++)
            condemn(i, FAB_ERR_PEER_LOST, event->text);
        return true;
    case SES_EVENT_BROKER_GONE:
        return true;
    }
    return false;
}

/* The session's descriptor, or -1 when there will be no more news. */
static int take_events(void)
{
    struct ses_event event = {.kind = SES_EVENT_NONE};
    bool is_over = false;
    int fd = -1;

    for (;;) {
        pthread_mutex_lock(&watch.lock);
        if (watch.session) {
            ses_client_event(watch.session, &event);
            fd = ses_client_fd(watch.session);
        } else {
            event.kind = SES_EVENT_NONE;
            fd = -1;
        }
        pthread_mutex_unlock(&watch.lock);
        if (!take_event(&event))
            return is_over ? -1 : fd;
        is_over |= event.kind == SES_EVENT_BROKER_GONE;
    }
}

static bool is_abandoned(void)
{
    bool is;

    pthread_mutex_lock(&watch.lock);
    is = watch.is_abandoned;
    pthread_mutex_unlock(&watch.lock);
    return is;
}

static void *watch_thread(void *arg)
{
    int session_fd = take_events();
    const int wake_fd = atomic_load_explicit(&watch.wake_fd, memory_order_acquire);

    (void)arg;
    while (!cudac_is_ending() && !is_abandoned()) {
        struct pollfd fds[2] = {{.fd = wake_fd, .events = POLLIN},
                                {.fd = session_fd, .events = POLLIN}};
        uint64_t count;

        if ((poll(fds, 2, look_for_silence()) < 0 && errno != EINTR) || !has_descriptors())
            break;
        if (fds[0].revents)
            (void)!read(wake_fd, &count, sizeof(count));
        if (fds[1].revents)
            session_fd = take_events();
    }
    pthread_mutex_lock(&watch.lock);
    watch.has_thread = false;
    (void)pthread_cond_broadcast(&watch.thread_gone);
    pthread_mutex_unlock(&watch.lock);
    return NULL;
}

bool cudac_watch_start(struct ses_client *session)
{
    bool has_thread;

    if (atomic_load(&watch.wake_fd) < 0)
        atomic_store(&watch.wake_fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    pthread_mutex_lock(&watch.lock);
    watch.session = session;
    watch.is_abandoned = false;
    watch.has_thread =
        atomic_load(&watch.wake_fd) >= 0 && cuc_thread_start("fabric-watch", watch_thread, NULL);
    has_thread = watch.has_thread;
    pthread_mutex_unlock(&watch.lock);
    return has_thread;
}

void cudac_watch_abandon(void)
{
    pthread_mutex_lock(&watch.lock);
    watch.is_abandoned = true;
    watch.session = NULL;
    cudac_watch_wake();
    while (watch.has_thread)
        (void)pthread_cond_wait(&watch.thread_gone, &watch.lock);
    pthread_mutex_unlock(&watch.lock);
}

void cudac_watch_stop(void)
{
    struct ses_client *session;

    pthread_mutex_lock(&watch.lock);
    session = watch.session;
    watch.session = NULL;
    pthread_mutex_unlock(&watch.lock);
    cudac_watch_wake();
    if (has_descriptors())
        ses_client_close(session);
}

void cudac_watch_forget(void)
{
    (void)pthread_mutex_init(&watch.lock, NULL); /* its holder, if any, is not in this process */
    (void)pthread_cond_init(&watch.thread_gone, NULL);
    watch.session = NULL;
    watch.has_thread = false;
    atomic_store(&watch.wake_fd, -1);
}
