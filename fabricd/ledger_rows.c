/* SPDX-License-Identifier: Apache-2.0
 * fabricd/ledger_rows.c - the ledger's objects as JSON rows of the store, and back.
 *
 * A fact stands in one row: which system has a GPU is said by the system's row only; whether a node
 * is reachable is said by none. Rows come from our own store, but a copy restored by hand or a
 * damaged disk is met with an error that names the row, never with a guess.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/json.h"
#include "base/parse.h"
#include "fabricd/ledger_int.h"
#include "fabricd/store.h"

/* ---- writing ----------------------------------------------------------------------------------
 */

/* Takes the value; NULL: no memory. */
static char *text_of(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    return text;
}

char *ledger_node_row(const struct ledger_node *node)
{
    return text_of(json_pack("{sssbss}", "boot", node->boot_id, "drained", node->is_drained,
                             "reason", node->is_drained ? node->reason : ""));
}

char *ledger_gpu_row(const struct ledger_gpu *gpu)
{
    return text_of(json_pack(
        "{sssIsssIsbsbsssI}", "node", gpu->node->name, "index", (json_int_t)gpu->index, "name",
        gpu->name, "fence", (json_int_t)gpu->fence, "failed", gpu->has_failed, "drained",
        gpu->is_drained, "reason", gpu->reason, "since", (json_int_t)gpu->since_ms));
}

static json_t *hosts_json(const struct ledger_system *system)
{
    json_t *hosts = json_array();

    for (uint32_t i = 0; hosts && i < system->host_count; i++) {
        const struct ledger_host *host = &system->hosts[i];
        json_t *gpus = json_array();

        for (uint32_t k = 0; k < host->gpu_count; k++)
            (void)json_array_append_new(
                gpus, json_string(system->gpus[host->first_gpu + k]->uuid)); /* takes NULL */
        if (json_array_append_new(hosts, json_pack("{ssso}", "node", host->node, "gpus", gpus)) !=
                0 ||
            json_array_size(gpus) != host->gpu_count) {
            json_decref(hosts);
            return NULL;
        }
    }
    return hosts;
}

/* Of each GPU in the system's order: pairs of numbers. NULL: no memory. */
static json_t *rails_json(const struct ledger_system *system)
{
    json_t *rails = json_array();

    for (uint32_t i = 0; rails && i < system->gpu_count; i++) {
        const struct rails_choice *choice = &system->rails_of[i];
        json_t *pairs = json_array();

        for (uint32_t k = 0; k < choice->count; k++)
            (void)json_array_append_new(pairs, json_pack("[II]", (json_int_t)choice->pairs[k].local,
                                                         (json_int_t)choice->pairs[k].remote));
        if (json_array_size(pairs) != choice->count || json_array_append(rails, pairs) != 0) {
            json_decref(pairs);
            json_decref(rails);
            return NULL;
        }
        json_decref(pairs);
    }
    return rails;
}

/* Positions in the system's order. */
static json_t *confirmed_json(const struct ledger_system *system)
{
    json_t *confirmed = json_array();

    for (uint32_t i = 0; confirmed && i < system->gpu_count; i++) {
        if (system->is_confirmed[i] && json_array_append_new(confirmed, json_integer(i)) != 0) {
            json_decref(confirmed);
            return NULL;
        }
    }
    return confirmed;
}

