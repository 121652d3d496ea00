/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_node.c - a process's transport: its rails, engines, address and memory.
 *
 * Thread: create and destroy the owner's; the rest any. After fork the child's copy is foreign: its
 * threads are not there, and its wires belong to the parent.
 */
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/log.h"
#include "ucx-transport/xp_int.h"
#include "ucx-transport/xp_numa.h"

_Atomic uint32_t xp_fork_generation;

static void child_after_fork(void)
{
    atomic_fetch_add_explicit(&xp_fork_generation, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, child_after_fork);
}

bool xp_backend_is_complete(const struct xp_backend *backend)
{
    return backend->name && backend->name[0] != '\0' &&
           strlen(backend->name) < XP_BACKEND_NAME_BYTES && backend->wire_open &&
           backend->wire_close && backend->wire_address && backend->wire_caps && backend->ep_open &&
           backend->ep_own && backend->ep_close && backend->send && backend->accept &&
           backend->refuse && backend->progress && backend->event_fd && backend->arm;
}

/* ---------------------------------------------------------------- building */

static struct xp_engine *engine_for(struct xp_node *node, bool bulk, int numa_node)
{
    struct xp_engine *engine;

    for (uint32_t i = 0; i < node->engine_count; i++) {
        engine = &node->engines[i];
        if (engine->control ? !bulk : bulk && engine->numa_node == numa_node)
            return engine;
    }
    engine = &node->engines[node->engine_count++];
    *engine = (struct xp_engine){.node = node,
                                 .control = !bulk,
                                 .is_quick = !bulk,
                                 .wake_fd = -1,
                                 .help_fd = -1,
                                 .return_fd = -1,
                                 .numa_node = numa_node};
    return engine;
}

/* What a slot is before its wire is open. */
static void slot_init(struct xp_node *node, uint32_t index, const struct xp_rail_config *rail)
{
    struct xp_slot *slot = &node->slots[index];

    slot->node = node;
    slot->backend = rail->backend;
    slot->rail = index / 2;
    slot->bulk = index % 2 == 1;
    fab_mutex_init(&slot->ready_lock);
    fab_list_init(&slot->legs);
    fab_list_init(&slot->ready);
    fab_list_init(&slot->fresh);
    slot->engine = engine_for(node, slot->bulk, rail->numa_node);
    slot->engine->slots[slot->engine->slot_count++] = slot;
    slot->engine->is_quick = slot->engine->is_quick && rail->backend->is_quiet;
}

/* A rail whose wires are being opened, by a thread of its own: that takes milliseconds each. */
struct opening {
    struct xp_node *node;
    const struct xp_rail_config *rail;
    uint32_t index;
    enum fab_status status;
    struct fab_err err;
    pthread_t thread;
    bool has_thread;
};

static void open_wires(struct opening *opening)
{
    struct xp_node *node = opening->node;
    const struct xp_rail_config *rail = opening->rail;

    for (uint32_t i = 2 * opening->index; i < 2 * opening->index + 2; i++) {
        struct xp_slot *slot = &node->slots[i];
        struct xp_wire_config config = {.device = rail->device,
                                        .context = rail->context,
                                        .bulk = slot->bulk,
                                        .numa_node = rail->numa_node,
                                        .log = node->log,
                                        .events = &xp_leg_events,
                                        .core = slot};

        opening->status = rail->backend->wire_open(&config, &slot->wire, &opening->err);
        if (opening->status != FAB_OK) {
            fab_err_context(&opening->err, "rail %u, %s %s", slot->rail, rail->backend->name,
                            rail->device ? rail->device : "");
            return;
        }
        rail->backend->wire_caps(slot->wire, &slot->caps);
    }
}

static void *open_wires_there(void *argument)
{
    struct opening *opening = argument;

    /* The wire's memory lies near its device, if it can; the engine's thread tells if not. */
    (void)!xp_numa_bind_thread(opening->rail->numa_node, NULL);
    open_wires(opening);
    return NULL;
}

static enum fab_status open_rails(struct xp_node *node, const struct xp_node_config *config,
                                  struct fab_err *err)
{
    struct opening openings[XP_RAILS_MAX];
    enum fab_status status = FAB_OK;

