/* SPDX-License-Identifier: Apache-2.0
 * perf/softcuda-kernels-plain.h - plain loops with the results of softcuda-kernels.cu: the limits
 * that softcuda is compared with. One thread, compiled with -O3 -march=native and nothing else.
 */
#ifndef PERF_SOFTCUDA_KERNELS_PLAIN_H
#define PERF_SOFTCUDA_KERNELS_PLAIN_H

#include <stdint.h>

void plain_vecadd(const float *a, const float *b, float *c, int n);
void plain_matmul(const float *a, const float *b, float *c, int n);
float plain_reduce(const float *in, int n);
void plain_histogram(const uint32_t *in, uint32_t *bins, int n);
void plain_mandelbrot(int *out, int size, int limit);
void plain_collatz(int *out, int n);
void plain_scan(const int *in, int *out, int n); /* in runs of 256 */

#endif /* PERF_SOFTCUDA_KERNELS_PLAIN_H */
