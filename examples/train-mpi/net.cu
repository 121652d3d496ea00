/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/net.cu - see net.h. Kernels on top, one thread a result; then who calls them.
 */
#include "net.h"

#include <cstring>

#include "../check.h"

enum { THREADS = 128 };

/* ---------------------------------------------------------------- kernels: forward */

__device__ static int thread()
{
    return (int)(blockIdx.x * blockDim.x + threadIdx.x);
}

/* In fixed point, see net.h. */
__device__ static int fixed(float value, float scale)
{
    return __float2int_rn(fminf(fmaxf(value, -CLIP), CLIP) * scale);
}

/* Thread: an output (picture, channel, y, x). */
__global__ void convolve(const float *input, const float *weights, float *output,
                         struct layer layer, int batch)
{
    int at = thread(), side = layer.side, x = at % side, y = at / side % side;
    int channel = at / side / side % layer.outputs, picture = at / side / side / layer.outputs;

    if (picture >= batch)
        return;
    const float *row = weights + channel * layer.row;
    float sum = row[layer.row - 1];
    for (int c = 0; c < layer.inputs; c++) {
        const float *plane = input + (picture * layer.inputs + c) * side * side;
        for (int place = 0; place < PLACES; place++) {
            int from_x = x + place % 3 - 1, from_y = y + place / 3 - 1;
            if (from_x >= 0 && from_x < side && from_y >= 0 && from_y < side)
                sum += row[c * PLACES + place] * plane[from_y * side + from_x];
        }
    }
    output[at] = fmaxf(sum, 0.0f);
}

/* Where the square of 2 x 2 begins that becomes pooled value `at`. */
__device__ static int square(int at, int side)
{
    int half = side / 2, x = at % half, y = at / half % half, plane = at / half / half;

    return (plane * side + 2 * y) * side + 2 * x;
}

/* Thread: a pooled value. */
__global__ void pool(const float *input, float *output, int side, int count)
{
    int at = thread();

    if (at >= count)
        return;
    const float *from = input + square(at, side);
    output[at] = fmaxf(fmaxf(from[0], from[1]), fmaxf(from[side], from[side + 1]));
}

/* Thread: an output (picture, row). */
__global__ void dense(const float *input, const float *weights, float *output, struct layer layer,
                      int batch, bool has_relu)
{
    int at = thread(), picture = at / layer.outputs;

    if (picture >= batch)
        return;
    const float *row = weights + at % layer.outputs * layer.row;
    const float *from = input + picture * layer.inputs;
    float sum = row[layer.row - 1];
    for (int i = 0; i < layer.inputs; i++)
        sum += row[i] * from[i];
    output[at] = has_relu ? fmaxf(sum, 0.0f) : sum;
}

/* Thread: a picture. Softmax, cross entropy, and the loss by the logits. */
__global__ void judge(const float *logits, const int *labels, float *d_logits, int32_t *sums,
                      float scale, int batch)
{
    int picture = thread(), best = 0;

    if (picture >= batch)
        return;
    const float *own = logits + picture * SHAPES_CLASSES;
    float *d_own = d_logits + picture * SHAPES_CLASSES, sum = 0.0f;
    int label = labels[picture];
    for (int k = 1; k < SHAPES_CLASSES; k++)
        if (own[k] > own[best])
            best = k;
    for (int k = 0; k < SHAPES_CLASSES; k++)
        sum += expf(own[k] - own[best]);
    for (int k = 0; k < SHAPES_CLASSES; k++)
        d_own[k] = label < 0 ? 0.0f : expf(own[k] - own[best]) / sum - (k == label ? 1.0f : 0.0f);
    if (label < 0)
        return;
    atomicAdd(&sums[SUM_LOSS], fixed(logf(sum) + own[best] - own[label], scale));
    atomicAdd(&sums[SUM_RIGHT], best == label ? 1 : 0);
}

/* ---------------------------------------------------------------- kernels: backward */

/* Thread: a weight. */
__global__ void dense_weights(const float *input, const float *d_output, int32_t *gradients,
                              struct layer layer, float scale, int batch)
{
    int at = thread(), output = at / layer.row, i = at % layer.row, sum = 0;

