/* SPDX-License-Identifier: Apache-2.0
 * fabricd/ledger_change.c - one change of the ledger: copies first, then one commit, or all back.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/json.h"
#include "fabricd/ledger_int.h"
#include "fabricd/store.h"

enum object { OBJECT_NODE, OBJECT_GPU, OBJECT_SYSTEM };

static const size_t object_bytes[] = {[OBJECT_NODE] = sizeof(struct ledger_node),
                                      [OBJECT_GPU] = sizeof(struct ledger_gpu),
                                      [OBJECT_SYSTEM] = sizeof(struct ledger_system)};

struct touched {
    enum object kind;
    enum ledger_fate fate;
    void *object;
    void *before; /* a copy; NULL if it is new */
};

void ledger_begin(struct ledger_change *change, struct ledger *ledger, uint64_t now_ms)
{
    *change = (struct ledger_change){.ledger = ledger, .now_ms = now_ms};
    fab_vec_init(&change->touched, sizeof(struct touched));
    fab_vec_init(&change->events, sizeof(char *));
}

static struct touched *find(const struct ledger_change *change, const void *object)
{
    for (size_t i = 0; i < change->touched.count; i++)
        if (fab_vec_at(&change->touched, struct touched, i)->object == object)
            return fab_vec_at(&change->touched, struct touched, i);
    return NULL;
}

/* The entry of an object, with its copy; NULL if there is no memory (the change has failed then).
 */
static struct touched *touch(struct ledger_change *change, enum object kind, void *object)
{
    struct touched *touched = find(change, object);

    if (touched)
        return touched;
    touched = fab_vec_add(&change->touched);
    if (touched) {
        *touched = (struct touched){
            .kind = kind, .object = object, .before = fab_alloc(object_bytes[kind])};
        if (touched->before) {
            memcpy(touched->before, object, object_bytes[kind]);
            return touched;
        }
        (void)fab_vec_pop(&change->touched, NULL);
    }
    change->status = FAB_ERR_NOMEM;
    return NULL;
}

bool ledger_touch_node(struct ledger_change *change, struct ledger_node *node)
{
    if (!touch(change, OBJECT_NODE, node))
        return false;
    node->since_ms = change->now_ms;
    return true;
}

bool ledger_touch_gpu(struct ledger_change *change, struct ledger_gpu *gpu)
{
    if (!touch(change, OBJECT_GPU, gpu))
        return false;
    gpu->since_ms = change->now_ms;
    return true;
}

bool ledger_touch_system(struct ledger_change *change, struct ledger_system *system)
{
    return touch(change, OBJECT_SYSTEM, system) != NULL;
}

/* ---- new objects and old ones -----------------------------------------------------------------
 */

/* The object has joined the tables, or is freed. */
static void created(struct ledger_change *change, enum object kind, void *object,
                    enum fab_status joined)
{
    const struct touched touched = {.kind = kind, .fate = LEDGER_ADDED, .object = object};

    if (joined == FAB_OK) /* room was made before it joined */
        joined = fab_vec_push(&change->touched, &touched);
    if (joined != FAB_OK) {
        change->status = FAB_ERR_NOMEM;
        free(object);
    }
}

/* NULL objects come from a failed allocation of the caller's: the change fails. */
static bool can_create(struct ledger_change *change, const void *object)
{
    if (object && fab_vec_reserve(&change->touched, change->touched.count + 1) == FAB_OK)
        return true;
    change->status = FAB_ERR_NOMEM;
    return false;
}

void ledger_create_node(struct ledger_change *change, struct ledger_node *node)
{
    if (!can_create(change, node)) {
        free(node);
        return;
    }
    node->since_ms = change->now_ms;
    created(change, OBJECT_NODE, node, ledger_add_node(change->ledger, node));
}

void ledger_create_gpu(struct ledger_change *change, struct ledger_node *node,
                       struct ledger_gpu *gpu)
{
    if (!can_create(change, gpu)) {
        free(gpu);
        return;
    }
    gpu->since_ms = change->now_ms;
    created(change, OBJECT_GPU, gpu, ledger_add_gpu(change->ledger, node, gpu));
}

void ledger_create_system(struct ledger_change *change, struct ledger_system *system)
{
    if (!can_create(change, system)) {
        free(system);
        return;
    }
    created(change, OBJECT_SYSTEM, system, ledger_add_system(change->ledger, system));
}

static void removed(struct ledger_change *change, enum object kind, void *object)
{
    struct touched *touched = touch(change, kind, object);

    if (touched)
        touched->fate = LEDGER_REMOVED;
}

