/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/programs/host_sharing.cu - host memory that kernels use: managed, mapped and
 * registered memory and managed variables, between system calls, streams, devices and copies.
 *
 * What a program may rely on where CONCURRENT_MANAGED_ACCESS is 0, too: so it also holds for GPUs
 * of other hosts, where the memory has to move.
 */
#include <cstring>
#include <unistd.h>
#include <vector>

#include "examples/check.h"

static long wrong;

static void expect(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "does not hold: %s\n", what);
    wrong++;
}

static __managed__ int counter = 5;
static __managed__ int table[1000];

__global__ void add(int *values, int count, int value)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < count)
        values[i] += value;
}

__global__ void copy_word(int *to, const int *from)
{
    *to = *from;
}

__global__ void wait_for(const volatile int *flag)
{
    while (*flag == 0)
        ;
}

__global__ void fill_table(int step)
{
    table[threadIdx.x] = (int)threadIdx.x * step;
    if (threadIdx.x == 0)
        counter += step;
}

static void add_all(int *values, int count, int value, cudaStream_t stream)
{
    add<<<(count + 255) / 256, 256, 0, stream>>>(values, count, value);
    CUDA_CHECK(cudaGetLastError());
}

static bool all_are(const int *values, int count, int first, int step)
{
    for (int i = 0; i < count; i++) {
        if (values[i] != first + i * step)
            return false;
    }
    return true;
}

static const int count = 1 << 18;

static void system_calls(int *managed)
{
    char name[] = "/tmp/host-sharing-XXXXXX";
    int file = mkstemp(name);
    std::vector<int> numbers(count);
    size_t bytes = count * sizeof(int);

    unlink(name);
    for (int i = 0; i < count; i++)
        numbers[i] = i;
    expect(write(file, numbers.data(), bytes) == (ssize_t)bytes, "a file is written");
    expect(pread(file, managed, bytes, 0) == (ssize_t)bytes, "and read into managed memory");
    add_all(managed, count, 7, 0);
    CUDA_CHECK(cudaDeviceSynchronize());
    expect(pwrite(file, managed, bytes, 0) == (ssize_t)bytes, "which is written to the file");
    expect(pread(file, numbers.data(), bytes, 0) == (ssize_t)bytes, "and that is read");
    expect(all_are(numbers.data(), count, 7, 1), "a kernel changed what a file holds");
    close(file);
}

/* Each device in turn, with the host between some. */
static void devices_in_turn(int *managed)
{
    int devices, sum = 0;

    CUDA_CHECK(cudaGetDeviceCount(&devices));
    memset(managed, 0, count * sizeof(int));
    for (int k = 1; k <= 3 * devices; k++) {
        CUDA_CHECK(cudaSetDevice(k % devices));
        add_all(managed, count, k, 0);
        CUDA_CHECK(cudaDeviceSynchronize());
        sum += k;
        if (k % 3 == 0)
            managed[5] += 1000;
    }
    expect(managed[5] == sum + 1000 * devices, "host and devices add to one word");
    managed[5] = sum;
    expect(all_are(managed, count, sum, 0), "and to all others");
    CUDA_CHECK(cudaSetDevice(0));
}

static void copies_between(int *managed, int *device, cudaStream_t stream)
{
    size_t bytes = count * sizeof(int);

    CUDA_CHECK(cudaMemsetAsync(managed, 0, bytes, stream));
    add_all(managed, count, 3, stream);
    CUDA_CHECK(cudaMemcpyAsync(device, managed, bytes, cudaMemcpyDefault, stream));
    add_all(device, count, 4, stream);
    CUDA_CHECK(cudaMemcpyAsync(managed, device, bytes, cudaMemcpyDefault, stream));
    CUDA_CHECK(cudaStreamSynchronize(stream));
    expect(all_are(managed, count, 7, 0), "copies and sets in stream order");
}

/* A wait for one stream, while the other works on. */
static void other_streams(int *managed, cudaStream_t stream, cudaStream_t busy)
{
    cudaEvent_t event;
    int *other;

    CUDA_CHECK(cudaMallocManaged(&other, count * sizeof(int)));
    CUDA_CHECK(cudaEventCreate(&event));
    memset(other, 0, count * sizeof(int));
    memset(managed, 0, count * sizeof(int));
    for (int k = 0; k < 20; k++)
        add_all(other, count, 1, busy);
    add_all(managed, count, 1, stream);
    CUDA_CHECK(cudaStreamSynchronize(stream));
    expect(all_are(managed, count, 1, 0), "after a wait for the stream");
    add_all(managed, count, 1, stream);
    CUDA_CHECK(cudaEventRecord(event, stream));
    while (cudaEventQuery(event) == cudaErrorNotReady)
        ;
    expect(all_are(managed, count, 2, 0), "after a query of an event");
    add_all(managed, count, 1, stream);
    while (cudaStreamQuery(stream) == cudaErrorNotReady)
        ;
    expect(all_are(managed, count, 3, 0), "after a query of the stream");
    CUDA_CHECK(cudaStreamSynchronize(busy));
    expect(all_are(other, count, 20, 0), "what the other stream did");
    CUDA_CHECK(cudaEventDestroy(event));
    CUDA_CHECK(cudaFree(other));
}

