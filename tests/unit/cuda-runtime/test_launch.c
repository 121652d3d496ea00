/* SPDX-License-Identifier: Apache-2.0
 * Registration and launches: what compiled code calls, against a driver that takes notes.
 */
#include "compiled.h"
#include "fake_cuda.h"
#include "tests/support/check.h"

static const struct fake_cuda *fake;

/* Host functions are addresses and nothing else. */
static char add_host, scale_host, missing_host, stranger;
static char table_host[64], lost_host[64];
static void *total_host;
static char image_one, image_two;

static void **register_all(void)
{
    void **handle = __cudaRegisterFatBinary(&image_one);

    __cudaRegisterFunction(handle, &add_host, &add_host, "add", -1, NULL, NULL, NULL, NULL, NULL);
    __cudaRegisterFunction(handle, &scale_host, &scale_host, "scale", -1, NULL, NULL, NULL, NULL,
                           NULL);
    __cudaRegisterFunction(handle, &missing_host, &missing_host, "missing", -1, NULL, NULL, NULL,
                           NULL, NULL);
    __cudaRegisterVar(handle, table_host, table_host, "table", 0, sizeof(table_host), 1, 0);
    __cudaRegisterVar(handle, lost_host, lost_host, "missing_variable", 0, 4, 0, 0);
    __cudaRegisterManagedVar(handle, &total_host, NULL, "total", 0, 4, 0, 0);
    __cudaRegisterFatBinaryEnd(handle);
    return handle;
}

/* As a stub of nvcc 13 launches: configuration, kernel by host function, launch. */
static cudaError_t stub_launch(const void *host, dim3 grid, dim3 block, cudaStream_t stream)
{
    cudaKernel_t kernel = NULL;
    size_t shared = 0;
    void *args[1] = {NULL};

    CHECK_EQ(__cudaPushCallConfiguration(grid, block, 48, stream), 0);
    CHECK_EQ(__cudaGetKernel(&kernel, host), cudaSuccess);
    CHECK_EQ(__cudaPopCallConfiguration(&grid, &block, &shared, &stream), cudaSuccess);
    return __cudaLaunchKernel(kernel, grid, block, args, shared, stream);
}

