/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_lane.c - see xp_lane.h.
 */
#include "ucx-transport/xp_lane.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"

enum { SPARES_MAX = 256 }; /* a quarter of the default window comes back at a time: 1 MiB */

static struct xp_batch *batch_of(struct fab_list *node)
{
    return fab_list_object(node, struct xp_batch, link);
}

void xp_lane_tx_init(struct xp_lane_tx *tx, uint32_t batch_bytes)
{
    *tx = (struct xp_lane_tx){.batch_bytes = batch_bytes, .keep_from = UINT64_MAX};
    fab_list_init(&tx->log);
    fab_list_init(&tx->spares);
    tx->next = &tx->log;
}

static struct xp_batch *batch_create(size_t capacity_bytes)
{
    struct xp_batch *batch = fab_alloc(sizeof(*batch) + capacity_bytes);

    if (!batch)
        return NULL;
    *batch = (struct xp_batch){.capacity_bytes = (uint32_t)capacity_bytes,
                               .data = (uint8_t *)(batch + 1)};
    fab_list_init(&batch->link);
    return batch;
}

static void batch_release(struct xp_lane_tx *tx, struct xp_batch *batch)
{
    if (tx->spare_count == SPARES_MAX || batch->capacity_bytes != tx->batch_bytes) {
        free(batch);
        return;
    }
    fab_list_insert(&tx->spares,
                    &batch->link); /* the one used last is the first again: its cache */
    tx->spare_count++;
}

static struct xp_batch *batch_obtain(struct xp_lane_tx *tx, size_t message_bytes)
{
    struct fab_list *spare;
    struct xp_batch *batch;

    if (message_bytes > tx->batch_bytes)
        return batch_create(message_bytes);
    spare = fab_list_take(&tx->spares);
    if (!spare)
        return batch_create(tx->batch_bytes);
    tx->spare_count--;
    batch = batch_of(spare);
    batch->count = batch->used_bytes = 0;
    batch->dropped = batch->was_sent = false;
    return batch;
}

void xp_lane_tx_fini(struct xp_lane_tx *tx)
{
    FAB_LIST_EACH(node, after, &tx->log)
    {
        fab_assert(batch_of(node)->sends == 0);
        free(batch_of(node));
    }
    FAB_LIST_EACH(node, after, &tx->spares)
    free(batch_of(node));
    fab_list_init(&tx->log);
    fab_list_init(&tx->spares);
    free(tx->open);
    tx->open = NULL;
}

void xp_lane_tx_close_batch(struct xp_lane_tx *tx)
{
    if (!tx->open)
        return;
    fab_list_append(&tx->log, &tx->open->link);
    if (tx->next == &tx->log)
        tx->next = &tx->open->link;
    tx->open = NULL;
}

enum fab_status xp_lane_tx_add(struct xp_lane_tx *tx, enum xp_wire_message kind, uint32_t op,
                               int32_t result, uint32_t args_bytes, uint8_t **args_out)
{
    size_t bytes = xp_message_bytes(args_bytes);
    struct xp_batch *batch = tx->open;

    if (!batch || batch->capacity_bytes - batch->used_bytes < bytes) {
        batch = batch_obtain(tx, bytes);
        if (!batch)
            return FAB_ERR_NOMEM;
        xp_lane_tx_close_batch(tx);
        batch->first = tx->last + 1;
        tx->open = batch;
    }
    *args_out = xp_message_encode(batch->data + batch->used_bytes, kind, op, result, args_bytes);
    batch->used_bytes += (uint32_t)bytes;
    batch->count++;
    tx->last++;
    tx->total_bytes += bytes;
    tx->log_bytes += bytes;
    return FAB_OK;
}

bool xp_lane_tx_has_more(const struct xp_lane_tx *tx)
{
    return tx->next != &tx->log;
}

struct xp_batch *xp_lane_tx_take(struct xp_lane_tx *tx)
{
    struct xp_batch *batch;

    if (tx->next == &tx->log)
        return NULL;
    batch = batch_of(tx->next);
    tx->next = tx->next->next;
    batch->sends++;
    return batch;
}

void xp_lane_tx_sent(struct xp_lane_tx *tx, struct xp_batch *batch)
{
    fab_assert(batch->sends > 0);
    if (--batch->sends == 0 && batch->dropped)
        batch_release(tx, batch);
}

/* Takes what the peer has, and nobody else needs, off the log. */
static void trim(struct xp_lane_tx *tx)
{
    uint64_t until = tx->acked < tx->keep_from ? tx->acked : tx->keep_from - 1;

    FAB_LIST_EACH(node, after, &tx->log)
    {
        struct xp_batch *batch = batch_of(node);

        if (batch->first + batch->count - 1 > until)
            return;
        if (tx->next == &batch->link)
            tx->next = batch->link.next;
        fab_list_remove(&batch->link);
        tx->log_bytes -= batch->used_bytes;
        batch->dropped = true;
        if (batch->sends == 0)
            batch_release(tx, batch);
    }
}

enum fab_status xp_lane_tx_acked(struct xp_lane_tx *tx, uint64_t number)
{
    uint64_t sent = tx->open ? tx->open->first - 1 : tx->last;

    if (number > sent)
        return FAB_ERR_PROTOCOL;
    if (number > tx->acked) {
        tx->acked = number;
        trim(tx);
    }
    return FAB_OK;
}

void xp_lane_tx_keep_from(struct xp_lane_tx *tx, uint64_t number)
{
    tx->keep_from = number ? number : 1;
    trim(tx);
}

uint32_t xp_lane_tx_rewind(struct xp_lane_tx *tx)
{
    struct fab_list *node = tx->log.next;
    uint32_t again = 0;

    while (node != &tx->log && batch_of(node)->first + batch_of(node)->count - 1 <= tx->acked)
        node = node->next;
    for (struct fab_list *at = node; at != tx->next && at != &tx->log; at = at->next)
        again++;
    tx->next = node;
    return again;
}

enum xp_lane_verdict xp_lane_rx_judge(const struct xp_lane_rx *rx, uint64_t first, uint32_t count)
{
    if (first > rx->received + 1)
        return XP_LANE_GAP;
    if (first + count - 1 <= rx->received)
        return XP_LANE_DUPLICATE;
    return first == rx->received + 1 ? XP_LANE_NEW : XP_LANE_BROKEN;
}
