/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/warp/test_litmus.c - forward progress, barriers, calls: under every policy alike.
 *
 * Each test knows its result; the table of policies (order of fragments, budgets, no slot sharing,
 * no hoisting, poisoned memory) is the scheduler fuzz.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/unit/warp/harness.h"

struct policy_case {
    const char *label;
    struct warp_policy policy;
};

static const struct policy_case policies[] = {
    {"default", {.worker_count = 2}},
    {"lowest pc, poisoned", {.worker_count = 2, .poison = true}},
    {"highest pc", {.worker_count = 2, .order = WARP_ORDER_MAX_PC, .poison = true}},
    {"random 1", {.worker_count = 2, .order = WARP_ORDER_RANDOM, .seed = 1}},
    {"random 2", {.worker_count = 3, .order = WARP_ORDER_RANDOM, .seed = 22, .budget_full = 7}},
    {"budget 1", {.worker_count = 2, .budget_full = 1, .budget_split = 1, .poison = true}},
    {"random, budget 1",
     {.worker_count = 2,
      .order = WARP_ORDER_RANDOM,
      .seed = 333,
      .budget_full = 1,
      .budget_split = 1}},
    {"highest pc, budget 2",
     {.worker_count = 1, .order = WARP_ORDER_MAX_PC, .budget_full = 2, .budget_split = 2}},
    {"no slot sharing", {.worker_count = 2, .no_slot_sharing = true, .poison = true}},
    {"no hoisting", {.worker_count = 2, .no_hoisting = true, .poison = true}},
    {"one worker", {.worker_count = 1}},
};

static void expect_done(const struct warp_outcome *outcome)
{
    if (!CHECK(!outcome->failed))
        print_message("%s: %s at line %u, address %#llx\n", outcome->kernel,
                      harness_fault_name(outcome->kind), outcome->line,
                      (unsigned long long)outcome->address);
}

static void each_policy(const char *name, void (*body)(struct harness *h))
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(policies); i++) {
        struct harness *h = harness_create(&policies[i].policy);

        CHECK_CASE("%s: %s", name, policies[i].label);
        if (harness_load_file(h, WARP_LITMUS_PTX))
            body(h);
        harness_destroy(h);
    }
}

static void run(struct harness *h, const char *kernel, uint32_t blocks, uint32_t threads, int *out)
{
    struct warp_outcome outcome =
        harness_run(h, kernel, HARNESS_GRID(.grid = {blocks}, .block = {threads}), HARNESS_PTR(out),
                    HARNESS_END);

    expect_done(&outcome);
}

static void locks(struct harness *h, const char *kernel)
{
    int *lock = harness_alloc(h, 4), *value = harness_alloc(h, 4);
    struct warp_outcome outcome = harness_run(h, kernel, HARNESS_GRID(.grid = {4}, .block = {128}),
                                              HARNESS_PTR(lock), HARNESS_PTR(value), HARNESS_END);

    expect_done(&outcome);
    CHECK_EQ(*value, 512);
    CHECK_EQ(*lock, 0);
}

static void spin_outside(struct harness *h)
{
    locks(h, "spin_outside");
}

static void spin_inside(struct harness *h)
{
    locks(h, "spin_inside");
}

static void producer(struct harness *h)
{
    int *out = harness_alloc(h, 3 * 32 * sizeof(int));

    run(h, "producer", 3, 64, out);
    for (int i = 0; i < 96; i++)
        CHECK_EQ(out[i], 100 + i / 32 + i % 32);
}

static void lanes_wait(struct harness *h)
{
    int *out = harness_alloc(h, 32 * sizeof(int));

    run(h, "lanes_wait", 1, 32, out);
    for (int i = 0; i < 32; i++)
        CHECK_EQ(out[i], i * 3);
}

static void early_exit(struct harness *h)
{
    enum { THREADS = 160, N = 70 };
    int *out = harness_alloc(h, 2 * THREADS * sizeof(int));
    struct warp_outcome outcome =
        harness_run(h, "early_exit", HARNESS_GRID(.grid = {2}, .block = {THREADS}),
                    HARNESS_PTR(out), HARNESS_I32(N), HARNESS_END);

    expect_done(&outcome);
    for (int i = 0; i < 2 * THREADS; i++)
        CHECK_EQ(out[i], i % THREADS < N ? N * (N - 1) / 2 : 0);
}

static void named_barriers(struct harness *h)
{
    int *out = harness_alloc(h, 128 * sizeof(int));

    run(h, "named_barriers", 1, 128, out);
    for (int i = 0; i < 128; i++)
        CHECK_EQ(out[i], i < 64 ? 2016 : 8128);
}

