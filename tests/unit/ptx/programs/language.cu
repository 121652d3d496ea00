// SPDX-License-Identifier: Apache-2.0
// What the language brings: initialisers, calls of all kinds, local memory, printf and assert.
#include <cassert>
#include <cstdio>

struct point {
    char tag;
    double x, y;
    short z[3];
};

struct shape {
    __device__ virtual ~shape()
    {
    }
    __device__ virtual float area(float scale) const = 0;
};
struct square : shape {
    float side;
    __device__ explicit square(float s) : side(s)
    {
    }
    __device__ __noinline__ float area(float scale) const override
    {
        return side * side * scale;
    }
};
struct circle : shape {
    float radius;
    __device__ explicit circle(float r) : radius(r)
    {
    }
    __device__ __noinline__ float area(float scale) const override
    {
        return 3.14159f * radius * radius * scale;
    }
};

__constant__ float table[5] = {1, 2.5f, -3, 4e-8f, 5};
__constant__ point origin = {'o', 1.5, -2.5, {1, 2, 3}};
__device__ int counter = 7, matrix[2][3] = {{1, 2}, {4}};
__device__ const char *text = "hello";
__device__ float *second = &table[1];
__device__ struct {
    char kind;
    const int *where;
    unsigned short last;
} mixed = {'m', &matrix[1][1], 9};
__managed__ long long managed_sum = 5;

typedef int (*operation)(int, int);
__device__ __noinline__ int add_one(int a, int b)
{
    return a + b + 1;
}
__device__ __noinline__ int subtract(int a, int b)
{
    return a - b;
}
__device__ operation operations[2] = {add_one, subtract};

__device__ __noinline__ int fibonacci(int n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__device__ __noinline__ point moved(point p, double by)
{
    p.x += by;
    p.z[1]++;
    return p;
}

__global__ void __launch_bounds__(256, 2) calls(int *out, point p, int n)
{
    int i = threadIdx.x;
    square s(n);
    circle c(i);
    const shape *which = n & 1 ? static_cast<shape *>(&s) : &c;

    out[0] = operations[n & 1](i, n) + fibonacci(n & 15);
    out[1] = static_cast<int>(which->area(2));
    p = moved(p, table[n % 5] + origin.x);
    out[2] = static_cast<int>(p.x) + p.z[1] + *mixed.where + text[n % 5] + matrix[n & 1][i % 3];
    managed_sum += static_cast<long long>(*second);
    atomicAdd(&counter, n);
}

__global__ void talk(const int *in, int n)
{
    printf("value %d of %s: %f %lld %c %p\n", in[0], text, 1.5 * n, 7LL, 'x', in);
    printf("plain\n");
    assert(n > 0 && "positive");
    if (n == 77)
        __trap();
}

__global__ void local_memory(int *out, int n)
{
    int stack[64];

    for (int i = 0; i < 64; i++)
        stack[i] = i * n;
    for (int i = 0; i < n; i++)
        stack[(i * 7) & 63] += stack[(i * 13) & 63];
    out[threadIdx.x] = stack[n & 63];
}

__global__ void choose(int *out, int n)
{
    switch (n) {
    case 0: out[0] = 5; break;
    case 1: out[1] = 6 * n; break;
    case 2: out[2] = n / 3; break;
    case 3: out[3] = n % 7; break;
    case 4: out[4] = -n; break;
    case 5: out[5] = ~n; break;
    case 6: out[6] = n << 3; break;
    case 7: out[7] = n >> 2; break;
    default: out[8] = 1; return;
    }
    __syncthreads();
    do {
        n -= out[n & 7];
        if (n == 13)
            continue;
        if (n == 17)
            break;
    } while (n > 0);
    out[n & 7] = n;
}
