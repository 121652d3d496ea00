/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/limits.h - the limits of a context (cuCtxSetLimit) and their first values.
 */
#ifndef SOFTCUDA_DRIVER_LIMITS_H
#define SOFTCUDA_DRIVER_LIMITS_H

struct soft_context;

void soft_limits_init(struct soft_context *context);

#endif /* SOFTCUDA_DRIVER_LIMITS_H */
