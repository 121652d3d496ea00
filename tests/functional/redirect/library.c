/* SPDX-License-Identifier: Apache-2.0 */
#include "embedded.h"

__attribute__((visibility("default"))) int library_call(void);

int library_call(void)
{
    return cudaMalloc();
}
