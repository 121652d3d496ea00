/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/warp/kernels.cu - kernels whose results the tests know; compiled to PTX by nvcc.
 */
extern "C" {

__global__ void empty(void)
{
}

__global__ void vecadd(const float *a, const float *b, float *c, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        c[i] = a[i] + b[i];
}

__global__ void reduce(const float *in, float *out, int n)
{
    __shared__ float part[32];
    float sum = 0;

    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        sum += in[i];
    for (int k = 16; k > 0; k >>= 1)
        sum += __shfl_down_sync(0xffffffffu, sum, k);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = threadIdx.x < blockDim.x / 32 ? part[threadIdx.x] : 0;
        for (int k = 16; k > 0; k >>= 1)
            sum += __shfl_down_sync(0xffffffffu, sum, k);
        if (threadIdx.x == 0)
            out[blockIdx.x] = sum;
    }
}

__global__ void matmul(const float *a, const float *b, float *c, int n)
{
    __shared__ float ta[16][16], tb[16][16];
    int x = blockIdx.x * 16 + threadIdx.x, y = blockIdx.y * 16 + threadIdx.y;
    float sum = 0;

    for (int t = 0; t < n; t += 16) {
        ta[threadIdx.y][threadIdx.x] = a[y * n + t + threadIdx.x];
        tb[threadIdx.y][threadIdx.x] = b[(t + threadIdx.y) * n + x];
        __syncthreads();
        for (int k = 0; k < 16; k++)
            sum += ta[threadIdx.y][k] * tb[k][threadIdx.x];
        __syncthreads();
    }
    c[y * n + x] = sum;
}

__global__ void histogram(const unsigned char *in, unsigned *out, int n)
{
    __shared__ unsigned bins[256];

    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        bins[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&bins[in[i]], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        atomicAdd(&out[i], bins[i]);
}

__global__ void mandelbrot(int *out, int width, int height, int limit)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    float cr = -2.0f + 3.0f * x / width, ci = -1.0f + 2.0f * y / height, zr = 0, zi = 0;
    int i = 0;

    if (x >= width || y >= height)
        return;
    while (i < limit && zr * zr + zi * zi < 4.0f) {
        float t = zr * zr - zi * zi + cr;

        zi = 2.0f * zr * zi + ci;
        zr = t;
        i++;
    }
    out[y * width + x] = i;
}

__global__ void collatz(int *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned long long v = i + 1;
    int steps = 0;

    if (i >= n)
        return;
    while (v != 1) {
        v = v & 1 ? 3 * v + 1 : v / 2;
        steps++;
    }
    out[i] = steps;
}

__global__ void scan(const int *in, int *out)
{
    extern __shared__ int line[];
    int t = threadIdx.x, n = blockDim.x, from = 0;

    line[t] = in[blockIdx.x * n + t];
    __syncthreads();
    for (int k = 1; k < n; k *= 2) {
        int to = 1 - from;

        line[to * n + t] = t >= k ? line[from * n + t] + line[from * n + t - k] : line[from * n + t];
        from = to;
        __syncthreads();
    }
    out[blockIdx.x * n + t] = line[from * n + t];
}
}
