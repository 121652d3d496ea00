/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/timeline.h - FABRIC_TRACE: a file of what happened when, which Perfetto opens.
 *
 * Chrome's trace format, one event a line, written while it happens: a program that is killed
 * leaves a file that opens all the same. The program is one process in it, with its calls and what
 * they waited for on the track of each thread. Each worker is another one: the batches of commands
 * that left for it, and kernels, a track for each stream of the program. Thread: any.
 */
#ifndef CUDA_CLIENT_TIMELINE_H
#define CUDA_CLIENT_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

struct cudac_worker;
struct xp_batch_info;

bool cudac_timeline_open(const char *path); /* false: can not be written */
bool cudac_timeline_is_on(void);
void cudac_timeline_close(void);  /* the last events, and the end of the file */
void cudac_timeline_forget(void); /* in a forked child: the file is the parent's */

/* On the calling thread's track, from start_ns until now. */
void cudac_timeline_span(const char *name, const char *category, uint64_t start_ns);
/* xp_handlers.batch of a worker. */
void cudac_timeline_batch(void *user, const struct xp_batch_info *info);
/* Devices tell what they did when they are asked: once at the beginning, after waits if it was not
 * done lately, and at the end. Blocks. */
void cudac_timeline_begin(struct cudac_worker *worker);
void cudac_timeline_after_wait(struct cudac_worker *worker);

#endif /* CUDA_CLIENT_TIMELINE_H */
