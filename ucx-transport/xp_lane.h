/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_lane.h - one direction of one lane: numbers, batches, log, replay, watermarks.
 *
 * The sending half fills batches, keeps each until the peer has it, and hands them out in order,
 * again from the acknowledged one on after a rewind. The receiving half says which messages of a
 * frame are new. No I/O, no time, no lock: the connection's lock guards it.
 */
#ifndef UCX_TRANSPORT_XP_LANE_H
#define UCX_TRANSPORT_XP_LANE_H

#include "base/list.h"
#include "ucx-transport/xp_frame.h"

struct xp_batch {
    struct fab_list link; /* on the log; alone when acknowledged but still being sent */
    uint64_t first;       /* number of the first message */
    uint32_t count;
    uint32_t used_bytes, capacity_bytes;
    uint32_t sends; /* in flight: the memory stays */
    bool dropped;   /* off the log: freed with the last send */
    bool was_sent;
    uint64_t opened_ns; /* if somebody wants to know */
    uint8_t *data;
};

struct xp_lane_tx {
    struct fab_list log;    /* closed batches, oldest first */
    struct xp_batch *open;  /* being filled; not on the log */
    struct fab_list *next;  /* the batch to send next; &log: none */
    struct fab_list spares; /* kept, so that a steady stream allocates nothing */
    uint32_t spare_count;
    uint32_t batch_bytes;
    uint64_t last;        /* number given last */
    uint64_t acked;       /* the peer has all up to here */
    uint64_t keep_from;   /* stay on the log from here on */
    uint64_t total_bytes; /* of all messages ever given */
    uint64_t log_bytes;   /* on the log and in the open batch */
};

void xp_lane_tx_init(struct xp_lane_tx *tx, uint32_t batch_bytes);
/* No send may be in flight. */
void xp_lane_tx_fini(struct xp_lane_tx *tx);

/* Room for a message, header written: fills *args_out with where its arguments go. Closes the open
 * batch first if it does not fit there. FAB_ERR_NOMEM changes nothing. */
FAB_NODISCARD enum fab_status xp_lane_tx_add(struct xp_lane_tx *tx, enum xp_wire_message kind,
                                             uint32_t op, int32_t result, uint32_t args_bytes,
                                             uint8_t **args_out);
/* Moves the open batch, if any, to the log. */
void xp_lane_tx_close_batch(struct xp_lane_tx *tx);

/* The next batch to send, counted as in flight; NULL if all were sent. */
struct xp_batch *xp_lane_tx_take(struct xp_lane_tx *tx);
void xp_lane_tx_sent(struct xp_lane_tx *tx, struct xp_batch *batch); /* its send is done */
bool xp_lane_tx_has_more(const struct xp_lane_tx *tx);

/* The peer has all up to `number`; older than known is no news. FAB_ERR_PROTOCOL if we never
 * sent that. */
FAB_NODISCARD enum fab_status xp_lane_tx_acked(struct xp_lane_tx *tx, uint64_t number);
void xp_lane_tx_keep_from(struct xp_lane_tx *tx, uint64_t number);
/* Sends again from the first batch with an unacknowledged message; returns how many batches were
 * sent before. */
uint32_t xp_lane_tx_rewind(struct xp_lane_tx *tx);

/* ------------------------------------------------------------ receiving */

struct xp_lane_rx {
    uint64_t received; /* delivered up to here */
    uint64_t received_bytes;
};

enum xp_lane_verdict {
    XP_LANE_NEW,       /* deliver */
    XP_LANE_DUPLICATE, /* all known */
    XP_LANE_GAP,       /* something before it is missing: ask again */
    XP_LANE_BROKEN,    /* known and new in one batch: batches never change, so nobody sends that */
};

enum xp_lane_verdict xp_lane_rx_judge(const struct xp_lane_rx *rx, uint64_t first, uint32_t count);

#endif /* UCX_TRANSPORT_XP_LANE_H */
