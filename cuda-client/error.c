/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/error.c - cuGetErrorName, cuGetErrorString: cuda-common/error.c has the table.
 */
#include "cuda-common/error.h"

#include "generated/cuda-api/client_impl.h"

CUresult cudac_cuGetErrorName(CUresult error, const char **pStr)
{
    return cuc_error_name(error, pStr);
}

CUresult cudac_cuGetErrorString(CUresult error, const char **pStr)
{
    return cuc_error_text(error, pStr);
}
