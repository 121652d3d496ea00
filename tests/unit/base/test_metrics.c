/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_metrics.c - values, the Prometheus text, clashes, threads.
 */
#include "tests/support/check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/metrics.h"
#include "tests/support/faults.h"

enum { SENT, RAILS, FAULTS, DEMO_COUNT };

static const uint64_t fault_bounds_ns[] = {1000, 1000000};
static const struct fab_metric demo[DEMO_COUNT] = {
    [SENT] = {.name = "demo_sent_bytes_total", .type = FAB_METRIC_COUNTER, .help = "Bytes sent."},
    [RAILS] = {.name = "demo_rails", .type = FAB_METRIC_GAUGE, .help = "Rails in use."},
    [FAULTS] = {.name = "demo_fault_seconds",
                .type = FAB_METRIC_HISTOGRAM,
                .help = "Time of a page fault.",
                .scale = 1e-9,
                .bounds = fault_bounds_ns,
                .bound_count = FAB_ARRAY_LEN(fault_bounds_ns)},
};

static char *printed(struct fab_metric_registry *registry)
{
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *out = open_memstream(&text, &text_bytes);

    if (!CHECK(out != NULL))
        exit(1);
    fab_metrics_print(registry, out);
    (void)fclose(out);
    return text;
}

static void test_text(void)
{
    struct fab_metric_registry *registry = NULL;
    struct fab_metric_set *plain = NULL, *rail = NULL;
    char *text;

    if (!CHECK_EQ(fab_metric_registry_create(&registry, NULL), FAB_OK) ||
        !CHECK_EQ(fab_metrics_create(registry, demo, DEMO_COUNT, NULL, &plain, NULL), FAB_OK) ||
        !CHECK_EQ(fab_metrics_create(registry, demo, DEMO_COUNT, "rail=\"a\"", &rail, NULL),
                  FAB_OK))
        return;
    fab_metric_add(plain, SENT, 5);
    fab_metric_add(plain, SENT, 7);
    fab_metric_gauge_set(rail, RAILS, 2);
    fab_metric_gauge_add(rail, RAILS, -3);
    fab_metric_observe(rail, FAULTS, 1000); /* bounds are inclusive */
    fab_metric_observe(rail, FAULTS, 1001);
    fab_metric_observe(rail, FAULTS, 2000000);
    CHECK_EQ(fab_metric_read(plain, SENT), 12);
    CHECK_EQ(fab_metric_read(rail, RAILS), -1);
    CHECK_EQ(fab_metric_read(rail, FAULTS), 3);
    fab_metric_add(NULL, SENT, 1); /* counts nothing */

    text = printed(registry);
    CHECK_STR(text, "# HELP demo_sent_bytes_total Bytes sent.\n"
                    "# TYPE demo_sent_bytes_total counter\n"
                    "demo_sent_bytes_total 12\n"
                    "demo_sent_bytes_total{rail=\"a\"} 0\n"
                    "# HELP demo_rails Rails in use.\n"
                    "# TYPE demo_rails gauge\n"
                    "demo_rails 0\n"
                    "demo_rails{rail=\"a\"} -1\n"
                    "# HELP demo_fault_seconds Time of a page fault.\n"
                    "# TYPE demo_fault_seconds histogram\n"
                    "demo_fault_seconds_bucket{le=\"1e-06\"} 0\n"
                    "demo_fault_seconds_bucket{le=\"0.001\"} 0\n"
                    "demo_fault_seconds_bucket{le=\"+Inf\"} 0\n"
                    "demo_fault_seconds_sum 0\n"
                    "demo_fault_seconds_count 0\n"
                    "demo_fault_seconds_bucket{rail=\"a\",le=\"1e-06\"} 1\n"
                    "demo_fault_seconds_bucket{rail=\"a\",le=\"0.001\"} 2\n"
                    "demo_fault_seconds_bucket{rail=\"a\",le=\"+Inf\"} 3\n"
                    "demo_fault_seconds_sum{rail=\"a\"} 0.002002001\n"
                    "demo_fault_seconds_count{rail=\"a\"} 3\n");
    free(text);
    fab_metrics_destroy(plain);
    fab_metrics_destroy(rail);
    fab_metric_registry_destroy(registry);
}

