/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/trace_log.h - the driver's log of the last errors and warnings (cuLogs*).
 */
#ifndef SOFTCUDA_DRIVER_TRACE_LOG_H
#define SOFTCUDA_DRIVER_TRACE_LOG_H

#include <cuda.h>

/* Keeps the line and tells the callbacks. */
void soft_log_add(CUlogLevel level, const char *line);

#endif /* SOFTCUDA_DRIVER_TRACE_LOG_H */
