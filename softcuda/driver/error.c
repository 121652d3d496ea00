/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/error.c - cuGetErrorName, cuGetErrorString: cuda-common/error.c has the table.
 */
#include "cuda-common/error.h"

#include "generated/cuda-api/softcuda_impl.h"

CUresult soft_cuGetErrorName(CUresult error, const char **pStr)
{
    return cuc_error_name(error, pStr);
}

CUresult soft_cuGetErrorString(CUresult error, const char **pStr)
{
    return cuc_error_text(error, pStr);
}
