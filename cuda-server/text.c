/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/text.c - see text.h.
 */
#include "cuda-server/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/mutex.h"
#include "cuda-server/outbox.h"

enum {
    STREAMS = 2,           /* descriptors 1 and 2 */
    PIPE_BYTES = 1 << 20,  /* of text that a driver can print before anybody reads */
    PART_BYTES = 32 << 10, /* of text in one message */
};

struct cudas_text {
    struct cudas_worker *worker;
    int read_fd[STREAMS], saved_fd[STREAMS];
    int end_fd;
    pthread_t thread;
    bool has_thread;
    struct fab_mutex lock; /* the order of what is read and sent */
    char part[PART_BYTES];
};

static void send_stream_locked(struct cudas_text *text, uint32_t stream)
{
    ssize_t count;

    while ((count = read(text->read_fd[stream], text->part, sizeof(text->part))) > 0) {
        const struct wire_text m = {
            .stream = stream + 1, .bytes = text->part, .bytes_count = (uint32_t)count};
        struct wire_parts parts;

        wire_put_text(&m, &parts);
        cudas_signal(text->worker, WIRE_TEXT, &parts);
    }
}

void cudas_text_send(struct cudas_worker *worker)
{
    struct cudas_text *text = worker->text;

    if (!text)
        return;
    (void)fflush(stdout); /* a driver may have used it */
    fab_mutex_lock(&text->lock);
    for (uint32_t stream = 0; stream < STREAMS; stream++)
        send_stream_locked(text, stream);
    fab_mutex_unlock(&text->lock);
}

/* Keeps the pipes from filling up while nobody synchronises. */
static void *text_main(void *arg)
{
    struct cudas_text *text = arg;
    struct pollfd fds[STREAMS + 1] = {{.fd = text->read_fd[0], .events = POLLIN},
                                      {.fd = text->read_fd[1], .events = POLLIN},
                                      {.fd = text->end_fd, .events = POLLIN}};

    cudas_thread_begin(text->worker, "cudas-text");
    while (poll(fds, STREAMS + 1, -1) >= 0 && !(fds[STREAMS].revents & POLLIN)) {
        fab_mutex_lock(&text->lock);
        for (uint32_t stream = 0; stream < STREAMS; stream++)
            send_stream_locked(text, stream);
        fab_mutex_unlock(&text->lock);
    }
    return NULL;
}

static enum fab_status take_over(struct cudas_text *text, int stream, struct fab_err *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
        return fab_err_errno(err, errno, "a pipe for device text");
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES); /* smaller works too */
    (void)fcntl(fds[1], F_SETFL, 0);               /* the writer may wait */
    text->read_fd[stream] = fds[0];
    text->saved_fd[stream] = fcntl(stream + 1, F_DUPFD_CLOEXEC, 3);
    if (dup2(fds[1], stream + 1) < 0) {
        (void)close(fds[1]);
        return fab_err_errno(err, errno, "taking over descriptor %d", stream + 1);
    }
    (void)close(fds[1]);
    return FAB_OK;
}

static enum fab_status start_thread(struct cudas_text *text, struct fab_err *err)
{
    sigset_t all, before;

    text->end_fd = eventfd(0, EFD_CLOEXEC);
    if (text->end_fd < 0)
        return fab_err_errno(err, errno, "an event descriptor");
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    text->has_thread = pthread_create(&text->thread, NULL, text_main, text) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return text->has_thread ? FAB_OK : fab_err_set(err, FAB_ERR_NOMEM, "thread of device text");
}

enum fab_status cudas_text_create(struct cudas_worker *worker, struct cudas_text **text_out,
                                  struct fab_err *err)
{
    struct cudas_text *text = fab_alloc_zeroed(1, sizeof(*text));
    enum fab_status status = FAB_OK;

    if (!text)
        return fab_err_set(err, FAB_ERR_NOMEM, "device text");
    text->worker = worker;
    text->end_fd = -1;
    fab_mutex_init(&text->lock);
    for (int stream = 0; stream < STREAMS; stream++)
        text->read_fd[stream] = text->saved_fd[stream] = -1;
    for (int stream = 0; status == FAB_OK && stream < STREAMS; stream++)
        status = take_over(text, stream, err);
    if (status == FAB_OK)
        status = start_thread(text, err);
    if (status != FAB_OK) {
        cudas_text_destroy(text);
        return status;
    }
    *text_out = text;
    return FAB_OK;
}

void cudas_text_destroy(struct cudas_text *text)
{
    if (!text)
        return;
    if (text->has_thread) {
        (void)eventfd_write(text->end_fd, 1);
        (void)pthread_join(text->thread, NULL);
    }
    for (int stream = 0; stream < STREAMS; stream++) {
        if (text->saved_fd[stream] >= 0) {
            (void)dup2(text->saved_fd[stream], stream + 1);
            (void)close(text->saved_fd[stream]);
        }
        if (text->read_fd[stream] >= 0)
            (void)close(text->read_fd[stream]);
    }
    if (text->end_fd >= 0)
        (void)close(text->end_fd);
    fab_mutex_fini(&text->lock);
    free(text);
}
