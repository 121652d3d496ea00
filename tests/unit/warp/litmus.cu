/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/warp/litmus.cu - kernels that end with the right result only on a fair scheduler.
 *
 * Every kernel is free of races in its result, so each policy must give the same.
 */
#include <cooperative_groups.h>
#include <cstdio>

namespace cg = cooperative_groups;

__constant__ int table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
__device__ int lock_word, counter;

/* The lock is taken in a loop of its own. */
__device__ __forceinline__ void lock_loop(int *lock)
{
    while (atomicCAS(lock, 0, 1) != 0)
        ;
    __threadfence();
}

extern "C" __global__ void spin_outside(int *lock, int *value)
{
    lock_loop(lock);
    *(volatile int *)value = *(volatile int *)value + 1;
    __threadfence();
    atomicExch(lock, 0);
}

/* The work is done inside of the loop that takes the lock. */
extern "C" __global__ void spin_inside(int *lock, int *value)
{
    bool done = false;

    while (!done) {
        if (atomicCAS(lock, 0, 1) == 0) {
            __threadfence();
            *(volatile int *)value = *(volatile int *)value + 1;
            __threadfence();
            atomicExch(lock, 0);
            done = true;
        }
    }
}

/* Warp 0 waits for warp 1 of its block. */
extern "C" __global__ void producer(int *out)
{
    __shared__ volatile int flag, data;

    if (threadIdx.x == 0)
        flag = 0;
    __syncthreads();
    if (threadIdx.x / 32 == 0) {
        while (flag == 0)
            ;
        out[blockIdx.x * 32 + threadIdx.x] = data + threadIdx.x;
    } else if (threadIdx.x == 32) {
        data = 100 + blockIdx.x;
        __threadfence_block();
        flag = 1;
    }
}

/* Lanes of one warp wait for each other. */
extern "C" __global__ void lanes_wait(int *out)
{
    __shared__ volatile int turn;

    if (threadIdx.x == 0)
        turn = 0;
    __syncthreads();
    while (turn != threadIdx.x)
        ;
    out[threadIdx.x] = turn * 3;
    __threadfence_block();
    turn = threadIdx.x + 1;
}

