/* SPDX-License-Identifier: Apache-2.0
 * perf/softcuda-kernels.cu - the kernels that perf/softcuda-kernels.c times: streaming, tiled,
 * reducing, atomic, divergent and barrier-bound ones. softcuda-kernels-plain.c has the same results
 * from plain loops.
 */
extern "C" __global__ void empty() {}

extern "C" __global__ void vecadd(const float *a, const float *b, float *c, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        c[i] = a[i] + b[i];
}

template <int TILE> __device__ void matmul(const float *a, const float *b, float *c, int n)
{
    __shared__ float as[TILE][TILE], bs[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;

    for (int tile = 0; tile < n; tile += TILE) {
        as[threadIdx.y][threadIdx.x] = a[row * n + tile + threadIdx.x];
        bs[threadIdx.y][threadIdx.x] = b[(tile + threadIdx.y) * n + column];
        __syncthreads();
        for (int k = 0; k < TILE; k++)
            sum += as[threadIdx.y][k] * bs[k][threadIdx.x];
        __syncthreads();
    }
    c[row * n + column] = sum;
}

extern "C" __global__ void matmul16(const float *a, const float *b, float *c, int n)
{
    matmul<16>(a, b, c, n);
}

extern "C" __global__ void matmul32(const float *a, const float *b, float *c, int n)
{
    matmul<32>(a, b, c, n);
}

extern "C" __global__ void reduce(const float *in, float *out, int n)
{
    __shared__ float partial[32];
    float sum = 0;

    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        sum += in[i];
    for (int d = 16; d > 0; d /= 2)
        sum += __shfl_down_sync(0xffffffffu, sum, d);
    if (threadIdx.x % 32 == 0)
        partial[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : 0;
        for (int d = 16; d > 0; d /= 2)
            sum += __shfl_down_sync(0xffffffffu, sum, d);
        if (threadIdx.x == 0)
            atomicAdd(out, sum);
    }
}

extern "C" __global__ void histogram(const unsigned *in, unsigned *bins, int n)
{
    __shared__ unsigned local[256];

    local[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&local[in[i] & 255], 1);
    __syncthreads();
    atomicAdd(&bins[threadIdx.x], local[threadIdx.x]);
}

extern "C" __global__ void mandelbrot(int *out, int size, int limit)
{
    int px = blockIdx.x * blockDim.x + threadIdx.x, py = blockIdx.y * blockDim.y + threadIdx.y;
    float cx = -2.0f + 3.0f * px / size, cy = -1.5f + 3.0f * py / size, x = 0, y = 0;
    int steps = 0;

    while (steps < limit && x * x + y * y < 4.0f) {
        float next = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = next;
        steps++;
    }
    out[py * size + px] = steps;
}

extern "C" __global__ void collatz(int *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, steps = 0;
    unsigned long long x = i + 1;

    if (i >= n)
        return;
    while (x != 1) {
        x = x & 1 ? 3 * x + 1 : x / 2;
        steps++;
    }
    out[i] = steps;
}

extern "C" __global__ void scan(const int *in, int *out)
{
    __shared__ int values[2][256];
    int i = blockIdx.x * 256 + threadIdx.x, from = 0;

    values[0][threadIdx.x] = in[i];
    __syncthreads();
    for (int d = 1; d < 256; d *= 2) {
        int value = values[from][threadIdx.x];
        if (threadIdx.x >= d)
            value += values[from][threadIdx.x - d];
        from = 1 - from;
        values[from][threadIdx.x] = value;
        __syncthreads();
    }
    out[i] = values[from][threadIdx.x];
}
