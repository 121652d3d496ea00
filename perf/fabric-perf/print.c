/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/print.c - see print.h.
 */
#include "perf/fabric-perf/print.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/parse.h"
#include "perf/fabric-perf/stats.h"

/* ---- words -------------------------------------------------------------------------------------
 */

static const char *const test_titles[FP_TEST_COUNT] = {
    [FP_H2D] = "Host to device",
    [FP_D2H] = "Device to host",
    [FP_BOTH] = "Host to device and back at once, sum of both",
    [FP_D2D] = "Device to device, one GPU",
    [FP_P2P] = "GPU to GPU",
    [FP_P2P_BOTH] = "GPU to GPU both ways at once, sum of both",
    [FP_LAUNCH] = "Kernel launch, posted",
    [FP_LAUNCH_SYNC] = "Kernel launch and cudaStreamSynchronize",
    [FP_SYNC] = "cudaDeviceSynchronize, idle",
    [FP_MEMCPY] = "memcpy in host memory, one thread",
    [FP_LIMIT] = "Limits by other programs",
};

static const char *const call_titles[] = {"", "cudaMemcpy", "cudaMemcpyAsync",
                                          "copied by a kernel"};

static void add(char text[FP_TITLE_BYTES], const char *part)
{
    const size_t used = strlen(text);

    (void)snprintf(text + used, FP_TITLE_BYTES - used, "%s%s", used ? ", " : "", part);
}

static void add_place(const struct fp_key *key, char text[FP_TITLE_BYTES])
{
    char part[64];

    if (key->peer >= 0)
        (void)snprintf(part, sizeof(part), "GPU %d to %d", key->gpu, key->peer);
    else if (key->gpu >= 0)
        (void)snprintf(part, sizeof(part), "GPU %d", key->gpu);
    else if (key->gpus > 1)
        (void)snprintf(part, sizeof(part), "sum of %u GPUs at once", key->gpus);
    else
        return;
    add(text, part);
    if (key->link != FP_LINK_NONE)
        add(text, key->link == FP_DIRECT ? "peer access" : "no peer access");
}

static void add_streams(const struct fp_key *key, char text[FP_TITLE_BYTES])
{
    char part[64];

    if (key->streams <= 1)
        return;
    (void)snprintf(part, sizeof(part), "%u streams", key->streams);
    add(text, part);
}

const char *fp_title(const struct fp_key *key, char text[FP_TITLE_BYTES])
{
    (void)snprintf(text, FP_TITLE_BYTES, "%s", test_titles[key->test]);
    if (key->call != FP_CALL_NONE)
        add(text, call_titles[key->call]);
    if (key->memory != FP_MEMORY_NONE)
        add(text, fp_memory_names[key->memory]);
    add_place(key, text);
    add_streams(key, text);
    return text;
}

const char *fp_short_title(const struct fp_key *key, char text[FP_TITLE_BYTES])
{
    (void)snprintf(text, FP_TITLE_BYTES, "%s", test_titles[key->test]);
    if (key->memory != FP_MEMORY_NONE)
        add(text, fp_memory_names[key->memory]);
    if (key->peer >= 0) {
        char part[64];

        (void)snprintf(part, sizeof(part), "%d to %d", key->gpu, key->peer);
        add(text, part);
    }
    if (key->gpus > 1)
        add_place(key, text);
    add_streams(key, text);
    return text;
}

const char *fp_number(double value, char text[FP_NUMBER_BYTES])
{
    if (!(value > 0))
        (void)snprintf(text, FP_NUMBER_BYTES, "-");
    else if (value >= 1000)
        (void)snprintf(text, FP_NUMBER_BYTES, "%.0f", value);
    else
        (void)snprintf(text, FP_NUMBER_BYTES, "%#.4g", value);
    return text;
}

const char *fp_ratio(double ratio, char text[FP_NUMBER_BYTES])
{
    if (!(ratio > 0))
        text[0] = '\0';
    else if (ratio < 0.095)
        (void)snprintf(text, FP_NUMBER_BYTES, "%.2gx", ratio);
    else
        (void)snprintf(text, FP_NUMBER_BYTES, "%.*fx", ratio < 100 ? 2 : 0, ratio);
    return text;
}

