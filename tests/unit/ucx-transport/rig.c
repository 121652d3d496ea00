/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ucx-transport/rig.c - see rig.h.
 */
#include "rig.h"

#include <stdio.h>
#include <string.h>

static const char node_letters[RIG_NODES] = {'c', 'a', 'b'};

static bool init(struct rig *rig, uint32_t node_count, uint32_t rail_count,
                 const struct xp_loop_script *script, bool same_host)
{
    static const struct xp_loop_script plain = {.seed = 1};
    char names[RIG_RAILS_MAX][16];
    struct xp_rail_config rails[RIG_RAILS_MAX];

    *rig = (struct rig){.node_count = node_count, .rail_count = rail_count, .next_session = 1};
    fab_clock_fake_init(&rig->clock, UINT64_C(1000000000));
    if (xp_loop_create(&rig->clock.clock, script ? script : &plain, &rig->loop) != FAB_OK)
        return false;
    for (uint32_t n = 0; n < node_count; n++) {
        struct xp_node_config config = {
            .rails = rails, .rail_count = rail_count, .clock = &rig->clock.clock, .polled = true};

        config.node_id[0] = same_host ? 1 : (uint8_t)(n + 1);
        for (uint32_t r = 0; r < rail_count; r++) {
            (void)snprintf(names[r], sizeof(names[r]), "%c%u", node_letters[n], r);
            rails[r] = (struct xp_rail_config){.backend = &xp_backend_loop,
                                               .device = names[r],
                                               .context = rig->loop,
                                               .numa_node = -1};
        }
        if (xp_node_create(&config, &rig->nodes[n], /* err */ NULL) != FAB_OK)
            return false;
    }
    return true;
}

bool rig_init(struct rig *rig, uint32_t node_count, uint32_t rail_count,
              const struct xp_loop_script *script)
{
    return init(rig, node_count, rail_count, script, /* same_host */ false);
}

bool rig_init_same_host(struct rig *rig, uint32_t node_count, uint32_t rail_count,
                        const struct xp_loop_script *script)
{
    return init(rig, node_count, rail_count, script, /* same_host */ true);
}

void rig_fini(struct rig *rig)
{
    for (uint32_t n = 0; n < RIG_NODES; n++)
        xp_node_destroy(rig->nodes[n]);
    xp_loop_destroy(rig->loop);
}

struct xp_limits rig_limits(void)
{
    return (struct xp_limits){
        .batch_bytes = 512,
        .batch_calls = 8,
        .chunk_bytes = 4096,
        .grace_ns = UINT64_C(30000) * RIG_MS,
    };
}

static void on_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    struct rig_end *end = user;
    uint64_t first = message->args_bytes ? *(const uint8_t *)message->args : 0;
    struct iovec part = {.iov_base = (void *)(uintptr_t)message->args,
                         .iov_len = message->args_bytes};
    bool replied = message->kind == XP_CALL && end->reply_at_once &&
                   xp_reply(conn, message->number, (int32_t)message->op, &part, 1, NULL) == FAB_OK;

    if (message->kind == XP_CALL && !replied && end->parked_count < FAB_ARRAY_LEN(end->parked))
        end->parked[end->parked_count++] = message->number;
    if (end->message_count < RIG_LOG_MAX)
        end->messages[end->message_count] = message->op | first << 32;
    end->message_count++;
    if (end->on_message)
        end->on_message(end, message);
}

static void on_event(void *user, struct xp_conn *conn, const struct xp_event *event)
{
    struct rig_end *end = user;

    (void)conn;
    switch (event->kind) {
    case XP_EVENT_UP:
        end->ups++;
        break;
    case XP_EVENT_SILENT:
        end->silents++;
        break;
    case XP_EVENT_LOST:
        end->losts++;
        end->lost_status = event->status;
        break;
    case XP_EVENT_RAIL_UP:
        end->rail_ups++;
        break;
    case XP_EVENT_RAIL_DOWN:
        end->rail_downs++;
        break;
    case XP_EVENT_CLOSED:
        end->closeds++;
        break;
    }
}

static const struct xp_handlers handlers = {.message = on_message, .event = on_event};

const struct xp_handlers *rig_handlers(void)
{
    return &handlers;
}

bool rig_connect(struct rig *rig, uint32_t i, uint32_t j, const struct xp_limits *limits,
                 struct rig_end *one, struct rig_end *other)
{
    return rig_connect_limits(rig, i, j, limits, limits, one, other);
}

bool rig_connect_keys(struct rig *rig, uint32_t i, uint32_t j, uint8_t key, uint8_t other_key,
                      struct rig_end *one, struct rig_end *other)
{
    bool ok;

