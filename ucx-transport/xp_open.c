/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_open.c - makes a connection out of two addresses: defaults, pairs, legs.
 *
 * Also tickets, which are an address with a session's id and key. Thread: any.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "ucx-transport/xp_bytes.h"
#include "ucx-transport/xp_int.h"

/* ---------------------------------------------------------------- limits */

static const struct xp_limits limit_defaults = {
    .batch_bytes = 8000, /* stays under UCX's 8 KiB copying sends: facts/transport.md section 3 */
    .batch_calls = 64,
    .batch_ns = 20000,
    .window_bytes = 4 << 20,
    .window_calls = 65536,
    .urgent_bytes = 4 << 20,
    .chunk_bytes = 4 << 20,
    .chunks_in_flight = 4,
    .transfers = 4096,
    .grace_ns = UINT64_C(30) * 1000000000,
    .stall_ns = 500000000,
    .stall_first_ns = UINT64_C(5) * 1000000000,
    .idle_probe_ns = 1000000000,
    .retry_first_ns = 100000000,
    .retry_last_ns = UINT64_C(10) * 1000000000,
};

static void standard32(uint32_t *value, uint32_t standard)
{
    if (!*value)
        *value = standard;
}

static void standard64(uint64_t *value, uint64_t standard)
{
    if (!*value)
        *value = standard;
}

static enum fab_status complete_limits(struct xp_limits *limits, struct fab_err *err)
{
    enum { BATCH_MAX_BYTES = 64 << 10 };

    standard32(&limits->batch_bytes, limit_defaults.batch_bytes);
    standard32(&limits->batch_calls, limit_defaults.batch_calls);
    standard32(&limits->batch_ns, limit_defaults.batch_ns);
    standard32(&limits->window_bytes, limit_defaults.window_bytes);
    standard32(&limits->window_calls, limit_defaults.window_calls);
    standard32(&limits->urgent_bytes, limit_defaults.urgent_bytes);
    standard32(&limits->chunk_bytes, limit_defaults.chunk_bytes);
    standard32(&limits->chunks_in_flight, limit_defaults.chunks_in_flight);
    standard32(&limits->transfers, limit_defaults.transfers);
    standard64(&limits->grace_ns, limit_defaults.grace_ns);
    standard64(&limits->stall_ns, limit_defaults.stall_ns);
    standard64(&limits->stall_first_ns, limit_defaults.stall_first_ns);
    standard64(&limits->idle_probe_ns, limit_defaults.idle_probe_ns);
    standard64(&limits->retry_first_ns, limit_defaults.retry_first_ns);
    standard64(&limits->retry_last_ns, limit_defaults.retry_last_ns);
    if (limits->window_bytes < XP_WINDOW_MIN_BYTES || limits->window_calls < XP_WINDOW_MIN_CALLS)
        return fab_err_set(err, FAB_ERR_RANGE, "window below %d bytes or %d calls",
                           (int)XP_WINDOW_MIN_BYTES, (int)XP_WINDOW_MIN_CALLS);
    if (limits->chunks_in_flight > XP_CHUNKS_IN_FLIGHT_MAX ||
        limits->chunk_bytes < XP_PLAN_UNIT_MIN_BYTES)
        return fab_err_set(err, FAB_ERR_RANGE, "chunks of %u bytes, %u in flight",
                           limits->chunk_bytes, limits->chunks_in_flight);
    if (limits->batch_bytes > BATCH_MAX_BYTES)
        return fab_err_set(err, FAB_ERR_RANGE, "batches of %u bytes", limits->batch_bytes);
    return FAB_OK;
}

/* ---------------------------------------------------------------- pairs */

static bool pair_fits(const struct xp_node *node, const struct xp_address *peer, uint32_t local,
                      uint32_t remote)
{
    return local < node->rail_count && remote < peer->rail_count &&
           strcmp(node->slots[(size_t)2 * local].backend->name, peer->rails[remote].backend) == 0;
}

/* Adds a pair of rails that nobody has yet, for each local rail of that kind; how many there are.
 */
