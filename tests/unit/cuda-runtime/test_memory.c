/* SPDX-License-Identifier: Apache-2.0
 * Memory, copies and sets, streams, events, callbacks: which driver call with which arguments.
 */
#include <stdlib.h>
#include <string.h>

#include "compiled.h"
#include "fake_cuda.h"
#include "tests/support/check.h"

static const struct fake_cuda *fake;

static void test_nothing_to_allocate(void)
{
    void *memory = &memory;

    CHECK_CASE("zero bytes are a null pointer and no call");
    CHECK_EQ(cudaMalloc(&memory, 0), cudaSuccess);
    CHECK(!memory);
    memory = &memory;
    CHECK_EQ(cudaMallocHost(&memory, 0), cudaSuccess);
    CHECK(!memory);
    CHECK_CASE("but not of managed memory");
    CHECK_EQ(cudaMallocManaged(&memory, 0, cudaMemAttachGlobal), cudaErrorInvalidValue);
    CHECK_CASE("null is freed");
    CHECK_EQ(cudaFree(NULL), cudaSuccess);
    CHECK_EQ(cudaFreeHost(NULL), cudaSuccess);
    CHECK_HAS(fake->take_log(), "cuCtxSetCurrent 0xc000\n");
    CHECK_STR(fake->take_log(), "");
    (void)cudaGetLastError();
}