static void test_first_launch_loads_and_binds(void)
{
    const dim3 grid = {2, 1, 1}, block = {32, 1, 1};

    CHECK_CASE("registering calls no driver");
    (void)register_all();
    CHECK_STR(fake->take_log(), "");

    CHECK_CASE("first launch: context, image, kernel, launch");
    CHECK_EQ(stub_launch(&add_host, grid, block, NULL), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuInit flags=0\n"
                                "cuDevicePrimaryCtxRetain device=0\n"
                                "cuCtxSetCurrent 0xc000\n"
                                "cuLibraryLoadData option=1 value=1\n"
                                "cuLibraryGetManaged total\n"
                                "cuLibraryGetKernel add\n"
                                "cuLaunchKernel add grid=2,1,1 block=32,1,1 shared=48 stream=0\n");
    CHECK(total_host);

    CHECK_CASE("second launch: nothing but the launch");
    CHECK_EQ(stub_launch(&add_host, grid, block, cudaStreamLegacy), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuLaunchKernel add grid=2,1,1 block=32,1,1 shared=48 stream=1\n");
}

static void test_default_streams(void)
{
    const dim3 one = {1, 1, 1};
    cudaLaunchConfig_t config = {.gridDim = one, .blockDim = one};

    CHECK_CASE("legacy form leaves the default stream");
    CHECK_EQ(cudaLaunchKernel(&add_host, one, one, NULL, 0, NULL), cudaSuccess);
    CHECK_HAS(fake->take_log(), "stream=0\n");
    CHECK_CASE("per-thread form names the per-thread stream");
    CHECK_EQ(cudaLaunchKernel_ptsz(&add_host, one, one, NULL, 0, NULL), cudaSuccess);
    CHECK_HAS(fake->take_log(), "stream=2\n");
    CHECK_EQ(cudaStreamQuery_ptsz(NULL), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuStreamQuery stream=2\n");
    CHECK_CASE("a named stream passes through the per-thread form");
    CHECK_EQ(cudaLaunchKernel_ptsz(&add_host, one, one, NULL, 0, cudaStreamLegacy), cudaSuccess);
    CHECK_HAS(fake->take_log(), "stream=1\n");
    CHECK_CASE("the stream inside a launch configuration");
    CHECK_EQ(cudaLaunchKernelExC_ptsz(&config, &add_host, NULL), cudaSuccess);
    CHECK_HAS(fake->take_log(), "stream=2\n");
    CHECK_EQ(cudaLaunchKernelExC(&config, &add_host, NULL), cudaSuccess);
    CHECK_HAS(fake->take_log(), "stream=0\n");
}

static void test_attributes_of_a_launch(void)
{
    cudaLaunchAttribute cluster = {.id = cudaLaunchAttributeClusterDimension,
                                   .val.clusterDim = {4, 1, 1}};
    cudaLaunchConfig_t config = {.gridDim = {8, 1, 1},
                                 .blockDim = {64, 1, 1},
                                 .dynamicSmemBytes = 256,
                                 .attrs = &cluster,
                                 .numAttrs = 1};

    CHECK_CASE("attributes reach the driver as they are");
    CHECK_EQ(cudaLaunchKernelExC(&config, &add_host, NULL), cudaSuccess);
    CHECK_STR(fake->take_log(),
              "attribute 4 x=4\n"
              "cuLaunchKernelEx add grid=8,1,1 block=64,1,1 shared=256 stream=0\n");
    CHECK_CASE("cooperative launch has its own function");
    CHECK_EQ(cudaLaunchCooperativeKernel(&add_host, config.gridDim, config.blockDim, NULL, 0, NULL),
             cudaSuccess);
    CHECK_STR(fake->take_log(),
              "cuLaunchCooperativeKernel add grid=8,1,1 block=64,1,1 shared=0 stream=0\n");
}

static void test_refused_launches(void)
{
    static const struct {
        const char *label;
        const void *function;
        dim3 grid, block;
        size_t shared_bytes;
        cudaError_t status;
    } cases[] = {
        {"no threads", &add_host, {1, 1, 1}, {0, 1, 1}, 0, cudaErrorInvalidValue},
        {"no blocks", &add_host, {1, 0, 1}, {1, 1, 1}, 0, cudaErrorInvalidValue},
        {"block too large", &add_host, {1, 1, 1}, {2048, 1, 1}, 0, cudaErrorInvalidValue},
        {"too many threads", &add_host, {1, 1, 1}, {64, 32, 1}, 0, cudaErrorInvalidValue},
        {"grid too high", &add_host, {1, 65536, 1}, {1, 1, 1}, 0, cudaErrorInvalidValue},
        {"too much shared memory", &add_host, {1, 1, 1}, {1, 1, 1}, 1 << 20, cudaErrorInvalidValue},
        {"more than 32 bits of it",
         &add_host,
         {1, 1, 1},
         {1, 1, 1},
         (size_t)1 << 32,
         cudaErrorInvalidValue},
        {"never registered", &stranger, {1, 1, 1}, {1, 1, 1}, 0, cudaErrorInvalidDeviceFunction},
        {"null", NULL, {1, 1, 1}, {1, 1, 1}, 0, cudaErrorInvalidDeviceFunction},
        {"not in the image",
         &missing_host,
         {1, 1, 1},
         {1, 1, 1},
         0,
         cudaErrorInvalidDeviceFunction},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(cudaLaunchKernel(cases[i].function, cases[i].grid, cases[i].block, NULL,
                                  cases[i].shared_bytes, NULL),
                 cases[i].status);
        CHECK_EQ(cudaGetLastError(), cases[i].status);
    }
    (void)fake->take_log();
}

static void test_call_configurations_nest(void)
{
    dim3 grid = {0, 0, 0}, block = {0, 0, 0};
    size_t shared = 0;
    cudaStream_t stream = NULL;
    unsigned depth = 0;

    CHECK_CASE("last in, first out");
    CHECK_EQ(__cudaPushCallConfiguration((dim3){1, 1, 1}, (dim3){1, 1, 1}, 10, NULL), 0);
    CHECK_EQ(__cudaPushCallConfiguration((dim3){2, 1, 1}, (dim3){3, 1, 1}, 20, cudaStreamLegacy),
             0);
    CHECK_EQ(__cudaPopCallConfiguration(&grid, &block, &shared, &stream), cudaSuccess);
    CHECK(grid.x == 2 && block.x == 3 && shared == 20 && stream == cudaStreamLegacy);
    CHECK_EQ(__cudaPopCallConfiguration(&grid, &block, &shared, &stream), cudaSuccess);
    CHECK(grid.x == 1 && shared == 10 && !stream);
    CHECK_CASE("one pop too many");
    CHECK_EQ(__cudaPopCallConfiguration(&grid, &block, &shared, &stream),
             cudaErrorMissingConfiguration);
    CHECK_EQ(cudaGetLastError(), cudaErrorMissingConfiguration);
    CHECK_CASE("too many pushes: the launch site skips the call");
    while (__cudaPushCallConfiguration(grid, block, 0, NULL) == 0 && depth < 1000)
        depth++;
    CHECK(depth >= 16 && depth < 1000);
    CHECK_EQ(cudaGetLastError(), cudaErrorLaunchMaxDepthExceeded);
    while (__cudaPopCallConfiguration(&grid, &block, &shared, &stream) == cudaSuccess)
        depth--;
    CHECK_EQ(depth, 0);
    CHECK_EQ(cudaGetLastError(), cudaErrorMissingConfiguration);
}

static void test_one_address_in_two_images(void)
{
    const dim3 one = {1, 1, 1};
    void **second = __cudaRegisterFatBinary(&image_two);

    __cudaRegisterFunction(second, &scale_host, &scale_host, "scale_again", -1, NULL, NULL, NULL,
                           NULL, NULL);
    __cudaRegisterFatBinaryEnd(second);
    CHECK_CASE("the newest serves");
    CHECK_EQ(cudaLaunchKernel(&scale_host, one, one, NULL, 0, NULL), cudaSuccess);
    CHECK_HAS(fake->take_log(), "cuLaunchKernel scale_again ");
    CHECK_CASE("when its image is gone, the older one");
    __cudaUnregisterFatBinary(second);
    CHECK_STR(fake->take_log(), "cuLibraryUnload\n");
    CHECK_EQ(cudaLaunchKernel(&scale_host, one, one, NULL, 0, NULL), cudaSuccess);
    CHECK_HAS(fake->take_log(), "cuLaunchKernel scale ");
}

static void test_variables(void)
{
    char out[8] = {0};
    void *address = NULL;
    size_t bytes = 0;

    CHECK_CASE("size and address");
    CHECK_EQ(cudaGetSymbolSize(&bytes, table_host), cudaSuccess);
    CHECK_EQ(bytes, FAKE_VARIABLE_BYTES);
    CHECK_EQ(cudaGetSymbolAddress(&address, table_host), cudaSuccess);
    CHECK(address && address != (void *)table_host);
    CHECK_CASE("there and back");
    CHECK_EQ(cudaMemcpyToSymbol(table_host, "abcdefg", 8, 8, cudaMemcpyHostToDevice), cudaSuccess);
    CHECK_EQ(cudaMemcpyFromSymbol(out, table_host, 4, 10, cudaMemcpyDeviceToHost), cudaSuccess);
    CHECK_MEM(out, "cdef", 4);
    CHECK_CASE("outside the variable");
    CHECK_EQ(
        cudaMemcpyToSymbol(table_host, out, 8, FAKE_VARIABLE_BYTES - 4, cudaMemcpyHostToDevice),
        cudaErrorInvalidValue);
    CHECK_EQ(cudaMemcpyToSymbol(table_host, out, 8, SIZE_MAX, cudaMemcpyHostToDevice),
             cudaErrorInvalidValue);
    CHECK_CASE("the wrong way");
    CHECK_EQ(cudaMemcpyToSymbol(table_host, out, 8, 0, cudaMemcpyDeviceToHost),
             cudaErrorInvalidMemcpyDirection);
    CHECK_EQ(cudaMemcpyFromSymbol(out, table_host, 8, 0, cudaMemcpyHostToDevice),
             cudaErrorInvalidMemcpyDirection);
    CHECK_CASE("unknown ones; the output stays");
    bytes = 77;
    CHECK_EQ(cudaGetSymbolSize(&bytes, &stranger), cudaErrorInvalidSymbol);
    CHECK_EQ(cudaGetSymbolSize(&bytes, lost_host), cudaErrorInvalidSymbol);
    CHECK_EQ(cudaGetSymbolSize(&bytes, &add_host), cudaErrorInvalidSymbol);
    CHECK_EQ(bytes, 77);
    CHECK_CASE("a managed variable is its own symbol");
    CHECK_EQ(cudaGetSymbolAddress(&address, total_host), cudaSuccess);
    CHECK_EQ((uintptr_t)address, (uintptr_t)total_host);
    (void)cudaGetLastError();
    (void)fake->take_log();
}

static void test_kernels_as_handles(void)
{
    const dim3 one = {1, 1, 1};
    cudaKernel_t kernel = NULL;
    struct cudaFuncAttributes attributes;

    CHECK_CASE("a handle serves as a function");
    CHECK_EQ(cudaGetKernel(&kernel, &add_host), cudaSuccess);
    CHECK(kernel && (const void *)kernel != (const void *)&add_host);
    CHECK_EQ(cudaLaunchKernel(kernel, one, one, NULL, 0, NULL), cudaSuccess);
    CHECK_HAS(fake->take_log(), "cuLaunchKernel add ");
    CHECK_CASE("attributes come from the kernel, field by field");
    CHECK_EQ(cudaFuncGetAttributes(&attributes, &add_host), cudaSuccess);
    CHECK_EQ(attributes.maxThreadsPerBlock, 100);
    CHECK_EQ(attributes.sharedSizeBytes, 101);
    CHECK_EQ(attributes.numRegs, 104);
    CHECK_EQ(attributes.nonPortableClusterSizeAllowed, 114);
    CHECK_EQ(attributes.clusterSchedulingPolicyPreference, 115);
    (void)fake->take_log();
}

static void test_image_that_cannot_be_loaded(void)
{
    static char kernel_host;
    const dim3 one = {1, 1, 1};
    void **handle = __cudaRegisterFatBinary(&image_two);

    __cudaRegisterFunction(handle, &kernel_host, &kernel_host, "never", -1, NULL, NULL, NULL, NULL,
                           NULL);
    CHECK_CASE("a passing failure is tried again");
    fake->answer("cuLibraryLoadData", CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(cudaLaunchKernel(&kernel_host, one, one, NULL, 0, NULL), cudaErrorMemoryAllocation);
    fake->answer("cuLibraryLoadData", CUDA_ERROR_NO_BINARY_FOR_GPU);
    CHECK_EQ(cudaLaunchKernel(&kernel_host, one, one, NULL, 0, NULL),
             cudaErrorNoKernelImageForDevice);
    CHECK_CASE("an image for another device is refused for good");
    fake->answer("cuLibraryLoadData", CUDA_SUCCESS);
    (void)fake->take_log();
    CHECK_EQ(cudaLaunchKernel(&kernel_host, one, one, NULL, 0, NULL),
             cudaErrorNoKernelImageForDevice);
    CHECK_STR(fake->take_log(), "");
    __cudaUnregisterFatBinary(handle);
    CHECK_STR(fake->take_log(), "");
    (void)cudaGetLastError();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_first_launch_loads_and_binds),
        CHECK_TEST(test_default_streams),
        CHECK_TEST(test_attributes_of_a_launch),
        CHECK_TEST(test_refused_launches),
        CHECK_TEST(test_call_configurations_nest),
        CHECK_TEST(test_one_address_in_two_images),
        CHECK_TEST(test_variables),
        CHECK_TEST(test_kernels_as_handles),
        CHECK_TEST(test_image_that_cannot_be_loaded),
    };

    fake = fake_find();
    if (!fake)
        return 1;
    return check_run(tests);
}
