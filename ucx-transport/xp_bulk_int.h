/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_bulk_int.h - what the two halves of bulk transfers share.
 */
#ifndef UCX_TRANSPORT_XP_BULK_INT_H
#define UCX_TRANSPORT_XP_BULK_INT_H

#include "ucx-transport/xp_int.h"

/* xp_bulk.c */
void xp_transfer_settle_locked(struct xp_transfer *t); /* done() is due if nothing is open */
void xp_transfer_end_locked(struct xp_transfer *t, enum fab_status status);  /* this end only */
void xp_transfer_fail_locked(struct xp_transfer *t, enum fab_status status); /* both ends */
void xp_transfer_unpin(struct xp_transfer *t); /* one less busy; no lock held */

/* xp_bulk_in.c */
void xp_transfer_take_early_locked(struct xp_transfer *t); /* what came before the receiver */
void xp_transfer_ready_locked(struct xp_transfer *t);      /* tell the sender to go on */
FAB_NODISCARD enum fab_status xp_bulk_early_locked(struct xp_conn *conn, uint64_t id,
                                                   enum fab_status failed);
/* Asks the user where the chunk is or goes. No lock held. */
FAB_NODISCARD enum fab_status xp_transfer_place(struct xp_transfer *t, uint32_t index,
                                                const struct xp_slot *slot, struct xp_chunk *chunk,
                                                struct xp_buffer *buffer_out);

#endif /* UCX_TRANSPORT_XP_BULK_INT_H */
