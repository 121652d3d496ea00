/* SPDX-License-Identifier: Apache-2.0
 * 16 GPUs of four hosts in one process, over two rails: the results, and proof that the wires were
 * used. Run as `RACK_RATE=200mbit rack.sh run 5 remote-run --workers 4 --devices 4 --rails 2
 * test_wires`.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/functional/remote/remote_world.h"
#include "tests/support/check.h"

enum { HOSTS = 4, DEVICES = 16, RAILS = 2, WORDS = 1 << 16, COPIES = 2 };
#define BYTES ((uint64_t)REMOTE_GPU_BYTES)

static struct remote_gpu gpus[DEVICES];

/* ---- looking at the machine -------------------------------------------------------------------
 */

struct rail_bytes {
    uint64_t received[RAILS], sent[RAILS];
};

/* Of the network namespace that the calling process is in. Source: proc(5), "/proc/[pid]/net". */
static void read_rails(struct rail_bytes *bytes)
{
    FILE *file = fopen("/proc/self/net/dev", "re");
    char line[512];

    while (file && fgets(line, sizeof(line), file)) {
        unsigned long long received, sent;
        unsigned rail;

        if (sscanf(line, " rail%u: %llu %*u %*u %*u %*u %*u %*u %*u %llu", &rail, &received,
                   &sent) == 3 &&
            rail < RAILS) {
            bytes->received[rail] = received;
            bytes->sent[rail] = sent;
        }
    }
    if (file)
        (void)fclose(file);
}

/* Of a host of the rack (1: this one), by a child that goes there. */
static struct rail_bytes rails_of(unsigned host)
{
    struct rail_bytes *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct rail_bytes bytes = {{0}, {0}};
    pid_t pid = shared == MAP_FAILED ? -1 : fork();

    if (pid == 0) {
        char path[256];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%u.net", getenv("RACK_RUN"), host);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && setns(fd, CLONE_NEWNET) == 0)
            read_rails(shared);
        _exit(0);
    }
    if (pid > 0 && waitpid(pid, NULL, 0) == pid)
        bytes = *shared;
    if (shared != MAP_FAILED)
        (void)munmap(shared, sizeof(*shared));
    return bytes;
}

static uint64_t carried(const struct rail_bytes *before, const struct rail_bytes *after,
                        unsigned rail)
{
    return after->received[rail] - before->received[rail] + after->sent[rail] - before->sent[rail];
}

/* Each rail of a host carried its part of what was copied. */
static void check_parts(const char *what, const struct rail_bytes *before,
                        const struct rail_bytes *after, uint64_t copied)
{
    for (unsigned rail = 0; rail < RAILS; rail++) {
        CHECK_CASE("%s: %llu and %llu bytes of %llu, rail %u", what,
                   (unsigned long long)carried(before, after, 0),
                   (unsigned long long)carried(before, after, 1), (unsigned long long)copied, rail);
        CHECK(carried(before, after, rail) >= copied * 4 / 10);
    }
}

static bool file_has(const char *path, const char *text)
{
    char line[4096];
    bool found = false;
    FILE *file = fopen(path, "re");

    CHECK(file != NULL);
    while (file && fgets(line, sizeof(line), file))
        found |= strstr(line, text) != NULL;
    if (file)
        (void)fclose(file);
    return found;
}

/* What a namespace is called: equal ones are one. */
static bool space_of(const char *process, char *name, size_t name_bytes)
{
    char path[64];
    ssize_t length;

    (void)snprintf(path, sizeof(path), "/proc/%s/ns/net", process);
    length = readlink(path, name, name_bytes - 1);
    name[length < 0 ? 0 : length] = '\0';
    return length > 0;
}

/* ---- the tests --------------------------------------------------------------------------------
 */