const char *fp_size_text(uint64_t size, char text[FP_NUMBER_BYTES])
{
    char exact[FAB_NUMBER_TEXT_BYTES];
    size_t digits;

    (void)fab_format_size(size, exact);
    digits = strspn(exact, "0123456789");
    (void)snprintf(text, FP_NUMBER_BYTES, "%.*s %s", (int)digits, exact,
                   exact[digits] ? exact + digits : "B");
    return text;
}

/* ---- one result --------------------------------------------------------------------------------
 */

void fp_print_row(FILE *file, const struct fp_row *row, const struct fp_row *before)
{
    char title[FP_TITLE_BYTES], us[FP_NUMBER_BYTES], rate[FP_NUMBER_BYTES];

    if (!before || !fp_key_is_alike(&row->key, &before->key))
        (void)fprintf(file, "\n# %s\n# %10s %12s %12s %9s %6s\n", fp_title(&row->key, title),
                      "size", "us", "MB/s", "spread", "repeats");
    (void)fprintf(file, "%12" PRIu64 " %12s %12s", row->key.size, fp_number(row->us, us),
                  fp_number(row->mb_s, rate));
    if (row->us > 0 && row->us_low > 0)
        (void)fprintf(file, " %7.1f %% %6u",
                      100 * fp_stats_spread(row->us, row->us_low, row->us_high), row->repeats);
    if (row->name[0])
        (void)fprintf(file, "   %s", row->name);
    if (row->reason[0])
        (void)fprintf(file, "   (%s)", row->reason);
    (void)fputc('\n', file);
}

/* GPUs that a matrix has, and the sizes; a pair or two alone are no matrix. */
static uint32_t matrix_gpus(const struct fp_result *result)
{
    int32_t most = -1;
    bool has_other = false;

    for (uint32_t i = 0; i < result->row_count; i++) {
        const struct fp_key *key = &result->rows[i].key;

        if (key->test != FP_P2P || key->peer < 0)
            continue;
        has_other |= key->gpu > 0;
        most = key->gpu > most ? key->gpu : most;
        most = key->peer > most ? key->peer : most;
    }
    return has_other ? (uint32_t)(most + 1) : 0;
}

static const struct fp_row *pair_row(const struct fp_result *result, const struct fp_key *like,
                                     int32_t gpu, int32_t peer)
{
    struct fp_key key = *like;

    key.gpu = gpu;
    key.peer = peer;
    return fp_find(result, &key);
}

static void print_one_matrix(FILE *file, const struct fp_result *result, const struct fp_key *like,
                             uint32_t gpus)
{
    char size[FP_NUMBER_BYTES], text[FP_NUMBER_BYTES];

    (void)fprintf(file, "\n# GPU to GPU, %s, %s: %s\n# from\\to", call_titles[like->call],
                  fp_size_text(like->size, size), like->call == FP_CALL_SYNC ? "us" : "MB/s");
    for (uint32_t to = 0; to < gpus; to++)
        (void)fprintf(file, " %7u", to);
    for (uint32_t from = 0; from < gpus; from++) {
        (void)fprintf(file, "\n%9u", from);
        for (uint32_t to = 0; to < gpus; to++) {
            const struct fp_row *row = pair_row(result, like, (int32_t)from, (int32_t)to);

            (void)fprintf(file, " %7s",
                          row ? fp_number(like->call == FP_CALL_SYNC ? row->us : row->mb_s, text)
                              : ".");
        }
    }
    (void)fputc('\n', file);
}

void fp_print_matrix(FILE *file, const struct fp_result *result)
{
    const uint32_t gpus = matrix_gpus(result);

    for (uint32_t i = 0; gpus > 0 && i < result->row_count; i++) {
        const struct fp_key *key = &result->rows[i].key;

        /* The pair from the second GPU to the first is in no other list. */
        if (key->test == FP_P2P && key->gpu == 1 && key->peer == 0)
            print_one_matrix(file, result, key, gpus);
    }
}

/* In quotes; those inside become single ones. */
static void put_quoted(FILE *file, const char *text)
{
    (void)fputc('"', file);
    for (; *text; text++)
        (void)fputc(*text == '"' ? '\'' : *text, file);
    (void)fputc('"', file);
}