    rig->key_byte[0] = key;
    rig->key_byte[1] = other_key;
    ok = rig_connect(rig, i, j, NULL, one, other);
    rig->key_byte[0] = rig->key_byte[1] = 0;
    return ok;
}

bool rig_connect_limits(struct rig *rig, uint32_t i, uint32_t j, const struct xp_limits *limits,
                        const struct xp_limits *other_limits, struct rig_end *one,
                        struct rig_end *other)
{
    const struct xp_limits *both[2] = {limits, other_limits};
    struct rig_end *ends[2] = {one, other};
    uint32_t at[2] = {i, j};
    uint64_t session = rig->next_session++;

    for (int e = 0; e < 2; e++) {
        struct xp_conn_config config = {.session_id = session,
                                        .initiator = e == 0,
                                        .manual_executed = e == 1 && rig->manual_executed,
                                        .limits = both[e] ? *both[e] : rig_limits(),
                                        .handlers = &handlers,
                                        .user = ends[e]};

        memset(config.key, 7 + rig->key_byte[e], sizeof(config.key));
        config.peer_address = xp_node_address(rig->nodes[at[1 - e]], &config.peer_address_bytes);
        ends[e]->rig = rig;
        if (xp_conn_open(rig->nodes[at[e]], &config, &ends[e]->conn, /* err */ NULL) != FAB_OK)
            return false;
    }
    return true;
}

void rig_settle(struct rig *rig)
{
    bool did = true;

    for (int turns = 0; did && turns < 100000; turns++) {
        did = false;
        for (uint32_t n = 0; n < rig->node_count; n++)
            did = xp_node_poll(rig->nodes[n]) || did;
    }
}

static uint64_t next_deadline(const struct rig *rig)
{
    uint64_t next_ns = UINT64_MAX;

    for (uint32_t n = 0; n < rig->node_count; n++) {
        uint64_t at_ns = xp_node_deadline_ns(rig->nodes[n]);

        next_ns = at_ns < next_ns ? at_ns : next_ns;
    }
    return next_ns;
}

bool rig_run(struct rig *rig, bool (*holds)(void *user), void *user, uint64_t limit_ns)
{
    uint64_t end_ns = fab_clock_now_ns(&rig->clock.clock) + limit_ns;

    for (;;) {
        uint64_t now_ns, next_ns;

        rig_settle(rig);
        if (holds && holds(user))
            return true;
        now_ns = fab_clock_now_ns(&rig->clock.clock);
        next_ns = next_deadline(rig);
        if (next_ns <= now_ns)
            next_ns = now_ns + 1;
        if (next_ns > end_ns)
            next_ns = end_ns;
        if (now_ns >= end_ns)
            return false;
        fab_clock_fake_advance(&rig->clock, next_ns - now_ns);
    }
}

void rig_wait(struct rig *rig, uint64_t ns)
{
    (void)rig_run(rig, NULL, NULL, ns);
}

struct both {
    struct rig_end *one, *other;
    uint32_t rails;
};

static bool both_up(void *user)
{
    struct both *both = user;

    return both->one->ups && both->other->ups && both->one->rail_ups >= both->rails &&
           both->other->rail_ups >= both->rails;
}

bool rig_run_up(struct rig *rig, struct rig_end *one, struct rig_end *other)
{
    struct both both = {one, other, rig->rail_count};

    return rig_run(rig, both_up, &both, UINT64_C(10000) * RIG_MS);
}

static void call_done(struct xp_call *call, const struct xp_reply *reply)
{
    struct rig_call *mine = call->user;

    mine->done_count++;
    mine->carried = reply->carried;
    mine->result = reply->result;
    mine->size_bytes = reply->size_bytes;
    if (reply->carried == FAB_OK && reply->size_bytes && reply->size_bytes <= sizeof(mine->bytes))
        memcpy(mine->bytes, reply->bytes, reply->size_bytes);
    memcpy(mine->digest, reply->digest, XP_DIGEST_BYTES);
}

void rig_call_init(struct rig_call *call)
{
    *call = (struct rig_call){.call = {.done = call_done}};
    call->call.user = call;
}

static void bulk_done(void *user, enum fab_status status)
{
    struct rig_bulk *bulk = user;

    bulk->done_count++;
    bulk->status = status;
}

const struct xp_bulk_ops rig_bulk_ops = {.done = bulk_done};

void rig_fill(uint8_t *bytes, size_t size_bytes, uint64_t seed)
{
    for (size_t i = 0; i < size_bytes; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        bytes[i] = (uint8_t)(seed >> 56);
    }
}
