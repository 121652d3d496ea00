/* SPDX-License-Identifier: Apache-2.0
 * Numbers, titles, tables and CSV, to the letter.
 */
#include "perf/fabric-perf/print.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/unit/perf/sample.h"

static void test_numbers(void)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0, "-"},           {0.00123456, "0.001235"}, {0.5, "0.5000"},
                {1.23456, "1.235"}, {12.3456, "12.35"},       {123.456, "123.5"},
                {1000, "1000"},     {123456.7, "123457"}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        char text[FP_NUMBER_BYTES];

        CHECK_STR(fp_number(rows[i].value, text), rows[i].text);
    }
}

static void test_ratios(void)
{
    static const struct {
        double ratio;
        const char *text;
    } rows[] = {{0, ""},         {0.000123, "0.00012x"}, {0.0949, "0.095x"},
                {0.25, "0.25x"}, {12.349, "12.35x"},     {456.7, "457x"}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        char text[FP_NUMBER_BYTES];

        CHECK_STR(fp_ratio(rows[i].ratio, text), rows[i].text);
    }
}

static void test_sizes(void)
{
    static const struct {
        uint64_t size;
        const char *text;
    } rows[] = {{1, "1 B"}, {1000, "1000 B"}, {4096, "4 KiB"}, {256 << 20, "256 MiB"}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        char text[FP_NUMBER_BYTES];

        CHECK_STR(fp_size_text(rows[i].size, text), rows[i].text);
    }
}

static void print_rows(FILE *file, const struct fp_result *results, uint32_t count)
{
    (void)count;
    for (uint32_t i = 0; i < results[0].row_count; i++)
        fp_print_row(file, &results[0].rows[i], i > 0 ? &results[0].rows[i - 1] : NULL);
}

/* A head for each kind of row, and a reason where there is no number. */
static void test_table(void)
{
    static const char *const parts[] = {
        ("\n# Host to device, cudaMemcpy, pinned, GPU 0\n#       size           us         MB/s    "
         "spread repeats\n           8        1.001        7.994     5.0 %     15\n         256 "),
        "\n# cudaDeviceSynchronize, idle, GPU 0\n",
        "           0            -            -   (spread 30 %: 1 to 2 us)\n",
        "           0        1.000            -     5.0 %     15\n",
    };
    struct fp_result result = sample_make("native", 1);
    char *text = sample_text(print_rows, &result, 1);

    for (size_t i = 0; i < FAB_ARRAY_LEN(parts); i++)
        CHECK_HAS(text, parts[i]);
    free(text);
    fp_result_fini(&result);
}

static void test_csv(void)
{
    static const char *const parts[] = {
        ("label,test,call,memory,link,gpu,peer,gpus,streams,size,iterations,repeats,us,us_low,us_"
         "high,"
         "mb_s,verified,name,reason\n\"a 'b'\",h2d,sync,pinned,none,0,-1,1,1,8,100,15,1.0008,"),
        ",sync,none,none,none,0,-1,1,1,0,100,15,,,,,0,\"\",\"spread 30 %: 1 to 2 us\"\n",
        ",launch,none,none,none,0,-1,1,1,0,100,15,1,0.98,1.03,,1,\"of 'mine'\",\"\"\n",
    };
    struct fp_result result = sample_make("a \"b\"", 1);
    char *text;

    (void)snprintf(result.rows[result.row_count - 1].name, FP_NAME_BYTES, "of \"mine\"");
    text = sample_text(fp_print_csv, &result, 1);
    for (size_t i = 0; i < FAB_ARRAY_LEN(parts); i++)
        CHECK_HAS(text, parts[i]);
    free(text);
    fp_result_fini(&result);
}

/* Times of what is waited for, rates of what is posted; each beside the first. */
static void test_beside(void)
{
    static const char *const parts[] = {
        ("\n# Host to device, cudaMemcpy, pinned, GPU 0: us\n#       size       native    two "
         "rails        \n           8        1.001        2.002   2.00x\n"),
        "\n# Host to device, cudaMemcpyAsync, pinned, GPU 0: MB/s\n",
        "           8        7.994        3.997   0.50x\n",
        "           0            -            -        \n",
    };
    struct fp_result results[2] = {sample_make("native", 1), sample_make("two rails", 2)};
    char *text = sample_text(fp_print_beside, results, 2);

    for (size_t i = 0; i < FAB_ARRAY_LEN(parts); i++)
        CHECK_HAS(text, parts[i]);
    free(text);
    fp_result_fini(&results[0]);
    fp_result_fini(&results[1]);
}

static void print_matrix(FILE *file, const struct fp_result *results, uint32_t count)
{
    (void)count;
    fp_print_matrix(file, results);
}

static void add_pair(struct fp_result *result, int32_t gpu, int32_t peer, double us)
{
    struct fp_row *row = fp_result_add(result);

    if (!row)
        abort();
    row->key = (struct fp_key){.test = FP_P2P,
                               .call = FP_CALL_SYNC,
                               .gpu = gpu,
                               .peer = peer,
                               .gpus = 1,
                               .streams = 1,
                               .size = 8};
    row->us = row->us_low = row->us_high = us;
}

static void test_matrix(void)
{
    struct fp_result result = {0};
    char *text;

    add_pair(&result, 0, 1, 10);
    text = sample_text(print_matrix, &result, 1);
    CHECK_STR(text, ""); /* a pair is no matrix */
    free(text);
    add_pair(&result, 1, 0, 0);
    text = sample_text(print_matrix, &result, 1);
    CHECK_STR(text, "\n# GPU to GPU, cudaMemcpy, 8 B: us\n# from\\to       0       1\n"
                    "        0       .   10.00\n        1       -       .\n");
    free(text);
    fp_result_fini(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_numbers), CHECK_TEST(test_ratios),
                                       CHECK_TEST(test_sizes),   CHECK_TEST(test_table),
                                       CHECK_TEST(test_csv),     CHECK_TEST(test_beside),
                                       CHECK_TEST(test_matrix)};
    return check_run(tests);
}