void ledger_remove_node(struct ledger_change *change, struct ledger_node *node)
{
    for (uint32_t i = 0; i < node->gpu_count; i++)
        removed(change, OBJECT_GPU, node->gpus[i]);
    removed(change, OBJECT_NODE, node);
}

void ledger_remove_gpu(struct ledger_change *change, struct ledger_gpu *gpu)
{
    removed(change, OBJECT_GPU, gpu);
}

void ledger_remove_system(struct ledger_change *change, struct ledger_system *system)
{
    removed(change, OBJECT_SYSTEM, system);
}

/* ---- events -----------------------------------------------------------------------------------
 */

void ledger_event(struct ledger_change *change, const char *kind, const char *subject,
                  const char *format, ...)
{
    char reason[LEDGER_REASON_BYTES];
    char *text = NULL;
    json_t *json;
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    json =
        json_pack("{sIsIssssss}", "number",
                  (json_int_t)(change->ledger->event_number + change->events.count + 1), "time",
                  (json_int_t)change->now_ms, "kind", kind, "subject", subject, "reason", reason);
    if (json)
        text = json_dumps(json, JSON_COMPACT);
    json_decref(json); /* takes NULL */
    if (!text || fab_vec_push(&change->events, &text) != FAB_OK) {
        free(text);
        change->status = FAB_ERR_NOMEM;
    }
}

/* ---- committing -------------------------------------------------------------------------------
 */

struct rows {
    struct store_change changes[STORE_CHANGES_MAX];
    char keys[STORE_CHANGES_MAX][LEDGER_NAME_BYTES + sizeof(LEDGER_EVENT_PREFIX) + 8];
    char *values[STORE_CHANGES_MAX];
    size_t count;
};

static enum fab_status add_row(struct rows *rows, const char *prefix, const char *name, char *value,
                               uint64_t expected, struct fab_err *err)
{
    const size_t i = rows->count;

    if (i == STORE_CHANGES_MAX) {
        free(value);
        return fab_err_set(err, FAB_ERR_LIMIT, "one change of more than %d rows",
                           STORE_CHANGES_MAX);
    }
    (void)snprintf(rows->keys[i], sizeof(rows->keys[i]), "%s%s", prefix, name);
    rows->values[i] = value;
    rows->changes[i] =
        (struct store_change){.key = rows->keys[i], .value = value, .expected = expected};
    rows->count++;
    return FAB_OK;
}

static enum fab_status add_object(struct rows *rows, const struct touched *touched,
                                  struct fab_err *err)
{
    const bool is_removed = touched->fate == LEDGER_REMOVED;
    const char *prefix = "", *name = "";
    uint64_t revision = 0;
    char *value = NULL;

    switch (touched->kind) {
    case OBJECT_NODE: {
        const struct ledger_node *node = touched->object;

        prefix = LEDGER_NODE_PREFIX, name = node->name, revision = node->revision;
        value = is_removed ? NULL : ledger_node_row(node);
        break;
    }
    case OBJECT_GPU: {
        const struct ledger_gpu *gpu = touched->object;

        prefix = LEDGER_GPU_PREFIX, name = gpu->uuid, revision = gpu->revision;
        value = is_removed ? NULL : ledger_gpu_row(gpu);
        break;
    }
    case OBJECT_SYSTEM: {
        const struct ledger_system *system = touched->object;

        prefix = LEDGER_SYS_PREFIX, name = system->name, revision = system->revision;
        value = is_removed ? NULL : ledger_system_row(system);
        break;
    }
    }
    if (!is_removed && !value)
        return fab_err_set(err, FAB_ERR_NOMEM, "the row of %s", name);
    return add_row(rows, prefix, name, value,
                   touched->fate == LEDGER_ADDED ? STORE_ABSENT : revision, err);
}

static enum fab_status add_events(struct rows *rows, struct ledger_change *change,
                                  struct fab_err *err)
{
    enum fab_status status = FAB_OK;
    uint64_t number = change->ledger->event_number;
    char name[24];

    for (size_t i = 0; status == FAB_OK && i < change->events.count; i++) {
        number++;
        (void)snprintf(name, sizeof(name), "%016" PRIu64, number);
        status = add_row(rows, LEDGER_EVENT_PREFIX, name, *fab_vec_at(&change->events, char *, i),
                         STORE_ABSENT, err);
        *fab_vec_at(&change->events, char *, i) = NULL; /* the row's now */
        if (status == FAB_OK && number > LEDGER_EVENTS_KEPT) {
            (void)snprintf(name, sizeof(name), "%016" PRIu64, number - LEDGER_EVENTS_KEPT);
            status = add_row(rows, LEDGER_EVENT_PREFIX, name, NULL, STORE_ANY, err);
        }
    }
    return status;
}

