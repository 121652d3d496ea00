/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/landed.c - `landed` of replies, whatever the message.
 */
#include "cuda-client/landed_int.h"

/* One case a message whose reply carries it. */
#define CASE(op, name)                                                                             \
    case op: {                                                                                     \
        struct wire_##name##_reply m;                                                              \
                                                                                                   \
        if (!wire_get_##name##_reply(reply->bytes, reply->size_bytes, &m))                         \
            return false;                                                                          \
        *out = (struct cudac_landed){m.landed, m.landed_count};                                    \
        return true;                                                                               \
    }

bool cudac_landed_get(uint32_t op, const struct cudac_reply *reply, struct cudac_landed *out)
{
    *out = (struct cudac_landed){.count = 0};
    switch (op) {
        CASE(WIRE_CTX_DESTROY, ctx_destroy)
        CASE(WIRE_CTX_SYNC, ctx_sync)
        CASE(WIRE_STREAM_SYNC, stream_sync)
        CASE(WIRE_STREAM_WATCH, stream_watch)
        CASE(WIRE_EVENT_SYNC, event_sync)
        CASE(WIRE_EVENT_WATCH, event_watch)
        CASE(WIRE_MEM_FREE, mem_free)
        CASE(WIRE_COPY_IN_WAIT, copy_in_wait)
        CASE(WIRE_COPY_OUT_WAIT, copy_out_wait)
        CASE(WIRE_COPY_DEVICE_WAIT, copy_device_wait)
        CASE(WIRE_SET_WAIT, set_wait)
    default:
        return true;
    }
}
#undef CASE
