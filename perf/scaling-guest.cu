/* SPDX-License-Identifier: Apache-2.0
 * perf/scaling-guest.cu - data-parallel training in one process, for bin/scaling.
 *
 *     scaling-guest [--gpus N] [--steps S] [--batch B] [--width W] [--json]
 *
 * A perceptron of seven layers learns to halve 16 W numbers, shown with noise; --width 2, the
 * default, has 79,000 parameters, 4 has 315,000. Each GPU has the whole network and B samples a
 * step, which it makes itself, so that what moves between host and GPUs is gradients alone: those
 * of a layer go to the host as soon as they are there, are summed in the order of the GPUs and go
 * back while the GPUs still work on the layers in front of it. All sums have a fixed order: the
 * same arguments give the same weights, wherever the GPUs are. The narrow layers are in front, as
 * in convolutional networks, so what is exchanged last is little.
 *
 * It does not know what serves it. On devices that only wait (softcuda's `time = "only"`) the
 * kernels compute nothing: the bytes are still moved and summed, the loss means nothing.
 */
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "examples/check.h"

/* Unrolled by 16, so that what a model of the GPU counts for a round of a loop is close to what it
 * does. */
enum { LAYERS = 7, UNROLL = 16, THREADS = 128, WARM_UP = 2, KERNELS_ROUNDS = 3 };
static int widths[LAYERS + 1] = {16, 16, 32, 48, 64, 80, 96, 16}; /* times --width */
static const float LEARNING_RATE = 0.02f;

/* ---- kernels: one thread an element of what they make ------------------------------------------
 */

__device__ static float noise(uint32_t number)
{
    number = (number ^ 61u) ^ (number >> 16);
    number *= 9u;
    number ^= number >> 4;
    number *= 0x27d4eb2du;
    number ^= number >> 15;
    return (float)number * (2.0f / 4294967296.0f) - 1.0f;
}

__global__ void make_weights(float *weights, int count, float scale, uint32_t seed)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x;

    if (at < count)
        weights[at] = noise(seed + at) * scale;
}

/* Sample `first + row`, and what the network shall make of it. */
__global__ void make_samples(float *input, float *wanted, int count, int inputs, int outputs,
                             uint32_t first)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x, row = at / inputs, column = at % inputs;

    if (at >= count)
        return;
    float mine = noise((first + row) * 64u + column);
    input[at] = mine;
    if (column < outputs)
        wanted[row * outputs + column] =
            0.5f * mine - 0.25f * noise((first + row) * 64u + column + outputs);
}

__global__ void forward(const float *input, const float *weights, float *output, int count,
                        int inputs, int outputs, bool is_last)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x, row = at / outputs, column = at % outputs;
    float sum = 0.0f;

    if (at >= count)
        return;
    for (int i = 0; i < inputs; i += UNROLL) {
#pragma unroll
        for (int j = 0; j < UNROLL; j++)
            sum = fmaf(input[row * inputs + i + j], weights[(i + j) * outputs + column], sum);
    }
    output[at] = is_last || sum > 0.0f ? sum : 0.0f;
}

/* The output's error, in place. */
__global__ void compare(float *output, const float *wanted, int count)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x;

    if (at < count)
        output[at] -= wanted[at];
}

/* error: of this layer's output. What the layer in front did wrong goes into `before`. */
__global__ void backward(const float *error, const float *weights, const float *input,
                         float *before, int count, int inputs, int outputs)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x, row = at / inputs, column = at % inputs;
    float sum = 0.0f;

    if (at >= count)
        return;
    for (int i = 0; i < outputs; i += UNROLL) {
#pragma unroll
        for (int j = 0; j < UNROLL; j++)
            sum = fmaf(error[row * outputs + i + j], weights[column * outputs + i + j], sum);
    }
    before[at] = input[at] > 0.0f ? sum : 0.0f;
}

/* Of UNROLL samples, which blockIdx.y names: a sum of its own, so that the order is fixed. */
__global__ void gradient_slice(const float *input, const float *error, float *slices, int count,
                               int inputs, int outputs, int rows)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x, row = at / outputs, column = at % outputs;
    int from = blockIdx.y * UNROLL;
    float sum = 0.0f;

    if (at >= count)
        return;
#pragma unroll
    for (int i = 0; i < UNROLL; i++) {
        if (from + i < rows)
            sum = fmaf(input[(from + i) * inputs + row], error[(from + i) * outputs + column], sum);
    }
    slices[(size_t)blockIdx.y * count + at] = sum;
}

__global__ void gradient_sum(const float *slices, float *gradient, int count, int slice_count)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    float sum = 0.0f;

    if (at >= count)
        return;
    for (int i = 0; i < slice_count; i++)
        sum += slices[(size_t)i * count + at];
    gradient[at] = sum;
}