extern "C" __global__ void early_exit(int *out, int n)
{
    __shared__ int sum;

    if (threadIdx.x == 0)
        sum = 0;
    __syncthreads();
    if (threadIdx.x >= n)
        return;
    atomicAdd(&sum, threadIdx.x);
    __syncthreads();
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

/* Two halves of the block meet at barriers of their own; one only arrives. */
extern "C" __global__ void named_barriers(int *out)
{
    __shared__ int part[2], whole;
    int half = threadIdx.x / 64;

    if (threadIdx.x < 2)
        part[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(&part[half], threadIdx.x);
    asm volatile("bar.sync %0, 64;" ::"r"(half + 1) : "memory");
    if (half == 0) {
        if (threadIdx.x == 0)
            whole = part[0];
        asm volatile("bar.arrive 3, 128;" ::: "memory");
        out[threadIdx.x] = part[0];
    } else {
        asm volatile("bar.sync 3, 128;" ::: "memory");
        out[threadIdx.x] = whole + part[1];
    }
}

/* Lanes come to the same barrier from different places. */
extern "C" __global__ void divergent_barrier(int *out)
{
    __shared__ int box[64];

    if (threadIdx.x & 1) {
        box[threadIdx.x] = threadIdx.x * 2;
        asm volatile("barrier.sync 0;" ::: "memory");
        out[threadIdx.x] = box[threadIdx.x ^ 1];
    } else {
        box[threadIdx.x] = threadIdx.x * 5;
        asm volatile("barrier.sync 0;" ::: "memory");
        out[threadIdx.x] = box[threadIdx.x ^ 1] + 1;
    }
}

extern "C" __global__ void shfl_exited(int *out)
{
    if (threadIdx.x % 32 >= 20)
        return;
    out[threadIdx.x] = __shfl_xor_sync(0x000fffffu, (int)threadIdx.x, 1) + __popc(__activemask());
}

extern "C" __global__ void warp_sync(int *out)
{
    __shared__ volatile int box[32];
    int t = threadIdx.x;

    if (t < 16) {
        box[t] = t * 7;
        __syncwarp();
        out[t] = box[t + 16];
    } else {
        box[t] = t * 11;
        __syncwarp();
        out[t] = box[t - 16];
    }
}

/* Each half of the warp uses its own member mask, after a split. */
extern "C" __global__ void half_votes(int *out)
{
    int t = threadIdx.x;
    unsigned mask = t < 16 ? 0xffffu : 0xffff0000u;
    int v = t < 16 ? t * t : 1000 - t;

    v += __shfl_xor_sync(mask, v, 8);
    out[t] = v * 4 + __any_sync(mask, v == 64 + 0) * 2 + __all_sync(mask, v > 0);
    out[32 + t] = __ballot_sync(mask, t & 1);
}

extern "C" __global__ void counts(int *out)
{
    int odd = threadIdx.x & 1;
    int n = __syncthreads_count(odd), all = __syncthreads_and(threadIdx.x < 1000);
    int any = __syncthreads_or(threadIdx.x == 77);

    out[threadIdx.x] = n * 4 + (all != 0) * 2 + (any != 0);
}

extern "C" __global__ void grid_sync(int *data, int rounds)
{
    cg::grid_group grid = cg::this_grid();
    int n = gridDim.x * blockDim.x, i = blockIdx.x * blockDim.x + threadIdx.x;

    for (int r = 0; r < rounds; r++) {
        int v = data[(r & 1) * n + (i + 1) % n];

        data[(1 - (r & 1)) * n + i] = v + 1;
        grid.sync();
    }
}

/* All blocks wait for all, without the promise of a cooperative launch, as old programs do. */
extern "C" __global__ void all_meet(int *count, int *out)
{
    if (threadIdx.x == 0) {
        atomicAdd(count, 1);
        while (*(volatile int *)count < gridDim.x)
            ;
    }
    __syncthreads();
    out[blockIdx.x * blockDim.x + threadIdx.x] = *(volatile int *)count;
}

/* Every block waits for the one before it. */
extern "C" __global__ void look_back(volatile int *state, int *out)
{
    if (threadIdx.x == 0) {
        int before = 0;

        if (blockIdx.x > 0)
            while ((before = state[blockIdx.x - 1]) == 0)
                ;
        __threadfence();
        state[blockIdx.x] = before + blockIdx.x + 1;
        out[blockIdx.x] = before + blockIdx.x + 1;
    }
}

__device__ __noinline__ int fib(int n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

extern "C" __global__ void recursion(int *out)
{
    out[threadIdx.x] = fib(threadIdx.x % 12);
}

__device__ __noinline__ int swap_in_block(int *box, int v)
{
    int scratch[4];

    for (int i = 0; i < 4; i++)
        scratch[(i + v) & 3] = v + i;
    box[threadIdx.x] = v;
    __syncthreads();
    v = box[blockDim.x - 1 - threadIdx.x] + scratch[v & 3];
    __syncthreads();
    return v;
}

extern "C" __global__ void barrier_in_callee(int *out)
{
    __shared__ int box[96];
    int v = threadIdx.x;

    for (int i = 0; i < 3; i++)
        v = swap_in_block(box, v & 1023);
    out[threadIdx.x] = v;
}

struct matrix {
    float m[3][4];
    short tag;
    signed char tiny;
};

__device__ __noinline__ matrix scaled(matrix in, float by)
{
    for (int i = 0; i < 12; i++)
        in.m[i / 4][i % 4] *= by;
    in.tag++;
    return in;
}

extern "C" __global__ void structs(matrix in, float *out, int row)
{
    matrix m = scaled(in, 2.0f);
    int t = threadIdx.x;

    out[t] = in.m[row][t % 4] + m.m[(row + t) % 3][t % 4] + m.tag + in.tiny;
}

extern "C" __global__ void switches(int *out, int x)
{
    int t = threadIdx.x, v;

    switch ((t + x) % 7) {
    case 0:
        v = t * 3;
        break;
    case 1:
        v = t ^ 0x55;
        break;
    case 2:
        v = table[t & 7];
        break;
    case 3:
        v = -t;
        /* fall through */
    case 4:
        v = t + 1000;
        break;
    case 5:
        v = t << 3;
        for (int i = 0; i < t; i++)
            v ^= v << 1;
        break;
    default:
        v = 7;
    }
    out[t] = v;
}

extern "C" __global__ void nested_loops(int *out, int n)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x, sum = 0;

    for (int i = 0; i < t % n; i++) {
        for (int k = i; k < t % (i + 2); k++) {
            if ((k ^ i) & 1)
                continue;
            sum += k * i + 1;
            if (sum > 100000)
                goto end;
        }
        sum ^= i;
    }
end:
    out[t] = sum;
}

extern "C" __global__ void local_array(int *out, int n)
{
    int box[16], t = threadIdx.x;

    for (int i = 0; i < 16; i++)
        box[i] = i * t;
    for (int i = 0; i < n; i++)
        box[(box[i & 15] + i) & 15] += i;
    out[t] = box[t & 15] + box[(t + 5) & 15];
}

/* Chains of fma on grouped loads, with some lanes away, rows read by half warps or by all. */
extern "C" __global__ void dot_products(float *out, int stride)
{
    __shared__ float a[32 * 9], b[256];
    int t = threadIdx.x;
    float sum = 0.5f, again = 0;

    for (int i = t; i < 32 * 9; i += blockDim.x)
        a[i] = 0.1f * i;
    for (int i = t; i < 256; i += blockDim.x)
        b[i] = 1.0f / (i + 1);
    __syncthreads();
    if (t % 3 != stride) {
#pragma unroll
        for (int k = 0; k < 8; k++)
            sum = fmaf(a[t * 9 + k], b[k * 16 + (t & 15)], sum);
    }
#pragma unroll
    for (int k = 0; k < 20; k++)
        again = fmaf(b[k * 4], a[(t / 16) * 9 + k], again);
    __syncthreads();
    a[t] = sum;
    __syncthreads();
    out[t] = a[t ^ 1] + again;
}

extern "C" __global__ void globals(int *out)
{
    if (threadIdx.x % 2 == 0)
        atomicAdd(&counter, table[threadIdx.x % 8]);
    __syncthreads();
    out[threadIdx.x] = *(volatile int *)&counter;
}

extern "C" __global__ void guarded(int *out)
{
    int t = threadIdx.x, v = 1;

    asm volatile("{ .reg .pred p; setp.lt.s32 p, %1, 10; @p mov.s32 %0, 42; @!p add.s32 %0, %0, %1; }"
                 : "+r"(v)
                 : "r"(t));
    asm volatile("{ .reg .pred p; .reg .s32 q; setp.eq.s32 p, %1, 3; @p ld.global.s32 %0, [%2];"
                 " setp.ge.or.s32 p, %1, 30, !p; @!p add.s32 %0, %0, 500; }"
                 : "+r"(v)
                 : "r"(t), "l"(out));
    out[t + 1] = v;
}

extern "C" __global__ void print(int n)
{
    if (threadIdx.x < n)
        printf("[%d] %5d|%-5u|%05x|%+.2f|%e|%c|%s|%%|%lld|%*d|%.3s|%llx\n", (int)threadIdx.x, -7, 42u,
               0xbeef, 1.5f, 12345.678, 'q', "text", -(1ll << 40), 4, 9, "abcdef", 0x123456789abcull);
}

extern "C" __global__ void print_plain(void)
{
    printf("plain\n");
}

struct shape {
    __device__ virtual int area() = 0;
};
struct square : shape {
    int side;
    __device__ int area() override
    {
        return side * side;
    }
};
extern "C" __global__ void virtual_call(shape *s, int *out)
{
    out[0] = s->area();
}
extern "C" __global__ void make_square(square *s)
{
    new (s) square();
}
