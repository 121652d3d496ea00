/* SPDX-License-Identifier: Apache-2.0
 * A row from its buffers to its number, on a CUDA that is this file: it can lose a byte, fail a
 * call, or fail every call from then on.
 */
#include "perf/fabric-perf/measure.h"

#include <stdlib.h>
#include <string.h>

#include "perf/fabric-perf/kernels.h"
#include "perf/fabric-perf/lanes.h"
#include "tests/support/check.h"

/* ---- the CUDA ----------------------------------------------------------------------------------
 */

static struct {
    const char *failing; /* this call */
    bool is_lost;        /* from then on every one */
    bool loses_byte;     /* the last one of each copy that is measured */
    bool is_dead;
    uint32_t copies, objects; /* buffers and streams that are there */
} cuda;

static cudaError_t answer(const char *name)
{
    if (cuda.is_dead)
        return cudaErrorDevicesUnavailable;
    if (!cuda.failing || strcmp(cuda.failing, name) != 0)
        return cudaSuccess;
    cuda.is_dead = cuda.is_lost;
    return cudaErrorInvalidValue;
}

static cudaError_t copy(const char *name, void *to, const void *from, size_t bytes)
{
    cuda.copies++;
    if (cuda.loses_byte)
        bytes--;
    memcpy(to, from, bytes);
    return answer(name);
}

static cudaError_t allocate(const char *name, void **at, size_t bytes)
{
    *at = aligned_alloc(4096, bytes);
    cuda.objects++;
    return answer(name);
}

static cudaError_t give_back(void *at)
{
    free(at);
    cuda.objects--;
    return cudaSuccess;
}

/* Not "cudaMemcpy" of what fills and looks at the buffers: that is whole. */
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    (void)kind;
    memcpy(to, from, bytes);
    return answer("cudaMemcpy");
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    (void)kind, (void)stream;
    return copy("cudaMemcpyAsync", to, from, bytes);
}

cudaError_t cudaMemcpyPeer(void *to, int gpu, const void *from, int peer, size_t bytes)
{
    (void)gpu, (void)peer;
    return copy("cudaMemcpyPeer", to, from, bytes);
}

cudaError_t cudaMemcpyPeerAsync(void *to, int gpu, const void *from, int peer, size_t bytes,
                                cudaStream_t stream)
{
    (void)gpu, (void)peer, (void)stream;
    return copy("cudaMemcpyPeerAsync", to, from, bytes);
}

cudaError_t fp_kernel_copy(void *to, const void *from, size_t bytes, cudaStream_t stream)
{
    (void)stream;
    return copy("fp_kernel_copy", to, from, bytes);
}

cudaError_t fp_kernel_empty(cudaStream_t stream)
{
    (void)stream;
    return answer("fp_kernel_empty");
}

cudaError_t cudaMalloc(void **at, size_t bytes)
{
    return allocate("cudaMalloc", at, bytes);
}

cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned flags)
{
    (void)flags;
    return allocate("cudaHostAlloc", at, bytes);
}

cudaError_t cudaMallocManaged(void **at, size_t bytes, unsigned flags)
{
    (void)flags;
    return allocate("cudaMallocManaged", at, bytes);
}

cudaError_t cudaFree(void *at)
{
    return give_back(at);
}

cudaError_t cudaFreeHost(void *at)
{
    return give_back(at);
}

cudaError_t cudaHostGetDevicePointer(void **out, void *at, unsigned flags)
{
    (void)flags;
    *out = at;
    return answer("cudaHostGetDevicePointer");
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    static int stream;

    (void)flags;
    *out = (cudaStream_t)(void *)&stream;
    cuda.objects++;
    return answer("cudaStreamCreateWithFlags");
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    (void)stream;
    cuda.objects--;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    (void)stream;
    return answer("cudaStreamSynchronize");
}

cudaError_t cudaDeviceSynchronize(void)
{
    return answer("cudaDeviceSynchronize");
}