__global__ void update(float *weights, const float *gradient, int count, float rate)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x;

    if (at < count)
        weights[at] -= rate * gradient[at];
}

/* ---- one GPU
 * ------------------------------------------------------------------------------------- */

struct gpu {
    int device;
    cudaStream_t compute, out, in; /* kernels; gradients to the host; their sums from it */
    cudaEvent_t ready[LAYERS], arrived[LAYERS], returned;
    float *values[LAYERS + 1]; /* of each layer; [0] is the input */
    float *errors[2], *wanted, *weights, *gradient, *slices;
    float *landed; /* pinned: this GPU's gradients */
};

static struct {
    int gpus = 1, steps = 10, batch = 64, width = 2;
    bool json = false;
} options;

static int first_weight[LAYERS + 1]; /* of each layer; the last one is the number of all */
/* Pinned: of all GPUs' gradients, of this step and of the one before, which a GPU may still fetch
 * while the first ones are a step ahead. */
static float *sums[2];

static int blocks(int count)
{
    return (count + THREADS - 1) / THREADS;
}

static float *device_floats(size_t count)
{
    float *memory = nullptr;

    CUDA_CHECK(cudaMalloc(&memory, count * sizeof(float)));
    return memory;
}

static float *pinned_floats(size_t count)
{
    float *memory = nullptr;

    CUDA_CHECK(cudaMallocHost(&memory, count * sizeof(float)));
    return memory;
}

static void gpu_open(gpu &gpu, int device)
{
    const int rows = options.batch, slices = (rows + UNROLL - 1) / UNROLL;
    int widest = 0, largest = 0;

    gpu.device = device;
    CUDA_CHECK(cudaSetDevice(device));
    CUDA_CHECK(cudaStreamCreateWithFlags(&gpu.compute, cudaStreamNonBlocking));
    CUDA_CHECK(cudaStreamCreateWithFlags(&gpu.out, cudaStreamNonBlocking));
    CUDA_CHECK(cudaStreamCreateWithFlags(&gpu.in, cudaStreamNonBlocking));
    CUDA_CHECK(cudaEventCreateWithFlags(&gpu.returned, cudaEventDisableTiming));
    for (int i = 0; i < LAYERS; i++) {
        CUDA_CHECK(cudaEventCreateWithFlags(&gpu.ready[i], cudaEventDisableTiming));
        CUDA_CHECK(cudaEventCreateWithFlags(&gpu.arrived[i], cudaEventDisableTiming));
        largest = std::max(largest, widths[i] * widths[i + 1]);
    }
    for (int i = 0; i <= LAYERS; i++) {
        gpu.values[i] = device_floats((size_t)rows * widths[i]);
        widest = std::max(widest, widths[i]);
    }
    for (float *&error : gpu.errors)
        error = device_floats((size_t)rows * widest);
    gpu.wanted = device_floats((size_t)rows * widths[LAYERS]);
    gpu.weights = device_floats(first_weight[LAYERS]);
    gpu.gradient = device_floats(first_weight[LAYERS]);
    gpu.slices = device_floats((size_t)slices * largest);
    gpu.landed = pinned_floats(first_weight[LAYERS]);
    for (int i = 0; i < LAYERS; i++) {
        int count = widths[i] * widths[i + 1];

        make_weights<<<blocks(count), THREADS, 0, gpu.compute>>>(
            gpu.weights + first_weight[i], count, std::sqrt(6.0f / widths[i]), first_weight[i]);
    }
}

/* Posts the forward pass of samples `first` and on. */
static void gpu_forward(const gpu &gpu, uint32_t first)
{
    const int rows = options.batch, samples = rows * widths[0], results = rows * widths[LAYERS];

    make_samples<<<blocks(samples), THREADS, 0, gpu.compute>>>(gpu.values[0], gpu.wanted, samples,
                                                               widths[0], widths[LAYERS], first);
    for (int i = 0; i < LAYERS; i++) {
        int count = rows * widths[i + 1];

        forward<<<blocks(count), THREADS, 0, gpu.compute>>>(
            gpu.values[i], gpu.weights + first_weight[i], gpu.values[i + 1], count, widths[i],
            widths[i + 1], i + 1 == LAYERS);
    }
    compare<<<blocks(results), THREADS, 0, gpu.compute>>>(gpu.values[LAYERS], gpu.wanted, results);
}

