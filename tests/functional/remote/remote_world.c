/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/remote/remote_world.c - see remote_world.h.
 */
#include "tests/functional/remote/remote_world.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/functional/conformance/kernels.h"

/* ---- a GPU -------------------------------------------------------------------------------------
 */

void remote_need(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    (void)printf("%s: error %d\n", what, (int)result);
    (void)fflush(stdout);
    _exit(REMOTE_BROKEN);
}

bool remote_expect(const char *what, CUresult got, CUresult wanted)
{
    if (got == wanted)
        return true;
    (void)printf("%s: error %d, expected %d\n", what, (int)got, (int)wanted);
    (void)fflush(stdout);
    return false;
}

void remote_gpu_open(struct remote_gpu *gpu, int ordinal)
{
    CUdevice device;

    remote_need(cuInit(0), "cuInit");
    remote_need(cuDeviceGet(&device, ordinal), "cuDeviceGet");
    remote_need(cuDevicePrimaryCtxRetain(&gpu->context, device), "cuDevicePrimaryCtxRetain");
    remote_need(cuCtxSetCurrent(gpu->context), "cuCtxSetCurrent");
    remote_need(cuModuleLoadData(&gpu->module, kernels_ptx), "cuModuleLoadData");
    remote_need(cuStreamCreate(&gpu->stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    remote_need(cuMemAlloc(&gpu->memory, REMOTE_GPU_BYTES), "cuMemAlloc");
    remote_need(cuMemsetD8(gpu->memory, 0, REMOTE_GPU_BYTES), "cuMemsetD8");
    remote_need(cuCtxSynchronize(), "cuCtxSynchronize");
}

static CUresult launch(const struct remote_gpu *gpu, const char *name, void **params)
{
    CUfunction function;
    CUresult result = cuModuleGetFunction(&function, gpu->module, name);

    if (result != CUDA_SUCCESS)
        return result;
    return cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, gpu->stream, params, NULL);
}

void remote_gpu_hold(const struct remote_gpu *gpu)
{
    CUdeviceptr flag = gpu->memory; /* zero for ever */
    void *params[] = {&flag};

    remote_need(cuCtxSetCurrent(gpu->context), "cuCtxSetCurrent");
    remote_need(launch(gpu, "wait_flag", params), "a kernel that waits");
}

CUresult remote_gpu_store(const struct remote_gpu *gpu, CUdeviceptr to, uint32_t word)
{
    void *params[] = {&to, &word};

    return launch(gpu, "store", params);
}

CUresult remote_gpu_try(const struct remote_gpu *gpu)
{
    static uint32_t next = 1000;
    uint32_t word = next++, back = 0;
    CUdeviceptr to = gpu->memory + 4096;
    CUresult result = cuCtxSetCurrent(gpu->context);

    if (result == CUDA_SUCCESS)
        result = remote_gpu_store(gpu, to, word);
    if (result == CUDA_SUCCESS)
        result = cuStreamSynchronize(gpu->stream);
    if (result == CUDA_SUCCESS)
        result = cuMemcpyDtoH(&back, to, sizeof(back));
    return result == CUDA_SUCCESS && back != word ? CUDA_ERROR_UNKNOWN : result;
}

/* ---- children ---------------------------------------------------------------------------------
 */

static int tell_fd = -1, hold_fd = -1; /* of a child */

static FAB_NORETURN void be_child(int told, int hold, int errors, int (*fn)(void *arg), void *arg)
{
    const struct rlimit none = {0, 0};

    tell_fd = told;
    hold_fd = hold;
    (void)unsetenv("LD_PRELOAD"); /* not for what this process starts: a sanitizer's symbolizer */
    (void)unsetenv("LD_AUDIT");
    (void)dup2(errors, STDERR_FILENO);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)alarm(REMOTE_LIMIT_S); /* SIGALRM: it hung */
    exit(fn(arg));
}

