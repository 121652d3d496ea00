/* SPDX-License-Identifier: Apache-2.0
 * driver_nvrtc - the driver API alone: NVRTC compiles a kernel to PTX at run time, the module is
 * loaded, its constant set, its kernel launched. No runtime library takes part.
 */
#include <cuda.h>
#include <nvrtc.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

static const char source[] = R"(
__constant__ int coefficients[4];

extern "C" __global__ void polynomial(const int *x, int *y, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) {
        int value = 0;
        for (int power = 3; power >= 0; power--)
            value = value * x[i] + coefficients[power];
        y[i] = value;
    }
}
)";

static void check(CUresult status, const char *what)
{
    if (status == CUDA_SUCCESS)
        return;
    const char *name = "?";
    cuGetErrorName(status, &name);
    fprintf(stderr, "%s: %s\n", what, name);
    exit(1);
}
#define CHECK(call) check((call), #call)

static std::vector<char> compile()
{
    nvrtcProgram program;
    const char *options[] = {"--gpu-architecture=compute_75"};
    size_t bytes = 0;

    nvrtcCreateProgram(&program, source, "polynomial.cu", 0, nullptr, nullptr);
    if (nvrtcCompileProgram(program, 1, options) != NVRTC_SUCCESS) {
        nvrtcGetProgramLogSize(program, &bytes);
        std::vector<char> log(bytes);
        nvrtcGetProgramLog(program, log.data());
        fprintf(stderr, "%s\n", log.data());
        exit(1);
    }
    nvrtcGetPTXSize(program, &bytes);
    std::vector<char> ptx(bytes);
    nvrtcGetPTX(program, ptx.data());
    nvrtcDestroyProgram(&program);
    return ptx;
}

int main()
{
    const int coefficients[4] = {5, -3, 2, 1}; /* 5 - 3x + 2x^2 + x^3 */
    int count = 10000;
    std::vector<int> x(count), y(count);
    std::vector<char> ptx = compile();
    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUfunction function;
    CUdeviceptr constant, device_x, device_y;
    size_t bytes = count * sizeof(int), constant_bytes = 0;

    CHECK(cuInit(0));
    CHECK(cuDeviceGet(&device, 0));
    CHECK(cuDevicePrimaryCtxRetain(&context, device));
    CHECK(cuCtxSetCurrent(context));
    CHECK(cuModuleLoadData(&module, ptx.data()));
    CHECK(cuModuleGetFunction(&function, module, "polynomial"));
    CHECK(cuModuleGetGlobal(&constant, &constant_bytes, module, "coefficients"));
    CHECK(cuMemcpyHtoD(constant, coefficients, constant_bytes));
    CHECK(cuMemAlloc(&device_x, bytes));
    CHECK(cuMemAlloc(&device_y, bytes));
    for (int i = 0; i < count; i++)
        x[i] = i % 200 - 100;
    CHECK(cuMemcpyHtoD(device_x, x.data(), bytes));

    void *arguments[] = {&device_x, &device_y, &count};
    CHECK(cuLaunchKernel(function, (unsigned)(count + 127) / 128, 1, 1, 128, 1, 1, 0, nullptr,
                         arguments, nullptr));
    CHECK(cuMemcpyDtoH(y.data(), device_y, bytes));

    int wrong = constant_bytes != sizeof(coefficients);
    for (int i = 0; i < count; i++)
        wrong += y[i] != 5 - 3 * x[i] + 2 * x[i] * x[i] + x[i] * x[i] * x[i];
    CHECK(cuMemFree(device_x));
    CHECK(cuMemFree(device_y));
    CHECK(cuModuleUnload(module));
    CHECK(cuDevicePrimaryCtxRelease(device));
    printf("compiled %zu bytes of PTX at run time, evaluated %d polynomials\n%s\n", ptx.size(),
           count, wrong ? "FAILED" : "PASSED");
    return wrong ? 1 : 0;
}
