/* SPDX-License-Identifier: Apache-2.0
 * fabricd/rack.c - reports and sweeps as copies, joined into a model when they have changed.
 */
#include "fabricd/rack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/map.h"
#include "base/vec.h"
#include "fabricd/manager.h"

struct rack {
    struct fab_vec nodes; /* struct rack_node * */
    struct topo_fabric fabric;
    bool has_fabric, is_stale;
    struct topo *topo;
    struct fab_map gpus; /* uuid to id + 1 */
};

enum fab_status rack_create(struct rack **rack_out, struct fab_err *err)
{
    struct rack *rack = fab_alloc_zeroed(1, sizeof(*rack));

    if (!rack)
        return fab_err_set(err, FAB_ERR_NOMEM, "a rack");
    fab_vec_init(&rack->nodes, sizeof(struct rack_node *));
    fab_map_init(&rack->gpus);
    *rack_out = rack;
    return FAB_OK;
}

static void clear_node(struct rack_node *node)
{
    free(node->machine);
    free(node->programs);
    free(node->health);
    free(node->gauges);
}

void rack_destroy(struct rack *rack)
{
    struct rack_node *node;

    if (!rack)
        return;
    while (fab_vec_pop(&rack->nodes, &node)) {
        clear_node(node);
        free(node);
    }
    fab_vec_fini(&rack->nodes);
    topo_fabric_clear(&rack->fabric);
    topo_free(rack->topo);
    fab_map_fini(&rack->gpus);
    free(rack);
}

/* ---- reports ----------------------------------------------------------------------------------
 */

static struct rack_node *get_node(const struct rack *rack, const char *name)
{
    for (size_t i = 0; i < rack->nodes.count; i++)
        if (strcmp((*fab_vec_at(&rack->nodes, struct rack_node *, i))->name, name) == 0)
            return *fab_vec_at(&rack->nodes, struct rack_node *, i);
    return NULL;
}

static struct rack_node *add_node(struct rack *rack, const char *name)
{
    struct rack_node *node = fab_alloc_zeroed(1, sizeof(*node));

    if (node && fab_vec_push(&rack->nodes, &node) == FAB_OK) {
        (void)snprintf(node->name, sizeof(node->name), "%s", name);
        return node;
    }
    free(node);
    return NULL;
}

/* False: no memory. No items are no copy. */
static bool copy_items(const void *items, size_t count, size_t item_bytes, void **copy_out)
{
    void *copy = count ? fab_alloc_zeroed(count, item_bytes) : NULL;

    if (count && !copy)
        return false;
    if (count)
        memcpy(copy, items, count * item_bytes);
    *copy_out = copy;
    return true;
}

static bool copy_report(const struct message_report *report, struct rack_node *copy)
{
    void *machine = NULL, *programs = NULL, *health = NULL;
    const bool is_copied =
        report->gpu_count <= LEDGER_NODE_GPU_MAX && report->rail_count <= RAILS_MAX &&
        copy_items(report->machine, 1, sizeof(*report->machine), &machine) &&
        copy_items(report->programs, report->program_count, sizeof(*report->programs), &programs) &&
        copy_items(report->health, report->health_count, sizeof(*report->health), &health);

    copy->machine = machine;
    copy->programs = programs;
    copy->health = health;
    if (!is_copied) {
        clear_node(copy);
        return false;
    }
    copy->program_count = report->program_count;
    copy->health_count = report->health_count;
    copy->gpu_count = report->gpu_count;
    if (report->gpu_count)
        memcpy(copy->gpus, report->gpus, report->gpu_count * sizeof(copy->gpus[0]));
    copy->rail_count = report->rail_count;
    if (report->rail_count)
        memcpy(copy->rails, report->rails, report->rail_count * sizeof(copy->rails[0]));
    return true;
}