static uint32_t add_pairs(const struct xp_node *node, const struct xp_address *peer,
                          bool same_host_only, struct xp_rail_pair pairs[XP_RAILS_MAX],
                          uint32_t count)
{
    bool used[XP_RAILS_MAX] = {false};

    for (uint32_t i = 0; i < count; i++)
        used[pairs[i].peer] = true;
    for (uint32_t l = 0; l < node->rail_count; l++) {
        if (node->slots[(size_t)2 * l].caps.same_host_only != same_host_only)
            continue;
        for (uint32_t r = 0; r < peer->rail_count; r++) {
            if (used[r] || !pair_fits(node, peer, l, r))
                continue;
            used[r] = true;
            pairs[count++] = (struct xp_rail_pair){.local = (uint8_t)l, .peer = (uint8_t)r};
            break;
        }
    }
    return count;
}

/* The n-th rail of a kind with the n-th. On the same host the wire that is made for it comes first
 * and the others stand by: it may not reach the peer after all (another mount namespace). */
static uint32_t choose_pairs(const struct xp_node *node, const struct xp_address *peer,
                             struct xp_rail_pair pairs[XP_RAILS_MAX], uint32_t *standby_from_out)
{
    uint32_t count = 0;

    if (memcmp(node->node_id, peer->node_id, XP_NODE_ID_BYTES) == 0) {
        count = add_pairs(node, peer, /* same_host_only */ true, pairs, 0);
        if (count > 1)
            count = 1; /* one memory: a second such wire carries nothing more */
    }
    *standby_from_out = count ? count : XP_RAILS_MAX;
    return add_pairs(node, peer, /* same_host_only */ false, pairs, count);
}

static enum fab_status find_pairs(const struct xp_node *node, const struct xp_conn_config *config,
                                  const struct xp_address *peer,
                                  struct xp_rail_pair pairs[XP_RAILS_MAX], uint32_t *count_out,
                                  uint32_t *standby_from_out, struct fab_err *err)
{
    *standby_from_out = XP_RAILS_MAX;
    if (config->pair_count > XP_RAILS_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "%u pairs of rails", config->pair_count);
    for (uint32_t i = 0; i < config->pair_count; i++) {
        if (!pair_fits(node, peer, config->pairs[i].local, config->pairs[i].peer))
            return fab_err_set(err, FAB_ERR_UNREACHABLE, "rail %u here and rail %u there",
                               config->pairs[i].local, config->pairs[i].peer);
        pairs[i] = config->pairs[i];
    }
    *count_out =
        config->pair_count ? config->pair_count : choose_pairs(node, peer, pairs, standby_from_out);
    if (*count_out == 0)
        return fab_err_set(err, FAB_ERR_UNREACHABLE, "no rail here and there is of one kind");
    return FAB_OK;
}

/* ---------------------------------------------------------------- building */

static void leg_init(struct xp_conn *conn, uint32_t index, const struct xp_rail_pair *pair,
                     const struct xp_rail_address *peer)
{
    struct xp_leg *leg = &conn->legs[index];
    bool bulk = index % 2 == 1;
    const struct xp_wire_address *address = bulk ? &peer->bulk : &peer->control;

    *leg = (struct xp_leg){.conn = conn,
                           .slot = &conn->node->slots[(size_t)2 * pair->local + (bulk ? 1 : 0)],
                           .index = index,
                           .pair = index / 2,
                           .bulk = bulk,
                           .peer_address_bytes = address->size_bytes,
                           .retry_delay_ns = conn->limits.retry_first_ns};
    memcpy(leg->peer_address, address->bytes, address->size_bytes);
    fab_list_init(&leg->slot_link);
    fab_list_init(&leg->ready_link);
    fab_list_init(&leg->lives);
}

static void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

static void auth_init(struct xp_conn *conn, const struct xp_conn_config *config)
{
    const struct xp_node *node = conn->node;

    if (config->initiator)
        xp_auth_init(&conn->auth, config->key, node->address, node->address_bytes,
                     config->peer_address, config->peer_address_bytes);
    else
        xp_auth_init(&conn->auth, config->key, config->peer_address, config->peer_address_bytes,
                     node->address, node->address_bytes);
}

