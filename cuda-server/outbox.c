/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/outbox.c - see outbox.h.
 */
#include "cuda-server/outbox.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/mutex.h"

enum { RETRY_NS = 200 * 1000 }; /* a peer acknowledges within about that */

struct letter {
    struct fab_list link;
    uint32_t op;
    void (*sent)(void *arg);
    void *arg;
    size_t size_bytes;
    uint8_t bytes[];
};

struct cudas_outbox {
    struct cudas_worker *worker;
    struct fab_mutex lock; /* guards what follows, and the order of signals */
    struct fab_list letters;
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread, is_ending;
};

static enum fab_status send(struct cudas_worker *worker, uint32_t op, const struct iovec *parts,
                            size_t count)
{
    struct xp_conn *conn = atomic_load_explicit(&worker->conn, memory_order_acquire);

    if (!conn || atomic_load_explicit(&worker->is_over, memory_order_acquire))
        return FAB_ERR_CANCELLED;
    return xp_signal(conn, op, parts, count);
}

/* Sends what there is room for. */
static void send_letters_locked(struct cudas_outbox *outbox)
{
    while (!fab_list_is_empty(&outbox->letters)) {
        struct letter *letter = fab_list_object(outbox->letters.next, struct letter, link);
        const struct iovec part = {letter->bytes, letter->size_bytes};

        if (send(outbox->worker, letter->op, &part, 1) == FAB_ERR_AGAIN)
            return;
        fab_list_remove(&letter->link);
        if (letter->sent)
            letter->sent(letter->arg);
        free(letter);
    }
}

static void *outbox_main(void *arg)
{
    struct cudas_outbox *outbox = arg;
    const struct timespec pause = {.tv_nsec = RETRY_NS};

    cudas_thread_begin(outbox->worker, "cudas-outbox");
    fab_mutex_lock(&outbox->lock);
    while (!outbox->is_ending) {
        if (fab_list_is_empty(&outbox->letters)) {
            fab_mutex_wait(&outbox->lock, &outbox->changed);
            continue;
        }
        send_letters_locked(outbox);
        if (fab_list_is_empty(&outbox->letters))
            continue;
        fab_mutex_unlock(&outbox->lock);
        (void)nanosleep(&pause, NULL);
        fab_mutex_lock(&outbox->lock);
    }
    fab_mutex_unlock(&outbox->lock);
    return NULL;
}

enum fab_status cudas_outbox_create(struct cudas_worker *worker, struct cudas_outbox **outbox_out,
                                    struct fab_err *err)
{
    struct cudas_outbox *outbox = fab_alloc_zeroed(1, sizeof(*outbox));

    if (!outbox)
        return fab_err_set(err, FAB_ERR_NOMEM, "outbox");
    outbox->worker = worker;
    fab_mutex_init(&outbox->lock);
    fab_list_init(&outbox->letters);
    (void)pthread_cond_init(&outbox->changed, NULL);
    *outbox_out = outbox;
    return FAB_OK;
}

void cudas_outbox_stop(struct cudas_outbox *outbox)
{
    if (!outbox)
        return;
    fab_mutex_lock(&outbox->lock);
    outbox->is_ending = true;
    (void)pthread_cond_signal(&outbox->changed);
    fab_mutex_unlock(&outbox->lock);
    if (outbox->has_thread)
        (void)pthread_join(outbox->thread, NULL);
    outbox->has_thread = false;
}

void cudas_outbox_destroy(struct cudas_outbox *outbox)
{
    struct fab_list *node;

    if (!outbox)
        return;
    while ((node = fab_list_take(&outbox->letters)) != NULL)
        free(fab_list_object(node, struct letter, link));
    (void)pthread_cond_destroy(&outbox->changed);
    fab_mutex_fini(&outbox->lock);
    free(outbox);
}

static struct letter *letter_of(uint32_t op, const struct wire_parts *parts)
{
    size_t bytes = 0, at = 0;
    struct letter *letter;

    for (size_t i = 0; i < parts->count; i++)
        bytes += parts->part[i].iov_len;
    letter = fab_alloc(sizeof(*letter) + bytes);
    if (!letter)
        return NULL;
    *letter = (struct letter){.op = op, .size_bytes = bytes};
    for (size_t i = 0; i < parts->count; i++) {
        memcpy(letter->bytes + at, parts->part[i].iov_base, parts->part[i].iov_len);
        at += parts->part[i].iov_len;
    }
    return letter;
}

/* The thread exists from the first letter on. */
static void keep_locked(struct cudas_outbox *outbox, struct letter *letter)
{
    sigset_t all, before;

    fab_list_append(&outbox->letters, &letter->link);
    if (outbox->has_thread || outbox->is_ending) {
        (void)pthread_cond_signal(&outbox->changed);
        return;
    }
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    outbox->has_thread = pthread_create(&outbox->thread, NULL, outbox_main, outbox) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void cudas_signal_then(struct cudas_worker *worker, uint32_t op, const struct wire_parts *parts,
                       void (*sent)(void *arg), void *arg)
{
    struct cudas_outbox *outbox = worker->outbox;
    struct letter *letter = NULL;
    bool is_lost = false;

    fab_mutex_lock(&outbox->lock);
    send_letters_locked(outbox);
    if (!fab_list_is_empty(&outbox->letters) ||
        send(worker, op, parts->part, parts->count) == FAB_ERR_AGAIN) {
        letter = letter_of(op, parts);
        is_lost = letter == NULL;
    }
    if (letter) {
        letter->sent = sent;
        letter->arg = arg;
        keep_locked(outbox, letter);
    } else if (sent) {
        sent(arg);
    }
    fab_mutex_unlock(&outbox->lock);
    if (is_lost)
        cudas_condemn(worker, "no memory for a message to the client");
}

void cudas_signal(struct cudas_worker *worker, uint32_t op, const struct wire_parts *parts)
{
    cudas_signal_then(worker, op, parts, NULL, NULL);
}
