/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/warp/test_fault.c - what goes wrong is reported exactly, and the process lives on.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/warp/harness.h"

static struct harness *load(void)
{
    const struct warp_policy policy = {.worker_count = 2};
    struct harness *h = harness_create(&policy);

    (void)harness_load_file(h, WARP_FAULTS_PTX);
    return h;
}

static void expect_fault(const struct warp_outcome *outcome, enum warp_fault_kind kind)
{
    CHECK(outcome->failed);
    CHECK_STR(harness_fault_name(outcome->kind), harness_fault_name(kind));
}

/* The engine works after a fault. */
static void expect_alive(struct harness *h)
{
    int *flag = harness_alloc(h, 4);
    struct warp_outcome outcome =
        harness_run(h, "set_flag", HARNESS_GRID(.block = {1}), HARNESS_PTR(flag), HARNESS_END);

    CHECK(!outcome.failed);
    CHECK_EQ(*flag, 1);
}

static void test_addresses(void)
{
    static int on_host;
    struct harness *h = load();
    int *memory = harness_alloc(h, 64), *constant = harness_alloc(h, 64);
    char *heap = malloc(64);
    const struct {
        const char *label;
        const void *address;
        enum warp_fault_kind kind;
    } cases[] = {
        {"null", NULL, WARP_FAULT_ILLEGAL_ADDRESS},
        {"the first byte after the end", memory + 16, WARP_FAULT_ILLEGAL_ADDRESS},
        {"one element before", memory - 1, WARP_FAULT_ILLEGAL_ADDRESS},
        {"the host's data", &on_host, WARP_FAULT_ILLEGAL_ADDRESS},
        {"the host's heap", heap, WARP_FAULT_ILLEGAL_ADDRESS},
        {"the host's stack", cases, WARP_FAULT_ILLEGAL_ADDRESS},
        {"not canonical", (void *)(uintptr_t)UINT64_C(0x8000000000000000),
         WARP_FAULT_ILLEGAL_ADDRESS},
        {"the top", (void *)(uintptr_t)UINT64_C(0xfffffffffffffffc), WARP_FAULT_ILLEGAL_ADDRESS},
        {"odd", (char *)memory + 2, WARP_FAULT_MISALIGNED},
        {"read only", constant, WARP_FAULT_ILLEGAL_ADDRESS},
    };

    harness_read_only(h, constant);
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct warp_outcome outcome;

        CHECK_CASE("%s", cases[i].label);
        outcome = harness_run(h, "store", HARNESS_GRID(.grid = {3}, .block = {64}),
                              HARNESS_PTR(cases[i].address), HARNESS_I32(37), HARNESS_END);
        expect_fault(&outcome, cases[i].kind);
        CHECK_EQ(outcome.address, (uintptr_t)cases[i].address);
        CHECK_EQ(outcome.thread[0], 37);
        CHECK(outcome.block[0] < 3);
        CHECK(outcome.line > 0);
        CHECK_STR(outcome.kernel, "store");
        expect_alive(h);
    }
    CHECK_EQ(memory[0], 0);
    CHECK_EQ(on_host, 0);
    free(heap);
    harness_destroy(h);
}

static void test_last_lane_of_a_load(void)
{
    struct harness *h = load();
    int *memory = harness_alloc(h, 31 * sizeof(int)), *out = harness_alloc(h, 4);
    struct warp_outcome outcome = harness_run(h, "load", HARNESS_GRID(.block = {31}),
                                              HARNESS_PTR(memory), HARNESS_PTR(out), HARNESS_END);

    CHECK(!outcome.failed);
    outcome = harness_run(h, "load", HARNESS_GRID(.block = {32}), HARNESS_PTR(memory),
                          HARNESS_PTR(out), HARNESS_END);
    expect_fault(&outcome, WARP_FAULT_ILLEGAL_ADDRESS);
    CHECK_EQ(outcome.thread[0], 31);
    harness_destroy(h);
}

