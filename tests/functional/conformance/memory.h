/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/memory.h - what the groups on memory share: kernels are the judges
 * of what an access may touch.
 */
#ifndef TESTS_FUNCTIONAL_CONFORMANCE_MEMORY_H
#define TESTS_FUNCTIONAL_CONFORMANCE_MEMORY_H

#include "tests/functional/conformance/conformance.h"

#define MIB ((size_t)1 << 20)

/* Every device's primary context; device 0's is current. */
struct memory_world {
    int device_count;
    CUcontext context[2];
    CUfunction poke[2], peek[2], follow[2]; /* one a context */
    CUdeviceptr answer[2];                  /* where peek puts a word */
};
void memory_world_open(struct memory_world *world);

/* A kernel of device `index` writes (reads) the word; the status of the launch or of waiting for
 * it. The device's context is current afterwards. */
CUresult memory_poke(const struct memory_world *world, int index, CUdeviceptr at, uint32_t value);
CUresult memory_peek(const struct memory_world *world, int index, CUdeviceptr at,
                     uint32_t *value_out);
/* The same of the word to which the address there points. */
CUresult memory_follow(const struct memory_world *world, int index, CUdeviceptr at,
                       uint32_t *value_out);
/* The word there by a copy; UINT32_MAX if it cannot be copied. */
uint32_t memory_read(CUdeviceptr at);
size_t memory_free_bytes(void);

#endif /* TESTS_FUNCTIONAL_CONFORMANCE_MEMORY_H */
