/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/limit.h - what this worker takes of its devices' memory, and how much it may (design
 * F8, F9).
 *
 * All device memory that the client asks for passes cudas_charge() first. What the driver takes by
 * itself (contexts, code) is *fixed*: NVML says how much the process has, and what was not charged
 * of it is that. Without a limit nobody looks. Thread: any.
 */
#ifndef CUDA_SERVER_LIMIT_H
#define CUDA_SERVER_LIMIT_H

#include "cuda-server/worker.h"

/* Takes so many bytes of the vgpu's limit, before they are allocated. False: not there. */
bool cudas_charge(struct cudas_worker *worker, uint32_t vgpu, uint64_t bytes);
void cudas_uncharge(struct cudas_worker *worker, uint32_t vgpu, uint64_t bytes);
uint64_t cudas_charged_bytes(struct cudas_worker *worker); /* of all vgpus */

/* Charges what the driver has taken since, or gives it back. False: it is more than there was; it
 * is not charged then, and to be undone. Not while memory is mapped (the table's lock). */
bool cudas_limit_settle(struct cudas_worker *worker, uint32_t vgpu);

/* What programs are told: of the limit instead of the device. */
uint64_t cudas_limit_total(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                           uint64_t total_bytes);
uint64_t cudas_limit_free(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                          uint64_t free_bytes);

#endif /* CUDA_SERVER_LIMIT_H */
