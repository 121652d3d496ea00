/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/kernels.h - the PTX that the conformance rows load and launch.
 *
 * Written by hand for compute capability 7.5, so that any driver of the last years takes it.
 */
#ifndef TESTS_FUNCTIONAL_CONFORMANCE_KERNELS_H
#define TESTS_FUNCTIONAL_CONFORMANCE_KERNELS_H

/* Kernels: empty; store(u64 to, u32 value); count(u64 to): adds one per thread; wait_flag(u64 at):
 * until the word there is not zero; fault(); misaligned(u64 at); stop(); sum(b8[1000] words, u64
 * to); dynamic(u64 to): writes and reads dynamic shared memory, then stores its size; exact: 32 x 2
 * threads only; at_most: 64 threads; read_table(u64 to, u32 index); say(u32 round): prints "round
 * N". Variables: counter, table, pointer. */
extern const char kernels_ptx[];

/* The same with one kernel that nobody can compile, beside a good one. */
extern const char kernels_bad_ptx[];

#endif /* TESTS_FUNCTIONAL_CONFORMANCE_KERNELS_H */