    node->rail_count = config->rail_count;
    for (uint32_t i = 0; i < 2 * node->rail_count; i++)
        slot_init(node, i, &config->rails[i / 2]);
    for (uint32_t i = 0; i < node->rail_count; i++) {
        openings[i] = (struct opening){.node = node, .rail = &config->rails[i], .index = i};
        openings[i].has_thread =
            !node->polled &&
            xp_thread_start(&openings[i].thread, open_wires_there, &openings[i]) == 0;
        if (!openings[i].has_thread)
            open_wires(&openings[i]);
    }
    for (uint32_t i = 0; i < node->rail_count; i++) {
        if (openings[i].has_thread)
            (void)pthread_join(openings[i].thread, NULL);
        if (status == FAB_OK && openings[i].status != FAB_OK) {
            status = openings[i].status;
            if (err)
                *err = openings[i].err;
        }
    }
    return status;
}

static enum fab_status make_address(struct xp_node *node, struct fab_err *err)
{
    struct xp_address address = {.rail_count = node->rail_count};
    enum fab_status status;

    memcpy(address.node_id, node->node_id, XP_NODE_ID_BYTES);
    for (uint32_t i = 0; i < node->rail_count; i++) {
        const struct xp_slot *slots = &node->slots[(size_t)2 * i];
        struct xp_rail_address *rail = &address.rails[i];

        (void)snprintf(rail->backend, sizeof(rail->backend), "%s", slots[0].backend->name);
        rail->control.bytes =
            slots[0].backend->wire_address(slots[0].wire, &rail->control.size_bytes);
        rail->bulk.bytes = slots[1].backend->wire_address(slots[1].wire, &rail->bulk.size_bytes);
    }
    status =
        xp_address_encode(&address, node->address, sizeof(node->address), &node->address_bytes);
    return status == FAB_OK ? FAB_OK : fab_err_set(err, status, "the node's address");
}

static enum fab_status check_config(const struct xp_node_config *config, struct fab_err *err)
{
    if (config->rail_count == 0 || config->rail_count > XP_RAILS_MAX || !config->clock)
        return fab_err_set(err, FAB_ERR_INVALID, "a node needs a clock and 1 to %d rails",
                           (int)XP_RAILS_MAX);
    for (uint32_t i = 0; i < config->rail_count; i++) {
        if (!config->rails[i].backend || !xp_backend_is_complete(config->rails[i].backend))
            return fab_err_set(err, FAB_ERR_INVALID, "rail %u has no complete backend", i);
        if (config->rails[i].numa_node < -1 || config->rails[i].numa_node >= XP_NUMA_NODES_MAX)
            return fab_err_set(err, FAB_ERR_INVALID, "rail %u on NUMA node %d", i,
                               config->rails[i].numa_node);
    }
    return FAB_OK;
}

enum fab_status xp_node_create(const struct xp_node_config *config, struct xp_node **node_out,
                               struct fab_err *err)
{
    enum { NS_PER_US = 1000 };
    static pthread_once_t forks_once = PTHREAD_ONCE_INIT;
    struct xp_node *node;
    enum fab_status status = check_config(config, err);

    if (status != FAB_OK)
        return status;
    (void)pthread_once(&forks_once, watch_forks);
    node = fab_alloc_zeroed(1, sizeof(*node));
    if (!node)
        return fab_err_set(err, FAB_ERR_NOMEM, "node");
    node->fork_generation = atomic_load(&xp_fork_generation);
    node->polled = config->polled;
    node->yields = config->cores_short;
    node->spin_ns = (uint64_t)config->spin_us * NS_PER_US;
    node->clock = config->clock;
    node->log = config->log;
    memcpy(node->node_id, config->node_id, XP_NODE_ID_BYTES);
    fab_mutex_init(&node->lock);
    fab_list_init(&node->conns);
    xp_canary_open(node);
    (void)engine_for(node, /* bulk */ false, /* numa_node */ -1);
    status = open_rails(node, config, err);
    if (status == FAB_OK)
        status = make_address(node, err);
    for (uint32_t i = 0; status == FAB_OK && i < node->engine_count && !node->polled; i++)
        status = xp_engine_start(&node->engines[i], err);
    if (status != FAB_OK)
        goto fail;
    *node_out = node;
    return FAB_OK;

fail:
    xp_node_destroy(node);
    return status;
}

/* ---------------------------------------------------------------- tearing down */

