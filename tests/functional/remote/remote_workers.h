/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/remote/remote_workers.h - the workers of the run, seen from a program of it.
 */
#ifndef TESTS_FUNCTIONAL_REMOTE_REMOTE_WORKERS_H
#define TESTS_FUNCTIONAL_REMOTE_REMOTE_WORKERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    REMOTE_WORKERS_MAX = 64,
    REMOTE_LIMIT_S = 50, /* longer is a hang */
};

/* The broker is the parent of whoever asks first; children have it from before their fork. */
pid_t remote_broker(void);
/* The workers that run, in the order of their numbers; of one session if no more are there. */
uint32_t remote_workers(pid_t pids[REMOTE_WORKERS_MAX]);
/* Until there are `count` workers (0: until the last is reaped). False: that does not happen. */
bool remote_workers_wait(uint32_t count);

#endif /* TESTS_FUNCTIONAL_REMOTE_REMOTE_WORKERS_H */
