/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/model.h - modelled durations: how long a launch would take on the named GPU.
 */
#ifndef SOFTCUDA_DRIVER_MODEL_H
#define SOFTCUDA_DRIVER_MODEL_H

#include <stdint.h>

struct device_model;
struct soft_device;
struct soft_function;

/* Counts the function's arithmetic and memory traffic once, when it is lowered. */
void soft_model_estimate(struct soft_function *function);

/* The roofline duration of a launch of `threads` threads. */
uint64_t soft_model_duration_ns(const struct device_model *model,
                                const struct soft_function *function, uint64_t threads);

/* When a launch that was ready at `ready_ns` and takes `duration_ns` ends on the device, which runs
 * one modelled launch after the other. */
uint64_t soft_model_end_ns(int device_ordinal, uint64_t ready_ns, uint64_t duration_ns);

#endif /* SOFTCUDA_DRIVER_MODEL_H */
