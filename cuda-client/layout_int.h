/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/layout_int.h - keeping the address layout's ranges free in this process.
 */
#ifndef CUDA_CLIENT_LAYOUT_INT_H
#define CUDA_CLIENT_LAYOUT_INT_H

#include <stdint.h>

/* Reserves what it can of every row that suits the process; bit i: row i can be had. */
uint32_t cudac_layout_reserve(uint32_t vgpu_count);
/* Keeps this row and gives the others back. */
void cudac_layout_choose(uint32_t row);
void cudac_layout_release(void); /* all */

#endif /* CUDA_CLIENT_LAYOUT_INT_H */