static bool has_same_gpus(const struct rack_node *a, const struct rack_node *b)
{
    if (a->gpu_count != b->gpu_count)
        return false;
    for (uint32_t i = 0; i < a->gpu_count; i++)
        if (strcmp(a->gpus[i].uuid, b->gpus[i].uuid) != 0 || a->gpus[i].index != b->gpus[i].index ||
            a->gpus[i].fence != b->gpus[i].fence)
            return false;
    return true;
}

enum fab_status rack_report(struct rack *rack, const char *name, const char *address,
                            const struct message_report *report, bool *is_new_out,
                            struct fab_err *err)
{
    struct rack_node copy = {.gpu_count = 0};
    struct rack_node *node = get_node(rack, name);
    bool is_other_machine;

    if (!copy_report(report, &copy))
        return fab_err_set(err, FAB_ERR_NOMEM, "the report of %s", name);
    if (!node)
        node = add_node(rack, name);
    if (!node) {
        clear_node(&copy);
        return fab_err_set(err, FAB_ERR_NOMEM, "the report of %s", name);
    }
    /* A difference in padding alone would cost a join and nothing else. */
    is_other_machine =
        !node->machine || memcmp(node->machine, copy.machine, sizeof(*copy.machine)) != 0;
    *is_new_out = is_other_machine || !has_same_gpus(node, &copy);
    rack->is_stale = rack->is_stale || is_other_machine;
    (void)snprintf(copy.name, sizeof(copy.name), "%s", name);
    (void)snprintf(copy.address, sizeof(copy.address), "%s", address);
    copy.gauges = node->gauges;
    node->gauges = NULL;
    clear_node(node);
    *node = copy;
    return FAB_OK;
}

enum fab_status rack_gauges(struct rack *rack, const char *name, const struct topo_gauges *gauges,
                            struct fab_err *err)
{
    struct rack_node *node = get_node(rack, name);

    if (!node)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "there was no report of %s", name);
    if (!node->gauges)
        node->gauges = fab_alloc(sizeof(*node->gauges));
    if (!node->gauges)
        return fab_err_set(err, FAB_ERR_NOMEM, "the gauges of %s", name);
    *node->gauges = *gauges;
    return FAB_OK;
}

/* Bytes and waits grow all the time, and the model does not look at them. */
static struct topo_fabric_port without_traffic(const struct topo_fabric_port *port)
{
    struct topo_fabric_port copy;

    memcpy(&copy, port, sizeof(copy)); /* with its padding: it is compared */
    copy.transmit_wait = copy.transmit_bytes = copy.receive_bytes = 0;
    return copy;
}

/* A difference in padding alone would cost a join and nothing else. */
static bool is_same_fabric(const struct topo_fabric *a, const struct topo_fabric *b)
{
    if (a->node_count != b->node_count || a->port_count != b->port_count ||
        (a->node_count > 0 && memcmp(a->nodes, b->nodes, a->node_count * sizeof(*a->nodes)) != 0))
        return false;
    for (uint32_t i = 0; i < a->port_count; i++) {
        const struct topo_fabric_port one = without_traffic(&a->ports[i]);
        const struct topo_fabric_port other = without_traffic(&b->ports[i]);

        if (memcmp(&one, &other, sizeof(one)) != 0)
            return false;
    }
    return true;
}

enum fab_status rack_sweep(struct rack *rack, const struct topo_fabric *fabric, struct fab_err *err)
{
    const uint32_t node_count = fabric->node_count, port_count = fabric->port_count;
    void *nodes = NULL, *ports = NULL;

    if (!copy_items(fabric->nodes, fabric->node_count, sizeof(*fabric->nodes), &nodes) ||
        !copy_items(fabric->ports, fabric->port_count, sizeof(*fabric->ports), &ports)) {
        free(nodes);
        return fab_err_set(err, FAB_ERR_NOMEM, "the fabric");
    }
    rack->is_stale = rack->is_stale || !rack->has_fabric || !is_same_fabric(&rack->fabric, fabric);
    topo_fabric_clear(&rack->fabric);
    rack->fabric = (struct topo_fabric){node_count, port_count, nodes, ports};
    rack->has_fabric = true;
    return FAB_OK;
}

