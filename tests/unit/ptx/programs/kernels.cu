// SPDX-License-Identifier: Apache-2.0
// The kernels that every CUDA course starts with; the corpus test parses what nvcc makes of them.

extern "C" __global__ void vector_add(const float *a, const float *b, float *c, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        c[i] = a[i] + b[i];
}

template <int TILE> __global__ void matmul(const float *a, const float *b, float *c, int n)
{
    __shared__ float left[TILE][TILE], right[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;

    for (int tile = 0; tile < n / TILE; tile++) {
        left[threadIdx.y][threadIdx.x] = a[row * n + tile * TILE + threadIdx.x];
        right[threadIdx.y][threadIdx.x] = b[(tile * TILE + threadIdx.y) * n + column];
        __syncthreads();
        for (int k = 0; k < TILE; k++)
            sum += left[threadIdx.y][k] * right[k][threadIdx.x];
        __syncthreads();
    }
    c[row * n + column] = sum;
}
template __global__ void matmul<16>(const float *, const float *, float *, int);
template __global__ void matmul<32>(const float *, const float *, float *, int);

__global__ void reduce(const float *in, float *out, int n)
{
    __shared__ float partial[32];
    float sum = 0;

    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        sum += in[i];
    for (int step = 16; step; step /= 2)
        sum += __shfl_down_sync(~0u, sum, step);
    if (threadIdx.x % 32 == 0)
        partial[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : 0;
        for (int step = 16; step; step /= 2)
            sum += __shfl_down_sync(~0u, sum, step);
        if (threadIdx.x == 0)
            atomicAdd(out, sum);
    }
}

__global__ void histogram(const unsigned char *in, unsigned *bins, int n)
{
    __shared__ unsigned local[256];

    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        local[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&local[in[i]], 1);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        atomicAdd(&bins[i], local[i]);
}

__global__ void scan(int *data)
{
    extern __shared__ int buffer[];
    int i = threadIdx.x;

    buffer[i] = data[blockIdx.x * blockDim.x + i];
    for (int step = 1; step < blockDim.x; step *= 2) {
        __syncthreads();
        int before = i >= step ? buffer[i - step] : 0;
        __syncthreads();
        buffer[i] += before;
    }
    data[blockIdx.x * blockDim.x + i] = buffer[i];
}

__global__ void mandelbrot(int *out, int width, int limit)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    float cr = 3.0f * x / width - 2, ci = 2.0f * y / width - 1, r = 0, i = 0;
    int count = 0;

    while (r * r + i * i < 4 && count < limit) {
        float next = r * r - i * i + cr;

        i = 2 * r * i + ci;
        r = next;
        count++;
    }
    out[y * width + x] = count;
}

__global__ void collatz(int *steps, long long n)
{
    long long value = blockIdx.x * blockDim.x + threadIdx.x + 1;
    int count = 0;

    if (value > n)
        return;
    for (long long v = value; v != 1; count++)
        v = v % 2 ? 3 * v + 1 : v / 2;
    steps[value - 1] = count;
}