static void test_places(void)
{
    pid_t workers[REMOTE_WORKERS_MAX];
    char names[HOSTS + 1][64], process[24], path[64], state[32];

    CHECK_CASE("this process has no driver in software");
    CHECK(!file_has("/proc/self/maps", "softcuda"));
    CHECK(file_has("/proc/self/maps", "/client/libcuda.so"));
    CHECK_CASE("workers");
    if (!CHECK_EQ(remote_workers(workers), HOSTS))
        return;
    CHECK(space_of("self", names[HOSTS], sizeof(names[HOSTS])));
    for (unsigned i = 0; i < HOSTS; i++) {
        CHECK_CASE("worker %u", i);
        (void)snprintf(process, sizeof(process), "%d", workers[i]);
        CHECK(space_of(process, names[i], sizeof(names[i])));
        for (unsigned k = 0; k < i; k++)
            CHECK(strcmp(names[k], names[i]) != 0);
        CHECK(strcmp(names[HOSTS], names[i]) != 0);
        (void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", workers[i]);
        (void)snprintf(state, sizeof(state), "/node%u ", i + 1);
        CHECK(file_has(path, state));
        CHECK(!file_has("/proc/self/mountinfo", state));
        (void)snprintf(path, sizeof(path), "/proc/%d/maps", workers[i]);
        CHECK(file_has(path, "/softcuda/libcuda.so"));
    }
}

static uint32_t word(unsigned device, unsigned index)
{
    return device * 1000003u + index * 7919u;
}

/* Each device gets a vector and a kernel's word, passes both on to a device of the next host, and
 * what comes back from there is its neighbour's. */
static void test_vectors(void)
{
    const size_t bytes = WORDS * sizeof(uint32_t);
    uint32_t *words;

    CHECK_CASE("vectors");
    CHECK_EQ(cuMemHostAlloc((void **)&words, bytes, 0), CUDA_SUCCESS);
    for (unsigned i = 0; i < DEVICES; i++) {
        for (unsigned k = 0; k < WORDS; k++)
            words[k] = word(i, k);
        CHECK_EQ(cuCtxSetCurrent(gpus[i].context), CUDA_SUCCESS);
        CHECK_EQ(cuMemcpyHtoD(gpus[i].memory + BYTES / 2, words, bytes), CUDA_SUCCESS);
        CHECK_EQ(remote_gpu_try(&gpus[i]), CUDA_SUCCESS);
    }
    for (unsigned i = 0; i < DEVICES; i++) {
        const struct remote_gpu *from = &gpus[i], *to = &gpus[(i + DEVICES / HOSTS) % DEVICES];

        CHECK_EQ(cuMemcpyPeer(to->memory + BYTES / 4, to->context, from->memory + BYTES / 2,
                              from->context, bytes),
                 CUDA_SUCCESS);
    }
    for (unsigned i = 0; i < DEVICES; i++) {
        const unsigned to = (i + DEVICES / HOSTS) % DEVICES;
        unsigned wrong = 0;

        CHECK_CASE("device %u", i);
        memset(words, 0, bytes);
        CHECK_EQ(cuCtxSetCurrent(gpus[to].context), CUDA_SUCCESS);
        CHECK_EQ(cuMemcpyDtoH(words, gpus[to].memory + BYTES / 4, bytes), CUDA_SUCCESS);
        for (unsigned k = 0; k < WORDS; k++)
            wrong += words[k] != word(i, k);
        CHECK_EQ(wrong, 0);
    }
    CHECK_EQ(cuMemFreeHost(words), CUDA_SUCCESS);
}

/* Copies between this process and one host: this host's rails carry them, each its part. */
static void test_copies(void)
{
    struct rail_bytes before, after;
    void *pinned;

    CHECK_CASE("copies in and out");
    CHECK_EQ(cuCtxSetCurrent(gpus[0].context), CUDA_SUCCESS);
    CHECK_EQ(cuMemHostAlloc(&pinned, BYTES, 0), CUDA_SUCCESS);
    memset(pinned, 1, BYTES); /* not what could be left out */
    before = rails_of(1);
    for (int i = 0; i < COPIES; i++) {
        CHECK_EQ(cuMemcpyHtoD(gpus[0].memory, pinned, BYTES), CUDA_SUCCESS);
        CHECK_EQ(cuMemcpyDtoH(pinned, gpus[0].memory, BYTES), CUDA_SUCCESS);
    }
    after = rails_of(1);
    check_parts("copies in and out", &before, &after, 2 * COPIES * BYTES);
    CHECK_EQ(cuMemFreeHost(pinned), CUDA_SUCCESS);
}

/* Copies between two hosts: their rails carry them, this host's do not. */
static void test_peer_copies(void)
{
    const struct remote_gpu *from = &gpus[0], *to = &gpus[DEVICES - 1];
    struct rail_bytes here[2], there[2][2];
    const uint64_t copied = COPIES * BYTES;

    CHECK_CASE("the first peer copy"); /* it introduces the two workers */
    CHECK_EQ(cuMemcpyPeer(to->memory, to->context, from->memory, from->context, BYTES),
             CUDA_SUCCESS);
    here[0] = rails_of(1);
    there[0][0] = rails_of(2);
    there[1][0] = rails_of(HOSTS + 1);
    for (int i = 0; i < COPIES; i++)
        CHECK_EQ(cuMemcpyPeer(to->memory, to->context, from->memory, from->context, BYTES),
                 CUDA_SUCCESS);
    here[1] = rails_of(1);
    there[0][1] = rails_of(2);
    there[1][1] = rails_of(HOSTS + 1);
    check_parts("the source", &there[0][0], &there[0][1], copied);
    check_parts("the target", &there[1][0], &there[1][1], copied);
    CHECK_CASE("this host");
    CHECK(carried(&here[0], &here[1], 0) + carried(&here[0], &here[1], 1) < copied / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_places), CHECK_TEST(test_vectors),
                                       CHECK_TEST(test_copies), CHECK_TEST(test_peer_copies)};
    int count = 0;

    if (!getenv("RACK_RUN") || !getenv("FABRIC_SOCKET"))
        check_skip("it runs under rack.sh and remote-run");
    if (cuInit(0) != CUDA_SUCCESS || cuDeviceGetCount(&count) != CUDA_SUCCESS || count != DEVICES) {
        (void)printf("%d devices, not %d\n", count, DEVICES);
        return 1;
    }
    for (int i = 0; i < DEVICES; i++)
        remote_gpu_open(&gpus[i], i);
    return check_run(tests);
}
