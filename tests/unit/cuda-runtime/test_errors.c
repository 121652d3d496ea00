/* SPDX-License-Identifier: Apache-2.0
 * The last error, errors of the device, names, refused functions, and a forked child.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pthread.h>

#include "compiled.h"
#include "fake_cuda.h"
#include "tests/support/check.h"

static const struct fake_cuda *fake;

static void test_last_error(void)
{
    void *memory;

    CHECK_CASE("none at first");
    CHECK_EQ(cudaGetLastError(), cudaSuccess);
    CHECK_CASE("kept over successful calls, until it is taken");
    CHECK_EQ(cudaMemcpy(&memory, &memory, 4, (enum cudaMemcpyKind)9),
             cudaErrorInvalidMemcpyDirection);
    CHECK_EQ(cudaDeviceSynchronize(), cudaSuccess);
    CHECK_EQ(cudaPeekAtLastError(), cudaErrorInvalidMemcpyDirection);
    CHECK_EQ(cudaGetLastError(), cudaErrorInvalidMemcpyDirection);
    CHECK_EQ(cudaGetLastError(), cudaSuccess);
    CHECK_CASE("the newest one replaces it");
    CHECK_EQ(cudaSetDevice(99), cudaErrorInvalidDevice);
    CHECK_EQ(cudaMalloc(NULL, 4), cudaErrorInvalidValue);
    CHECK_EQ(cudaGetLastError(), cudaErrorInvalidValue);
    CHECK_CASE("not ready is no error");
    fake->answer("cuStreamQuery", CUDA_ERROR_NOT_READY);
    CHECK_EQ(cudaStreamQuery(NULL), cudaErrorNotReady);
    CHECK_EQ(cudaGetLastError(), cudaSuccess);
    fake->answer("cuStreamQuery", CUDA_SUCCESS);
}

static void *read_last_error(void *out)
{
    *(cudaError_t *)out = cudaGetLastError();
    return NULL;
}

static void test_one_last_error_a_thread(void)
{
    pthread_t thread;
    cudaError_t seen = cudaErrorUnknown;

    CHECK_CASE("another thread does not see it");
    CHECK_EQ(cudaSetDevice(-1), cudaErrorInvalidDevice);
    CHECK_EQ(pthread_create(&thread, NULL, read_last_error, &seen), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(seen, cudaSuccess);
    CHECK_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
}

static void test_errors_of_the_device(void)
{
    static const struct {
        const char *label;
        CUresult driver;
        cudaError_t status;
    } cases[] = {
        {"illegal address", CUDA_ERROR_ILLEGAL_ADDRESS, cudaErrorIllegalAddress},
        {"assert", CUDA_ERROR_ASSERT, cudaErrorAssert},
        {"launch failed", CUDA_ERROR_LAUNCH_FAILED, cudaErrorLaunchFailure},
        {"misaligned", CUDA_ERROR_MISALIGNED_ADDRESS, cudaErrorMisalignedAddress},
        {"out of resources", CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, cudaErrorLaunchOutOfResources},
        {"cooperative too large", CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
         cudaErrorCooperativeLaunchTooLarge},
        {"peer access on twice", CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED,
         cudaErrorPeerAccessAlreadyEnabled},
        {"a number the runtime does not have", CUDA_ERROR_CONTEXT_ALREADY_CURRENT,
         cudaErrorUnknown},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("%s", cases[i].label);
        fake->answer("cuCtxSynchronize", (int)cases[i].driver);
        CHECK_EQ(cudaDeviceSynchronize(), cases[i].status);
        CHECK_EQ(cudaGetLastError(), cases[i].status);
        CHECK_EQ(cudaGetLastError(), cudaSuccess); /* once; the next call meets it again */
        CHECK_EQ(cudaDeviceSynchronize(), cases[i].status);
        fake->answer("cuCtxSynchronize", CUDA_SUCCESS);
        CHECK_EQ(cudaDeviceReset(), cudaSuccess); /* a new context has no errors */
        CHECK_EQ(cudaGetLastError(), cudaSuccess);
    }
}

static void test_names_and_texts(void)
{
    CHECK_CASE("names are the enum's");
    CHECK_STR(cudaGetErrorName(cudaSuccess), "cudaSuccess");
    CHECK_STR(cudaGetErrorName(cudaErrorInvalidConfiguration), "cudaErrorInvalidConfiguration");
    CHECK_STR(cudaGetErrorString(cudaSuccess), "no error");
    CHECK_STR(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
    CHECK_CASE("numbers outside the enum");
    CHECK_STR(cudaGetErrorName((cudaError_t)12345), "unrecognized error code");
    CHECK_STR(cudaGetErrorString((cudaError_t)-1), "unrecognized error code");
}

/* What a function prints on stderr. */
static const char *printed_by(void (*function)(void))
{
    static char text[256];
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    size_t bytes;

    if (!file || saved < 0 || dup2(fileno(file), STDERR_FILENO) < 0)
        abort();
    function();
    (void)fflush(stderr);
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    rewind(file);
    bytes = fread(text, 1, sizeof(text) - 1, file);
    text[bytes] = '\0';
    (void)fclose(file);
    return text;
}

static void call_refused(void)
{
    cudaGraph_t graph;
    const void *table = NULL;
    cudaUUID_t id = {{0}};

    CHECK_EQ(cudaGraphCreate(&graph, 0), cudaErrorNotSupported);
    CHECK_EQ(cudaGraphCreate(&graph, 0), cudaErrorNotSupported);
    CHECK_EQ(cudaGetExportTable(&table, &id), cudaErrorNotSupported);
    CHECK(!table);
}

static void test_refused_functions(void)
{
    CHECK_CASE("named once each, and the last error");
    CHECK_STR(printed_by(call_refused), "cudaGraphCreate: not supported by this CUDA runtime\n"
                                        "cudaGetExportTable: not supported by this CUDA runtime\n");
    CHECK_EQ(cudaGetLastError(), cudaErrorNotSupported);
    CHECK_STR(printed_by(call_refused), "");
    (void)cudaGetLastError();
}

static int in_child(void)
{
    static char image;
    void *memory = NULL;
    int count = 7, version = 7;

    (void)alarm(20); /* a hang ends the child, not the test */
    __cudaUnregisterFatBinary(__cudaRegisterFatBinary(&image));

    if (cudaMalloc(&memory, 4) != cudaErrorInitializationError)
        return 1;
    if (cudaGetDeviceCount(&count) != cudaErrorInitializationError || count != 7)
        return 2;
    if (cudaRuntimeGetVersion(&version) != cudaSuccess || version != CUDART_VERSION)
        return 3;
    return 0;
}

static void test_child_of_fork(void)
{
    int status = -1;
    pid_t child;

    CHECK_EQ(cudaFree(NULL), cudaSuccess);
    child = fork();
    if (child == 0)
        _exit(in_child());
    CHECK_CASE("the child is told, and does not hang");
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    CHECK_CASE("the parent goes on");
    CHECK_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_last_error),           CHECK_TEST(test_one_last_error_a_thread),
        CHECK_TEST(test_errors_of_the_device), CHECK_TEST(test_names_and_texts),
        CHECK_TEST(test_refused_functions),    CHECK_TEST(test_child_of_fork),
    };

    fake = fake_find();
    if (!fake)
        return 1;
    return check_run(tests);
}
