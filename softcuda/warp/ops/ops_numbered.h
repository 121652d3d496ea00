/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_numbered.h - handlers that carry a small number.
 *
 * A handler is a bare function pointer, so a general routine that serves many forms needs another
 * way to be told which. OPS_NUMBERED(run) makes 512 handlers that differ only in the number they
 * pass to run(w, in, number) and a table of them, run_numbered[]. The number is whatever the
 * finder packs into nine bits.
 */
#ifndef SOFTCUDA_WARP_OPS_OPS_NUMBERED_H
#define SOFTCUDA_WARP_OPS_OPS_NUMBERED_H

#include "softcuda/warp/ops/ops_int.h"

enum { OPS_NUMBERS = 512 };

/* M(run, n) for all n: octal literals 0000 to 0777, a digit a level. */
#define OPS_DIGIT_(M, run, n)                                                                      \
    M(run, n##0)                                                                                   \
    M(run, n##1) M(run, n##2) M(run, n##3) M(run, n##4) M(run, n##5) M(run, n##6) M(run, n##7)
#define OPS_DIGIT2_(M, run, n)                                                                     \
    OPS_DIGIT_(M, run, n##0)                                                                       \
    OPS_DIGIT_(M, run, n##1)                                                                       \
    OPS_DIGIT_(M, run, n##2)                                                                       \
    OPS_DIGIT_(M, run, n##3)                                                                       \
    OPS_DIGIT_(M, run, n##4)                                                                       \
    OPS_DIGIT_(M, run, n##5) OPS_DIGIT_(M, run, n##6) OPS_DIGIT_(M, run, n##7)
#define OPS_ALL_NUMBERS_(M, run)                                                                   \
    OPS_DIGIT2_(M, run, 00)                                                                        \
    OPS_DIGIT2_(M, run, 01)                                                                        \
    OPS_DIGIT2_(M, run, 02)                                                                        \
    OPS_DIGIT2_(M, run, 03)                                                                        \
    OPS_DIGIT2_(M, run, 04) OPS_DIGIT2_(M, run, 05) OPS_DIGIT2_(M, run, 06) OPS_DIGIT2_(M, run, 07)

#define OPS_NUMBERED_HANDLER_(run, n)                                                              \
    static const struct warp_insn *run##_##n(struct warp *w, const struct warp_insn *in)           \
    {                                                                                              \
        return run(w, in, n);                                                                      \
    }
#define OPS_NUMBERED_ROW_(run, n) run##_##n,

#define OPS_NUMBERED(run)                                                                          \
    OPS_ALL_NUMBERS_(OPS_NUMBERED_HANDLER_, run)                                                   \
    static const warp_fn run##_numbered[OPS_NUMBERS] = {OPS_ALL_NUMBERS_(OPS_NUMBERED_ROW_, run)};

#endif /* SOFTCUDA_WARP_OPS_OPS_NUMBERED_H */
