/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/hold.h - what all later work of a context waits for (cuCtxWaitEvent).
 *
 * The driver's own cuCtxWaitEvent would also hold the lanes of the worker, and streams that the
 * client has for itself; these bring the memory that the awaited work itself may need. So what is
 * to be waited for goes into a lane, and each stream of the program waits for that lane's event
 * before its next work.
 */
#ifndef CUDA_SERVER_HOLD_H
#define CUDA_SERVER_HOLD_H

#include <cuda.h>
#include <stdatomic.h>
#include <stdint.h>

struct cudas_context;
struct cudas_lane;
struct cudas_stream;

struct cudas_hold {
    struct cudas_lane *lane; /* under the context's lock; NULL: there was nothing yet */
    uint32_t used;           /* waits in the lane since it was seen empty; the leader's */
    _Atomic uint64_t count;  /* of waits; the lane's event is behind that many */
};

/* Of the context, which is current; only posts do so, hence one thread at a time. What is put into
 * *stream_out until cudas_hold_end() is what later work waits for. */
CUresult cudas_hold_begin(struct cudas_context *context, CUstream *stream_out);
CUresult cudas_hold_end(struct cudas_context *context);
/* Before work of the program is put into `stream`, from any thread: it waits for all that is held
 * so far. Nothing for a stream that is the client's own. */
CUresult cudas_hold_apply(struct cudas_context *context, struct cudas_stream *stream);
/* With the context's last reference. */
void cudas_hold_fini(struct cudas_hold *hold);

#endif /* CUDA_SERVER_HOLD_H */