char *ledger_system_row(const struct ledger_system *system)
{
    /* "o" takes what it is given, also when packing fails. */
    return text_of(json_pack("{sssssIsbsIsIsIsIsososo}", "state", ledger_state_name(system->state),
                             "reason", system->reason, "uid", (json_int_t)system->owner_uid,
                             "adhoc", system->is_adhoc, "since", (json_int_t)system->since_ms,
                             "created", (json_int_t)system->created_ms, "limit",
                             (json_int_t)(system->limit_ms == UINT64_MAX ? 0 : system->limit_ms),
                             "rails", (json_int_t)system->rails, "hosts", hosts_json(system),
                             "rails_of", rails_json(system), "confirmed", confirmed_json(system)));
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* A row being read: the first member that is wrong decides. */
struct reader {
    const json_t *json;
    enum fab_status status;
    struct fab_err *err;
};

static void read_text(struct reader *reader, const char *path, char *text_out, size_t text_bytes)
{
    const char *text = "";

    if (reader->status == FAB_OK)
        reader->status = fab_json_get_string(reader->json, path, &text, reader->err);
    if (reader->status == FAB_OK && strlen(text) >= text_bytes)
        reader->status = fab_err_set(reader->err, FAB_ERR_RANGE, "%s is too long", path);
    if (reader->status == FAB_OK)
        memcpy(text_out, text, strlen(text) + 1);
}

static uint64_t read_number(struct reader *reader, const char *path, int64_t max)
{
    int64_t number = 0;

    if (reader->status == FAB_OK)
        reader->status = fab_json_get_int(reader->json, path, 0, max, &number, reader->err);
    return (uint64_t)number;
}

static bool read_bool(struct reader *reader, const char *path)
{
    bool value = false;

    if (reader->status == FAB_OK)
        reader->status = fab_json_get_bool(reader->json, path, &value, reader->err);
    return value;
}

static enum fab_status load_node(struct ledger *ledger, const char *name,
                                 const struct store_entry *entry, struct reader *reader)
{
    struct ledger_node *node = fab_alloc_zeroed(1, sizeof(*node));

    if (!node)
        return FAB_ERR_NOMEM;
    node->revision = entry->revision;
    (void)snprintf(node->name, sizeof(node->name), "%s", name);
    read_text(reader, "boot", node->boot_id, sizeof(node->boot_id));
    node->is_drained = read_bool(reader, "drained");
    read_text(reader, "reason", node->reason, sizeof(node->reason));
    if (reader->status == FAB_OK)
        reader->status = ledger_add_node(ledger, node);
    if (reader->status != FAB_OK)
        free(node);
    return reader->status;
}

static enum fab_status load_gpu(struct ledger *ledger, const char *name,
                                const struct store_entry *entry, struct reader *reader)
{
    char node_name[LEDGER_NAME_BYTES] = "";
    struct ledger_node *node;
    struct ledger_gpu *gpu = fab_alloc_zeroed(1, sizeof(*gpu));

    if (!gpu)
        return FAB_ERR_NOMEM;
    gpu->revision = entry->revision;
    (void)snprintf(gpu->uuid, sizeof(gpu->uuid), "%s", name);
    read_text(reader, "node", node_name, sizeof(node_name));
    read_text(reader, "name", gpu->name, sizeof(gpu->name));
    gpu->index = (uint32_t)read_number(reader, "index", UINT32_MAX);
    gpu->fence = read_number(reader, "fence", INT64_MAX);
    gpu->has_failed = read_bool(reader, "failed");
    gpu->is_drained = read_bool(reader, "drained");
    read_text(reader, "reason", gpu->reason, sizeof(gpu->reason));
    gpu->since_ms = read_number(reader, "since", INT64_MAX);
    if (gpu->fence > ledger->fence) /* as a report raises it: none is given twice */
        ledger->fence = gpu->fence;
    node = ledger_get_node(ledger, node_name);
    if (reader->status == FAB_OK && !node)
        reader->status = fab_err_set(reader->err, FAB_ERR_FORMAT, "there is no node %s", node_name);
    if (reader->status == FAB_OK)
        reader->status = ledger_add_gpu(ledger, node, gpu);
    if (reader->status != FAB_OK)
        free(gpu);
    return reader->status;
}

static void load_host_gpu(struct ledger *ledger, struct ledger_system *system,
                          struct reader *reader, const char *uuid)
{
    struct ledger_gpu *gpu = fab_map_find_text(&ledger->gpus, uuid ? uuid : "");

    if (!gpu || gpu->system || gpu->fence == 0 || system->gpu_count == LEDGER_SYSTEM_GPU_MAX) {
        reader->status =
            fab_err_set(reader->err, FAB_ERR_FORMAT, "GPU %s %s", uuid ? uuid : "without a name",
                        !gpu              ? "does not exist"
                        : gpu->system     ? "stands in two systems"
                        : gpu->fence == 0 ? "was never given"
                                          : "is one too many");
        return;
    }
    gpu->system = system;
    system->gpus[system->gpu_count++] = gpu;
}

/* NULL: it is not there, or none. */
static const json_t *read_array(struct reader *reader, const json_t *json, const char *name)
{
    const json_t *array = json_object_get(json, name);

    if (json_is_array(array))
        return array;
    if (reader->status == FAB_OK)
        reader->status = fab_err_set(reader->err, FAB_ERR_FORMAT, "%s is no array", name);
    return NULL;
}

static void load_hosts(struct ledger *ledger, struct ledger_system *system, struct reader *reader)
{
    const json_t *hosts = read_array(reader, reader->json, "hosts");
    const json_t *host_json, *gpu_json;
    size_t i, k;

    json_array_foreach(hosts, i, host_json)
    {
        struct ledger_host *host = &system->hosts[system->host_count];
        const json_t *gpus = read_array(reader, host_json, "gpus");
        const char *node = json_string_value(json_object_get(host_json, "node"));

        if (reader->status != FAB_OK)
            return;
        if (system->host_count == LEDGER_SYSTEM_HOST_MAX || !node ||
            strlen(node) >= LEDGER_NAME_BYTES) {
            reader->status = fab_err_set(reader->err, FAB_ERR_FORMAT, "hosts[%zu] is no host", i);
            return;
        }
        (void)snprintf(host->node, sizeof(host->node), "%s", node);
        host->first_gpu = system->gpu_count;
        system->host_count++;
        json_array_foreach(gpus, k, gpu_json)
        {
            if (reader->status == FAB_OK)
                load_host_gpu(ledger, system, reader, json_string_value(gpu_json));
        }
        host->gpu_count = system->gpu_count - host->first_gpu;
    }
}

static bool read_rail(const json_t *json, uint32_t *rail_out)
{
    const json_int_t rail = json_integer_value(json);

    if (!json_is_integer(json) || rail < 0 || rail >= RAILS_MAX)
        return false;
    *rail_out = (uint32_t)rail;
    return true;
}

/* False: no pair of numbers of rails. */
static bool read_pair(const json_t *json, struct rails_pair *pair)
{
    return json_array_size(json) == 2 && read_rail(json_array_get(json, 0), &pair->local) &&
           read_rail(json_array_get(json, 1), &pair->remote);
}

/* A row of an earlier version has none: it uses all, by number. */
static void load_rails(struct ledger_system *system, struct reader *reader)
{
    const json_t *rails = json_object_get(reader->json, "rails_of"), *pairs, *pair;
    size_t i, k;

    if (!rails || reader->status != FAB_OK)
        return;
    if (!json_is_array(rails)) {
        reader->status = fab_err_set(reader->err, FAB_ERR_FORMAT, "rails_of is no array");
        return;
    }
    system->rails = (uint32_t)read_number(reader, "rails", RAILS_MAX);
    json_array_foreach(rails, i, pairs)
    {
        struct rails_choice *choice = &system->rails_of[i < system->gpu_count ? i : 0];

        json_array_foreach(pairs, k, pair)
        {
            if (i < system->gpu_count && choice->count < RAILS_MAX &&
                read_pair(pair, &choice->pairs[choice->count])) {
                choice->count++;
                continue;
            }
            reader->status = fab_err_set(reader->err, FAB_ERR_FORMAT,
                                         "rails_of[%zu][%zu] is no pair of rails", i, k);
            return;
        }
    }
}

static void load_confirmed(struct ledger_system *system, struct reader *reader)
{
    const json_t *confirmed = read_array(reader, reader->json, "confirmed");
    const json_t *item;
    size_t i;

    json_array_foreach(confirmed, i, item)
    {
        const json_int_t at = json_is_integer(item) ? json_integer_value(item) : -1;

        if (reader->status != FAB_OK)
            return;
        if (at >= 0 && at < (json_int_t)system->gpu_count)
            system->is_confirmed[at] = true;
        else
            reader->status =
                fab_err_set(reader->err, FAB_ERR_FORMAT, "confirmed[%zu] is no GPU of it", i);
    }
}

static enum fab_status read_state(struct reader *reader, enum ledger_state *state_out)
{
    char name[16] = "";

    read_text(reader, "state", name, sizeof(name));
    for (int state = LEDGER_RESERVED; reader->status == FAB_OK && state <= LEDGER_FAILED; state++) {
        if (strcmp(name, ledger_state_name((enum ledger_state)state)) == 0) {
            *state_out = (enum ledger_state)state;
            return FAB_OK;
        }
    }
    if (reader->status == FAB_OK)
        reader->status = fab_err_set(reader->err, FAB_ERR_FORMAT, "'%s' is no state", name);
    return reader->status;
}

static enum fab_status load_system(struct ledger *ledger, const char *name,
                                   const struct store_entry *entry, struct reader *reader)
{
    struct ledger_system *system = fab_alloc_zeroed(1, sizeof(*system));

    if (!system)
        return FAB_ERR_NOMEM;
    system->revision = entry->revision;
    (void)snprintf(system->name, sizeof(system->name), "%s", name);
    (void)read_state(reader, &system->state); /* the reader keeps it */
    read_text(reader, "reason", system->reason, sizeof(system->reason));
    system->owner_uid = (uint32_t)read_number(reader, "uid", UINT32_MAX);
    system->is_adhoc = read_bool(reader, "adhoc");
    system->since_ms = read_number(reader, "since", INT64_MAX);
    system->created_ms = read_number(reader, "created", INT64_MAX);
    system->limit_ms = read_number(reader, "limit", INT64_MAX);
    if (system->limit_ms == 0)
        system->limit_ms = UINT64_MAX;
    load_hosts(ledger, system, reader);
    if (reader->status == FAB_OK && system->gpu_count == 0)
        reader->status = fab_err_set(reader->err, FAB_ERR_FORMAT, "it has no GPU");
    load_rails(system, reader);
    load_confirmed(system, reader);
    if (reader->status == FAB_OK)
        reader->status = ledger_add_system(ledger, system);
    if (reader->status != FAB_OK) {
        for (uint32_t i = 0; i < system->gpu_count; i++)
            system->gpus[i]->system = NULL;
        free(system);
    }
    return reader->status;
}

static const struct loader {
    const char *prefix;
    size_t name_bytes;
    enum fab_status (*load)(struct ledger *ledger, const char *name,
                            const struct store_entry *entry, struct reader *reader);
} loaders[] = {
    {LEDGER_NODE_PREFIX, LEDGER_NAME_BYTES, load_node},
    {LEDGER_GPU_PREFIX, LEDGER_UUID_BYTES, load_gpu},
    {LEDGER_SYS_PREFIX, LEDGER_NAME_BYTES, load_system},
};

struct loading {
    struct ledger *ledger;
    const struct loader *loader;
};

static enum fab_status load_row(void *user, const struct store_entry *entry, struct fab_err *err)
{
    const struct loading *loading = user;
    const char *name = entry->key + strlen(loading->loader->prefix);
    json_t *json = NULL;
    struct reader reader = {.err = err};

    if (strlen(name) >= loading->loader->name_bytes)
        return fab_err_set(err, FAB_ERR_FORMAT, "the store's row %s: the name is too long",
                           entry->key);
    reader.status = fab_json_load(entry->value, strlen(entry->value), entry->key, NULL, &json, err);
    reader.json = json;
    if (reader.status == FAB_OK)
        reader.status = loading->loader->load(loading->ledger, name, entry, &reader);
    json_decref(json);
    if (reader.status == FAB_OK || reader.status == FAB_ERR_NOMEM)
        return reader.status;
    fab_err_context(err, "the store's row %s", entry->key);
    return FAB_ERR_FORMAT;
}

static enum fab_status last_event(void *user, const struct store_entry *entry, struct fab_err *err)
{
    (void)err;
    ((struct ledger *)user)->event_number =
        strtoull(entry->key + strlen(LEDGER_EVENT_PREFIX), NULL, 10);
    return FAB_OK;
}

static enum fab_status load_fence(struct ledger *ledger, struct fab_err *err)
{
    char *text = NULL;
    enum fab_status status =
        store_get(ledger->store, LEDGER_FENCE_KEY, &text, &ledger->fence_revision, err);
    int64_t fence = 0;

    if (status == FAB_ERR_NOT_FOUND)
        return FAB_OK; /* none was given yet */
    if (status == FAB_OK && (fab_parse_int(text, &fence) != FAB_OK || fence < 0))
        status = fab_err_set(err, FAB_ERR_FORMAT, "the store's row %s: '%.40s' is no number",
                             LEDGER_FENCE_KEY, text);
    ledger->fence = (uint64_t)fence;
    free(text);
    return status;
}

enum fab_status ledger_load(struct ledger *ledger, struct fab_err *err)
{
    enum fab_status status = load_fence(ledger, err);

    for (size_t i = 0; status == FAB_OK && i < FAB_ARRAY_LEN(loaders); i++) {
        struct loading loading = {.ledger = ledger, .loader = &loaders[i]};

        status = store_list(ledger->store, loaders[i].prefix, load_row, &loading, err);
    }
    if (status == FAB_OK)
        status = store_list(ledger->store, LEDGER_EVENT_PREFIX, last_event, ledger, err);
    return status;
}
