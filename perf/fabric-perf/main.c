/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/main.c - bin/fabric-perf: the copy suite, a plain CUDA program.
 *
 * It knows nothing of what serves it: softcuda, workers on other nodes, or NVIDIA's driver. Exit
 * status: 0 done (rows without a number included), 1 something failed or wrong data arrived, 2
 * misused.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "perf/fabric-perf/measure.h"
#include "perf/fabric-perf/print.h"
#include "perf/fabric-perf/report.h"
#include "perf/fabric-perf/stats.h"

static int fail(const struct fab_err *err, int status)
{
    (void)fprintf(stderr, "fabric-perf: %s\n", err->text);
    return status;
}

/* ---- files -------------------------------------------------------------------------------------
 */

typedef void (*writer_t)(FILE *file, const struct fp_result *results, uint32_t count);

static enum fab_status write_file(const char *path, writer_t write_all,
                                  const struct fp_result *results, uint32_t count,
                                  struct fab_err *err)
{
    const bool is_standard = path && strcmp(path, "-") == 0;
    FILE *file;
    bool failed;

    if (!path)
        return FAB_OK;
    file = is_standard ? stdout : fopen(path, "we");
    if (!file)
        return fab_err_errno(err, errno, "writing %s", path);
    write_all(file, results, count);
    failed = ferror(file) != 0;
    failed |= (is_standard ? fflush(file) : fclose(file)) != 0;
    return failed ? fab_err_errno(err, errno ? errno : EIO, "writing %s", path) : FAB_OK;
}

static enum fab_status write_files(const struct fp_options *options,
                                   const struct fp_result *results, uint32_t count,
                                   struct fab_err *err)
{
    enum fab_status status = FAB_OK;

    if (options->json && !options->is_report)
        status = fp_result_write(results, options->json, err);
    if (status == FAB_OK)
        status = write_file(options->csv, fp_print_csv, results, count, err);
    if (status == FAB_OK)
        status = write_file(options->html, fp_report_html, results, count, err);
    if (status == FAB_OK)
        status = write_file(options->svg, fp_report_svg, results, count, err);
    if (status == FAB_OK && options->html)
        (void)fprintf(stderr, "fabric-perf: the report is %s\n", options->html);
    return status;
}

/* Standard output is a file's. */
static bool is_silent(const struct fp_options *options)
{
    const char *const paths[] = {options->json, options->csv, options->html, options->svg};

    for (size_t i = 0; i < FAB_ARRAY_LEN(paths); i++)
        if (paths[i] && strcmp(paths[i], "-") == 0)
            return true;
    return false;
}

/* ---- measuring ---------------------------------------------------------------------------------
 */

struct tally {
    uint32_t measured, unclean, wrong;
    bool is_lost;
};

static const char slow_before[] = "slow: see the size before";

static void count_outcome(struct tally *tally, enum fp_outcome outcome)
{
    switch (outcome) {
    case FP_MEASURED:
        tally->measured++;
        break;
    case FP_UNCLEAN:
        tally->unclean++;
        break;
    case FP_WRONG:
        tally->wrong++;
        break;
    case FP_LOST:
        tally->wrong++;
        tally->is_lost = true;
        break;
    }
}

/* The rows of many GPUs use those that the plan was made for. */
static void gpus_of(const struct fp_options *options, int32_t gpus[FP_GPUS_MAX])
{
    for (int32_t i = 0; i < FP_GPUS_MAX; i++)
        gpus[i] = options->gpu_count > 0 && options->gpu_count < FP_GPUS_MAX ? options->gpus[i] : i;
}