/* For engines that have no thread, or none any more. */
static bool turn_once(struct xp_engine *engine)
{
    bool did;

    if (!xp_engine_try(engine))
        return false; /* an application thread that waits turns it */
    did = xp_engine_turn(engine);
    xp_engine_let_go(engine);
    return did;
}

/* Whether a peer is to hear that its session ended, and can. */
static bool owes_word(struct xp_node *node)
{
    bool owes = false;

    fab_mutex_lock(&node->lock);
    FAB_LIST_EACH(at, after, &node->conns)
    {
        struct xp_conn *conn = fab_list_object(at, struct xp_conn, link);

        fab_mutex_lock(&conn->lock);
        owes = owes ||
               (conn->active && conn->linger_ns > 0 && !conn->hears_no_more &&
                (conn->closing || conn->state == XP_CONN_LOST) && xp_conn_owes_word_locked(conn));
        fab_mutex_unlock(&conn->lock);
    }
    fab_mutex_unlock(&node->lock);
    return owes;
}

void xp_node_part(struct xp_node *node, uint64_t limit_ns)
{
    enum { PAUSE_NS = 50000 };
    uint64_t until_ns = fab_deadline_ns(fab_clock_now_ns(fab_clock_real()), limit_ns);

    if (!node || xp_node_is_foreign(node))
        return;
    while (!node->polled && owes_word(node) && fab_clock_now_ns(fab_clock_real()) < until_ns) {
        bool did = false;

        for (uint32_t i = 0; i < node->engine_count; i++)
            did = turn_once(&node->engines[i]) || did;
        if (!did)
            (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
}

/* Ends every connection without a word; the backends need some turns to let go of their memory. */
static void end_connections(struct xp_node *node)
{
    FAB_LIST_EACH(at, after, &node->conns)
    {
        struct xp_conn *conn = fab_list_object(at, struct xp_conn, link);

        fab_mutex_lock(&conn->lock);
        conn->closing = true;
        atomic_store(&conn->muted, true);
        conn->linger_ns = 0;
        conn->hears_no_more = true;
        xp_bulk_fail_all_locked(conn, FAB_ERR_CANCELLED);
        fab_mutex_unlock(&conn->lock);
        xp_conn_work(conn);
    }
    while (!fab_list_is_empty(&node->conns)) {
        for (uint32_t i = 0; i < node->engine_count; i++)
            (void)turn_once(&node->engines[i]);
    }
}

void xp_node_destroy(struct xp_node *node)
{
    if (!node || xp_node_is_foreign(node))
        return;
    for (uint32_t i = 0; i < node->engine_count; i++)
        xp_engine_stop(&node->engines[i]);
    xp_node_part(node, XP_PART_NS);
    end_connections(node);
    for (uint32_t i = 0; i < 2 * node->rail_count; i++) {
        struct xp_slot *slot = &node->slots[i];

        if (slot->wire && xp_node_has_descriptors(node))
            slot->backend->wire_close(slot->wire);
        fab_map_fini(&slot->tokens);
        fab_mutex_fini(&slot->ready_lock);
    }
    for (uint32_t i = 0; i < node->engine_count; i++)
        xp_engine_fini(&node->engines[i]);
    xp_canary_close(node);
    fab_map_fini(&node->sessions);
    fab_mutex_fini(&node->lock);
    free(node);
}

/* Does a last turn, then the engine is nobody's: its thread and others find it taken. */
static bool take_engine(struct xp_engine *engine, uint64_t until_ns)
{
    while (!xp_engine_try(engine)) {
        if (fab_clock_now_ns(fab_clock_real()) >= until_ns)
            return false;
        (void)sched_yield();
    }
    (void)xp_engine_turn(engine);
    atomic_store(&engine->runner, XP_RUNNER_NOBODY);
    return true;
}

bool xp_node_quiet(struct xp_node *node)
{
    enum { LIMIT_NS = 1000000000 };
    uint64_t until_ns;
    uint32_t taken = 0;

    if (!node || xp_node_is_foreign(node))
        return true;
    until_ns = fab_deadline_ns(fab_clock_now_ns(fab_clock_real()), LIMIT_NS);
    while (taken < node->engine_count && take_engine(&node->engines[taken], until_ns))
        taken++;
    if (taken < node->engine_count) {
        while (taken > 0)
            xp_engine_let_go(&node->engines[--taken]);
        return false;
    }
    for (uint32_t i = 0; i < 2 * node->rail_count; i++) {
        if (node->slots[i].backend->wire_quiet && xp_node_has_descriptors(node))
            node->slots[i].backend->wire_quiet(node->slots[i].wire);
    }
    return true;
}

/* ---------------------------------------------------------------- polled nodes, address */

const uint8_t *xp_node_address(const struct xp_node *node, size_t *size_bytes_out)
{
    *size_bytes_out = node->address_bytes;
    return node->address;
}

bool xp_node_poll(struct xp_node *node)
{
    bool did = false;

    if (xp_node_is_foreign(node))
        return false;
    for (uint32_t i = 0; i < node->engine_count; i++)
        did = turn_once(&node->engines[i]) || did;
    return did;
}

uint64_t xp_node_deadline_ns(const struct xp_node *node)
{
    uint64_t next_ns = UINT64_MAX;

    for (uint32_t i = 0; i < node->engine_count; i++) {
        uint64_t at_ns = xp_engine_deadline_ns(&node->engines[i]);

        next_ns = at_ns < next_ns ? at_ns : next_ns;
    }
    return next_ns;
}

/* ---------------------------------------------------------------- memory */

/* A wire that does not want it, or cannot (locked memory is short), does without; NULL says so. */
static void *register_with(struct xp_slot *slot, const struct xp_mem *mem)
{
    void *registration = NULL;
    struct fab_err err = {0};
    enum fab_status status = FAB_ERR_UNSUPPORTED;

    if (slot->backend->mem_register)
        status =
            slot->backend->mem_register(slot->wire, &mem->config, mem->id, &registration, &err);
    if (status == FAB_OK)
        return registration;
    /* One line for a rail: the next ones have the same cause. */
    if (status != FAB_ERR_UNSUPPORTED && atomic_fetch_add(&slot->refused_registrations, 1) == 0)
        fab_log_debug(slot->node->log, "memory is staged: it cannot be registered",
                      "rail %u bytes %zu why %s", slot->rail, mem->config.size_bytes, err.text);
    return NULL;
}

enum fab_status xp_mem_register(struct xp_node *node, const struct xp_mem_config *config,
                                struct xp_mem **mem_out, struct fab_err *err)
{
    struct xp_mem *mem;

    if (xp_node_is_foreign(node))
        return fab_err_set(err, FAB_ERR_STALE, "a forked child has no transport");
    if (!xp_node_has_descriptors(node))
        return fab_err_set(err, FAB_ERR_STALE, "the transport's descriptors were closed");
    if (!config->address || config->size_bytes == 0)
        return fab_err_set(err, FAB_ERR_INVALID, "memory without address or size");
    mem = fab_alloc_zeroed(1, sizeof(*mem));
    if (!mem)
        return fab_err_set(err, FAB_ERR_NOMEM, "memory record");
    mem->node = node;
    mem->config = *config;
    fab_mutex_lock(&node->lock);
    mem->id = ++node->next_mem_id;
    fab_mutex_unlock(&node->lock);
    for (uint32_t i = 0; i < 2 * node->rail_count; i++)
        mem->registrations[i] = register_with(&node->slots[i], mem);
    *mem_out = mem;
    return FAB_OK;
}

void xp_mem_unregister(struct xp_mem *mem)
{
    if (!mem)
        return;
    for (uint32_t i = 0; i < 2 * mem->node->rail_count && !xp_node_is_foreign(mem->node); i++) {
        struct xp_slot *slot = &mem->node->slots[i];

        if (mem->registrations[i] && slot->backend->mem_unregister &&
            xp_node_has_descriptors(mem->node))
            slot->backend->mem_unregister(slot->wire, mem->registrations[i]);
    }
    free(mem);
}

uint64_t xp_mem_id(const struct xp_mem *mem)
{
    return mem->id;
}

void *xp_mem_view(struct xp_conn *conn, uint64_t mem_id, uint64_t offset, size_t size_bytes,
                  bool write)
{
    void *view = NULL;

    if (xp_node_is_foreign(conn->node))
        return NULL;
    fab_mutex_lock(&conn->lock);
    if (conn->active && conn->active->slot->backend->view)
        view = conn->active->slot->backend->view(conn->active->current->ep, mem_id, offset,
                                                 size_bytes, write);
    fab_mutex_unlock(&conn->lock);
    return view;
}
