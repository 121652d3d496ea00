/* SPDX-License-Identifier: Apache-2.0
 * A CUDA program for the agent's tests: agent_program once | hold | busy
 *
 * It writes to every device, reads back, and prints "N devices"; with `hold` it then waits for its
 * standard input to end, and prints what its devices say; with `busy` the last device computes all
 * the while. Exit status: 0 well, 2 no device.
 */
#include <cuda.h>
#include <dlfcn.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

enum { BYTES = 1 << 20, DEVICES_MAX = 64, NO_DEVICE = 2, WRONG = 3, NO_LIBRARY = 4 };

#define FUNCTIONS(X)                                                                               \
    X(cuInit, CUresult (*)(unsigned))                                                              \
    X(cuDeviceGetCount, CUresult (*)(int *))                                                       \
    X(cuDevicePrimaryCtxRetain, CUresult (*)(CUcontext *, CUdevice))                               \
    X(cuCtxSetCurrent, CUresult (*)(CUcontext))                                                    \
    X(cuMemAlloc_v2, CUresult (*)(CUdeviceptr *, size_t))                                          \
    X(cuMemsetD8_v2, CUresult (*)(CUdeviceptr, unsigned char, size_t))                             \
    X(cuMemcpyDtoH_v2, CUresult (*)(void *, CUdeviceptr, size_t))                                  \
    X(cuModuleLoadData, CUresult (*)(CUmodule *, const void *))                                    \
    X(cuModuleGetFunction, CUresult (*)(CUfunction *, CUmodule, const char *))                     \
    X(cuLaunchKernel, CUresult (*)(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned,   \
                                   unsigned, unsigned, CUstream, void **, void **))                \
    X(cuCtxSynchronize, CUresult (*)(void))

static struct {
#define FIELD(name, type) __typeof__((type)0) name;
    FUNCTIONS(FIELD)
#undef FIELD
} cu;

static bool load(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    bool is_whole = library != NULL;

#define FIND(name, type)                                                                           \
    if (is_whole) {                                                                                \
        void *found = dlsym(library, #name);                                                       \
                                                                                                   \
        memcpy(&cu.name, &found, sizeof(found));                                                   \
        is_whole = found != NULL;                                                                  \
    }
    FUNCTIONS(FIND)
#undef FIND
    return is_whole;
}

static int use(int device)
{
    static unsigned char back[BYTES];
    CUdeviceptr address;
    CUcontext context;

    if (cu.cuDevicePrimaryCtxRetain(&context, device) != CUDA_SUCCESS ||
        cu.cuCtxSetCurrent(context) != CUDA_SUCCESS ||
        cu.cuMemAlloc_v2(&address, BYTES) != CUDA_SUCCESS ||
        cu.cuMemsetD8_v2(address, (unsigned char)(device + 1), BYTES) != CUDA_SUCCESS ||
        cu.cuMemcpyDtoH_v2(back, address, BYTES) != CUDA_SUCCESS)
        return WRONG;
    for (int i = 0; i < BYTES; i++)
        if (back[i] != device + 1)
            return WRONG;
    return 0;
}

/* A loop of some milliseconds, again and again. */
static int be_busy(void)
{
    static const char code[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                               ".visible .entry spin()\n{\n.reg .u32 %n;\n.reg .pred %p;\n"
                               "mov.u32 %n, 0;\nagain:\nadd.u32 %n, %n, 1;\n"
                               "setp.lt.u32 %p, %n, 300000;\n@%p bra again;\nret;\n}\n";
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    CUmodule module;
    CUfunction spin;

    if (cu.cuModuleLoadData(&module, code) != CUDA_SUCCESS ||
        cu.cuModuleGetFunction(&spin, module, "spin") != CUDA_SUCCESS)
        return WRONG;
    while (poll(&input, 1, 0) == 0)
        if (cu.cuLaunchKernel(spin, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL) != CUDA_SUCCESS ||
            cu.cuCtxSynchronize() != CUDA_SUCCESS)
            return WRONG;
    return 0;
}

int main(int argc, char **argv)
{
    int count = 0, status = 0;
    char byte;

    if (!load())
        return NO_LIBRARY;
    if (cu.cuInit(0) != CUDA_SUCCESS || cu.cuDeviceGetCount(&count) != CUDA_SUCCESS || count == 0)
        return NO_DEVICE;
    for (int device = 0; device < count && status == 0; device++)
        status = use(device);
    printf("%d devices\n", count);
    (void)fflush(stdout);
    if (status == 0 && argc == 2 && strcmp(argv[1], "busy") == 0)
        return be_busy();
    if (status != 0 || argc < 2 || strcmp(argv[1], "hold") != 0)
        return status;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    printf("then %d\n", (int)cu.cuCtxSynchronize());
    return 0;
}