/* Posts the backward pass, last layer first, and after each layer the copy of its gradients. */
static void gpu_backward(const gpu &gpu)
{
    const int rows = options.batch, slices = (rows + UNROLL - 1) / UNROLL;
    const float *error = gpu.values[LAYERS];

    for (int i = LAYERS - 1; i >= 0; i--) {
        int count = widths[i] * widths[i + 1], inputs = rows * widths[i];
        float *gradient = gpu.gradient + first_weight[i], *before = gpu.errors[i % 2];

        gradient_slice<<<dim3(blocks(count), slices), THREADS, 0, gpu.compute>>>(
            gpu.values[i], error, gpu.slices, count, widths[i], widths[i + 1], rows);
        gradient_sum<<<blocks(count), THREADS, 0, gpu.compute>>>(gpu.slices, gradient, count,
                                                                 slices);
        CUDA_CHECK(cudaEventRecord(gpu.ready[i], gpu.compute));
        CUDA_CHECK(cudaStreamWaitEvent(gpu.out, gpu.ready[i], 0));
        CUDA_CHECK(cudaMemcpyAsync(gpu.landed + first_weight[i], gradient, count * sizeof(float),
                                   cudaMemcpyDeviceToHost, gpu.out));
        CUDA_CHECK(cudaEventRecord(gpu.arrived[i], gpu.out));
        if (i == 0)
            break;
        backward<<<blocks(inputs), THREADS, 0, gpu.compute>>>(error, gpu.weights + first_weight[i],
                                                              gpu.values[i], before, inputs,
                                                              widths[i], widths[i + 1]);
        error = before;
    }
}

/* Posts the update, for when all sums have come back. */
static void gpu_update(const gpu &gpu)
{
    const int count = first_weight[LAYERS];

    CUDA_CHECK(cudaEventRecord(gpu.returned, gpu.in));
    CUDA_CHECK(cudaStreamWaitEvent(gpu.compute, gpu.returned, 0));
    update<<<blocks(count), THREADS, 0, gpu.compute>>>(
        gpu.weights, gpu.gradient, count, LEARNING_RATE / ((float)options.batch * options.gpus));
}

/* ---- training
 * ------------------------------------------------------------------------------------ */

/* A layer's gradients of all GPUs, summed here in their order, and the sum to all of them. */
static void reduce(const std::vector<gpu> &gpus, int number, int layer)
{
    const int count = widths[layer] * widths[layer + 1];
    float *sum = sums[number % 2] + first_weight[layer];

    for (const gpu &gpu : gpus) {
        const float *mine = gpu.landed + first_weight[layer];

        CUDA_CHECK(cudaEventSynchronize(gpu.arrived[layer]));
        if (&gpu == &gpus.front())
            memcpy(sum, mine, count * sizeof(float));
        for (int i = 0; &gpu != &gpus.front() && i < count; i++)
            sum[i] += mine[i];
    }
    for (const gpu &gpu : gpus) {
        CUDA_CHECK(cudaSetDevice(gpu.device));
        CUDA_CHECK(cudaMemcpyAsync(gpu.gradient + first_weight[layer], sum, count * sizeof(float),
                                   cudaMemcpyHostToDevice, gpu.in));
    }
}

static void step(const std::vector<gpu> &gpus, int number)
{
    for (const gpu &gpu : gpus) {
        CUDA_CHECK(cudaSetDevice(gpu.device));
        gpu_forward(gpu, (uint32_t)(number * options.gpus + gpu.device) * options.batch);
        gpu_backward(gpu);
    }
    for (int layer = LAYERS - 1; layer >= 0; layer--)
        reduce(gpus, number, layer);
    for (const gpu &gpu : gpus) {
        CUDA_CHECK(cudaSetDevice(gpu.device));
        gpu_update(gpu);
    }
}

static void wait_for_all(const std::vector<gpu> &gpus)
{
    for (const gpu &gpu : gpus) {
        CUDA_CHECK(cudaSetDevice(gpu.device));
        CUDA_CHECK(cudaDeviceSynchronize());
    }
}

/* What the device says that the kernels of a step take, if they were posted in time. */
static float kernels_ms(const gpu &gpu)
{
    cudaEvent_t start, end;
    float ms = 0.0f;

    CUDA_CHECK(cudaSetDevice(gpu.device));
    CUDA_CHECK(cudaDeviceSynchronize());
    CUDA_CHECK(cudaEventCreate(&start));
    CUDA_CHECK(cudaEventCreate(&end));
    CUDA_CHECK(cudaEventRecord(start, gpu.compute));
    gpu_forward(gpu, 0);
    gpu_backward(gpu);
    CUDA_CHECK(cudaEventRecord(end, gpu.compute));
    CUDA_CHECK(cudaDeviceSynchronize());
    CUDA_CHECK(cudaEventElapsedTime(&ms, start, end));
    CUDA_CHECK(cudaEventDestroy(start));
    CUDA_CHECK(cudaEventDestroy(end));
    return ms;
}

