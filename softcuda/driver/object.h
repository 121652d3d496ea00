/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/object.h - one tagged handle space for everything a program holds a handle of.
 *
 * A handle is kind, generation and index of a slot; it is looked up, never dereferenced, so a stale
 * or foreign handle is an error and not a crash. The same calls give the same handles. The slot
 * counts references: one for the handle, one for each look-up in progress, and those that objects
 * hold on each other. Thread: any; look-ups take no lock.
 */
#ifndef SOFTCUDA_DRIVER_OBJECT_H
#define SOFTCUDA_DRIVER_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

enum soft_kind {
    SOFT_CONTEXT = 1,
    SOFT_STREAM,
    SOFT_EVENT,
    SOFT_MODULE,
    SOFT_LIBRARY,
    SOFT_FUNCTION,
    SOFT_KERNEL,
    SOFT_POOL,
    SOFT_ALLOCATION,
    SOFT_CALLBACK,
};

/* First member of every such object. */
struct soft_object {
    enum soft_kind kind;
    uint32_t index;
    uint64_t handle;
    void (*destroy)(struct soft_object *object); /* by the last soft_object_put() */
};

/* Gives the object a handle and one reference. CUDA_ERROR_OUT_OF_MEMORY when the table is full. */
CUresult soft_object_register(struct soft_object *object, enum soft_kind kind,
                              void (*destroy)(struct soft_object *object));

/* The live object of that kind with one more reference, or NULL. */
struct soft_object *soft_object_get(uint64_t handle, enum soft_kind kind);
void soft_object_ref(struct soft_object *object);
void soft_object_put(struct soft_object *object); /* takes NULL */

/* From now on the handle is stale. True for the one caller that did it: the handle's reference is
 * then the caller's to put. */
bool soft_object_retire(struct soft_object *object);

/* The kind that a handle claims to be, without looking it up; 0 for no handle of ours. */
enum soft_kind soft_handle_kind(uint64_t handle);

#endif /* SOFTCUDA_DRIVER_OBJECT_H */
