/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ucx-transport/rig.h - nodes on a loop network with a fake clock, turned by hand.
 *
 * A rig has up to three nodes ("c", "a", "b"), each with the same number of rails; device "c0" is
 * rail 0 of node c. rig_run() polls all nodes and moves the clock to the next deadline until a
 * condition holds or so much time has passed.
 */
#ifndef TESTS_UNIT_UCX_TRANSPORT_RIG_H
#define TESTS_UNIT_UCX_TRANSPORT_RIG_H

#include "base/clock.h"
#include "ucx-transport/xp_loop.h"

enum { RIG_NODES = 3, RIG_RAILS_MAX = 4, RIG_LOG_MAX = 4096, RIG_MS = 1000000 };

struct rig {
    struct fab_clock_fake clock;
    struct xp_loop *loop;
    struct xp_node *nodes[RIG_NODES];
    uint32_t node_count, rail_count;
    uint8_t key_byte[2]; /* of the two ends of the next connection */
    uint64_t next_session;
    bool manual_executed; /* the responder of the next connection */
};

/* What one end of a connection saw. */
struct rig_end {
    struct rig *rig;
    struct xp_conn *conn;
    uint64_t messages[RIG_LOG_MAX]; /* op | first argument byte << 32, in order */
    uint32_t message_count;
    uint32_t ups, silents, losts, rail_ups, rail_downs, closeds;
    enum fab_status lost_status;
    bool reply_at_once; /* echo calls */
    uint64_t parked[64];
    uint32_t parked_count;
    void (*on_message)(struct rig_end *end, const struct xp_message *message);
    void *user;
};

bool rig_init(struct rig *rig, uint32_t node_count, uint32_t rail_count,
              const struct xp_loop_script *script);
/* All nodes have one node id. */
bool rig_init_same_host(struct rig *rig, uint32_t node_count, uint32_t rail_count,
                        const struct xp_loop_script *script);
void rig_fini(struct rig *rig);

/* Connects nodes i (initiator) and j; both ends take these limits (NULL: small ones for tests). */
bool rig_connect(struct rig *rig, uint32_t i, uint32_t j, const struct xp_limits *limits,
                 struct rig_end *one, struct rig_end *other);
bool rig_connect_limits(struct rig *rig, uint32_t i, uint32_t j, const struct xp_limits *limits,
                        const struct xp_limits *other_limits, struct rig_end *one,
                        struct rig_end *other);
bool rig_connect_keys(struct rig *rig, uint32_t i, uint32_t j, uint8_t key, uint8_t other_key,
                      struct rig_end *one, struct rig_end *other);
struct xp_limits rig_limits(void);
const struct xp_handlers *rig_handlers(void); /* user is a struct rig_end */

/* Polls until nothing is left to do now. */
void rig_settle(struct rig *rig);
/* Until the condition holds; false if it does not within `limit_ns` of fake time. */
bool rig_run(struct rig *rig, bool (*holds)(void *user), void *user, uint64_t limit_ns);
void rig_wait(struct rig *rig, uint64_t ns); /* lets the fake time pass */
bool rig_run_up(struct rig *rig, struct rig_end *one, struct rig_end *other);

/* A call's answer. */
struct rig_call {
    struct xp_call call;
    uint32_t done_count;
    enum fab_status carried;
    int32_t result;
    uint64_t size_bytes;
    uint8_t bytes[256];
    uint8_t digest[XP_DIGEST_BYTES];
};
void rig_call_init(struct rig_call *call);

/* One end of a transfer over plain memory. */
struct rig_bulk {
    struct xp_transfer *transfer;
    uint32_t done_count, moved_count;
    enum fab_status status;
};
extern const struct xp_bulk_ops rig_bulk_ops; /* user is a struct rig_bulk */

void rig_fill(uint8_t *bytes, size_t size_bytes, uint64_t seed);

#endif /* TESTS_UNIT_UCX_TRANSPORT_RIG_H */