/* ---- the model --------------------------------------------------------------------------------
 */

bool rack_is_stale(const struct rack *rack)
{
    return rack->is_stale;
}

static enum fab_status join(const struct rack *rack, struct topo **topo_out, struct fab_err *err)
{
    const struct topo_machine **machines =
        fab_alloc_zeroed(rack->nodes.count + 1, sizeof(struct topo_machine *));
    enum fab_status status;

    if (!machines)
        return fab_err_set(err, FAB_ERR_NOMEM, "the model");
    for (size_t i = 0; i < rack->nodes.count; i++)
        machines[i] = rack_node(rack, i)->machine;
    status = topo_join(machines, rack->nodes.count, rack->has_fabric ? &rack->fabric : NULL,
                       topo_out, err);
    free(machines);
    return status;
}

static enum fab_status index_gpus(const struct topo *topo, struct fab_map *gpus_out,
                                  struct fab_err *err)
{
    topo_id id = TOPO_NO_ID;

    fab_map_init(gpus_out);
    while ((id = topo_next(topo, TOPO_GPU, TOPO_NO_ID, id)) != TOPO_NO_ID) {
        void *value = (void *)((uintptr_t)id + 1); /* not NULL */

        if (fab_map_put_text(gpus_out, topo_thing(topo, id)->gpu->uuid, value) != FAB_OK) {
            fab_map_fini(gpus_out);
            return fab_err_set(err, FAB_ERR_NOMEM, "the GPUs of the model");
        }
    }
    return FAB_OK;
}

enum fab_status rack_join(struct rack *rack, struct manager *manager, struct fab_err *err)
{
    struct topo *topo = NULL;
    struct fab_map gpus;
    enum fab_status status;

    rack->is_stale = false;
    status = join(rack, &topo, err);
    if (status != FAB_OK)
        return status;
    status = index_gpus(topo, &gpus, err);
    if (status == FAB_OK) {
        status = manager_set_topo(manager, topo, err);
        if (status != FAB_OK)
            fab_map_fini(&gpus);
    }
    if (status != FAB_OK) {
        topo_free(topo);
        return status;
    }
    topo_free(rack->topo);
    rack->topo = topo;
    fab_map_fini(&rack->gpus);
    rack->gpus = gpus;
    return FAB_OK;
}

/* ---- looking ----------------------------------------------------------------------------------
 */

const struct topo *rack_topo(const struct rack *rack)
{
    return rack->topo;
}

const struct topo_fabric *rack_fabric(const struct rack *rack)
{
    return rack->has_fabric ? &rack->fabric : NULL;
}

size_t rack_node_count(const struct rack *rack)
{
    return rack->nodes.count;
}

const struct rack_node *rack_node(const struct rack *rack, size_t index)
{
    return *fab_vec_at(&rack->nodes, struct rack_node *, index);
}

const struct rack_node *rack_find(const struct rack *rack, const char *node)
{
    return get_node(rack, node);
}

uint32_t rack_rails(const struct rack *rack, const char *name, const struct rails_rail **rails_out)
{
    const struct rack_node *node = get_node(rack, name);

    *rails_out = node ? node->rails : NULL;
    return node ? node->rail_count : 0;
}

topo_id rack_gpu(const struct rack *rack, const char *uuid)
{
    void *value = fab_map_find_text(&rack->gpus, uuid);

    return value ? (topo_id)((uintptr_t)value - 1) : TOPO_NO_ID;
}

const struct topo_gpu_gauge *rack_gpu_gauge(const struct rack *rack, const char *name,
                                            const char *uuid)
{
    const struct rack_node *node = get_node(rack, name);

    for (uint32_t i = 0; node && node->gauges && i < node->gauges->gpu_count; i++)
        if (strcmp(node->gauges->gpus[i].uuid, uuid) == 0)
            return &node->gauges->gpus[i];
    return NULL;
}
