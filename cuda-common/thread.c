/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/thread.c - starting the driver's own threads in somebody else's process.
 */
#include "cuda-common/thread.h"

#include <pthread.h>
#include <signal.h>

bool cuc_thread_start(const char *name, void *(*run)(void *arg), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    bool started;

    if (pthread_attr_init(&attr) != 0)
        return false;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    /* The new thread inherits the mask: the program's handlers never run on it. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&thread, &attr, run, arg) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (started)
        (void)pthread_setname_np(thread, name);
    return started;
}
