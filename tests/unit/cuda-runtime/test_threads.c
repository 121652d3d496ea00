/* SPDX-License-Identifier: Apache-2.0
 * Threads that launch while others come and go with images of their own. Worth running under TSan.
 */
#include <pthread.h>

#include "compiled.h"
#include "fake_cuda.h"
#include "tests/support/check.h"

enum { THREADS = 4, ROUNDS = 60 };

static char shared_host, shared_image;

struct worker {
    pthread_t thread;
    char host, image; /* its own kernel and fat binary, by address */
    int device;
    unsigned launched, wrong;
};

/* Each round: an image comes, two kernels run, the image goes. */
static void *work(void *context)
{
    struct worker *worker = context;
    const dim3 one = {1, 1, 1};
    int device = -1;

    for (int i = 0; i < ROUNDS; i++) {
        void **handle = __cudaRegisterFatBinary(&worker->image);

        __cudaRegisterFunction(handle, &worker->host, &worker->host, "own", -1, NULL, NULL, NULL,
                               NULL, NULL);
        __cudaRegisterFatBinaryEnd(handle);
        worker->launched += cudaLaunchKernel(&worker->host, one, one, NULL, 0, NULL) == cudaSuccess;
        worker->launched += cudaLaunchKernel(&shared_host, one, one, NULL, 0, NULL) == cudaSuccess;
        __cudaUnregisterFatBinary(handle);
        worker->wrong += cudaLaunchKernel(&worker->host, one, one, NULL, 0, NULL) !=
                         cudaErrorInvalidDeviceFunction;
        worker->wrong += cudaGetLastError() != cudaErrorInvalidDeviceFunction;
        if (i == ROUNDS / 2)
            worker->wrong += cudaSetDevice(worker->device) != cudaSuccess;
    }
    worker->wrong += cudaGetDevice(&device) != cudaSuccess || device != worker->device;
    return NULL;
}

static void test_launches_beside_registration(void)
{
    struct worker workers[THREADS] = {{0}};
    void **handle = __cudaRegisterFatBinary(&shared_image);

    __cudaRegisterFunction(handle, &shared_host, &shared_host, "shared", -1, NULL, NULL, NULL, NULL,
                           NULL);
    __cudaRegisterFatBinaryEnd(handle);
    for (int i = 0; i < THREADS; i++) {
        workers[i].device = i % 2;
        CHECK_EQ(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_CASE("thread %d", i);
        CHECK_EQ(pthread_join(workers[i].thread, NULL), 0);
        CHECK_EQ(workers[i].launched, 2 * ROUNDS);
        CHECK_EQ(workers[i].wrong, 0);
    }
    __cudaUnregisterFatBinary(handle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_launches_beside_registration)};

    return fake_find() ? check_run(tests) : 1;
}
