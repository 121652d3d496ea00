/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/stats.h - what a session has done, in numbers.
 */
#ifndef CUDA_CLIENT_STATS_H
#define CUDA_CLIENT_STATS_H

/* FABRIC_STATS=file: one JSON document at the end of the process; nothing without it. */
void cudac_stats_write(void);

#endif /* CUDA_CLIENT_STATS_H */
