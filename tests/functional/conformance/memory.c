/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/memory.c - see memory.h.
 */
#include "tests/functional/conformance/memory.h"

/* poke: *at = value. peek: *out = *at. follow: *out = **at. */
static const char kernels[] = ".version 7.0\n"
                              ".target sm_75\n"
                              ".address_size 64\n"
                              ".visible .entry poke(.param .u64 at, .param .u32 value)\n"
                              "{\n"
                              "    .reg .b64 %rd<2>;\n"
                              "    .reg .b32 %r<2>;\n"
                              "    ld.param.u64 %rd1, [at];\n"
                              "    ld.param.u32 %r1, [value];\n"
                              "    st.global.u32 [%rd1], %r1;\n"
                              "    ret;\n"
                              "}\n"
                              ".visible .entry peek(.param .u64 at, .param .u64 out)\n"
                              "{\n"
                              "    .reg .b64 %rd<3>;\n"
                              "    .reg .b32 %r<2>;\n"
                              "    ld.param.u64 %rd1, [at];\n"
                              "    ld.param.u64 %rd2, [out];\n"
                              "    ld.global.u32 %r1, [%rd1];\n"
                              "    st.global.u32 [%rd2], %r1;\n"
                              "    ret;\n"
                              "}\n"
                              ".visible .entry follow(.param .u64 at, .param .u64 out)\n"
                              "{\n"
                              "    .reg .b64 %rd<4>;\n"
                              "    .reg .b32 %r<2>;\n"
                              "    ld.param.u64 %rd1, [at];\n"
                              "    ld.param.u64 %rd2, [out];\n"
                              "    ld.global.u64 %rd3, [%rd1];\n"
                              "    ld.global.u32 %r1, [%rd3];\n"
                              "    st.global.u32 [%rd2], %r1;\n"
                              "    ret;\n"
                              "}\n";

void memory_world_open(struct memory_world *world)
{
    conformance_need(cu.cuInit(0), "cuInit");
    conformance_need(cu.cuDeviceGetCount(&world->device_count), "cuDeviceGetCount");
    for (int i = 1; i >= 0; i--) {
        CUmodule module;

        if (i >= world->device_count)
            continue;
        conformance_need(cu.cuDevicePrimaryCtxRetain(&world->context[i], i),
                         "cuDevicePrimaryCtxRetain");
        conformance_need(cu.cuCtxSetCurrent(world->context[i]), "cuCtxSetCurrent");
        conformance_need(cu.cuModuleLoadData(&module, kernels), "cuModuleLoadData");
        conformance_need(cu.cuModuleGetFunction(&world->poke[i], module, "poke"),
                         "cuModuleGetFunction");
        conformance_need(cu.cuModuleGetFunction(&world->peek[i], module, "peek"),
                         "cuModuleGetFunction");
        conformance_need(cu.cuModuleGetFunction(&world->follow[i], module, "follow"),
                         "cuModuleGetFunction");
        conformance_need(cu.cuMemAlloc(&world->answer[i], 4), "cuMemAlloc");
    }
}

static CUresult launch(const struct memory_world *world, int index, CUfunction function,
                       void **params)
{
    CUresult result = cu.cuCtxSetCurrent(world->context[index]);

    if (result == CUDA_SUCCESS)
        result = cu.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL);
    return result == CUDA_SUCCESS ? cu.cuCtxSynchronize() : result;
}

CUresult memory_poke(const struct memory_world *world, int index, CUdeviceptr at, uint32_t value)
{
    void *params[] = {&at, &value};

    return launch(world, index, world->poke[index], params);
}

static CUresult answer_of(const struct memory_world *world, int index, CUfunction function,
                          CUdeviceptr at, uint32_t *value_out)
{
    CUdeviceptr out = world->answer[index];
    void *params[] = {&at, &out};
    CUresult result = launch(world, index, function, params);

    return result == CUDA_SUCCESS ? cu.cuMemcpyDtoH(value_out, out, sizeof(*value_out)) : result;
}

CUresult memory_peek(const struct memory_world *world, int index, CUdeviceptr at,
                     uint32_t *value_out)
{
    return answer_of(world, index, world->peek[index], at, value_out);
}

CUresult memory_follow(const struct memory_world *world, int index, CUdeviceptr at,
                       uint32_t *value_out)
{
    return answer_of(world, index, world->follow[index], at, value_out);
}

uint32_t memory_read(CUdeviceptr at)
{
    uint32_t word = 0;

    return cu.cuMemcpyDtoH(&word, at, sizeof(word)) == CUDA_SUCCESS ? word : UINT32_MAX;
}

size_t memory_free_bytes(void)
{
    size_t free_bytes = 0, total = 0;

    conformance_need(cu.cuMemGetInfo(&free_bytes, &total), "cuMemGetInfo");
    return free_bytes;
}