static void test_shared_overrun(void)
{
    struct harness *h = load();
    struct warp_outcome outcome;

    outcome = harness_run(h, "shared_overrun", HARNESS_GRID(.block = {32}), HARNESS_I32(124),
                          HARNESS_END);
    CHECK(!outcome.failed);
    outcome = harness_run(h, "shared_overrun", HARNESS_GRID(.block = {32}), HARNESS_I32(128),
                          HARNESS_END);
    expect_fault(&outcome, WARP_FAULT_SHARED_RANGE);
    harness_destroy(h);
}

static void test_trap(void)
{
    struct harness *h = load();
    struct warp_outcome outcome = harness_run(h, "trap", HARNESS_GRID(.grid = {2}, .block = {8, 8}),
                                              HARNESS_I32(5), HARNESS_END);

    expect_fault(&outcome, WARP_FAULT_TRAP);
    CHECK_EQ(outcome.thread[0], 5);
    expect_alive(h);
    harness_destroy(h);
}

static void test_assert(void)
{
    struct harness *h = load();
    struct warp_outcome outcome;

    outcome = harness_run(h, "fails", HARNESS_GRID(.block = {33}), HARNESS_I32(33), HARNESS_END);
    CHECK(!outcome.failed);
    outcome = harness_run(h, "fails", HARNESS_GRID(.block = {33}), HARNESS_I32(32), HARNESS_END);
    expect_fault(&outcome, WARP_FAULT_ASSERT);
    CHECK_HAS(harness_text(h), "faults.cu:");
    CHECK_HAS(harness_text(h), ": block: [0,0,0], thread: [32,0,0] Assertion "
                               "`threadIdx.x + blockIdx.x < n` failed.\n");
    harness_destroy(h);
}

static void test_hang(void)
{
    struct harness *h = load();
    int *out = harness_alloc(h, 4);
    struct warp_outcome outcome =
        harness_run(h, "hang", HARNESS_GRID(.block = {64}), HARNESS_PTR(out), HARNESS_END);

    expect_fault(&outcome, WARP_FAULT_TIMEOUT);
    CHECK(outcome.line > 0);
    CHECK_EQ(*out, 0);
    expect_alive(h);
    harness_destroy(h);
}

static void test_stack(void)
{
    struct harness *h = load();
    int *out = harness_alloc(h, 4);
    struct warp_outcome outcome;

    outcome = harness_run(h, "overflow", HARNESS_GRID(.block = {32}), HARNESS_PTR(out),
                          HARNESS_I32(10), HARNESS_END);
    CHECK(!outcome.failed);
    CHECK_EQ(*out, 55);
    outcome = harness_run(h, "overflow", HARNESS_GRID(.block = {32}), HARNESS_PTR(out),
                          HARNESS_I32(100000), HARNESS_END);
    expect_fault(&outcome, WARP_FAULT_STACK);
    harness_destroy(h);
}

/* ---- cancel ---- */

static void test_cancel(void)
{
    static const char *const kernels[] = {"endless", "endless_divergent", "endless_arithmetic"};
    struct harness *h = load();
    int *flag = harness_alloc(h, 4), *out = harness_alloc(h, 256);

    for (size_t i = 0; i < FAB_ARRAY_LEN(kernels); i++) {
        const struct harness_grid *grid = HARNESS_GRID(.grid = {9}, .block = {48});
        struct warp_launch *launch;
        struct warp_outcome outcome;

        CHECK_CASE("%s", kernels[i]);
        if (i == 0)
            launch = harness_start(h, kernels[i], grid, HARNESS_PTR(flag), HARNESS_END);
        else if (i == 1)
            launch = harness_start(h, kernels[i], grid, HARNESS_PTR(flag), HARNESS_PTR(out),
                                   HARNESS_END);
        else
            launch =
                harness_start(h, kernels[i], grid, HARNESS_I32(3), HARNESS_PTR(out), HARNESS_END);
        warp_launch_cancel(launch);
        outcome = harness_wait(h, launch);
        expect_fault(&outcome, WARP_FAULT_TIMEOUT);
        expect_alive(h);
    }
    harness_destroy(h);
}