static void divergent_barrier(struct harness *h)
{
    int *out = harness_alloc(h, 64 * sizeof(int));

    run(h, "divergent_barrier", 1, 64, out);
    for (int i = 0; i < 64; i++)
        CHECK_EQ(out[i], i & 1 ? (i ^ 1) * 5 : (i ^ 1) * 2 + 1);
}

static void shfl_exited(struct harness *h)
{
    int *out = harness_alloc(h, 64 * sizeof(int));

    run(h, "shfl_exited", 1, 64, out);
    for (int i = 0; i < 64; i++)
        CHECK_EQ(out[i], i % 32 < 20 ? (i ^ 1) + 20 : 0);
}

static void warp_sync(struct harness *h)
{
    int *out = harness_alloc(h, 32 * sizeof(int));

    run(h, "warp_sync", 1, 32, out);
    for (int i = 0; i < 32; i++)
        CHECK_EQ(out[i], i < 16 ? (i + 16) * 11 : (i - 16) * 7);
}

static void half_votes(struct harness *h)
{
    int *out = harness_alloc(h, 64 * sizeof(int));

    run(h, "half_votes", 1, 32, out);
    for (int i = 0; i < 32; i++) {
        int base = i & 16, v[16], any = 0, all = 1;

        for (int k = 0; k < 16; k++) {
            int x = base + k, y = x ^ 8;

            v[k] = base ? 2000 - x - y : x * x + y * y;
            any |= v[k] == 64;
            all &= v[k] > 0;
        }
        CHECK_EQ(out[i], v[i & 15] * 4 + any * 2 + all);
        CHECK_EQ((uint32_t)out[32 + i], base ? 0xaaaa0000u : 0xaaaau);
    }
}

static void counts(struct harness *h)
{
    int *out = harness_alloc(h, 100 * sizeof(int));

    run(h, "counts", 1, 100, out);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(out[i], 50 * 4 + 2 + 1);
}

static void grid_sync(struct harness *h)
{
    enum { BLOCKS = 9, THREADS = 64, N = BLOCKS * THREADS, ROUNDS = 5 };
    int *data = harness_alloc(h, 2 * N * sizeof(int));
    struct warp_outcome outcome;

    for (int i = 0; i < N; i++)
        data[i] = i;
    outcome = harness_run(h, "grid_sync",
                          HARNESS_GRID(.grid = {BLOCKS}, .block = {THREADS}, .cooperative = true),
                          HARNESS_PTR(data), HARNESS_I32(ROUNDS), HARNESS_END);
    expect_done(&outcome);
    for (int i = 0; i < N; i++)
        if (!CHECK_EQ(data[(ROUNDS & 1) * N + i], (i + ROUNDS) % N + ROUNDS))
            break;
}

static void all_meet(struct harness *h)
{
    enum { BLOCKS = 150, THREADS = 40 };
    int *count = harness_alloc(h, sizeof(int));
    int *out = harness_alloc(h, BLOCKS * THREADS * sizeof(int));
    struct warp_outcome outcome =
        harness_run(h, "all_meet", HARNESS_GRID(.grid = {BLOCKS}, .block = {THREADS}),
                    HARNESS_PTR(count), HARNESS_PTR(out), HARNESS_END);

    expect_done(&outcome);
    for (int i = 0; i < BLOCKS * THREADS; i++)
        if (!CHECK_EQ(out[i], BLOCKS))
            break;
}

static void look_back(struct harness *h)
{
    enum { BLOCKS = 50 };
    int *state = harness_alloc(h, BLOCKS * sizeof(int)),
        *out = harness_alloc(h, BLOCKS * sizeof(int));
    struct warp_outcome outcome =
        harness_run(h, "look_back", HARNESS_GRID(.grid = {BLOCKS}, .block = {32}),
                    HARNESS_PTR(state), HARNESS_PTR(out), HARNESS_END);

    expect_done(&outcome);
    for (int i = 0; i < BLOCKS; i++)
        CHECK_EQ(out[i], (i + 1) * (i + 2) / 2);
}

static void recursion(struct harness *h)
{
    static const int fib[12] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89};
    int *out = harness_alloc(h, 40 * sizeof(int));

    run(h, "recursion", 1, 40, out);
    for (int i = 0; i < 40; i++)
        CHECK_EQ(out[i], fib[i % 12]);
}

