/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/limits.h - the limits of a context (cuCtxSetLimit) and their first values.
 */
#ifndef SOFTCUDA_DRIVER_LIMITS_H
#define SOFTCUDA_DRIVER_LIMITS_H

#include <stddef.h>

struct soft_context;

void soft_limits_init(struct soft_context *context);

/* The stack of a thread that recurses, CU_LIMIT_STACK_SIZE. */
size_t soft_limits_stack_bytes(struct soft_context *context);

#endif /* SOFTCUDA_DRIVER_LIMITS_H */
