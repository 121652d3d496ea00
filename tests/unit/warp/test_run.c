/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/warp/test_run.c - kernels from nvcc against results computed here.
 */
#include <stdlib.h>

#include "tests/support/check.h"
#include "tests/unit/warp/harness.h"

static struct harness *load(void)
{
    struct harness *h = harness_create(NULL);

    (void)harness_load_file(h, WARP_KERNELS_PTX);
    return h;
}

static void expect_done(const struct warp_outcome *outcome)
{
    if (!CHECK(!outcome->failed))
        print_message("%s: %s at line %u, address %#llx\n", outcome->kernel,
                      harness_fault_name(outcome->kind), outcome->line,
                      (unsigned long long)outcome->address);
}

static void test_vecadd(void)
{
    enum { N = 1000 };
    struct harness *h = load();
    float *a = harness_alloc(h, N * sizeof(float)), *b = harness_alloc(h, N * sizeof(float));
    float *c = harness_alloc(h, N * sizeof(float));
    struct warp_outcome outcome;

    for (int i = 0; i < N; i++) {
        a[i] = (float)i;
        b[i] = 2.0f * (float)i;
    }
    outcome = harness_run(h, "vecadd", HARNESS_GRID(.grid = {8}, .block = {128}), HARNESS_PTR(a),
                          HARNESS_PTR(b), HARNESS_PTR(c), HARNESS_I32(N), HARNESS_END);
    expect_done(&outcome);
    for (int i = 0; i < N; i++)
        if (!CHECK_NEAR(c[i], 3.0f * (float)i, 0))
            break;
    harness_destroy(h);
}

static void test_reduce(void)
{
    enum { N = 10000, BLOCKS = 5 };
    struct harness *h = load();
    float *in = harness_alloc(h, N * sizeof(float));
    float *out = harness_alloc(h, BLOCKS * sizeof(float)), sum = 0;
    struct warp_outcome outcome;

    for (int i = 0; i < N; i++)
        in[i] = (float)(i % 7);
    outcome = harness_run(h, "reduce", HARNESS_GRID(.grid = {BLOCKS}, .block = {256}),
                          HARNESS_PTR(in), HARNESS_PTR(out), HARNESS_I32(N), HARNESS_END);
    expect_done(&outcome);
    for (int i = 0; i < N; i++)
        sum += in[i];
    for (int i = 0; i < BLOCKS; i++)
        sum -= out[i];
    CHECK_NEAR(sum, 0, 0); /* small integers: exact */
    harness_destroy(h);
}

static void test_matmul(void)
{
    enum { N = 48 };
    struct harness *h = load();
    float *a = harness_alloc(h, N * N * sizeof(float)),
          *b = harness_alloc(h, N * N * sizeof(float));
    float *c = harness_alloc(h, N * N * sizeof(float));
    struct warp_outcome outcome;

    for (int i = 0; i < N * N; i++) {
        a[i] = (float)(i % 5);
        b[i] = (float)(i % 3);
    }
    outcome =
        harness_run(h, "matmul", HARNESS_GRID(.grid = {3, 3}, .block = {16, 16}), HARNESS_PTR(a),
                    HARNESS_PTR(b), HARNESS_PTR(c), HARNESS_I32(N), HARNESS_END);
    expect_done(&outcome);
    for (int y = 0; y < N; y++)
        for (int x = 0; x < N; x++) {
            float sum = 0;

            for (int k = 0; k < N; k++)
                sum += a[y * N + k] * b[k * N + x];
            if (!CHECK_NEAR(c[y * N + x], sum, 0))
                y = x = N;
        }
    harness_destroy(h);
}

static void test_histogram(void)
{
    enum { N = 20000 };
    struct harness *h = load();
    uint8_t *in = harness_alloc(h, N);
    uint32_t *out = harness_alloc(h, 256 * sizeof(*out)), expected[256] = {0};
    struct warp_outcome outcome;

    for (int i = 0; i < N; i++) {
        in[i] = (uint8_t)(i * i >> 3);
        expected[in[i]]++;
    }
    outcome = harness_run(h, "histogram", HARNESS_GRID(.grid = {6}, .block = {192}),
                          HARNESS_PTR(in), HARNESS_PTR(out), HARNESS_I32(N), HARNESS_END);
    expect_done(&outcome);
    CHECK_MEM(out, expected, sizeof(expected));
    harness_destroy(h);
}

static void test_collatz(void)
{
    enum { N = 3000 };
    struct harness *h = load();
    int32_t *out = harness_alloc(h, N * sizeof(*out));
    struct warp_outcome outcome;

    outcome = harness_run(h, "collatz", HARNESS_GRID(.grid = {12}, .block = {256}),
                          HARNESS_PTR(out), HARNESS_I32(N), HARNESS_END);
    expect_done(&outcome);
    for (int i = 0; i < N; i++) {
        int32_t steps = 0;

        for (uint64_t v = (uint64_t)i + 1; v != 1; steps++)
            v = v & 1 ? 3 * v + 1 : v / 2;
        if (!CHECK_EQ(out[i], steps))
            break;
    }
    harness_destroy(h);
}

static void test_scan(void)
{
    enum { N = 256, BLOCKS = 9 };
    struct harness *h = load();
    int32_t *in = harness_alloc(h, N * BLOCKS * sizeof(*in));
    int32_t *out = harness_alloc(h, N * BLOCKS * sizeof(*out));
    struct warp_outcome outcome;

    for (int i = 0; i < N * BLOCKS; i++)
        in[i] = i % 11;
    outcome = harness_run(
        h, "scan",
        HARNESS_GRID(.grid = {BLOCKS}, .block = {N}, .shared_bytes = 2 * N * sizeof(int32_t)),
        HARNESS_PTR(in), HARNESS_PTR(out), HARNESS_END);
    expect_done(&outcome);
    for (int i = 0, sum = 0; i < N * BLOCKS; i++) {
        sum = i % N == 0 ? in[i] : sum + in[i];
        if (!CHECK_EQ(out[i], sum))
            break;
    }
    harness_destroy(h);
}

static void test_empty(void)
{
    struct harness *h = load();

    for (int i = 0; i < 100; i++) {
        struct warp_outcome outcome =
            harness_run(h, "empty", HARNESS_GRID(.grid = {1}, .block = {1}), HARNESS_END);

        expect_done(&outcome);
    }
    harness_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_empty),     CHECK_TEST(test_vecadd),  CHECK_TEST(test_reduce),
        CHECK_TEST(test_matmul),    CHECK_TEST(test_collatz), CHECK_TEST(test_scan),
        CHECK_TEST(test_histogram),
    };

    return check_run(tests);
}