/* Host and kernels store to words of their own, without a wait between. */
static void mapped(cudaStream_t stream)
{
    int *host, *device;
    bool same = true;

    CUDA_CHECK(cudaHostAlloc(&host, 4096, cudaHostAllocMapped));
    CUDA_CHECK(cudaHostGetDevicePointer(&device, host, 0));
    memset(host, 0, 4096);
    for (int k = 0; k < 20; k++) {
        host[k * 2] = k;
        copy_word<<<1, 1, 0, stream>>>(device + k * 2 + 1, device + k * 2);
    }
    CUDA_CHECK(cudaStreamSynchronize(stream));
    for (int k = 0; k < 20; k++)
        same = same && host[k * 2] == k && host[k * 2 + 1] == k;
    expect(same, "words of both sides side by side");
    host[100] = 0;
    wait_for<<<1, 1, 0, stream>>>(device + 100);
    CUDA_CHECK(cudaGetLastError());
    expect(cudaStreamQuery(stream) == cudaErrorNotReady, "a kernel waits for the host");
    *(volatile int *)&host[100] = 1;
    CUDA_CHECK(cudaStreamSynchronize(stream));
    CUDA_CHECK(cudaFreeHost(host));
}

static void registered(int *device, cudaStream_t stream)
{
    std::vector<int> host(100001);
    int *numbers = host.data() + 1, *alias, length = 100000, word;

    for (int i = 0; i < length; i++)
        numbers[i] = i;
    CUDA_CHECK(cudaHostRegister(numbers, length * sizeof(int), cudaHostRegisterMapped));
    CUDA_CHECK(cudaHostGetDevicePointer(&alias, numbers, 0));
    add_all(alias, length, 11, stream);
    CUDA_CHECK(cudaMemcpyAsync(device, numbers, length * sizeof(int), cudaMemcpyDefault, stream));
    CUDA_CHECK(cudaMemcpyAsync(numbers, device + 1, 400, cudaMemcpyDefault, stream));
    add_all(alias, 50, 1, stream);
    CUDA_CHECK(cudaStreamSynchronize(stream));
    expect(numbers[0] == 13 && numbers[60] == 72 && numbers[99999] == 100010,
           "kernels and copies on registered memory");
    CUDA_CHECK(cudaMemcpy(&word, device + 99999, sizeof(word), cudaMemcpyDefault));
    expect(word == 100010, "a copy comes after the kernel before it");
    CUDA_CHECK(cudaHostUnregister(numbers));
}

static void host_function(void *arg)
{
    int *host = (int *)arg;

    host[1] = host[0] + 1;
}

/* In the order of a stream: kernel, host function, kernel; all are queued at once. */
static void functions(cudaStream_t stream)
{
    int *host, *device;

    CUDA_CHECK(cudaHostAlloc(&host, 4096, cudaHostAllocMapped));
    CUDA_CHECK(cudaHostGetDevicePointer(&device, host, 0));
    memset(host, 0, 4096);
    add<<<1, 1, 0, stream>>>(device, 1, 41);
    CUDA_CHECK(cudaLaunchHostFunc(stream, host_function, host));
    copy_word<<<1, 1, 0, stream>>>(device + 2, device + 1);
    CUDA_CHECK(cudaStreamSynchronize(stream));
    expect(host[0] == 41 && host[1] == 42 && host[2] == 42, "a host function between kernels");
    CUDA_CHECK(cudaFreeHost(host));
}

static void variables(void)
{
    int value;

    expect(counter == 5, "a variable's first value");
    counter = 1;
    fill_table<<<1, 1000>>>(2);
    CUDA_CHECK(cudaDeviceSynchronize());
    expect(counter == 3 && all_are(table, 1000, 0, 2), "a kernel changes variables");
    counter++;
    CUDA_CHECK(cudaMemcpyFromSymbol(&value, counter, sizeof(value)));
    expect(value == 4, "a copy of a variable");
}

int main()
{
    cudaStream_t stream, busy;
    int *managed, *device;

    CUDA_CHECK(cudaMallocManaged(&managed, count * sizeof(int)));
    CUDA_CHECK(cudaMalloc(&device, count * sizeof(int)));
    CUDA_CHECK(cudaStreamCreate(&stream));
    CUDA_CHECK(cudaStreamCreate(&busy));
    variables();
    system_calls(managed);
    devices_in_turn(managed);
    copies_between(managed, device, stream);
    other_streams(managed, stream, busy);
    mapped(stream);
    registered(device, stream);
    functions(stream);
    CUDA_CHECK(cudaFree(managed));
    CUDA_CHECK(cudaFree(device));
    printf("host memory between %d elements' kernels and the host\n", count);
    puts(wrong ? "FAILED" : "PASSED");
    return wrong != 0;
}