static enum fab_status add_fence(struct rows *rows, const struct ledger_change *change,
                                 struct fab_err *err)
{
    char *value;
    char text[24];

    if (!change->gives_fence)
        return FAB_OK;
    (void)snprintf(text, sizeof(text), "%" PRIu64, change->ledger->fence + 1);
    value = fab_alloc_text(text);
    if (!value)
        return fab_err_set(err, FAB_ERR_NOMEM, "a fence number");
    return add_row(rows, LEDGER_FENCE_KEY, "", value, change->ledger->fence_revision, err);
}

static enum fab_status write_rows(struct ledger_change *change, struct rows *rows,
                                  uint64_t *revision_out, struct fab_err *err)
{
    enum fab_status status = change->status;

    if (status != FAB_OK)
        return fab_err_set(err, status, "changing the ledger");
    for (size_t i = 0; status == FAB_OK && i < change->touched.count; i++)
        status = add_object(rows, fab_vec_at(&change->touched, struct touched, i), err);
    if (status == FAB_OK)
        status = add_fence(rows, change, err);
    if (status == FAB_OK)
        status = add_events(rows, change, err);
    if (status == FAB_OK && rows->count > 0)
        status = store_commit(change->ledger->store, rows->changes, rows->count, revision_out, err);
    return status;
}

/* Out of the tables, for good or because it never was. */
static void drop(struct ledger *ledger, const struct touched *touched)
{
    switch (touched->kind) {
    case OBJECT_NODE:
        ledger_drop_node(ledger, touched->object);
        break;
    case OBJECT_GPU:
        ledger_drop_gpu(ledger, touched->object);
        break;
    case OBJECT_SYSTEM:
        ledger_drop_system(ledger, touched->object);
        break;
    }
    free(touched->object);
}

static void set_revision(const struct touched *touched, uint64_t revision)
{
    switch (touched->kind) {
    case OBJECT_NODE:
        ((struct ledger_node *)touched->object)->revision = revision;
        break;
    case OBJECT_GPU:
        ((struct ledger_gpu *)touched->object)->revision = revision;
        break;
    case OBJECT_SYSTEM:
        ((struct ledger_system *)touched->object)->revision = revision;
        break;
    }
}

static void keep(struct ledger_change *change, uint64_t revision)
{
    struct ledger *ledger = change->ledger;

    ledger->event_number += change->events.count;
    if (change->gives_fence) {
        ledger->fence++;
        ledger->fence_revision = revision;
    }
    for (size_t i = 0; i < change->touched.count; i++)
        set_revision(fab_vec_at(&change->touched, struct touched, i), revision);
    /* GPUs before their node: they stand in the order in which they were touched. */
    for (size_t i = 0; i < change->touched.count; i++)
        if (fab_vec_at(&change->touched, struct touched, i)->fate == LEDGER_REMOVED)
            drop(ledger, fab_vec_at(&change->touched, struct touched, i));
}

/* Backwards, so that what joined last leaves first, and a copy never names what is gone. */
static void put_back(struct ledger_change *change)
{
    for (size_t i = change->touched.count; i > 0; i--) {
        const struct touched *touched = fab_vec_at(&change->touched, struct touched, i - 1);

        if (touched->fate == LEDGER_ADDED)
            drop(change->ledger, touched);
        else
            memcpy(touched->object, touched->before, object_bytes[touched->kind]);
    }
}

enum fab_status ledger_commit(struct ledger_change *change, struct fab_err *err)
{
    struct rows *rows = fab_alloc_zeroed(1, sizeof(*rows));
    uint64_t revision = 0;
    enum fab_status status;

    status = rows ? write_rows(change, rows, &revision, err)
                  : fab_err_set(err, FAB_ERR_NOMEM, "changing the ledger");
    if (status == FAB_OK)
        keep(change, revision);
    else
        put_back(change);
    for (size_t i = 0; rows && i < rows->count; i++)
        free(rows->values[i]);
    free(rows);
    for (size_t i = 0; i < change->touched.count; i++)
        free(fab_vec_at(&change->touched, struct touched, i)->before);
    for (size_t i = 0; i < change->events.count; i++)
        free(*fab_vec_at(&change->events, char *, i)); /* NULL where a row has it */
    fab_vec_fini(&change->touched);
    fab_vec_fini(&change->events);
    return status;
}
