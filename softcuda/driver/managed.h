/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/managed.h - managed memory, for the calls about it. Thread: mem_lock.
 */
#ifndef SOFTCUDA_DRIVER_MANAGED_H
#define SOFTCUDA_DRIVER_MANAGED_H

#include "cuda-common/managed.h"
#include "softcuda/driver/mem_int.h"

/* All managed allocations, for cuda-common/managed.h. */
struct cuc_managed_set mem_managed_set(void);

#endif /* SOFTCUDA_DRIVER_MANAGED_H */