static struct tally measure_rows(const struct fp_options *options, struct fp_result *result,
                                 FILE *table)
{
    const double tick_us = fp_stats_tick_us();
    struct tally tally = {0};
    int32_t gpus[FP_GPUS_MAX];

    gpus_of(options, gpus);
    for (uint32_t i = 0; i < result->row_count; i++) {
        struct fp_row *row = &result->rows[i];
        const struct fp_row *before = i > 0 ? row - 1 : NULL;

        if (tally.is_lost)
            (void)snprintf(row->reason, sizeof(row->reason), "the GPUs were lost before");
        else if (before && strncmp(before->reason, "slow", 4) == 0 &&
                 fp_key_is_alike(&before->key, &row->key) && before->key.size < row->key.size)
            (void)snprintf(row->reason, sizeof(row->reason), "%s", slow_before);
        count_outcome(&tally, fp_measure_row(options, gpus, tick_us, row));
        if (table) {
            fp_print_row(table, row, before);
            (void)fflush(table);
        }
    }
    return tally;
}

static void print_head(const struct fp_result *result, FILE *table)
{
    enum { SHOWN = 4 };

    (void)fprintf(table, "# fabric-perf: %s, %s, %u cores, %s\n", result->label, result->cpu,
                  result->cores, result->date);
    for (uint32_t i = 0; i < result->device_count && i < SHOWN; i++)
        (void)fprintf(table, "# GPU %u: %s, %s, %.1f GiB\n", i, result->devices[i].name,
                      result->devices[i].pci, (double)result->devices[i].memory_bytes / (1 << 30));
    if (result->device_count > SHOWN)
        (void)fprintf(table, "# ... %u GPUs\n", result->device_count);
}

static int run(const struct fp_options *options, int argc, char **argv)
{
    FILE *table = is_silent(options) ? NULL : stdout;
    struct fp_facts *facts = calloc(1, sizeof(*facts));
    struct fp_result result;
    struct fab_err err = {0};
    struct tally tally;
    enum fab_status status;

    fp_result_init(&result, options->label ? options->label : "this run", argc, argv);
    status = facts ? fp_measure_devices(facts, &result, &err)
                   : fab_err_set(&err, FAB_ERR_NOMEM, "no memory");
    if (status == FAB_OK)
        status = fp_plan(options, facts, &result, &err);
    free(facts);
    if (status != FAB_OK) {
        fp_result_fini(&result);
        return fail(&err, status == FAB_ERR_INVALID ? 2 : 1);
    }
    if (table)
        print_head(&result, table);
    tally = measure_rows(options, &result, table);
    if (table)
        fp_print_matrix(table, &result);
    (void)fprintf(stderr, "fabric-perf: %u rows measured, %u without a clean number, %u failed\n",
                  tally.measured, tally.unclean, tally.wrong);
    status = write_files(options, &result, 1, &err);
    fp_result_fini(&result);
    if (status != FAB_OK)
        return fail(&err, 1);
    return tally.wrong ? 1 : 0;
}

/* ---- reports -----------------------------------------------------------------------------------
 */

static int report(const struct fp_options *options)
{
    struct fp_result results[FP_FILES_MAX];
    struct fab_err err = {0};
    enum fab_status status = FAB_OK;
    uint32_t count = 0;

    while (count < options->file_count && status == FAB_OK) {
        status = fp_result_read(&results[count], options->files[count], &err);
        if (status == FAB_OK)
            count++;
    }
    if (status == FAB_OK) {
        status = write_files(options, results, count, &err);
        if (!is_silent(options))
            fp_print_beside(stdout, results, count);
    }
    for (uint32_t i = 0; i < count; i++)
        fp_result_fini(&results[i]);
    return status == FAB_OK ? 0 : fail(&err, 1);
}

int main(int argc, char **argv)
{
    struct fp_options options;
    struct fab_err err = {0};

    (void)signal(SIGPIPE, SIG_IGN); /* what was measured is written to its files all the same */
    if (fp_options_parse(argc, argv, &options, &err) != FAB_OK)
        return fail(&err, 2);
    if (options.is_help) {
        (void)fputs(fp_help, stdout);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    return options.is_report ? report(&options) : run(&options, argc, argv);
}