    if (output >= layer.outputs)
        return;
    for (int picture = 0; picture < batch; picture++) {
        float with = i < layer.inputs ? input[picture * layer.inputs + i] : 1.0f;
        sum += fixed(d_output[picture * layer.outputs + output] * with, scale);
    }
    gradients[at] = sum;
}

/* Thread: an input (picture, i), behind a relu or a maximum of relus. */
__global__ void dense_inputs(const float *input, const float *weights, const float *d_output,
                             float *d_input, struct layer layer, int batch)
{
    int at = thread(), picture = at / layer.inputs, i = at % layer.inputs;
    float sum = 0.0f;

    if (picture >= batch)
        return;
    for (int o = 0; o < layer.outputs; o++)
        sum += weights[o * layer.row + i] * d_output[picture * layer.outputs + o];
    d_input[at] = input[at] > 0.0f ? sum : 0.0f;
}

/* Thread: a pooled value. The first maximum of the square gets it all, if the relu let it through.
 */
__global__ void unpool(const float *input, const float *d_pooled, float *d_input, int side,
                       int count)
{
    int at = thread(), best = 0;

    if (at >= count)
        return;
    int first = square(at, side), places[4] = {first, first + 1, first + side, first + side + 1};
    for (int k = 1; k < 4; k++)
        if (input[places[k]] > input[places[best]])
            best = k;
    for (int k = 0; k < 4; k++)
        d_input[places[k]] = k == best && input[places[k]] > 0.0f ? d_pooled[at] : 0.0f;
}

/* Thread: a weight for one picture. */
__global__ void convolution_weights(const float *input, const float *d_output, int32_t *gradients,
                                    struct layer layer, float scale, int batch)
{
    int count = layer.outputs * layer.row, at = thread() % count, picture = thread() / count;
    int side = layer.side, output = at / layer.row, i = at % layer.row;

    if (picture >= batch)
        return;
    const float *d_plane = d_output + (picture * layer.outputs + output) * side * side;
    const float *plane = input + (picture * layer.inputs + i / PLACES) * side * side;
    bool is_bias = i == layer.row - 1;
    int dx = i % PLACES % 3 - 1, dy = i % PLACES / 3 - 1;
    float sum = 0.0f;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            bool is_in = x + dx >= 0 && x + dx < side && y + dy >= 0 && y + dy < side;
            if (is_bias)
                sum += d_plane[y * side + x];
            else if (is_in)
                sum += d_plane[y * side + x] * plane[(y + dy) * side + x + dx];
        }
    atomicAdd(&gradients[at], fixed(sum, scale));
}

/* Thread: an input (picture, channel, y, x), behind a maximum of relus. */
__global__ void convolution_inputs(const float *weights, const float *d_output, float *d_input,
                                   struct layer layer, int batch)
{
    int at = thread(), side = layer.side, x = at % side, y = at / side % side;
    int channel = at / side / side % layer.inputs, picture = at / side / side / layer.inputs;
    float sum = 0.0f;

    if (picture >= batch)
        return;
    for (int o = 0; o < layer.outputs; o++) {
        const float *row = weights + o * layer.row + channel * PLACES;
        const float *d_plane = d_output + (picture * layer.outputs + o) * side * side;
        for (int place = 0; place < PLACES; place++) {
            int to_x = x - place % 3 + 1, to_y = y - place / 3 + 1;
            if (to_x >= 0 && to_x < side && to_y >= 0 && to_y < side)
                sum += row[place] * d_plane[to_y * side + to_x];
        }
    }
    d_input[at] = sum;
}

/* ---------------------------------------------------------------- kernels: the rest */

/* Gradient descent with momentum, by the mean over all pictures of the step. */
__global__ void descend(float *weights, float *speed, const int32_t *gradients, float unit,
                        float rate, float momentum, int count)
{
    int at = thread();

    if (at >= count)
        return;
    speed[at] = momentum * speed[at] + (float)gradients[at] * unit;
    weights[at] -= rate * speed[at];
}

__global__ void add(int32_t *sums, const int32_t *more, int count)
{
    int at = thread();

    if (at < count)
        sums[at] += more[at];
}

/* ---------------------------------------------------------------- life */

static int blocks(int threads)
{
    return (threads + THREADS - 1) / THREADS;
}

float net_scale(int total)
{
    return exp2f(floorf(log2f((float)(1 << 30) / (CLIP * (float)total))));
}