static void test_allocation(void)
{
    struct cudaPitchedPtr cube;
    void *memory = NULL;
    size_t pitch = 0;

    CHECK_EQ(cudaMalloc(&memory, 100), cudaSuccess);
    CHECK_EQ(cudaFree(memory), cudaSuccess);
    CHECK_EQ(cudaMallocHost(&memory, 100), cudaSuccess);
    CHECK_EQ(cudaFreeHost(memory), cudaSuccess);
    CHECK_EQ(cudaHostAlloc(&memory, 100, cudaHostAllocMapped | cudaHostAllocPortable), cudaSuccess);
    CHECK_EQ(cudaFreeHost(memory), cudaSuccess);
    CHECK_EQ(cudaMallocManaged(&memory, 100, cudaMemAttachGlobal), cudaSuccess);
    CHECK_EQ(cudaFree(memory), cudaSuccess);
    CHECK_EQ(cudaMallocAsync(&memory, 100, NULL), cudaSuccess);
    CHECK_EQ(cudaFreeAsync(memory, NULL), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuMemAlloc 100\ncuMemFree\n"
                                "cuMemHostAlloc 100 flags=0\ncuMemFreeHost\n"
                                "cuMemHostAlloc 100 flags=3\ncuMemFreeHost\n"
                                "cuMemAllocManaged 100 flags=1\ncuMemFree\n"
                                "cuMemAllocAsync 100 stream=0\ncuMemFreeAsync stream=0\n");
    CHECK_CASE("pitched");
    CHECK_EQ(cudaMallocPitch(&memory, &pitch, 100, 3), cudaSuccess);
    CHECK_EQ(pitch, 512);
    CHECK_EQ(cudaFree(memory), cudaSuccess);
    CHECK_EQ(cudaMalloc3D(&cube, (struct cudaExtent){100, 3, 5}), cudaSuccess);
    CHECK(cube.pitch == 512 && cube.xsize == 100 && cube.ysize == 3);
    CHECK_EQ(cudaFree(cube.ptr), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuMemAllocPitch 100x3 element=4\ncuMemFree\n"
                                "cuMemAllocPitch 100x15 element=4\ncuMemFree\n");
    CHECK_CASE("out of memory leaves the output");
    memory = &memory;
    fake->answer("cuMemAlloc", CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(cudaMalloc(&memory, 4), cudaErrorMemoryAllocation);
    CHECK(memory == &memory);
    fake->answer("cuMemAlloc", CUDA_SUCCESS);
    CHECK_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
    (void)fake->take_log();
}

static void test_copies(void)
{
    static const struct {
        const char *label;
        enum cudaMemcpyKind kind;
        const char *sync, *async;
    } cases[] = {
        {"host to host", cudaMemcpyHostToHost, "cuMemcpy 4\n", "cuMemcpyAsync 4 stream=1\n"},
        {"host to device", cudaMemcpyHostToDevice, "cuMemcpyHtoD 4\n",
         "cuMemcpyHtoDAsync 4 stream=1\n"},
        {"device to host", cudaMemcpyDeviceToHost, "cuMemcpyDtoH 4\n",
         "cuMemcpyDtoHAsync 4 stream=1\n"},
        {"device to device", cudaMemcpyDeviceToDevice, "cuMemcpyDtoD 4\n",
         "cuMemcpyDtoDAsync 4 stream=1\n"},
        {"by address", cudaMemcpyDefault, "cuMemcpy 4\n", "cuMemcpyAsync 4 stream=1\n"},
    };
    char to[4];

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("%s", cases[i].label);
        memset(to, 0, sizeof(to));
        CHECK_EQ(cudaMemcpy(to, "abc", 4, cases[i].kind), cudaSuccess);
        CHECK_STR(to, "abc");
        CHECK_STR(fake->take_log(), cases[i].sync);
        CHECK_EQ(cudaMemcpyAsync(to, "xyz", 4, cases[i].kind, cudaStreamLegacy), cudaSuccess);
        CHECK_STR(to, "xyz");
        CHECK_STR(fake->take_log(), cases[i].async);
    }
    CHECK_CASE("the per-thread form of a synchronous copy");
    CHECK_EQ(cudaMemcpy_ptds(to, "abc", 4, cudaMemcpyHostToDevice), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuMemcpyHtoD_ptds 4\n");
    CHECK_CASE("nothing, nowhere, no such kind");
    CHECK_EQ(cudaMemcpy(NULL, NULL, 0, cudaMemcpyDefault), cudaSuccess);
    CHECK_EQ(cudaMemcpy(NULL, "abc", 4, cudaMemcpyDefault), cudaErrorInvalidValue);
    CHECK_EQ(cudaMemcpy(to, "abc", 0, (enum cudaMemcpyKind)5), cudaErrorInvalidMemcpyDirection);
    CHECK_EQ(cudaMemcpyAsync(to, "abc", 4, (enum cudaMemcpyKind) - 1, NULL),
             cudaErrorInvalidMemcpyDirection);
    CHECK_STR(fake->take_log(), "");
    (void)cudaGetLastError();
}

static void test_copies_of_rows(void)
{
    char memory[64] = {0};
    struct cudaMemcpy3DParms cube = {
        .srcPos = {1, 2, 3},
        .srcPtr = {memory, 8, 8, 4},
        .dstPtr = {memory, 16, 16, 2},
        .extent = {4, 2, 2},
        .kind = cudaMemcpyHostToDevice,
    };

    CHECK_CASE("types follow the kind");
    CHECK_EQ(cudaMemcpy2D(memory, 16, memory, 8, 4, 2, cudaMemcpyDeviceToHost), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuMemcpy2DUnaligned 4x2 types=2,1 pitches=8,16\n");
    CHECK_EQ(cudaMemcpy2D(memory, 16, memory, 8, 4, 2, cudaMemcpyDefault), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuMemcpy2DUnaligned 4x2 types=4,4 pitches=8,16\n");
    CHECK_CASE("rows longer than their distance");
    CHECK_EQ(cudaMemcpy2D(memory, 16, memory, 8, 9, 2, cudaMemcpyDefault),
             cudaErrorInvalidPitchValue);
    CHECK_EQ(cudaMemcpy2D(memory, 16, memory, 8, 9, 0, cudaMemcpyDefault), cudaSuccess);
    CHECK_CASE("cubes");
    CHECK_EQ(cudaMemcpy3D(&cube), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuMemcpy3D 4x2x2 types=1,2 from=1,2,3 heights=4,2\n");
    cube.srcArray = (cudaArray_t)(uintptr_t)memory;
    CHECK_EQ(cudaMemcpy3D(&cube), cudaErrorNotSupported);
    CHECK_EQ(cudaMemcpy3D(NULL), cudaErrorInvalidValue);
    CHECK_CASE("between devices");
    CHECK_EQ(cudaMemcpyPeer(memory, 1, memory, 0, 8), cudaSuccess);
    CHECK_STR(fake->take_log(),
              "cuDevicePrimaryCtxRetain device=1\ncuMemcpyPeer 8 to=0xc001 from=0xc000\n");
    (void)cudaGetLastError();
}

static void test_sets(void)
{
    char memory[16] = {0};
    struct cudaPitchedPtr flat = {memory, 64, 16, 4};

    CHECK_EQ(cudaMemset(memory, 0x1ff, sizeof(memory)), cudaSuccess);
    CHECK_EQ((unsigned char)memory[15], 0xff);
    CHECK_STR(fake->take_log(), "cuMemsetD8 255 16\n");
    CHECK_CASE("slices that follow each other are one call");
    CHECK_EQ(cudaMemset3D(flat, 1, (struct cudaExtent){16, 4, 3}), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuMemsetD2D8 1 16x12 pitch=64\n");
    CHECK_CASE("others are one call each");
    CHECK_EQ(cudaMemset3D(flat, 1, (struct cudaExtent){16, 2, 3}), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuMemsetD2D8 1 16x2 pitch=64\ncuMemsetD2D8 1 16x2 pitch=64\n"
                                "cuMemsetD2D8 1 16x2 pitch=64\n");
    CHECK_EQ(cudaMemset(memory, 0, 0), cudaSuccess);
    CHECK_STR(fake->take_log(), "");
}

static void test_pointers(void)
{
    struct cudaPointerAttributes attributes;
    char plain;

    CHECK_CASE("memory that CUDA does not know is no error");
    CHECK_EQ(cudaPointerGetAttributes(&attributes, &plain), cudaSuccess);
    CHECK_EQ(attributes.type, cudaMemoryTypeUnregistered);
    CHECK_EQ(attributes.device, -2);
    CHECK(!attributes.devicePointer);
    CHECK(attributes.hostPointer == &plain);
    CHECK_CASE("device memory");
    CHECK_EQ(cudaPointerGetAttributes(&attributes, (const void *)(uintptr_t)0x1000), cudaSuccess);
    CHECK_EQ(attributes.type, cudaMemoryTypeDevice);
    CHECK_EQ(attributes.device, 1);
    CHECK_EQ((uintptr_t)attributes.devicePointer, 0x1000);
    CHECK(!attributes.hostPointer);
}

static void test_managed_memory(void)
{
    char memory[8] = {0};
    struct cudaMemLocation host = {cudaMemLocationTypeHost, 0};

    CHECK_EQ(cudaMemPrefetchAsync(memory, 8, host, 0, NULL), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuMemPrefetchAsync 8 to=2,0 flags=0 stream=0\n");
}

static cudaError_t callback_status;
static int callback_runs;

static void CUDART_CB on_stream(cudaStream_t stream, cudaError_t status, void *user_data)
{
    (void)stream;
    callback_status = status;
    *(int *)user_data += 1;
}

static void CUDART_CB on_host(void *user_data)
{
    *(int *)user_data += 10;
}

static void test_streams_and_events(void)
{
    cudaStream_t stream = NULL;
    cudaEvent_t event = NULL;
    float ms = 0;

    CHECK_EQ(cudaStreamCreate(&stream), cudaSuccess);
    CHECK_EQ(cudaStreamDestroy(stream), cudaSuccess);
    CHECK_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    CHECK_EQ(cudaStreamCreateWithPriority(&stream, cudaStreamDefault, -2), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuStreamCreate flags=0\ncuStreamDestroy\ncuStreamCreate flags=1\n"
                                "cuStreamCreateWithPriority flags=0 priority=-2\n");
    CHECK_EQ(cudaEventCreate(&event), cudaSuccess);
    CHECK_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
    CHECK_EQ(cudaEventRecord(event, cudaStreamLegacy), cudaSuccess);
    CHECK_EQ(cudaEventElapsedTime(&ms, event, event), cudaSuccess);
    CHECK_NEAR(ms, 1.5, 0);
    CHECK_STR(fake->take_log(), "cuEventCreate flags=0\ncuEventCreate flags=2\n"
                                "cuEventRecord stream=1\ncuEventElapsedTime\n");
    CHECK_CASE("callbacks");
    callback_status = cudaErrorUnknown;
    CHECK_EQ(cudaStreamAddCallback(NULL, on_stream, &callback_runs, 0), cudaSuccess);
    CHECK_EQ(callback_status, cudaSuccess);
    CHECK_EQ(cudaLaunchHostFunc(NULL, on_host, &callback_runs), cudaSuccess);
    CHECK_EQ(callback_runs, 11);
    CHECK_EQ(cudaStreamAddCallback(NULL, on_stream, &callback_runs, 1), cudaErrorInvalidValue);
    fake->answer("cuStreamAddCallback", CUDA_ERROR_INVALID_HANDLE);
    CHECK_EQ(cudaStreamAddCallback(NULL, on_stream, &callback_runs, 0),
             cudaErrorInvalidResourceHandle);
    CHECK_EQ(callback_runs, 11);
    (void)fake->take_log();
    (void)cudaGetLastError();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_nothing_to_allocate),
        CHECK_TEST(test_allocation),
        CHECK_TEST(test_copies),
        CHECK_TEST(test_copies_of_rows),
        CHECK_TEST(test_sets),
        CHECK_TEST(test_pointers),
        CHECK_TEST(test_managed_memory),
        CHECK_TEST(test_streams_and_events),
    };

    fake = fake_find();
    if (!fake)
        return 1;
    return check_run(tests);
}
