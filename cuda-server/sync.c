/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/sync.c - see sync.h.
 */
#include "cuda-server/sync.h"

#include "cuda-server/meter.h"
#include "cuda-server/text.h"
#include "cuda-server/transfer.h"
#include "cuda-server/watch.h"

void cudas_before_news(struct cudas_worker *worker, struct cudas_context *context, CUresult result)
{
    cudas_text_send(worker);
    if (context && cudas_is_sticky(result))
        cudas_context_failed(context, result);
    cudas_watches_look(worker);
    if (context && cudas_enter(context) == CUDA_SUCCESS)
        cudas_meter_read(context);
}

void cudas_reply_landed(struct cudas_worker *worker, const struct cudas_command *command,
                        struct cudas_context *context, CUresult result)
{
    uint64_t landed[CUDAS_LANDED_MAX];
    /* All replies of this kind have the same shape: one list of ids. */
    struct wire_stream_sync_reply m = {.landed = landed};
    struct wire_parts parts;

    cudas_before_news(worker, context, result);
    m.landed_count = cudas_landed(worker, landed);
    wire_put_stream_sync_reply(&m, &parts);
    cudas_reply(worker, command, result, &parts);
}