static void conn_init(struct xp_conn *conn, struct xp_node *node,
                      const struct xp_conn_config *config, const struct xp_limits *limits)
{
    *conn = (struct xp_conn){
        .node = node,
        .limits = *limits,
        .session_id = config->session_id,
        .initiator = config->initiator,
        .manual_executed = config->manual_executed,
        .handlers = config->handlers,
        .user = config->user,
        .silent_ns = fab_clock_now_ns(node->clock),
        .events = FAB_VEC(struct xp_pending_event),
        .credit_steps = FAB_VEC(struct xp_credit_step),
        .batch_due_ns = UINT64_MAX,
        .resend_ns = UINT64_MAX,
        .resend_delay_ns = XP_RESEND_NS,
        .ack_due_ns = UINT64_MAX,
        .peer_window_bytes = XP_WINDOW_MIN_BYTES,
        .peer_window_calls = XP_WINDOW_MIN_CALLS,
        .peer_chunk_bytes = limits->chunk_bytes,
        .chunks_in_flight = limits->chunks_in_flight,
    };
    if (conn->silent_ns == 0)
        conn->silent_ns = 1; /* 0 says "not silent" */
    fab_mutex_init(&conn->lock);
    condition_init(&conn->changed);
    fab_list_init(&conn->link);
    fab_list_init(&conn->active_sends);
    fab_list_init(&conn->finished);
    xp_lane_tx_init(&conn->tx[XP_LANE_ORDERED], limits->batch_bytes);
    xp_lane_tx_init(&conn->tx[XP_LANE_URGENT], limits->batch_bytes);
    auth_init(conn, config);
}

/* Opens the door before anybody can be told of the connection: a dial that comes too early waits a
 * second for its next try. The engine closes it (xp_leg.c). */
static void expect(struct xp_leg *leg)
{
    const struct xp_backend *backend = leg->slot->backend;

    if (leg->conn->initiator || !backend->expect)
        return;
    leg->expected = true;
    backend->expect(leg->slot->wire, leg->peer_address, leg->peer_address_bytes, /* come */ true);
}

/* Makes the connection known to the node and its legs to their engines. */
static enum fab_status join(struct xp_node *node, struct xp_conn *conn, struct fab_err *err)
{
    enum fab_status status = FAB_ERR_EXISTS;

    fab_mutex_lock(&node->lock);
    if (!fab_map_find(&node->sessions, conn->session_id))
        status = fab_map_put(&node->sessions, conn->session_id, conn);
    if (status == FAB_OK)
        fab_list_append(&node->conns, &conn->link);
    fab_mutex_unlock(&node->lock);
    if (status != FAB_OK)
        return fab_err_set(err, status, "session %" PRIx64, conn->session_id);
    for (uint32_t i = 0; i < conn->leg_count; i++) {
        struct xp_slot *slot = conn->legs[i].slot;

        expect(&conn->legs[i]);
        fab_mutex_lock(&slot->ready_lock);
        fab_list_append(&slot->fresh, &conn->legs[i].slot_link);
        atomic_store_explicit(&slot->any_ready, true, memory_order_relaxed);
        fab_mutex_unlock(&slot->ready_lock);
    }
    for (uint32_t i = 0; i < conn->leg_count; i++)
        xp_engine_timer(conn->legs[i].slot->engine, /* at once */ 0);
    xp_conn_work(conn);
    return FAB_OK;
}

enum fab_status xp_conn_open(struct xp_node *node, const struct xp_conn_config *config,
                             struct xp_conn **conn_out, struct fab_err *err)
{
    struct xp_rail_pair pairs[XP_RAILS_MAX];
    struct xp_limits limits = config->limits;
    struct xp_address peer;
    struct xp_conn *conn;
    uint32_t pair_count = 0, standby_from = 0;
    enum fab_status status;