void fp_print_csv(FILE *file, const struct fp_result *results, uint32_t count)
{
    (void)fprintf(file,
                  "label,test,call,memory,link,gpu,peer,gpus,streams,size,iterations,repeats,us,"
                  "us_low,us_high,mb_s,verified,name,reason\n");
    for (uint32_t r = 0; r < count; r++) {
        for (uint32_t i = 0; i < results[r].row_count; i++) {
            const struct fp_row *row = &results[r].rows[i];
            const struct fp_key *key = &row->key;

            put_quoted(file, results[r].label);
            (void)fprintf(file, ",%s,%s,%s,%s,%d,%d,%u,%u,%" PRIu64 ",%u,%u,",
                          fp_test_names[key->test], fp_call_names[key->call],
                          fp_memory_names[key->memory], fp_link_names[key->link], key->gpu,
                          key->peer, key->gpus, key->streams, key->size, row->iterations,
                          row->repeats);
            if (row->us > 0)
                (void)fprintf(file, "%.6g,%.6g,%.6g,", row->us, row->us_low, row->us_high);
            else
                (void)fprintf(file, ",,,");
            if (row->mb_s > 0)
                (void)fprintf(file, "%.6g", row->mb_s);
            (void)fprintf(file, ",%d,", row->is_verified);
            put_quoted(file, row->name);
            (void)fputc(',', file);
            put_quoted(file, row->reason);
            (void)fputc('\n', file);
        }
    }
}

/* ---- several results ---------------------------------------------------------------------------
 */

const struct fp_row *fp_find(const struct fp_result *result, const struct fp_key *key)
{
    for (uint32_t i = 0; i < result->row_count; i++)
        if (result->rows[i].key.size == key->size && fp_key_is_alike(&result->rows[i].key, key))
            return &result->rows[i];
    return NULL;
}

static void print_beside_row(FILE *file, const struct fp_result *results, uint32_t count,
                             const struct fp_key *key)
{
    const bool is_time = key->size == 0 || key->call == FP_CALL_SYNC;
    double first = 0;

    (void)fprintf(file, "%12" PRIu64, key->size);
    for (uint32_t i = 0; i < count; i++) {
        const struct fp_row *row = fp_find(&results[i], key);
        const double value = row ? is_time ? row->us : row->mb_s : 0;
        char text[FP_NUMBER_BYTES];

        (void)fprintf(file, " %12s", fp_number(value, text));
        if (i == 0)
            first = value;
        else
            (void)fprintf(file, " %7s", fp_ratio(first > 0 ? value / first : 0, text));
    }
    (void)fputc('\n', file);
}

static void print_beside_head(FILE *file, const struct fp_result *results, uint32_t count,
                              const struct fp_key *key)
{
    char title[FP_TITLE_BYTES];

    (void)fprintf(file, "\n# %s: %s\n# %10s", fp_title(key, title),
                  key->size == 0 || key->call == FP_CALL_SYNC ? "us" : "MB/s", "size");
    for (uint32_t i = 0; i < count; i++)
        (void)fprintf(file, i == 0 ? " %12.12s" : " %12.12s        ", results[i].label);
    (void)fputc('\n', file);
}

/* A key is shown with the first result that has it. */
static bool is_shown_before(const struct fp_result *results, uint32_t index,
                            const struct fp_key *key)
{
    for (uint32_t i = 0; i < index; i++)
        if (fp_find(&results[i], key))
            return true;
    return false;
}

void fp_print_beside(FILE *file, const struct fp_result *results, uint32_t count)
{
    const struct fp_key *before = NULL;

    for (uint32_t r = 0; r < count; r++) {
        for (uint32_t i = 0; i < results[r].row_count; i++) {
            const struct fp_row *row = &results[r].rows[i];

            if (row->key.test == FP_LIMIT) {
                fp_print_row(file, row, i > 0 ? row - 1 : NULL);
                continue;
            }
            if (is_shown_before(results, r, &row->key))
                continue;
            if (!before || !fp_key_is_alike(before, &row->key))
                print_beside_head(file, results, count, &row->key);
            print_beside_row(file, results, count, &row->key);
            before = &row->key;
        }
    }
}
