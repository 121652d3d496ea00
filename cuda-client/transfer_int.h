/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/transfer_int.h - transfers as the copies start them.
 *
 * A transfer is what of a copy is under way between host memory and one worker, by an id that the
 * copy's command names. It is in a table until its host memory is nobody's business any more: read
 * (to the device) or written (from it).
 */
#ifndef CUDA_CLIENT_TRANSFER_INT_H
#define CUDA_CLIENT_TRANSFER_INT_H

#include "cuda-client/transfer.h"

/* Rows in host memory. */
struct cudac_rows {
    uint64_t address, pitch, layer;
    uint64_t width, height, depth;
};

enum cudac_transfer_kind {
    CUDAC_TRANSFER_SEND,    /* now, to the device */
    CUDAC_TRANSFER_PULL,    /* when the worker asks by `pull` */
    CUDAC_TRANSFER_RECEIVE, /* from the device, in bulk */
    CUDAC_TRANSFER_SMALL,   /* from the device, by `out_data` */
};

struct cudac_transfer_request {
    enum cudac_transfer_kind kind;
    struct cudac_worker *worker;
    uint64_t ctx;           /* whose work it is */
    struct cudac_rows rows; /* its memory is the transfer's until it has landed */
    const void *xp_mem;     /* struct xp_mem * that holds the rows; may be NULL */
    void *owned;            /* freed with the transfer; may be NULL */
};

/* Makes a transfer and starts what can be started: the command that names *id_out is posted next.
 * CUDA_ERROR_OUT_OF_MEMORY, CUDA_ERROR_DEVICE_UNAVAILABLE; `owned` is then freed. */
CUresult cudac_transfer_start(const struct cudac_transfer_request *request, uint64_t *id_out);
/* The command that names it was refused. */
void cudac_transfer_cancel(struct cudac_worker *worker, uint64_t id);

/* No command of this context will come any more. */
void cudac_transfers_context_close(const struct cudac_context *context);

bool cudac_rows_are_dense(const struct cudac_rows *rows);
uint64_t cudac_rows_bytes(const struct cudac_rows *rows);
/* Between rows and packed bytes: [offset, offset + bytes) of the packed form. */
void cudac_rows_gather(const struct cudac_rows *rows, uint64_t offset, uint64_t bytes,
                       uint8_t *packed);
void cudac_rows_scatter(const struct cudac_rows *rows, uint64_t offset, uint64_t bytes,
                        const uint8_t *packed);

#endif /* CUDA_CLIENT_TRANSFER_INT_H */
