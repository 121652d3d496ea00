/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/perf/sample.c - see sample.h.
 */
#include "tests/unit/perf/sample.h"

#include <stdlib.h>

static struct fp_row *add(struct fp_result *result, struct fp_key key)
{
    struct fp_row *row = fp_result_add(result);

    if (!row)
        abort();
    row->key = key;
    row->iterations = 100;
    row->repeats = 15;
    return row;
}

static void set_us(struct fp_row *row, double us)
{
    row->us = us;
    row->us_low = us * 0.98;
    row->us_high = us * 1.03;
    row->mb_s = row->key.size > 0 ? (double)row->key.size / us : 0;
    row->is_verified = true;
}

struct fp_result sample_make(const char *label, double factor)
{
    char program[] = "/somewhere/bin/fabric-perf", option[] = "-a";
    char *argv[] = {program, option};
    struct fp_result result;

    fp_result_init(&result, label, 2, argv);
    (void)snprintf(result.date, sizeof(result.date), "2026-11-26T00:00:00Z");
    result.devices = calloc(1, sizeof(*result.devices));
    if (!result.devices)
        abort();
    result.device_count = 1;
    result.devices[0] = (struct fp_device){
        .name = "a GPU", .pci = "0000:01:00.0", .memory_bytes = UINT64_C(8) << 30, .can_map = true};
    for (enum fp_call call = FP_CALL_SYNC; call <= FP_CALL_ASYNC; call++) {
        for (uint64_t size = 8; size <= 8 << 20; size *= 32)
            set_us(add(&result, (struct fp_key){.test = FP_H2D,
                                                .call = call,
                                                .memory = FP_PINNED,
                                                .peer = -1,
                                                .gpus = 1,
                                                .streams = 1,
                                                .size = size}),
                   factor * (1 + (double)size / 1e4));
    }
    (void)snprintf(
        add(&result, (struct fp_key){.test = FP_SYNC, .peer = -1, .gpus = 1, .streams = 1})->reason,
        FP_REASON_BYTES, "spread 30 %%: 1 to 2 us");
    set_us(add(&result, (struct fp_key){.test = FP_LAUNCH, .peer = -1, .gpus = 1, .streams = 1}),
           factor);
    return result;
}

struct fp_result sample_limits(void)
{
    struct fp_result result;
    char program[] = "fabric-perf-rack";
    char *argv[] = {program};

    fp_result_init(&result, "limits", 1, argv);
    for (uint64_t size = 0; size <= 8 << 20; size = size ? size * 1024 : 1024) {
        struct fp_row *row = add(
            &result,
            (struct fp_key){
                .test = FP_LIMIT, .gpu = -1, .peer = -1, .gpus = 1, .streams = 1, .size = size});

        (void)snprintf(row->name, sizeof(row->name), "%s", size ? "ucp_am_bw" : "iperf3 <1 rail>");
        row->mb_s = size ? (double)size : 2500;
    }
    return result;
}

char *sample_text(void (*print)(FILE *file, const struct fp_result *results, uint32_t count),
                  const struct fp_result *results, uint32_t count)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);

    if (!file)
        abort();
    print(file, results, count);
    (void)fclose(file);
    return text;
}
