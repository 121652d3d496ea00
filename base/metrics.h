/* SPDX-License-Identifier: Apache-2.0
 * base/metrics.h - counters, gauges and histograms, one table a module.
 *
 *     enum { XP_SENT_BYTES, XP_RAILS, XP_COUNT };
 *     static const struct fab_metric xp_metrics[XP_COUNT] = {
 *         [XP_SENT_BYTES] = {.name = "xp_sent_bytes_total", .type = FAB_METRIC_COUNTER,
 *                            .help = "Bytes handed to the network."},
 *         ...
 *     };
 *     status = fab_metrics_create(registry, xp_metrics, XP_COUNT, "rail=\"mlx5_0\"", &set, err);
 *     fab_metric_add(set, XP_SENT_BYTES, n);
 *
 * Updating is one relaxed atomic addition (three for a histogram) and takes no lock; a NULL
 * set counts nothing, so a library works without metrics. Values are integers in the
 * unit that the code has (bytes, nanoseconds); `scale` turns them into the unit of the name.
 * Thread: updates any; create, destroy and print any, locked.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

struct fab_err;
struct fab_metric_registry; /* all sets of a process */
struct fab_metric_set;      /* the values of one table, for one set of labels */

enum fab_metric_type { FAB_METRIC_COUNTER, FAB_METRIC_GAUGE, FAB_METRIC_HISTOGRAM };

enum { FAB_METRIC_BOUNDS_MAX = 32 };

struct fab_metric {
    const char *name; /* Prometheus name with its unit: "um_fault_seconds" */
    enum fab_metric_type type;
    const char *help;
    double scale;           /* printed = value * scale; 0 means 1. Nanoseconds to seconds: 1e-9 */
    const uint64_t *bounds; /* histogram: upper bounds, inclusive, growing, in the code's unit */
    size_t bound_count;     /* at most FAB_METRIC_BOUNDS_MAX */
};

FAB_NODISCARD enum fab_status fab_metric_registry_create(struct fab_metric_registry **registry_out,
                                                         struct fab_err *err);
/* Takes NULL. All sets must be gone. */
void fab_metric_registry_destroy(struct fab_metric_registry *registry);

/* `table` is kept (static). `labels` is copied: the text between the braces, or NULL.
 * FAB_ERR_EXISTS if the table has a set with these labels or another table has one of the names;
 * FAB_ERR_INVALID for a malformed row. */
FAB_NODISCARD enum fab_status fab_metrics_create(struct fab_metric_registry *registry,
                                                 const struct fab_metric *table, size_t count,
                                                 const char *labels,
                                                 struct fab_metric_set **set_out,
                                                 struct fab_err *err);
void fab_metrics_destroy(struct fab_metric_set *set); /* takes NULL */

/* A counter goes up; a gauge goes up and down or is set; a histogram takes observations. */
void fab_metric_add(struct fab_metric_set *set, size_t index, uint64_t by);
void fab_metric_gauge_add(struct fab_metric_set *set, size_t index, int64_t by);
void fab_metric_gauge_set(struct fab_metric_set *set, size_t index, int64_t value);
void fab_metric_observe(struct fab_metric_set *set, size_t index, uint64_t value);

/* The value of a counter or gauge, the number of observations of a histogram. */
int64_t fab_metric_read(const struct fab_metric_set *set, size_t index);

/* Everything as Prometheus text, version 0.0.4. */
void fab_metrics_print(struct fab_metric_registry *registry, FILE *out);

#endif /* BASE_METRICS_H */
