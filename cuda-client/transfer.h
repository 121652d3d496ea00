/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/transfer.h - bytes on their way between host memory and a worker.
 */
#ifndef CUDA_CLIENT_TRANSFER_H
#define CUDA_CLIENT_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "cuda-client/context.h"

/* Waits until these transfers from the worker have landed in host memory (`landed` of a reply).
 * Unknown ids have landed long ago. CUDA_SUCCESS, or why one of them failed. Thread: any but the
 * control engine. */
CUresult cudac_transfers_wait(struct cudac_worker *worker, const uint64_t *ids, uint32_t count);
/* Calls fn when they have landed, perhaps before it returns; for handlers of the control engine. */
CUresult cudac_transfers_when(struct cudac_worker *worker, const uint64_t *ids, uint32_t count,
                              void (*fn)(void *arg), void *arg);

/* Bytes between this process and device memory of a vgpu, outside any stream, when the worker has
 * nothing queued that could touch them; blocks. For module variables and shared memory. */
CUresult cudac_transfer_in_now(struct cudac_context *context, uint64_t address, const void *from,
                               uint64_t bytes);
CUresult cudac_transfer_out_now(struct cudac_context *context, uint64_t address, void *to,
                                uint64_t bytes);

/* Whether a copy from a device is still on its way into [address, address + bytes) of the host. */
bool cudac_transfers_pending_into(uint64_t address, uint64_t bytes);
/* Whether so few are under way that more may be sent before their streams get to them. */
bool cudac_transfers_are_few(void);
/* Whether a copy is still on its way from a worker, wherever to. */
bool cudac_transfers_pending_from(const struct cudac_worker *worker);

#endif /* CUDA_CLIENT_TRANSFER_H */