    if (xp_node_is_foreign(node))
        return fab_err_set(err, FAB_ERR_STALE, "a forked child has no transport");
    if (!xp_node_has_descriptors(node))
        return fab_err_set(err, FAB_ERR_STALE, "the transport's descriptors were closed");
    if (config->session_id == 0 || !config->handlers || !config->handlers->message)
        return fab_err_set(err, FAB_ERR_INVALID, "a connection needs a session id and handlers");
    status = xp_address_decode(config->peer_address, config->peer_address_bytes, &peer);
    if (status != FAB_OK)
        return fab_err_set(err, status, "the peer's address");
    status = complete_limits(&limits, err);
    if (status == FAB_OK)
        status = find_pairs(node, config, &peer, pairs, &pair_count, &standby_from, err);
    if (status != FAB_OK)
        return status;
    conn = fab_alloc(sizeof(*conn));
    if (!conn)
        return fab_err_set(err, FAB_ERR_NOMEM, "connection");
    conn_init(conn, node, config, &limits);
    conn->leg_count = 2 * pair_count;
    conn->standby_from = standby_from;
    for (uint32_t i = 0; i < conn->leg_count; i++)
        leg_init(conn, i, &pairs[i / 2], &peer.rails[pairs[i / 2].peer]);
    *conn_out = conn; /* events may come before this function returns */
    status = join(node, conn, err);
    if (status != FAB_OK) {
        *conn_out = NULL;
        xp_conn_free(conn);
    }
    return status;
}

/* ---------------------------------------------------------------- tickets */

enum { TICKET_VERSION = 1, TICKET_PREFIX_BYTES = 16 + XP_KEY_BYTES };

static_assert(XP_TICKET_MAX_BYTES >= (int)TICKET_PREFIX_BYTES + (int)XP_ADDRESS_MAX_BYTES,
              "a ticket holds the longest address");

enum fab_status xp_ticket_issue(struct xp_node *node, const struct xp_conn_config *config,
                                uint64_t session_id, const uint8_t *peer_address,
                                size_t peer_address_bytes, uint8_t ticket_out[XP_TICKET_MAX_BYTES],
                                size_t *ticket_bytes_out, struct xp_conn **conn_out,
                                struct fab_err *err)
{
    struct xp_conn_config own = *config;
    enum fab_status status = xp_random(own.key, XP_KEY_BYTES);

    if (status != FAB_OK)
        return fab_err_set(err, status, "a key for the ticket");
    own.session_id = session_id;
    own.initiator = false;
    own.peer_address = peer_address;
    own.peer_address_bytes = peer_address_bytes;
    status = xp_conn_open(node, &own, conn_out, err);
    if (status == FAB_OK) {
        memset(ticket_out, 0, TICKET_PREFIX_BYTES);
        ticket_out[0] = TICKET_VERSION;
        xp_put64(ticket_out + 8, session_id);
        memcpy(ticket_out + 16, own.key, XP_KEY_BYTES);
        memcpy(ticket_out + TICKET_PREFIX_BYTES, node->address, node->address_bytes);
        *ticket_bytes_out = TICKET_PREFIX_BYTES + node->address_bytes;
    }
    explicit_bzero(own.key, XP_KEY_BYTES);
    return status;
}

enum fab_status xp_ticket_redeem(struct xp_node *node, const struct xp_conn_config *config,
                                 const uint8_t *ticket, size_t ticket_bytes,
                                 struct xp_conn **conn_out, struct fab_err *err)
{
    struct xp_conn_config own = *config;
    enum fab_status status;

    if (ticket_bytes <= TICKET_PREFIX_BYTES)
        return fab_err_set(err, FAB_ERR_TRUNCATED, "the ticket");
    if (ticket[0] != TICKET_VERSION)
        return fab_err_set(err, FAB_ERR_VERSION, "the ticket");
    own.session_id = xp_get64(ticket + 8);
    memcpy(own.key, ticket + 16, XP_KEY_BYTES);
    own.initiator = true;
    own.peer_address = ticket + TICKET_PREFIX_BYTES;
    own.peer_address_bytes = ticket_bytes - TICKET_PREFIX_BYTES;
    status = xp_conn_open(node, &own, conn_out, err);
    explicit_bzero(own.key, XP_KEY_BYTES);
    return status;
}
