/* SPDX-License-Identifier: Apache-2.0
 * What goes wrong is reported exactly, where CUDA reports it, and stays as long as it should.
 * One mode a process, since such an error ends a context: without arguments all modes run but "stale",
 * which NVIDIA's driver takes on trust.
 */
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "examples/check.h"

__global__ void store(int *at, int value)
{
    *at = value;
}

__global__ void stop()
{
    __trap();
}

__global__ __launch_bounds__(64) void small_blocks(int *at)
{
    at[threadIdx.x] = 1;
}

static long expect(const char *what, cudaError_t got, cudaError_t want)
{
    if (got == want)
        return 0;
    fprintf(stderr, "%s: got %s, want %s\n", what, cudaGetErrorName(got), cudaGetErrorName(want));
    return 1;
}

/* A kernel that faults: the launch succeeds, the next synchronisation and all calls after fail. */
static long sticky(const char *what, cudaError_t want)
{
    int *later = nullptr;
    long wrong = expect("launch", cudaGetLastError(), cudaSuccess);

    wrong += expect(what, cudaDeviceSynchronize(), want);
    wrong += expect("a later call", cudaMalloc(&later, 4), want);
    wrong += expect("last error", cudaGetLastError(), want);
    wrong += expect("last error again", cudaGetLastError(), cudaSuccess);
    wrong += expect("and the next call", cudaMalloc(&later, 4), want);
    return wrong;
}

static long not_sticky()
{
    int *memory = nullptr, value = 5;
    long wrong = 0;

    CUDA_CHECK(cudaMalloc(&memory, 1024));
    store<<<1, 2000>>>(memory, 1);
    wrong += expect("2000 threads", cudaGetLastError(), cudaErrorInvalidValue);
    store<<<0, 1>>>(memory, 1);
    wrong += expect("no blocks", cudaGetLastError(), cudaErrorInvalidValue);
    store<<<1, 1, 1 << 20>>>(memory, 1);
    wrong += expect("1 MiB of shared memory", cudaGetLastError(), cudaErrorInvalidValue);
    small_blocks<<<1, 128>>>(memory);
    /* Which of the two NVIDIA's driver gives is not documented. */
    cudaError_t bound = cudaGetLastError();
    if (bound != cudaErrorInvalidValue)
        wrong += expect("more threads than the bound", bound, cudaErrorLaunchOutOfResources);
    wrong += expect("device 99", cudaSetDevice(99), cudaErrorInvalidDevice);
    wrong += expect("free of a host address", cudaFree(&value), cudaErrorInvalidValue);
    wrong +=
        expect("copy of an odd kind", cudaMemcpy(memory, &value, sizeof(value), (cudaMemcpyKind)77),
               cudaErrorInvalidMemcpyDirection);
    void *huge = nullptr;
    wrong += expect("far too much", cudaMalloc(&huge, SIZE_MAX / 2), cudaErrorMemoryAllocation);
    wrong += expect("peek", cudaPeekAtLastError(), cudaErrorMemoryAllocation);
    wrong += expect("get", cudaGetLastError(), cudaErrorMemoryAllocation);
    wrong += expect("cleared", cudaGetLastError(), cudaSuccess);

    store<<<1, 1>>>(memory, 42); /* the device still works */
    CUDA_CHECK(cudaMemcpy(&value, memory, sizeof(value), cudaMemcpyDeviceToHost));
    wrong += value != 42;
    CUDA_CHECK(cudaFree(memory));
    wrong += expect("free of nothing", cudaFree(nullptr), cudaSuccess);
    return wrong;
}

static long run_mode(const char *mode)
{
    int *memory = nullptr;

    if (strcmp(mode, "calls") == 0)
        return not_sticky();
    CUDA_CHECK(cudaMalloc(&memory, 1024));
    if (strcmp(mode, "null") == 0) {
        store<<<1, 1>>>(nullptr, 1);
        return sticky("null pointer", cudaErrorIllegalAddress);
    }
    if (strcmp(mode, "host") == 0) {
        int on_stack = 0;
        store<<<1, 1>>>(&on_stack, 1);
        return sticky("host pointer", cudaErrorIllegalAddress) + on_stack;
    }
    if (strcmp(mode, "wild") == 0) {
        store<<<4, 64>>>((int *)((uintptr_t)memory + (1ull << 40)), 1);
        return sticky("wild pointer", cudaErrorIllegalAddress);
    }
    if (strcmp(mode, "misaligned") == 0) {
        store<<<1, 1>>>((int *)((char *)memory + 2), 1);
        return sticky("misaligned pointer", cudaErrorMisalignedAddress);
    }
    if (strcmp(mode, "trap") == 0) {
        stop<<<1, 1>>>();
        return sticky("trap", cudaErrorLaunchFailure);
    }
    if (strcmp(mode, "stale") == 0) {
        int *pinned = nullptr;
        CUDA_CHECK(cudaMallocHost(&pinned, 1024));
        CUDA_CHECK(cudaDeviceReset()); /* frees both */
        return expect("freed memory", cudaMemcpy(pinned, memory, 4, cudaMemcpyDefault),
                      cudaErrorInvalidValue);
    }
    fprintf(stderr, "unknown mode %s\n", mode);
    return 1;
}

int main(int argc, char **argv)
{
    const char *const modes[] = {"calls", "null", "host", "wild", "misaligned", "trap"};
    long wrong = 0;

    if (argc > 1)
        return finish(run_mode(argv[1]));
    for (const char *mode : modes) {
        pid_t child = fork(); /* before any CUDA call of this process */
        if (child == 0) {
            execl("/proc/self/exe", argv[0], mode, (char *)nullptr);
            _exit(127);
        }
        int status = -1;
        waitpid(child, &status, 0);
        printf("%s: %s\n", mode, status == 0 ? "as it should be" : "wrong");
        wrong += status != 0;
    }
    return finish(wrong);
}