template <typename T> static void allocate(T **memory_out, size_t count)
{
    CUDA_CHECK(cudaMalloc(memory_out, count * sizeof(T)));
}

static void create_activations(struct net *net)
{
    for (int i = 0; i < LAYERS; i++) {
        struct layer layer = layer_of(&net->sizes, i);
        size_t count = (size_t)net->sizes.batch * layer.outputs;

        if (layer.side) {
            count *= layer.side * layer.side;
            allocate(&net->pooled[i], count / 4);
            allocate(&net->d_pooled[i], count / 4);
        }
        allocate(&net->out[i], count);
        allocate(&net->d_out[i], count);
    }
}

void net_create(struct net *net, int device, const struct sizes *sizes, const float *weights)
{
    const size_t count = weights_of(sizes), pixels = (size_t)sizes->batch * SHAPES_PIXELS;

    memset(net, 0, sizeof(*net));
    net->device = device;
    net->sizes = *sizes;
    net->scale = net_scale(sizes->total);
    net->gradient_count = count + SUMS;
    CUDA_CHECK(cudaSetDevice(device));
    CUDA_CHECK(cudaStreamCreateWithFlags(&net->stream, cudaStreamNonBlocking));
    CUDA_CHECK(cudaEventCreateWithFlags(&net->event, cudaEventDisableTiming));
    for (struct batch &batch : net->batches) {
        CUDA_CHECK(cudaMallocHost(&batch.pixels, pixels * sizeof(float)));
        CUDA_CHECK(cudaMallocHost(&batch.labels, sizes->batch * sizeof(int)));
        CUDA_CHECK(cudaEventCreateWithFlags(&batch.sent, cudaEventDisableTiming));
    }
    allocate(&net->pixels, pixels);
    allocate(&net->labels, sizes->batch);
    allocate(&net->weights, count);
    allocate(&net->speed, count);
    allocate(&net->gradients, net->gradient_count);
    allocate(&net->received, net->gradient_count);
    create_activations(net);
    CUDA_CHECK(cudaMemset(net->speed, 0, count * sizeof(float)));
    CUDA_CHECK(cudaMemcpy(net->weights, weights, count * sizeof(float), cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaDeviceSynchronize()); /* net->stream waits for no other */
}

void net_destroy(struct net *net)
{
    CUDA_CHECK(cudaSetDevice(net->device));
    CUDA_CHECK(cudaStreamSynchronize(net->stream));
    for (int i = 0; i < LAYERS; i++) {
        CUDA_CHECK(cudaFree(net->out[i]));
        CUDA_CHECK(cudaFree(net->d_out[i]));
    }
    for (int i = 0; i < 2; i++) {
        CUDA_CHECK(cudaFree(net->pooled[i]));
        CUDA_CHECK(cudaFree(net->d_pooled[i]));
    }
    for (void *memory : {(void *)net->pixels, (void *)net->labels, (void *)net->weights,
                         (void *)net->speed, (void *)net->gradients, (void *)net->received})
        CUDA_CHECK(cudaFree(memory));
    for (struct batch &batch : net->batches) {
        CUDA_CHECK(cudaEventDestroy(batch.sent));
        CUDA_CHECK(cudaFreeHost(batch.labels));
        CUDA_CHECK(cudaFreeHost(batch.pixels));
    }
    CUDA_CHECK(cudaEventDestroy(net->event));
    CUDA_CHECK(cudaStreamDestroy(net->stream));
}

/* ---------------------------------------------------------------- steps */

struct batch *net_batch(struct net *net)
{
    struct batch *batch = &net->batches[net->turn];

    CUDA_CHECK(cudaEventSynchronize(batch->sent)); /* of the step before the last */
    return batch;
}

void net_send(struct net *net)
{
    struct batch *batch = &net->batches[net->turn];

    CUDA_CHECK(cudaSetDevice(net->device));
    CUDA_CHECK(cudaMemcpyAsync(net->pixels, batch->pixels,
                               (size_t)net->sizes.batch * SHAPES_PIXELS * sizeof(float),
                               cudaMemcpyHostToDevice, net->stream));
    CUDA_CHECK(cudaMemcpyAsync(net->labels, batch->labels, net->sizes.batch * sizeof(int),
                               cudaMemcpyHostToDevice, net->stream));
    CUDA_CHECK(cudaEventRecord(batch->sent, net->stream));
    net->turn = 1 - net->turn;
}

void net_forward(struct net *net)
{
    const int batch = net->sizes.batch;
    const float *input = net->pixels;

    CUDA_CHECK(cudaSetDevice(net->device));
    CUDA_CHECK(
        cudaMemsetAsync(net->gradients, 0, net->gradient_count * sizeof(int32_t), net->stream));
    for (int i = 0; i < LAYERS; i++) {
        struct layer layer = layer_of(&net->sizes, i);
        const float *weights = net->weights + layer.first;
        int count = batch * layer.outputs;

        if (layer.side) {
            count *= layer.side * layer.side;
            convolve<<<blocks(count), THREADS, 0, net->stream>>>(input, weights, net->out[i], layer,
                                                                 batch);
            pool<<<blocks(count / 4), THREADS, 0, net->stream>>>(net->out[i], net->pooled[i],
                                                                 layer.side, count / 4);
            input = net->pooled[i];
        } else {
            dense<<<blocks(count), THREADS, 0, net->stream>>>(input, weights, net->out[i], layer,
                                                              batch, i < LAYERS - 1);
            input = net->out[i];
        }
    }
    judge<<<blocks(batch), THREADS, 0, net->stream>>>(input, net->labels, net->d_out[LAYERS - 1],
                                                      net->gradients + weights_of(&net->sizes),
                                                      net->scale, batch);
    CUDA_CHECK(cudaGetLastError());
}

static void dense_backward(struct net *net, int number, const float *input, float *d_input)
{
    const struct layer layer = layer_of(&net->sizes, number);
    const int batch = net->sizes.batch;

    dense_weights<<<blocks(layer.outputs * layer.row), THREADS, 0, net->stream>>>(
        input, net->d_out[number], net->gradients + layer.first, layer, net->scale, batch);
    dense_inputs<<<blocks(batch * layer.inputs), THREADS, 0, net->stream>>>(
        input, net->weights + layer.first, net->d_out[number], d_input, layer, batch);
}

/* `d_input` is NULL for the first layer: nobody asks how the loss depends on the picture. */
static void convolution_backward(struct net *net, int number, const float *input, float *d_input)
{
    const struct layer layer = layer_of(&net->sizes, number);
    const int batch = net->sizes.batch, plane = layer.side * layer.side;
    const int pooled = batch * layer.outputs * plane / 4;

    unpool<<<blocks(pooled), THREADS, 0, net->stream>>>(net->out[number], net->d_pooled[number],
                                                        net->d_out[number], layer.side, pooled);
    convolution_weights<<<blocks(batch * layer.outputs * layer.row), THREADS, 0, net->stream>>>(
        input, net->d_out[number], net->gradients + layer.first, layer, net->scale, batch);
    if (d_input)
        convolution_inputs<<<blocks(batch * layer.inputs * plane), THREADS, 0, net->stream>>>(
            net->weights + layer.first, net->d_out[number], d_input, layer, batch);
}

void net_backward(struct net *net)
{
    CUDA_CHECK(cudaSetDevice(net->device));
    dense_backward(net, 3, net->out[2], net->d_out[2]);
    dense_backward(net, 2, net->pooled[1], net->d_pooled[1]);
    convolution_backward(net, 1, net->pooled[0], net->d_pooled[0]);
    convolution_backward(net, 0, net->pixels, NULL);
    CUDA_CHECK(cudaGetLastError());
}

void net_update(struct net *net, float rate, float momentum)
{
    const int count = weights_of(&net->sizes);

    CUDA_CHECK(cudaSetDevice(net->device));
    descend<<<blocks(count), THREADS, 0, net->stream>>>(net->weights, net->speed, net->gradients,
                                                        1.0f / net->scale / net->sizes.total, rate,
                                                        momentum, count);
    CUDA_CHECK(cudaGetLastError());
}

void net_add_received(struct net *net)
{
    const int count = (int)net->gradient_count;

    CUDA_CHECK(cudaSetDevice(net->device));
    add<<<blocks(count), THREADS, 0, net->stream>>>(net->gradients, net->received, count);
    CUDA_CHECK(cudaGetLastError());
}
