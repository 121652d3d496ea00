/* SPDX-License-Identifier: Apache-2.0
 * A limit on the memory of a GPU holds for all programs that use it together, and what one had is
 * there again when it has ended, however it ended.
 * Run as `remote-run --memory 512MiB test_limit`, by shared memory and by rails.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/functional/remote/remote_world.h"
#include "tests/support/check.h"

enum { MIB = 1 << 20, LIMIT_MIB = 512, RESERVE_MIB = 64 /* of a context: softcuda.conf(5) */ };

/* What a program takes, hears and sees. */
struct part {
    size_t mib;
    CUresult result;
    size_t free_mib; /* afterwards */
    bool stays;
};

static int take(void *arg)
{
    const struct part *part = arg;
    size_t free_bytes = 0, total_bytes = 0, device_bytes = 0;
    CUcontext context;
    CUdeviceptr at;
    bool holds;

    remote_need(cuInit(0), "cuInit");
    remote_need(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
    remote_need(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    holds = remote_expect("cuMemAlloc", cuMemAlloc(&at, part->mib * MIB), part->result);
    remote_need(cuMemGetInfo(&free_bytes, &total_bytes), "cuMemGetInfo");
    remote_need(cuDeviceTotalMem(&device_bytes, 0), "cuDeviceTotalMem");
    if (free_bytes != part->free_mib * MIB || total_bytes != (size_t)LIMIT_MIB * MIB ||
        device_bytes != total_bytes) {
        (void)printf("free %zu, total %zu, device %zu\n", free_bytes, total_bytes, device_bytes);
        holds = false;
    }
    if (part->stays) {
        remote_tell();
        remote_stay();
    }
    return holds ? 0 : 1;
}

static void test_alone(void)
{
    static const struct {
        const char *label;
        struct part part;
    } rows[] = {
        {"all", {LIMIT_MIB - RESERVE_MIB, CUDA_SUCCESS, 0, false}},
        {"more than all", {450, CUDA_ERROR_OUT_OF_MEMORY, LIMIT_MIB - RESERVE_MIB, false}},
        {"more than the limit", {600, CUDA_ERROR_OUT_OF_MEMORY, LIMIT_MIB - RESERVE_MIB, false}},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct part part = rows[i].part;
        struct remote_child child;

        CHECK_CASE("%s", rows[i].label);
        remote_child_start(&child, take, &part);
        CHECK_EQ(remote_child_end(&child), 0);
        CHECK(remote_workers_wait(0));
    }
}

static void test_together(bool is_killed)
{
    struct part first = {200, CUDA_SUCCESS, LIMIT_MIB - RESERVE_MIB - 200, true};
    struct part too_much = {200, CUDA_ERROR_OUT_OF_MEMORY, LIMIT_MIB - 2 * RESERVE_MIB - 200,
                            false};
    struct part fits = {184, CUDA_SUCCESS, 0, false}, again = {448, CUDA_SUCCESS, 0, false};
    struct remote_child child, other;

    remote_child_start(&child, take, &first);
    CHECK(remote_heard(&child));
    CHECK_CASE("beside another, too much");
    remote_child_start(&other, take, &too_much);
    CHECK_EQ(remote_child_end(&other), 0);
    CHECK(remote_workers_wait(1));
    CHECK_CASE("beside another, the rest");
    remote_child_start(&other, take, &fits);
    CHECK_EQ(remote_child_end(&other), 0);
    if (is_killed)
        (void)kill(child.pid, SIGKILL);
    CHECK_EQ(remote_child_end(&child), is_killed ? 128 + SIGKILL : 0);
    CHECK(remote_workers_wait(0));
    CHECK_CASE("after the other");
    remote_child_start(&other, take, &again);
    CHECK_EQ(remote_child_end(&other), 0);
    CHECK(remote_workers_wait(0));
}

static void test_ended(void)
{
    test_together(false);
}

static void test_killed(void)
{
    test_together(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_alone), CHECK_TEST(test_ended),
                                       CHECK_TEST(test_killed)};

    if (!getenv("FABRIC_SOCKET"))
        check_skip("it runs under remote-run");
    return check_run(tests);
}