void remote_child_start(struct remote_child *child, int (*fn)(void *arg), void *arg)
{
    int told[2], hold[2];

    (void)remote_broker();
    *child = (struct remote_child){.errors = memfd_create("errors", MFD_CLOEXEC)};
    if (child->errors < 0 || pipe(told) != 0 || pipe(hold) != 0)
        abort();
    (void)fflush(stdout);
    child->pid = fork();
    if (child->pid < 0)
        abort();
    if (child->pid == 0) {
        (void)close(told[0]);
        (void)close(hold[1]);
        be_child(told[1], hold[0], child->errors, fn, arg);
    }
    (void)close(told[1]);
    (void)close(hold[0]);
    child->told = told[0];
    child->hold = hold[1];
}

bool remote_heard(const struct remote_child *child)
{
    char byte;

    return read(child->told, &byte, 1) == 1;
}

void remote_tell(void)
{
    if (write(tell_fd, "!", 1) != 1)
        _exit(REMOTE_BROKEN);
}

void remote_stay(void)
{
    char byte;

    if (read(hold_fd, &byte, 1) > 0)
        _exit(REMOTE_BROKEN);
}

bool remote_is_let_go(void)
{
    struct pollfd poll_fd = {.fd = hold_fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) > 0;
}

static uint64_t now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static bool has_ended(const struct remote_child *child)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
}

bool remote_child_says(const struct remote_child *child, const char *text)
{
    uint64_t limit_s = now_s() + REMOTE_LIMIT_S;
    char said[REMOTE_ERRORS];

    for (;;) {
        bool is_last = now_s() > limit_s || has_ended(child); /* before the look at what it said */
        ssize_t bytes = pread(child->errors, said, sizeof(said) - 1, 0);

        said[bytes > 0 ? bytes : 0] = '\0';
        if (strstr(said, text))
            return true;
        if (is_last) {
            (void)fprintf(stderr, "the child did not say '%s', but: %s\n", text, said);
            return false;
        }
        (void)poll(NULL, 0, 1);
    }
}

int remote_child_end(struct remote_child *child)
{
    int status = 0;
    ssize_t bytes;

    (void)close(child->hold);
    if (waitpid(child->pid, &status, 0) != child->pid)
        abort();
    bytes = pread(child->errors, child->error_text, sizeof(child->error_text) - 1, 0);
    child->error_text[bytes > 0 ? bytes : 0] = '\0';
    (void)close(child->errors);
    (void)close(child->told);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- accounts ---------------------------------------------------------------------------------
 */

struct accounts {
    uint64_t *bytes; /* shared with the child */
    uint32_t count;
};

static int read_accounts(void *arg)
{
    const struct accounts *accounts = arg;

    remote_need(cuInit(0), "cuInit");
    for (uint32_t i = 0; i < accounts->count; i++) {
        size_t free_bytes, total_bytes;
        CUcontext context;
        CUdevice device;

        remote_need(cuDeviceGet(&device, (int)i), "cuDeviceGet");
        remote_need(cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
        remote_need(cuCtxSetCurrent(context), "cuCtxSetCurrent");
        remote_need(cuMemGetInfo(&free_bytes, &total_bytes), "cuMemGetInfo");
        accounts->bytes[i] = free_bytes;
        remote_need(cuDevicePrimaryCtxRelease(device), "cuDevicePrimaryCtxRelease");
    }
    return 0;
}

bool remote_free_bytes(uint64_t *bytes, uint32_t count)
{
    size_t size_bytes = count * sizeof(*bytes);
    void *shared =
        mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct accounts accounts = {shared, count};
    struct remote_child child;
    bool holds;

    if (shared == MAP_FAILED)
        return false;
    remote_child_start(&child, read_accounts, &accounts);
    holds = remote_child_end(&child) == 0 && remote_workers_wait(0);
    memcpy(bytes, shared, size_bytes);
    (void)munmap(shared, size_bytes);
    return holds;
}
