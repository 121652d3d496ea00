/* SPDX-License-Identifier: Apache-2.0 */
#include "embedded.h"

int main(void)
{
    (void)cudaMalloc();
    (void)cudaFree();
    (void)__cudaUnregisterBinaryUtil();
    return 0;
}
