/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/remote/traced.c - a program of which check-trace knows what it did.
 *
 * A thread for each of two GPUs: bytes there and back, launches in two streams, waits, some of them
 * for an event that the worker may tell of by itself. With an argument it then kills itself.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/functional/remote/remote_world.h"

enum { GPUS = 2, LAUNCHES = 10 /* in each stream */, WAITS = 5, BYTES = 1 << 20 };

static void *work(void *arg)
{
    const int *ordinal = arg;
    struct remote_gpu gpu;
    CUfunction function;
    CUstream other;
    CUevent event;
    void *host = malloc(BYTES), *params[] = {&gpu.memory};
    size_t free_bytes, bytes;

    remote_gpu_open(&gpu, *ordinal);
    remote_need(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING), "stream");
    remote_need(cuModuleGetFunction(&function, gpu.module, "count"), "function");
    remote_need(cuMemcpyHtoD(gpu.memory, host, BYTES), "copy");
    for (int i = 0; i < LAUNCHES; i++) {
        remote_need(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, gpu.stream, params, NULL),
                    "launch");
        remote_need(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, other, params, NULL), "launch");
    }
    remote_need(cuStreamSynchronize(gpu.stream), "synchronise");
    remote_need(cuCtxSynchronize(), "synchronise");
    remote_need(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "event");
    for (int i = 0; i < WAITS; i++) {
        remote_need(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, gpu.stream, params, NULL),
                    "launch");
        remote_need(cuEventRecord(event, gpu.stream), "record");
        remote_need(cuMemGetInfo(&free_bytes, &bytes), "something else");
        remote_need(cuEventSynchronize(event), "synchronise");
    }
    remote_need(cuMemcpyDtoH(host, gpu.memory, BYTES), "copy");
    free(host);
    return NULL;
}

int main(int argc, char **argv)
{
    static int ordinals[GPUS] = {0, 1};
    pthread_t threads[GPUS];

    (void)argv;
    for (int i = 0; i < GPUS; i++)
        if (pthread_create(&threads[i], NULL, work, &ordinals[i]) != 0)
            return 1;
    for (int i = 0; i < GPUS; i++)
        (void)pthread_join(threads[i], NULL);
    if (argc > 1)
        (void)kill(getpid(), SIGKILL);
    return 0;
}