static void barrier_in_callee(struct harness *h)
{
    enum { N = 96 };
    int *out = harness_alloc(h, N * sizeof(int)), v[N], next[N];

    run(h, "barrier_in_callee", 1, N, out);
    for (int i = 0; i < N; i++)
        v[i] = i;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            int own = v[i] & 1023, k = (own & 3) - (own & 3);

            /* scratch[(i + v) & 3] = v + i: at index v & 3 stands i = 0 */
            next[i] = (v[N - 1 - i] & 1023) + own + k;
        }
        memcpy(v, next, sizeof(v));
    }
    for (int i = 0; i < N; i++)
        CHECK_EQ(out[i], v[i]);
}

struct matrix {
    float m[3][4];
    int16_t tag;
    int8_t tiny;
};

static void structs(struct harness *h)
{
    float *out = harness_alloc(h, 32 * sizeof(float));
    struct matrix in = {.tag = -5, .tiny = -3};
    struct warp_outcome outcome;

    for (int i = 0; i < 12; i++)
        in.m[i / 4][i % 4] = (float)i;
    outcome = harness_run(h, "structs", HARNESS_GRID(.block = {32}), HARNESS_STRUCT(in),
                          HARNESS_PTR(out), HARNESS_I32(1), HARNESS_END);
    expect_done(&outcome);
    for (int i = 0; i < 32; i++)
        CHECK_NEAR(out[i], in.m[1][i % 4] + 2 * in.m[(1 + i) % 3][i % 4] - 4 - 3, 0);
}

static void switches(struct harness *h)
{
    static const int table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
    int *out = harness_alloc(h, 64 * sizeof(int));
    struct warp_outcome outcome = harness_run(h, "switches", HARNESS_GRID(.block = {64}),
                                              HARNESS_PTR(out), HARNESS_I32(3), HARNESS_END);

    expect_done(&outcome);
    for (int t = 0; t < 64; t++) {
        uint32_t loop = (uint32_t)t << 3;
        int expected[7] = {t * 3, t ^ 0x55, table[t & 7], t + 1000, t + 1000, 0, 7};

        for (int i = 0; i < t; i++)
            loop ^= loop << 1;
        expected[5] = (int)loop;
        CHECK_EQ(out[t], expected[(t + 3) % 7]);
    }
}

static int nested(int t, int n)
{
    int sum = 0;

    for (int i = 0; i < t % n; i++) {
        for (int k = i; k < t % (i + 2); k++) {
            if ((k ^ i) & 1)
                continue;
            sum += k * i + 1;
            if (sum > 100000)
                return sum;
        }
        sum ^= i;
    }
    return sum;
}

static void nested_loops(struct harness *h)
{
    int *out = harness_alloc(h, 256 * sizeof(int));
    struct warp_outcome outcome =
        harness_run(h, "nested_loops", HARNESS_GRID(.grid = {2}, .block = {128}), HARNESS_PTR(out),
                    HARNESS_I32(37), HARNESS_END);

    expect_done(&outcome);
    for (int t = 0; t < 256; t++)
        CHECK_EQ(out[t], nested(t, 37));
}

static void local_array(struct harness *h)
{
    int *out = harness_alloc(h, 64 * sizeof(int));
    struct warp_outcome outcome = harness_run(h, "local_array", HARNESS_GRID(.block = {64}),
                                              HARNESS_PTR(out), HARNESS_I32(33), HARNESS_END);

    expect_done(&outcome);
    for (int t = 0; t < 64; t++) {
        int box[16];

        for (int i = 0; i < 16; i++)
            box[i] = i * t;
        for (int i = 0; i < 33; i++)
            box[(box[i & 15] + i) & 15] += i;
        CHECK_EQ(out[t], box[t & 15] + box[(t + 5) & 15]);
    }
}

static void dot_products(struct harness *h)
{
    enum { N = 29 };
    float *out = harness_alloc(h, N * sizeof(float)), a[32 * 9], b[256], sums[32] = {0};
    struct warp_outcome outcome = harness_run(h, "dot_products", HARNESS_GRID(.block = {N}),
                                              HARNESS_PTR(out), HARNESS_I32(1), HARNESS_END);

    expect_done(&outcome);
    for (int i = 0; i < 32 * 9; i++)
        a[i] = 0.1f * (float)i;
    for (int i = 0; i < 256; i++)
        b[i] = 1.0f / (float)(i + 1);
    for (int t = 0; t < N; t++) {
        sums[t] = 0.5f;
        for (int k = 0; t % 3 != 1 && k < 8; k++)
            sums[t] = fmaf(a[t * 9 + k], b[k * 16 + (t & 15)], sums[t]);
    }
    for (int t = 0; t < N; t++) {
        float again = 0, beside = (t ^ 1) < N ? sums[t ^ 1] : a[t ^ 1];

        for (int k = 0; k < 20; k++)
            again = fmaf(b[k * 4], a[(t / 16) * 9 + k], again);
        CHECK_NEAR(out[t], beside + again, 0);
    }
}