/* The mean square of the last step's errors. */
static double loss_of(const std::vector<gpu> &gpus)
{
    std::vector<float> errors((size_t)options.batch * widths[LAYERS]);
    double sum = 0.0;

    for (const gpu &gpu : gpus) {
        CUDA_CHECK(cudaSetDevice(gpu.device));
        CUDA_CHECK(cudaMemcpy(errors.data(), gpu.values[LAYERS], errors.size() * sizeof(float),
                              cudaMemcpyDeviceToHost));
        for (float error : errors)
            sum += (double)error * error;
    }
    return sum / ((double)errors.size() * gpus.size());
}

/* FNV-1a of the weights, which all GPUs must have alike. */
static uint64_t weights_of(const std::vector<gpu> &gpus)
{
    std::vector<float> first(first_weight[LAYERS]), other(first.size());
    uint64_t hash = 0xcbf29ce484222325u;

    for (const gpu &gpu : gpus) {
        CUDA_CHECK(cudaSetDevice(gpu.device));
        CUDA_CHECK(cudaMemcpy(other.data(), gpu.weights, other.size() * sizeof(float),
                              cudaMemcpyDeviceToHost));
        if (&gpu == &gpus.front())
            first = other;
        if (memcmp(first.data(), other.data(), first.size() * sizeof(float)) != 0) {
            fprintf(stderr, "scaling-guest: GPU %d has other weights than GPU 0\n", gpu.device);
            exit(1);
        }
    }
    for (size_t i = 0; i < first.size() * sizeof(float); i++)
        hash = (hash ^ ((const unsigned char *)first.data())[i]) * 0x100000001b3u;
    return hash;
}

static double now_ms()
{
    using namespace std::chrono;
    return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc && atoi(argv[i + 1]) > 0;

        if (strcmp(argv[i], "--json") == 0)
            options.json = true;
        else if (strcmp(argv[i], "--gpus") == 0 && has_value)
            options.gpus = atoi(argv[++i]);
        else if (strcmp(argv[i], "--steps") == 0 && has_value)
            options.steps = atoi(argv[++i]);
        else if (strcmp(argv[i], "--batch") == 0 && has_value)
            options.batch = atoi(argv[++i]);
        else if (strcmp(argv[i], "--width") == 0 && has_value)
            options.width = atoi(argv[++i]);
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    int devices = 0;

    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: scaling-guest [--gpus N] [--steps S] [--batch B] [--width W] "
                        "[--json]\n");
        return 2;
    }
    CUDA_CHECK(cudaGetDeviceCount(&devices));
    if (devices < options.gpus) {
        fprintf(stderr, "scaling-guest: %d GPUs asked for, %d are there\n", options.gpus, devices);
        return 1;
    }
    for (int &width : widths)
        width *= options.width;
    for (int i = 0; i < LAYERS; i++)
        first_weight[i + 1] = first_weight[i] + widths[i] * widths[i + 1];
    for (float *&sum : sums)
        sum = pinned_floats(first_weight[LAYERS]);
    std::vector<gpu> gpus(options.gpus);
    for (int i = 0; i < options.gpus; i++)
        gpu_open(gpus[i], i);
    for (int i = 0; i < WARM_UP; i++)
        step(gpus, i);
    wait_for_all(gpus);
    double first_loss = loss_of(gpus), start = now_ms();
    for (int i = 0; i < options.steps; i++)
        step(gpus, WARM_UP + i);
    wait_for_all(gpus);
    double step_ms = (now_ms() - start) / options.steps, last_loss = loss_of(gpus);
    float kernels = kernels_ms(gpus[0]);

    for (int i = 1; i < KERNELS_ROUNDS; i++)
        kernels = std::min(kernels, kernels_ms(gpus[0]));
    printf(options.json ? "{\"gpus\": %d, \"steps\": %d, \"batch\": %d, \"step_ms\": %.4f, "
                          "\"kernels_ms\": %.4f, "
                          "\"gradient_bytes\": %zu, \"first_loss\": %.6f, \"last_loss\": %.6f, "
                          "\"weights\": \"%016llx\"}\n"
                        : "%d GPUs, %d steps of %d samples each: %.3f ms a step (kernels %.3f ms), "
                          "%zu bytes of "
                          "gradients, loss %.5f to %.5f, weights %016llx\n",
           options.gpus, options.steps, options.batch, step_ms, kernels,
           first_weight[LAYERS] * sizeof(float), first_loss, last_loss,
           (unsigned long long)weights_of(gpus));
    return 0;
}
