/* SPDX-License-Identifier: Apache-2.0
 * examples/check.h - error checks and comparisons that the examples share.
 *
 * Every example prints what it did, compares with a result computed on the CPU, prints PASSED or
 * FAILED as its last line and exits with 0 or 1.
 */
#ifndef EXAMPLES_CHECK_H
#define EXAMPLES_CHECK_H

#include <cmath>
#include <cstdio>
#include <cstdlib>

#define CUDA_CHECK(call)                                                                           \
    do {                                                                                           \
        cudaError_t status_ = (call);                                                              \
        if (status_ != cudaSuccess) {                                                              \
            fprintf(stderr, "%s:%d: %s: %s (%s)\n", __FILE__, __LINE__, #call,                     \
                    cudaGetErrorName(status_), cudaGetErrorString(status_));                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Reports the first few differences; returns how many there are. */
template <typename T>
static inline long count_wrong(const char *what, const T *got, const T *want, long count,
                               double relative = 0.0)
{
    long wrong = 0;

    for (long i = 0; i < count; i++) {
        double difference = std::fabs((double)got[i] - (double)want[i]);
        if (!(difference <= relative * std::fabs((double)want[i]))) {
            if (wrong++ < 3)
                fprintf(stderr, "%s[%ld]: got %.9g, want %.9g\n", what, i, (double)got[i],
                        (double)want[i]);
        }
    }
    return wrong;
}

static inline int finish(long wrong)
{
    printf("%s\n", wrong == 0 ? "PASSED" : "FAILED");
    return wrong == 0 ? 0 : 1;
}

#endif /* EXAMPLES_CHECK_H */
