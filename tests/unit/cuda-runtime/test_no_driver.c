/* SPDX-License-Identifier: Apache-2.0
 * A machine without libcuda.so.1, and one without a device: the program runs, the calls say why.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "compiled.h"
#include "tests/support/check.h"

static cudaError_t expected;

static void test_every_call_says_why(void)
{
    static char host_function;
    const dim3 one = {1, 1, 1};
    cudaKernel_t kernel = NULL;
    void *memory = NULL;
    void **handle;
    int count = 7, version = 7;

    CHECK_CASE("registering is no use of a GPU");
    handle = __cudaRegisterFatBinary(&host_function);
    __cudaRegisterFunction(handle, &host_function, &host_function, "f", -1, NULL, NULL, NULL, NULL,
                           NULL);
    __cudaRegisterFatBinaryEnd(handle);
    CHECK_CASE("the last error is that there is no driver, however often it is taken");
    CHECK_EQ(cudaGetLastError(), expected);
    CHECK_EQ(cudaGetLastError(), expected);
    CHECK_CASE("calls");
    CHECK_EQ(cudaGetDeviceCount(&count), expected);
    CHECK_EQ(cudaMalloc(&memory, 4), expected);
    CHECK_EQ(cudaFree(NULL), expected);
    CHECK_EQ(cudaSetDevice(0), expected);
    CHECK_EQ(cudaDeviceSynchronize(), expected);
    CHECK_CASE("a launch, and again");
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(__cudaGetKernel(&kernel, &host_function), cudaSuccess);
        CHECK_EQ(__cudaLaunchKernel(kernel, one, one, NULL, 0, NULL), expected);
        CHECK_EQ(cudaGetLastError(), expected);
    }
    CHECK_CASE("what needs no driver");
    CHECK_EQ(cudaRuntimeGetVersion(&version), cudaSuccess);
    CHECK_EQ(version, CUDART_VERSION);
    CHECK_EQ(cudaDriverGetVersion(&version), cudaSuccess);
    CHECK_EQ(version, expected == cudaErrorNoDevice ? CUDA_VERSION : 0);
    __cudaUnregisterFatBinary(handle);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_every_call_says_why)};

    (void)argv;
    expected = argc > 1 ? cudaErrorNoDevice : cudaErrorInsufficientDriver;
    if (argc == 1 && dlopen("libcuda.so.1", RTLD_LAZY))
        check_skip("this machine has a CUDA driver");
    return check_run(tests);
}
