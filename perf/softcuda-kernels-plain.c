/* SPDX-License-Identifier: Apache-2.0
 * perf/softcuda-kernels-plain.c - see softcuda-kernels-plain.h. Written as one would without a GPU
 * in mind; the compiler may vectorise what it can.
 */
#include "perf/softcuda-kernels-plain.h"

#include <string.h>

void plain_vecadd(const float *restrict a, const float *restrict b, float *restrict c, int n)
{
    for (int i = 0; i < n; i++)
        c[i] = a[i] + b[i];
}

void plain_matmul(const float *restrict a, const float *restrict b, float *restrict c, int n)
{
    memset(c, 0, (size_t)n * (size_t)n * sizeof(*c));
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            for (int j = 0; j < n; j++)
                c[i * n + j] += a[i * n + k] * b[k * n + j];
}

float plain_reduce(const float *in, int n)
{
    float sum = 0;

    for (int i = 0; i < n; i++)
        sum += in[i];
    return sum;
}

void plain_histogram(const uint32_t *restrict in, uint32_t *restrict bins, int n)
{
    memset(bins, 0, 256 * sizeof(*bins));
    for (int i = 0; i < n; i++)
        bins[in[i] & 255]++;
}

void plain_mandelbrot(int *out, int size, int limit)
{
    for (int py = 0; py < size; py++)
        for (int px = 0; px < size; px++) {
            const float cx = -2.0f + 3.0f * (float)px / (float)size;
            const float cy = -1.5f + 3.0f * (float)py / (float)size;
            float x = 0, y = 0;
            int steps = 0;

            while (steps < limit && x * x + y * y < 4.0f) {
                const float next = x * x - y * y + cx;
                y = 2 * x * y + cy;
                x = next;
                steps++;
            }
            out[py * size + px] = steps;
        }
}

void plain_collatz(int *out, int n)
{
    for (int i = 0; i < n; i++) {
        uint64_t x = (uint64_t)i + 1;
        int steps = 0;

        while (x != 1) {
            x = x & 1 ? 3 * x + 1 : x / 2;
            steps++;
        }
        out[i] = steps;
    }
}

void plain_scan(const int *restrict in, int *restrict out, int n)
{
    for (int run = 0; run < n; run += 256) {
        unsigned sum = 0; /* wraps, as on the device */

        for (int i = run; i < run + 256; i++) {
            sum += (unsigned)in[i];
            out[i] = (int)sum;
        }
    }
}
