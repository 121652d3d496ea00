/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/error.h - names and texts of CUresult. Thread: any; static strings.
 */
#ifndef CUDA_COMMON_ERROR_H
#define CUDA_COMMON_ERROR_H

#include <cuda.h>

/* As cuGetErrorName and cuGetErrorString: CUDA_ERROR_INVALID_VALUE, and NULL, for a number that
 * cuda.h does not have. */
CUresult cuc_error_name(CUresult error, const char **name_out);
CUresult cuc_error_text(CUresult error, const char **text_out);

#endif /* CUDA_COMMON_ERROR_H */