static void globals(struct harness *h)
{
    int *out = harness_alloc(h, 32 * sizeof(int));

    run(h, "globals", 1, 32, out);
    for (int i = 0; i < 32; i++)
        CHECK_EQ(out[i], 4 * (3 + 4 + 5 + 2));
    CHECK_EQ(*(int *)harness_variable(h, "counter"), 56);
}

static void guarded(struct harness *h)
{
    int *out = harness_alloc(h, 33 * sizeof(int));

    out[0] = 77;
    run(h, "guarded", 1, 32, out);
    for (int t = 0; t < 32; t++) {
        int v = t < 10 ? 42 : 1 + t;
        bool p = t == 3;

        if (p)
            v = 77;
        p = t >= 30 || !p;
        if (!p)
            v += 500;
        CHECK_EQ(out[t + 1], v);
    }
}

static void print(struct harness *h)
{
    static const char line[] =
        "   -7|42   |0beef|+1.50|1.234568e+04|q|text|%|-1099511627776|   9|abc|123456789abc\n";
    struct warp_outcome outcome;
    char expected[1024] = "";
    size_t length = 0;

    outcome = harness_run(h, "print", HARNESS_GRID(.block = {32}), HARNESS_I32(3), HARNESS_END);
    expect_done(&outcome);
    for (int i = 0; i < 3; i++)
        length +=
            (size_t)snprintf(expected + length, sizeof(expected) - length, "[%d] %s", i, line);
    CHECK_STR(harness_text(h), expected);
}

static void print_plain(struct harness *h)
{
    struct warp_outcome outcome =
        harness_run(h, "print_plain", HARNESS_GRID(.block = {2}), HARNESS_END);

    expect_done(&outcome);
    CHECK_STR(harness_text(h), "plain\nplain\n");
}

/* What this version refuses must say so and where. */
static void indirect(struct harness *h)
{
    struct fab_err err = {.status = FAB_OK};

    CHECK(!harness_program(h, "virtual_call", &err));
    CHECK_EQ(err.status, FAB_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "line ");
    CHECK_HAS(err.text, "indirect call");
}

#define LITMUS(name)                                                                               \
    static void test_##name(void)                                                                  \
    {                                                                                              \
        each_policy(#name, name);                                                                  \
    }
LITMUS(spin_outside)
LITMUS(spin_inside)
LITMUS(producer)
LITMUS(lanes_wait)
LITMUS(early_exit)
LITMUS(named_barriers)
LITMUS(divergent_barrier)
LITMUS(shfl_exited)
LITMUS(warp_sync)
LITMUS(half_votes)
LITMUS(counts)
LITMUS(grid_sync)
LITMUS(all_meet)
LITMUS(look_back)
LITMUS(recursion)
LITMUS(barrier_in_callee)
LITMUS(structs)
LITMUS(switches)
LITMUS(nested_loops)
LITMUS(local_array)
LITMUS(dot_products)
LITMUS(globals)
LITMUS(guarded)
LITMUS(print)
LITMUS(print_plain)
LITMUS(indirect)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_spin_outside),
        CHECK_TEST(test_spin_inside),
        CHECK_TEST(test_producer),
        CHECK_TEST(test_lanes_wait),
        CHECK_TEST(test_early_exit),
        CHECK_TEST(test_named_barriers),
        CHECK_TEST(test_divergent_barrier),
        CHECK_TEST(test_shfl_exited),
        CHECK_TEST(test_warp_sync),
        CHECK_TEST(test_half_votes),
        CHECK_TEST(test_counts),
        CHECK_TEST(test_grid_sync),
        CHECK_TEST(test_all_meet),
        CHECK_TEST(test_look_back),
        CHECK_TEST(test_recursion),
        CHECK_TEST(test_barrier_in_callee),
        CHECK_TEST(test_structs),
        CHECK_TEST(test_switches),
        CHECK_TEST(test_nested_loops),
        CHECK_TEST(test_local_array),
        CHECK_TEST(test_dot_products),
        CHECK_TEST(test_globals),
        CHECK_TEST(test_guarded),
        CHECK_TEST(test_print),
        CHECK_TEST(test_print_plain),
        CHECK_TEST(test_indirect),
    };

    return check_run(tests);
}
