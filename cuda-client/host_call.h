/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/host_call.h - something that the client does when a stream comes to it, and that the
 * stream waits for: functions of the program (hostfn.c), values in host memory (memop_host.c).
 */
#ifndef CUDA_CLIENT_HOST_CALL_H
#define CUDA_CLIENT_HOST_CALL_H

#include "cuda-client/stream.h"
#include "cuda-client/tasks.h"

/* On the heap, as the first member of what its user needs. */
struct cudac_host_call {
    struct cudac_task task; /* first; the user's */
    struct cudac_host_call *next;
    struct cudac_context *context; /* holds a reference */
    uint64_t token;
    CUresult error; /* of the context, when its turn comes */
    /* Its turn has come, in a failed context, too. May run on the control engine: must not wait.
     * Leads to cudac_host_call_end(). */
    void (*turn)(struct cudac_host_call *call);
};

/* Posts it; `kind` is WIRE_HOST_*. The caller has set `turn`. When it fails the call is still the
 * caller's. */
CUresult cudac_host_call_post(struct cudac_stream *stream, struct cudac_host_call *call,
                              uint32_t kind);
/* The stream goes on; the call is freed. Thread: any but the control engine. */
void cudac_host_call_end(struct cudac_host_call *call);

#endif /* CUDA_CLIENT_HOST_CALL_H */
