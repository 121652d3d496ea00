/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/sync.h - answers that tell of completion.
 *
 * Before such an answer go the text that kernels printed and the news of a failed context; with it
 * goes the list of transfers whose bytes may still be on their way to the client (`landed`).
 */
#ifndef CUDA_SERVER_SYNC_H
#define CUDA_SERVER_SYNC_H

#include "cuda-server/context.h"

/* Answers a call whose only reply is `landed` (stream_sync, ctx_sync, the copies that wait ...). */
void cudas_reply_landed(struct cudas_worker *worker, const struct cudas_command *command,
                        struct cudas_context *context, CUresult result);

/* What must happen before any news of completion; `context` may be NULL. */
void cudas_before_news(struct cudas_worker *worker, struct cudas_context *context, CUresult result);

#endif /* CUDA_SERVER_SYNC_H */