/* Kernels that wait for each other need turns: more of them than workers, the last one frees all.
 */
static void test_launches_share_workers(void)
{
    enum { COUNT = 7, BLOCKS = 5 };
    struct harness *h = load();
    int *flag = harness_alloc(h, 4), *out = harness_alloc(h, COUNT * BLOCKS * sizeof(int));
    struct warp_launch *waiting[COUNT], *setter;
    struct warp_outcome outcome;

    for (int i = 0; i < COUNT; i++)
        waiting[i] = harness_start(h, "wait_for", HARNESS_GRID(.grid = {BLOCKS}, .block = {64}),
                                   HARNESS_PTR(flag), HARNESS_PTR(out + i * BLOCKS), HARNESS_END);
    setter =
        harness_start(h, "set_flag", HARNESS_GRID(.block = {1}), HARNESS_PTR(flag), HARNESS_END);
    for (int i = 0; i < COUNT; i++) {
        outcome = harness_wait(h, waiting[i]);
        CHECK(!outcome.failed);
    }
    outcome = harness_wait(h, setter);
    CHECK(!outcome.failed);
    for (int i = 0; i < COUNT * BLOCKS; i++)
        CHECK_EQ(out[i], 1);
    harness_destroy(h);
}

/* ---- the signal net ---- */

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN
#endif
#endif

static sigjmp_buf outside;
static volatile sig_atomic_t foreign_calls;

static void foreign_handler(int number)
{
    (void)number;
    foreign_calls = foreign_calls + 1;
    siglongjmp(outside, 1);
}

/* Valid by the table, but not there. */
static void run_on_a_hole(struct harness *h, int *hole)
{
    struct warp_outcome outcome = harness_run(h, "store", HARNESS_GRID(.grid = {2}, .block = {32}),
                                              HARNESS_PTR(hole), HARNESS_I32(0), HARNESS_END);

    expect_fault(&outcome, WARP_FAULT_ILLEGAL_ADDRESS);
    CHECK_EQ(outcome.address, (uintptr_t)hole);
    CHECK_STR(outcome.kernel, "store");
    CHECK(outcome.line > 0);
}

static void test_signal_net(void)
{
#ifdef UNDER_TSAN
    /* The fault comes inside its memcpy, which a jump must not leave. */
    print_message("skipped: not under the thread sanitizer\n");
    skip();
#endif
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct harness *h = load();
    struct sigaction foreign = {.sa_handler = foreign_handler, .sa_flags = SA_NODEFER};
    uint8_t *memory = harness_alloc(h, 4 * page);
    int *hole = (int *)(((uintptr_t)memory + page - 1) / page * page + page);

    CHECK_EQ(mprotect(hole, page, PROT_NONE), 0);
    run_on_a_hole(h, hole);
    expect_alive(h);

    CHECK_CASE("the application installs a handler of its own, and it still gets its faults");
    (void)sigemptyset(&foreign.sa_mask);
    CHECK_EQ(sigaction(SIGSEGV, &foreign, NULL), 0);
    run_on_a_hole(h, hole);
    if (sigsetjmp(outside, 1) == 0)
        *(volatile int *)hole = 1;
    CHECK_EQ(foreign_calls, 1);
    run_on_a_hole(h, hole);
    CHECK_EQ(foreign_calls, 1);

    CHECK_EQ(mprotect(hole, page, PROT_READ | PROT_WRITE), 0);
    expect_alive(h);
    harness_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_addresses),
        CHECK_TEST(test_last_lane_of_a_load),
        CHECK_TEST(test_shared_overrun),
        CHECK_TEST(test_trap),
        CHECK_TEST(test_assert),
        CHECK_TEST(test_hang),
        CHECK_TEST(test_stack),
        CHECK_TEST(test_cancel),
        CHECK_TEST(test_launches_share_workers),
        CHECK_TEST(test_signal_net),
    };

    return check_run(tests);
}
