/* SPDX-License-Identifier: Apache-2.0
 * base/metrics.c - see metrics.h.
 *
 * A set is one block of atomic words: one for a counter or gauge; for a histogram
 * one per bucket (the last without a bound) and the sum. Source of the output: the
 * Prometheus text exposition format, version 0.0.4.
 */
#include "base/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mutex.h"

struct fab_metric_registry {
    struct fab_mutex mutex; /* guards the list, not the values */
    struct fab_list sets;   /* of fab_metric_set.link, sets of one table side by side */
};

struct fab_metric_set {
    struct fab_metric_registry *registry;
    struct fab_list link;
    const struct fab_metric *table;
    size_t count;
    char *labels;       /* "" for none */
    size_t *first_word; /* of each metric, in `words` */
    _Atomic uint64_t *words;
};

enum fab_status fab_metric_registry_create(struct fab_metric_registry **registry_out,
                                           struct fab_err *err)
{
    struct fab_metric_registry *registry = fab_alloc_zeroed(1, sizeof(*registry));

    if (!registry)
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    fab_mutex_init(&registry->mutex);
    fab_list_init(&registry->sets);
    *registry_out = registry;
    return FAB_OK;
}

void fab_metric_registry_destroy(struct fab_metric_registry *registry)
{
    if (!registry)
        return;
    fab_assert(fab_list_is_empty(&registry->sets));
    fab_mutex_fini(&registry->mutex);
    free(registry);
}

static bool is_metric_name(const char *name)
{
    const char *at = name;

    for (; *at; at++) {
        bool letter = (*at >= 'a' && *at <= 'z') || *at == '_';

        if (!letter && (at == name || *at < '0' || *at > '9'))
            return false;
    }
    return at != name;
}

static bool is_well_formed(const struct fab_metric *row)
{
    if (!row->name || !row->help || !is_metric_name(row->name))
        return false;
    if (row->type != FAB_METRIC_HISTOGRAM)
        return row->bound_count == 0;
    for (size_t i = 1; i < row->bound_count; i++) {
        if (row->bounds[i] <= row->bounds[i - 1])
            return false;
    }
    return row->bound_count > 0 && row->bound_count <= FAB_METRIC_BOUNDS_MAX;
}

static size_t word_count(const struct fab_metric *row)
{
    return row->type == FAB_METRIC_HISTOGRAM ? row->bound_count + 2 : 1;
}

static struct fab_metric_set *set_of(struct fab_list *node)
{
    return fab_list_object(node, struct fab_metric_set, link);
}

static bool share_a_name(const struct fab_metric_set *a, const struct fab_metric_set *b)
{
    for (size_t i = 0; i < a->count; i++) {
        for (size_t k = 0; k < b->count; k++) {
            if (strcmp(a->table[i].name, b->table[k].name) == 0)
                return true;
        }
    }
    return false;
}

/* Registers the set behind the last one of its table. FAB_ERR_EXISTS if it clashes. */
static enum fab_status insert_locked(struct fab_metric_registry *registry,
                                     struct fab_metric_set *set) FAB_REQUIRES(registry->mutex);

static enum fab_status insert_locked(struct fab_metric_registry *registry,
                                     struct fab_metric_set *set)
{
    struct fab_list *place = registry->sets.previous;

    FAB_LIST_EACH(node, after, &registry->sets)
    {
        const struct fab_metric_set *other = set_of(node);

        if (other->table == set->table)
            place = node;
        if (other->table == set->table ? strcmp(other->labels, set->labels) == 0
                                       : share_a_name(other, set))
            return FAB_ERR_EXISTS;
    }
    fab_list_insert(place, &set->link);
    return FAB_OK;
}

static void free_set(struct fab_metric_set *set)
{
    free(set->labels);
    free(set->first_word);
    free(set->words);
    free(set);
}

/* The set's memory; NULL if there is none. */
static struct fab_metric_set *alloc_set(const struct fab_metric *table, size_t count,
                                        const char *labels)
{
    struct fab_metric_set *set = fab_alloc_zeroed(1, sizeof(*set));
    size_t words = 0;

    if (!set)
        return NULL;
    set->table = table;
    set->count = count;
    fab_list_init(&set->link);
    set->labels = fab_alloc_text(labels ? labels : "");
    set->first_word = fab_alloc_zeroed(count, sizeof(*set->first_word));
    if (!set->labels || !set->first_word)
        goto fail;
    for (size_t i = 0; i < count; i++) {
        set->first_word[i] = words;
        words += word_count(&table[i]);
    }
    set->words = fab_alloc_zeroed(words, sizeof(*set->words));
    if (set->words)
        return set;
fail:
    free_set(set);
    return NULL;
}

enum fab_status fab_metrics_create(struct fab_metric_registry *registry,
                                   const struct fab_metric *table, size_t count, const char *labels,
                                   struct fab_metric_set **set_out, struct fab_err *err)
{
    struct fab_metric_set *set;
    enum fab_status status;

    for (size_t i = 0; i < count; i++) {
        if (!is_well_formed(&table[i]))
            return fab_err_set(err, FAB_ERR_INVALID, "metric %zu (%s) is malformed", i,
                               table[i].name ? table[i].name : "no name");
    }
    set = alloc_set(table, count, labels);
    if (!set)
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    set->registry = registry;
    fab_mutex_lock(&registry->mutex);
    status = insert_locked(registry, set);
    fab_mutex_unlock(&registry->mutex);
    if (status != FAB_OK) {
        (void)fab_err_set(err, status, "metric %s{%s} exists already", count ? table[0].name : "",
                          set->labels);
        free_set(set);
        return status;
    }
    *set_out = set;
    return FAB_OK;
}

