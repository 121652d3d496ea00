/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_list.h - the finders of all handler sources, in the order they are asked.
 *
 * A new source adds its line here and its file to CMakeLists.txt. Variant finders exist once per
 * instruction set, with its name at the end; general ones once.
 */
#ifndef SOFTCUDA_WARP_OPS_OPS_LIST_H
#define SOFTCUDA_WARP_OPS_OPS_LIST_H

#include "softcuda/warp/ops/ops_int.h"

#define OPS_VARIANT_FINDERS(X)                                                                     \
    X(ops_find_integer)                                                                            \
    X(ops_find_float)                                                                              \
    X(ops_find_math)                                                                               \
    X(ops_find_logic)                                                                              \
    X(ops_find_compare)                                                                            \
    X(ops_find_convert)                                                                            \
    X(ops_find_memory)                                                                             \
    X(ops_find_warp)                                                                               \
    X(ops_find_atomic)

#define OPS_GENERAL_FINDERS(X)                                                                     \
    X(ops_find_general_memory)                                                                     \
    X(ops_find_general_convert)                                                                    \
    X(ops_find_carry)                                                                              \
    X(ops_find_space)                                                                              \
    X(ops_find_async)

#ifdef OPS_VARIANT
#define OPS_DECLARE(name) ops_finder OPS_SYM(name);
OPS_VARIANT_FINDERS(OPS_DECLARE)
#undef OPS_DECLARE
extern const struct warp_isa OPS_SYM(ops_isa); /* ops_find.c */
#endif
#define OPS_DECLARE(name) ops_finder name;
OPS_GENERAL_FINDERS(OPS_DECLARE)
#undef OPS_DECLARE

#endif /* SOFTCUDA_WARP_OPS_OPS_LIST_H */
