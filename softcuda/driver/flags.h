/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/flags.h - which CU_CTX_* flags a context may have.
 */
#ifndef SOFTCUDA_DRIVER_FLAGS_H
#define SOFTCUDA_DRIVER_FLAGS_H

#include <stdbool.h>

bool soft_context_flags_are_valid(unsigned flags);

#endif /* SOFTCUDA_DRIVER_FLAGS_H */