static void test_refusals(void)
{
    static const uint64_t falling[] = {2, 1};
    static const struct {
        const char *label;
        struct fab_metric row;
        enum fab_status status;
    } cases[] = {
        {"a name of another table",
         {.name = "demo_rails", .type = FAB_METRIC_GAUGE, .help = "x"},
         FAB_ERR_EXISTS},
        {"no help", {.name = "a", .type = FAB_METRIC_GAUGE}, FAB_ERR_INVALID},
        {"name", {.name = "a-b", .type = FAB_METRIC_GAUGE, .help = "x"}, FAB_ERR_INVALID},
        {"no bounds", {.name = "a", .type = FAB_METRIC_HISTOGRAM, .help = "x"}, FAB_ERR_INVALID},
        {"falling bounds",
         {.name = "a",
          .type = FAB_METRIC_HISTOGRAM,
          .help = "x",
          .bounds = falling,
          .bound_count = 2},
         FAB_ERR_INVALID},
    };
    struct fab_metric_registry *registry = NULL;
    struct fab_metric_set *set = NULL, *kept;

    if (!CHECK_EQ(fab_metric_registry_create(&registry, NULL), FAB_OK) ||
        !CHECK_EQ(fab_metrics_create(registry, demo, DEMO_COUNT, "a=\"1\"", &set, NULL), FAB_OK))
        return;
    kept = set;
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_err err = {.status = FAB_OK};

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(fab_metrics_create(registry, &cases[i].row, 1, NULL, &set, &err), cases[i].status);
        CHECK(set == kept && err.text[0] != '\0');
    }
    CHECK_CASE("the same labels");
    CHECK_EQ(fab_metrics_create(registry, demo, DEMO_COUNT, "a=\"1\"", &set, NULL), FAB_ERR_EXISTS);
    fab_metrics_destroy(set);
    fab_metric_registry_destroy(registry);
    fab_metric_registry_destroy(NULL);
}

static enum fab_status fault_scenario(void)
{
    struct fab_metric_registry *registry = NULL;
    struct fab_metric_set *set = NULL;
    enum fab_status status = fab_metric_registry_create(&registry, NULL);

    if (status == FAB_OK)
        status = fab_metrics_create(registry, demo, DEMO_COUNT, NULL, &set, NULL);
    fab_metrics_destroy(set);
    fab_metric_registry_destroy(registry);
    return status;
}

static void test_faults(void)
{
    /* The registry; the set, its labels, its index and its words. */
    CHECK_EQ(faults_run("metrics", fault_scenario), 5);
}

enum { THREADS = 4, ROUNDS = 10000 };

static void *count_many(void *set)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        fab_metric_add(set, SENT, 1);
        fab_metric_observe(set, FAULTS, i);
    }
    return NULL;
}

static void test_threads(void)
{
    struct fab_metric_registry *registry = NULL;
    struct fab_metric_set *set = NULL;
    pthread_t threads[THREADS];

    CHECK_CASE("threads");
    if (!CHECK_EQ(fab_metric_registry_create(&registry, NULL), FAB_OK) ||
        !CHECK_EQ(fab_metrics_create(registry, demo, DEMO_COUNT, NULL, &set, NULL), FAB_OK))
        return;
    for (size_t i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, count_many, set), 0);
    free(printed(registry)); /* reading beside it must be clean under the thread sanitizer */
    for (size_t i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(fab_metric_read(set, SENT), THREADS * ROUNDS);
    CHECK_EQ(fab_metric_read(set, FAULTS), THREADS * ROUNDS);
    fab_metrics_destroy(set);
    fab_metric_registry_destroy(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_text),
        CHECK_TEST(test_refusals),
        CHECK_TEST(test_faults),
        CHECK_TEST(test_threads),
    };

    return check_run(tests);
}
