/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/window.h - host memory of the client that this worker sees.
 *
 * On one host the client's page-locked memory is mapped here (a window), registered with the driver
 * once, and copied from and to without a step between. For kernels (host_map) it also gets a place
 * at its own address; on another host that is memory of this node, which the client fills and
 * reads. A registration belongs to a context of the driver; when that goes, another one takes it
 * over. Thread: any, locked.
 */
#ifndef CUDA_SERVER_WINDOW_H
#define CUDA_SERVER_WINDOW_H

#include "cuda-server/context.h"

FAB_NODISCARD enum fab_status cudas_windows_create(struct cudas_worker *worker,
                                                   struct cudas_windows **windows_out,
                                                   struct fab_err *err);
void cudas_windows_destroy(struct cudas_windows *windows); /* takes NULL */

/* Where [offset, offset + bytes) of the client's memory lies here, registered (the context is
 * current), or NULL: no such window, or it may not be written. */
void *cudas_window_at(struct cudas_worker *worker, struct cudas_context *context,
                      const struct wire_window *window, uint64_t bytes, bool write);

/* Where [address, address + bytes) lies, if it is host memory that has a place at its own address
 * here; NULL: it is the driver's. */
void *cudas_window_place(struct cudas_worker *worker, uint64_t address, uint64_t bytes);

/* The driver has destroyed the context: what it had registered goes to another one. */
void cudas_windows_forget(struct cudas_worker *worker, const struct cudas_context *context);
/* A new context: takes what no context has. It is current. */
void cudas_windows_adopt(struct cudas_worker *worker, struct cudas_context *context);
/* Gives up windows whose memory the client has freed. May wait for the driver: parked calls only,
 * after their answer. */
void cudas_windows_reap(struct cudas_worker *worker);

#endif /* CUDA_SERVER_WINDOW_H */
