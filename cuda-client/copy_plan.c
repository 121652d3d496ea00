/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy_plan.c - how the bytes of a copy go: with the command, by a window, in bulk.
 *
 * A worker on this host copies from and to our pinned memory itself, in stream order (WINDOW). Few
 * bytes go with the command (INLINE), many in chunks of their own (TRANSFER). Both are read when
 * the copy is submitted, so that the network works while the stream is still busy; where somebody
 * may write the source until the stream gets there, the worker asks for it then (PULL).
 */
#include "cuda-client/copy.h"

enum { INLINE_BYTES_MAX = 64 << 10 };

static struct cudac_copy_plan to_device(const struct cudac_copy_facts *facts)
{
    struct cudac_copy_plan plan = {.is_call = facts->wait == CUDAC_WAIT_DONE};
    const bool is_small = facts->bytes <= INLINE_BYTES_MAX;

    if (facts->has_window && (facts->wait != CUDAC_WAIT_SOURCE || !is_small)) {
        plan.flags = WIRE_COPY_WINDOW;
        plan.is_call = facts->wait != CUDAC_WAIT_NEVER;
    } else if (is_small && (!facts->may_change || facts->wait == CUDAC_WAIT_SOURCE)) {
        plan.flags = WIRE_COPY_INLINE; /* the source has been read */
    } else {
        plan.flags = WIRE_COPY_TRANSFER | (facts->may_change ? WIRE_COPY_PULL : 0);
        plan.waits_source = facts->wait == CUDAC_WAIT_SOURCE;
    }
    return plan;
}

struct cudac_copy_plan cudac_copy_plan(const struct cudac_copy_facts *facts)
{
    const bool is_call = facts->wait != CUDAC_WAIT_NEVER;
    uint32_t flags = WIRE_COPY_TRANSFER; /* in bulk, what comes has its turn */

    if (facts->to_device)
        return to_device(facts);
    if (facts->has_window)
        flags = WIRE_COPY_WINDOW;
    else if (facts->bytes <= INLINE_BYTES_MAX && !(is_call && facts->may_change))
        flags = WIRE_COPY_INLINE;
    return (struct cudac_copy_plan){.flags = flags, .is_call = is_call};
}
