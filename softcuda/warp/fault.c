/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/fault.c - the net under the range checks: SIGSEGV and SIGBUS inside instructions.
 *
 * Holes of the arena, pages freed while a kernel runs, truncated files. A fault of a thread that
 * is inside a kernel's instructions ends that kernel; any other goes to whoever handled the signal
 * before us. Applications replace handlers, so every launch looks whether ours are still there.
 * A handler function holds no lock and owns no memory while it touches the device's, so the jump
 * out of it loses nothing.
 */
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "softcuda/warp/launch_int.h"

static const int net_signals[] = {SIGSEGV, SIGBUS};
enum { NET_SIGNALS = sizeof(net_signals) / sizeof(net_signals[0]) };

static struct sigaction previous[NET_SIGNALS];
static pthread_mutex_t net_lock = PTHREAD_MUTEX_INITIALIZER;

/* The worker that this thread is, while it runs blocks. */
static _Thread_local struct warp_worker *volatile here __attribute__((tls_model("initial-exec")));
static _Thread_local volatile sig_atomic_t chaining __attribute__((tls_model("initial-exec")));

void warp_net_enter(struct warp_worker *worker)
{
    here = worker;
}

static void chain(int number, siginfo_t *info, void *context)
{
    const struct sigaction *old = &previous[number == SIGSEGV ? 0 : 1];

    if (old->sa_flags & SA_SIGINFO && old->sa_sigaction && !chaining) {
        chaining = 1;
        old->sa_sigaction(number, info, context);
        chaining = 0;
    } else if (!(old->sa_flags & SA_SIGINFO) && old->sa_handler != SIG_DFL &&
               old->sa_handler != SIG_IGN && !chaining) {
        chaining = 1;
        old->sa_handler(number);
        chaining = 0;
    } else {
        /* Nobody else: the instruction runs again and ends the process as it would without us. */
        (void)signal(number, SIG_DFL);
    }
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    struct warp_worker *worker = here;

    if (!worker || !worker->running) {
        chain(number, info, context);
        return;
    }
    worker->fault_address = (uint64_t)(uintptr_t)info->si_addr;
    siglongjmp(worker->jump, 1);
}

static bool is_ours(const struct sigaction *action)
{
    return action->sa_flags & SA_SIGINFO && action->sa_sigaction == on_fault;
}

static void install(int index, const struct sigaction *current)
{
    /* Not blocked while it runs: the jump leaves the handler without restoring a mask. */
    struct sigaction ours = {.sa_sigaction = on_fault,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART};

    (void)sigemptyset(&ours.sa_mask);
    previous[index] = *current;
    (void)sigaction(net_signals[index], &ours, NULL); /* a valid signal: cannot fail */
}

void warp_net_check(void)
{
    for (int i = 0; i < NET_SIGNALS; i++) {
        struct sigaction current;

        if (sigaction(net_signals[i], NULL, &current) != 0 || is_ours(&current))
            continue;
        (void)pthread_mutex_lock(&net_lock);
        if (sigaction(net_signals[i], NULL, &current) == 0 && !is_ours(&current))
            install(i, &current);
        (void)pthread_mutex_unlock(&net_lock);
    }
}
