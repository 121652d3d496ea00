/* SPDX-License-Identifier: Apache-2.0
 * A stand-in for our libcudart.so.13: every function says "ours".
 */
#include <unistd.h>

#define OURS(name)                                                                                 \
    __attribute__((visibility("default"))) int name(void)                                          \
    {                                                                                              \
        return (int)write(1, "ours:" #name "\n", sizeof("ours:" #name "\n") - 1);                  \
    }

OURS(__cudaRegisterFatBinary)
OURS(cudaMalloc)
OURS(cudaFree)