cudaError_t cudaSetDevice(int gpu)
{
    (void)gpu;
    return answer("cudaSetDevice");
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int gpu, int peer)
{
    *can = gpu != peer;
    return answer("cudaDeviceCanAccessPeer");
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags)
{
    (void)peer, (void)flags;
    return answer("cudaDeviceEnablePeerAccess");
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

const char *cudaGetErrorName(cudaError_t error)
{
    return error == cudaErrorInvalidValue ? "cudaErrorInvalidValue" : "another error";
}

const char *cudaGetErrorString(cudaError_t error)
{
    return cudaGetErrorName(error);
}

/* For what is measured elsewhere: the devices. */
cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *about, int gpu)
{
    (void)about, (void)gpu;
    return cudaErrorInvalidValue;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr name, int gpu)
{
    (void)value, (void)name, (void)gpu;
    return cudaErrorInvalidValue;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int bytes, int gpu)
{
    (void)text, (void)bytes, (void)gpu;
    return cudaErrorInvalidValue;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    (void)version;
    return cudaErrorInvalidValue;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    (void)version;
    return cudaErrorInvalidValue;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

static const struct fp_options options = {
    .warmup = 1, .repeats = 5, .iterations = 70, .duration_s = 0.005, .spread_max = 1000};
static const int32_t gpus[FP_GPUS_MAX] = {0, 1, 2, 3};

static enum fp_outcome measure(const struct fp_key *key, struct fp_row *row)
{
    enum fp_outcome outcome;

    *row = (struct fp_row){.key = *key};
    outcome = fp_measure_row(&options, gpus, 1e-6, row);
    CHECK_EQ(cuda.objects, 0); /* all is given back */
    return outcome;
}

static const struct {
    const char *name;
    struct fp_key key;
    uint32_t lanes;
    const char *call; /* that does the work */
} kinds[] = {
    {"in", {FP_H2D, FP_CALL_ASYNC, FP_PINNED, 0, 0, -1, 1, 1, 1001}, 1, "cudaMemcpyAsync"},
    {"out, pageable",
     {FP_D2H, FP_CALL_ASYNC, FP_PAGEABLE, 0, 0, -1, 1, 1, 1},
     1,
     "cudaMemcpyAsync"},
    {"both ways", {FP_BOTH, FP_CALL_ASYNC, FP_PINNED, 0, 0, -1, 1, 1, 8}, 2, "cudaMemcpyAsync"},
    {"four streams", {FP_H2D, FP_CALL_ASYNC, FP_PINNED, 0, 0, -1, 1, 4, 9}, 4, "cudaMemcpyAsync"},
    {"four GPUs", {FP_D2D, FP_CALL_ASYNC, 0, 0, -1, -1, 4, 1, 8}, 4, "cudaMemcpyAsync"},
    {"a ring", {FP_P2P, FP_CALL_ASYNC, 0, 0, -1, -1, 4, 1, 8}, 4, "cudaMemcpyPeerAsync"},
    {"to a peer", {FP_P2P, FP_CALL_SYNC, 0, 0, 0, 1, 1, 1, 8}, 1, "cudaMemcpyPeer"},
    {"peers both ways",
     {FP_P2P_BOTH, FP_CALL_ASYNC, 0, 0, 0, 1, 1, 1, 8},
     2,
     "cudaMemcpyPeerAsync"},
    {"mapped", {FP_D2H, FP_CALL_KERNEL, FP_MAPPED, 0, 0, -1, 1, 1, 33}, 1, "fp_kernel_copy"},
    {"managed", {FP_H2D, FP_CALL_KERNEL, FP_MANAGED, 0, 0, -1, 1, 1, 33}, 1, "fp_kernel_copy"},
};

static void test_right(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(kinds); i++) {
        struct fp_row row;

        CHECK_CASE("%s", kinds[i].name);
        memset(&cuda, 0, sizeof(cuda));
        CHECK_EQ(measure(&kinds[i].key, &row), FP_MEASURED);
        CHECK(row.is_verified);
        CHECK_STR(row.reason, "");
        CHECK_EQ(row.iterations, 70);
        CHECK(row.repeats >= 5);
        CHECK(cuda.copies >= kinds[i].lanes * 70 * 5);
        CHECK_EQ(cuda.copies % kinds[i].lanes, 0);
        CHECK_NEAR(row.mb_s * row.us, (double)kinds[i].key.size * kinds[i].lanes, 1e-6);
    }
}

static void test_wrong(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(kinds); i++) {
        char message[FP_REASON_BYTES];
        struct fp_row row;

        CHECK_CASE("%s", kinds[i].name);
        memset(&cuda, 0, sizeof(cuda));
        cuda.loses_byte = true;
        CHECK_EQ(measure(&kinds[i].key, &row), FP_WRONG);
        CHECK_STR(row.reason, "other data arrived");
        CHECK(!row.is_verified && row.us <= 0 && row.mb_s <= 0);

        memset(&cuda, 0, sizeof(cuda));
        cuda.failing = kinds[i].call;
        (void)snprintf(message, sizeof(message), "%s: cudaErrorInvalidValue", kinds[i].call);
        CHECK_EQ(measure(&kinds[i].key, &row), FP_WRONG);
        CHECK_STR(row.reason, message);

        cuda.is_lost = true;
        CHECK_EQ(measure(&kinds[i].key, &row), FP_LOST);
        CHECK_STR(row.reason, message);
    }
}

/* Each step towards a row fails once; nothing is left behind. */
static void test_failing(void)
{
    static const char *const calls[] = {"cudaMalloc",
                                        "cudaStreamCreateWithFlags",
                                        "cudaStreamSynchronize",
                                        "cudaSetDevice",
                                        "cudaMemcpyPeerAsync",
                                        "cudaDeviceCanAccessPeer",
                                        "cudaDeviceEnablePeerAccess"};
    static const struct fp_key key = {FP_P2P, FP_CALL_ASYNC, 0, 0, 0, 1, 1, 1, 8};

    for (size_t i = 0; i < FAB_ARRAY_LEN(calls); i++) {
        struct fp_row row;

        CHECK_CASE("%s", calls[i]);
        memset(&cuda, 0, sizeof(cuda));
        cuda.failing = calls[i];
        CHECK_EQ(measure(&key, &row), FP_WRONG);
        CHECK_HAS(row.reason, calls[i]);
    }
}

static void test_pattern(void)
{
    unsigned char one[100], other[100];

    for (size_t bytes = 1; bytes <= sizeof(one); bytes++) {
        CHECK_CASE("%zu bytes", bytes);
        fp_pattern_fill(one, bytes, 7, false);
        CHECK(fp_pattern_is(one, bytes, 7));
        fp_pattern_fill(other, bytes, 7, true);
        for (size_t i = 0; i < bytes; i++) /* every byte that does not arrive is seen */
            if (!CHECK_EQ(one[i] ^ other[i], 0xff))
                break;
        one[bytes - 1] ^= 1;
        CHECK(!fp_pattern_is(one, bytes, 7));
    }
    fp_pattern_fill(one, sizeof(one), 7, false);
    CHECK(!fp_pattern_is(one, sizeof(one), 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_right), CHECK_TEST(test_wrong),
                                       CHECK_TEST(test_failing), CHECK_TEST(test_pattern)};
    return check_run(tests);
}
