/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/atomics.c - which atomic operations work on memory of somebody else.
 */
#include "cuda-common/atomics.h"

enum { ATOMIC_COUNT = CU_ATOMIC_OPERATION_MAX };

CUresult cuc_atomic_capabilities(bool is_native, unsigned int *capabilities,
                                 const CUatomicOperation *operations, unsigned int count)
{
    enum {
        SCALARS = CU_ATOMIC_CAPABILITY_SCALAR_32 | CU_ATOMIC_CAPABILITY_SCALAR_64,
        INTEGER = CU_ATOMIC_CAPABILITY_SIGNED | CU_ATOMIC_CAPABILITY_UNSIGNED |
                  CU_ATOMIC_CAPABILITY_REDUCTION | SCALARS,
        UNSIGNED = CU_ATOMIC_CAPABILITY_UNSIGNED | CU_ATOMIC_CAPABILITY_REDUCTION,
    };
    static const unsigned int known[ATOMIC_COUNT] = {
        [CU_ATOMIC_OPERATION_INTEGER_ADD] = INTEGER,
        [CU_ATOMIC_OPERATION_INTEGER_MIN] = INTEGER,
        [CU_ATOMIC_OPERATION_INTEGER_MAX] = INTEGER,
        [CU_ATOMIC_OPERATION_INTEGER_INCREMENT] = UNSIGNED | CU_ATOMIC_CAPABILITY_SCALAR_32,
        [CU_ATOMIC_OPERATION_INTEGER_DECREMENT] = UNSIGNED | CU_ATOMIC_CAPABILITY_SCALAR_32,
        [CU_ATOMIC_OPERATION_AND] = UNSIGNED | SCALARS,
        [CU_ATOMIC_OPERATION_OR] = UNSIGNED | SCALARS,
        [CU_ATOMIC_OPERATION_XOR] = UNSIGNED | SCALARS,
        [CU_ATOMIC_OPERATION_EXCHANGE] = CU_ATOMIC_CAPABILITY_UNSIGNED | SCALARS,
        [CU_ATOMIC_OPERATION_CAS] = CU_ATOMIC_CAPABILITY_UNSIGNED | SCALARS,
        [CU_ATOMIC_OPERATION_FLOAT_ADD] =
            CU_ATOMIC_CAPABILITY_SIGNED | CU_ATOMIC_CAPABILITY_REDUCTION | SCALARS,
    };

    if (!capabilities || !operations || count == 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; i < count; i++) {
        if ((unsigned int)operations[i] >= ATOMIC_COUNT)
            return CUDA_ERROR_INVALID_VALUE;
    }
    for (unsigned int i = 0; i < count; i++)
        capabilities[i] = is_native ? known[operations[i]] : 0;
    return CUDA_SUCCESS;
}