void fab_metrics_destroy(struct fab_metric_set *set)
{
    if (!set)
        return;
    fab_mutex_lock(&set->registry->mutex);
    fab_list_remove(&set->link);
    fab_mutex_unlock(&set->registry->mutex);
    free_set(set);
}

static _Atomic uint64_t *words_of(const struct fab_metric_set *set, size_t index,
                                  enum fab_metric_type type)
{
    fab_assert(index < set->count && set->table[index].type == type);
    return &set->words[set->first_word[index]];
}

static void add(_Atomic uint64_t *word, uint64_t by)
{
    (void)atomic_fetch_add_explicit(word, by, memory_order_relaxed);
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

void fab_metric_add(struct fab_metric_set *set, size_t index, uint64_t by)
{
    if (set)
        add(words_of(set, index, FAB_METRIC_COUNTER), by);
}

void fab_metric_gauge_add(struct fab_metric_set *set, size_t index, int64_t by)
{
    if (set)
        add(words_of(set, index, FAB_METRIC_GAUGE), (uint64_t)by);
}

void fab_metric_gauge_set(struct fab_metric_set *set, size_t index, int64_t value)
{
    if (set)
        atomic_store_explicit(words_of(set, index, FAB_METRIC_GAUGE), (uint64_t)value,
                              memory_order_relaxed);
}

void fab_metric_observe(struct fab_metric_set *set, size_t index, uint64_t value)
{
    const struct fab_metric *row;
    _Atomic uint64_t *words;
    size_t bucket = 0;

    if (!set)
        return;
    words = words_of(set, index, FAB_METRIC_HISTOGRAM);
    row = &set->table[index];
    while (bucket < row->bound_count && value > row->bounds[bucket])
        bucket++;
    add(&words[bucket], 1);
    add(&words[row->bound_count + 1], value);
}

int64_t fab_metric_read(const struct fab_metric_set *set, size_t index)
{
    const struct fab_metric *row = &set->table[index];
    const _Atomic uint64_t *words = words_of(set, index, row->type);
    uint64_t total = 0;

    if (row->type != FAB_METRIC_HISTOGRAM)
        return (int64_t)load(words);
    for (size_t i = 0; i <= row->bound_count; i++)
        total += load(&words[i]);
    return (int64_t)total;
}

static double scaled(const struct fab_metric *row, double value)
{
    return row->scale != 0 ? value * row->scale : value;
}

static void print_bucket(const struct fab_metric_set *set, const char *name, const char *bound,
                         uint64_t total, FILE *out)
{
    (void)fprintf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, set->labels,
                  *set->labels ? "," : "", bound, total);
}

/* Each word is read once, so that the buckets never shrink and the count is their sum. */
static void print_histogram(const struct fab_metric_set *set, size_t index, FILE *out)
{
    const struct fab_metric *row = &set->table[index];
    const _Atomic uint64_t *words = words_of(set, index, FAB_METRIC_HISTOGRAM);
    const char *open = *set->labels ? "{" : "", *close = *set->labels ? "}" : "";
    uint64_t total = 0;
    char bound[32];

    for (size_t i = 0; i < row->bound_count; i++) {
        total += load(&words[i]);
        (void)snprintf(bound, sizeof(bound), "%.12g", scaled(row, (double)row->bounds[i]));
        print_bucket(set, row->name, bound, total, out);
    }
    total += load(&words[row->bound_count]);
    print_bucket(set, row->name, "+Inf", total, out);
    (void)fprintf(out, "%s_sum%s%s%s %.12g\n", row->name, open, set->labels, close,
                  scaled(row, (double)load(&words[row->bound_count + 1])));
    (void)fprintf(out, "%s_count%s%s%s %" PRIu64 "\n", row->name, open, set->labels, close, total);
}

static void print_value(const struct fab_metric_set *set, size_t index, FILE *out)
{
    const struct fab_metric *row = &set->table[index];
    const char *open = *set->labels ? "{" : "", *close = *set->labels ? "}" : "";
    uint64_t value = load(words_of(set, index, row->type));

    (void)fprintf(out, "%s%s%s%s ", row->name, open, set->labels, close);
    if (row->scale != 0)
        (void)fprintf(
            out, "%.12g\n",
            scaled(row, row->type == FAB_METRIC_GAUGE ? (double)(int64_t)value : (double)value));
    else if (row->type == FAB_METRIC_GAUGE)
        (void)fprintf(out, "%" PRId64 "\n", (int64_t)value);
    else
        (void)fprintf(out, "%" PRIu64 "\n", value);
}

/* One metric of all sets of a table, which begin at `first`. */
static void print_family(struct fab_metric_registry *registry, struct fab_list *first, size_t index,
                         FILE *out)
{
    static const char *const type_names[] = {"counter", "gauge", "histogram"};
    const struct fab_metric *table = set_of(first)->table;

    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", table[index].name, table[index].help,
                  table[index].name, type_names[table[index].type]);
    for (struct fab_list *node = first; node != &registry->sets && set_of(node)->table == table;
         node = node->next) {
        if (table[index].type == FAB_METRIC_HISTOGRAM)
            print_histogram(set_of(node), index, out);
        else
            print_value(set_of(node), index, out);
    }
}

void fab_metrics_print(struct fab_metric_registry *registry, FILE *out)
{
    const struct fab_metric *last = NULL;

    fab_mutex_lock(&registry->mutex);
    FAB_LIST_EACH(node, after, &registry->sets)
    {
        if (set_of(node)->table == last)
            continue;
        last = set_of(node)->table;
        for (size_t i = 0; i < set_of(node)->count; i++)
            print_family(registry, node, i, out);
    }
    fab_mutex_unlock(&registry->mutex);
}
