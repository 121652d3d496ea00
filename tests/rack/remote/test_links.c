/* SPDX-License-Identifier: Apache-2.0
 * Links are cut under a program on remote GPUs: one rail, all rails of a node for less than the
 * grace period, and for longer.
 * Run as `rack.sh run 3 remote-run --rails 2 --workers 2 --devices 1 [--grace 3s] test_links PART`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/functional/remote/remote_world.h"
#include "tests/rack/rack_link.h"
#include "tests/support/check.h"

enum {
    RAILS = 2,
    HOST = 2, /* of worker 0 and device 0; its links are cut */
    ROUNDS = 10,
    CUT_AFTER = 2,
    MEND_AFTER = 5,
    WORDS = REMOTE_GPU_BYTES / 4
};

/* ---- the program ------------------------------------------------------------------------------
 */

struct program {
    struct remote_gpu gpu, other;
    uint32_t *out, *in;
};

static void open_program(struct program *program)
{
    remote_gpu_open(&program->other, 1);
    remote_gpu_open(&program->gpu, 0);
    remote_need(cuMemHostAlloc((void **)&program->out, REMOTE_GPU_BYTES, 0), "cuMemHostAlloc");
    remote_need(cuMemHostAlloc((void **)&program->in, REMOTE_GPU_BYTES, 0), "cuMemHostAlloc");
}

static CUresult compare(const struct program *program, const struct remote_gpu *gpu)
{
    CUresult result = cuCtxSetCurrent(gpu->context);

    memset(program->in, 0, REMOTE_GPU_BYTES);
    if (result == CUDA_SUCCESS)
        result = cuMemcpyDtoHAsync(program->in, gpu->memory, REMOTE_GPU_BYTES, gpu->stream);
    if (result == CUDA_SUCCESS)
        result = cuStreamSynchronize(gpu->stream);
    if (result == CUDA_SUCCESS && memcmp(program->in, program->out, REMOTE_GPU_BYTES) != 0)
        result = CUDA_ERROR_UNKNOWN;
    return result;
}

/* Bytes go to the device, from there to the other node's, and from both back. */
static CUresult work(struct program *program, unsigned round)
{
    const struct remote_gpu *gpu = &program->gpu, *other = &program->other;
    CUresult result;

    for (unsigned i = 0; i < WORDS; i++)
        program->out[i] = i * 2654435761u + round;
    result = remote_gpu_try(gpu);
    if (result == CUDA_SUCCESS)
        result = cuMemcpyHtoDAsync(gpu->memory, program->out, REMOTE_GPU_BYTES, gpu->stream);
    if (result == CUDA_SUCCESS)
        result = compare(program, gpu);
    if (result == CUDA_SUCCESS)
        result = cuMemcpyPeer(other->memory, other->context, gpu->memory, gpu->context,
                              REMOTE_GPU_BYTES);
    return result == CUDA_SUCCESS ? compare(program, other) : result;
}

/* Tells of each round. */
static int work_on(void *arg)
{
    struct program program;

    (void)arg;
    open_program(&program);
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (!remote_expect("a round", work(&program, round), CUDA_SUCCESS))
            return 1;
        remote_tell();
    }
    return 0;
}

/* Until the first device is lost; the second one goes on. */
static int work_till_lost(void *arg)
{
    struct program program;
    CUresult result;
    bool holds;

    (void)arg;
    open_program(&program);
    do {
        result = work(&program, 0);
        remote_tell();
    } while (result == CUDA_SUCCESS);
    holds = remote_expect("the lost device", result, CUDA_ERROR_DEVICE_UNAVAILABLE);
    holds &= remote_expect("again", remote_gpu_try(&program.gpu), CUDA_ERROR_DEVICE_UNAVAILABLE);
    holds &= remote_expect("the other", remote_gpu_try(&program.other), CUDA_SUCCESS);
    return holds ? 0 : 1;
}

/* ---- what happens to it -----------------------------------------------------------------------
 */

static void hear(const struct remote_child *child, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++)
        if (!CHECK(remote_heard(child)))
            return;
}

static void set_all(bool up)
{
    for (unsigned rail = 0; rail < RAILS; rail++)
        CHECK(rack_set_link(rail, HOST, up));
}

static void finish(struct remote_child *child)
{
    CHECK_EQ(remote_child_end(child), 0);
    CHECK(remote_workers_wait(0));
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;

    for (text = strstr(text, part); text; text = strstr(text + 1, part))
        count++;
    return count;
}

static void test_one_rail(void)
{
    for (unsigned rail = 0; rail < RAILS; rail++) {
        struct remote_child child;

        CHECK_CASE("rail %u", rail);
        remote_child_start(&child, work_on, NULL);
        hear(&child, CUT_AFTER);
        CHECK(rack_set_link(rail, HOST, false));
        hear(&child, MEND_AFTER - CUT_AFTER);
        CHECK(rack_set_link(rail, HOST, true));
        hear(&child, ROUNDS - MEND_AFTER);
        finish(&child);
        CHECK_STR(child.error_text, "");
    }
}

static void test_all_rails(void)
{
    struct remote_child child;

    CHECK_CASE("until it is told");
    remote_child_start(&child, work_on, NULL);
    hear(&child, CUT_AFTER);
    set_all(false);
    CHECK(remote_child_says(&child, "does not answer"));
    set_all(true);
    hear(&child, ROUNDS - CUT_AFTER);
    finish(&child);
    CHECK_EQ(count_of(child.error_text, "node1 does not answer"), 1);
    CHECK_EQ(count_of(child.error_text, "node1 answers again"), 1);
    CHECK_EQ(count_of(child.error_text, "\n"), 2);
    CHECK_CASE("for a moment, again and again");
    remote_child_start(&child, work_on, NULL);
    for (unsigned i = 0; i < ROUNDS; i++) {
        hear(&child, 1);
        set_all(false);
        set_all(true);
    }
    finish(&child);
    CHECK_EQ(count_of(child.error_text, "lost"), 0);
}

static void test_too_long(void)
{
    struct remote_child child;

    CHECK_CASE("longer than the grace period");
    remote_child_start(&child, work_till_lost, NULL);
    hear(&child, CUT_AFTER);
    set_all(false);
    finish(&child);
    CHECK_EQ(count_of(child.error_text, "node1 does not answer"), 1);
    CHECK_EQ(count_of(child.error_text, "node1 are lost"), 1);
    CHECK_EQ(count_of(child.error_text, "\n"), 2);
    if (check_failures() > 0)
        (void)printf("%s", child.error_text);
    set_all(true);
    CHECK_CASE("a program after it");
    remote_child_start(&child, work_on, NULL);
    hear(&child, ROUNDS);
    finish(&child);
    CHECK_STR(child.error_text, "");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest mended[] = {CHECK_TEST(test_one_rail), CHECK_TEST(test_all_rails)};
    const struct CMUnitTest lost[] = {CHECK_TEST(test_too_long)};

    if (!getenv("RACK_RUN") || !getenv("FABRIC_SOCKET"))
        check_skip("it runs under rack.sh and remote-run");
    if (argc > 1 && strcmp(argv[1], "lost") == 0)
        return check_run(lost);
    return check_run(mended);
}
