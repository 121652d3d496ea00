/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/object.h - one tagged handle space for everything a program holds a handle of.
 *
 * A handle is kind, generation and index of a slot; it is looked up, never dereferenced, so a stale
 * or foreign handle is an error and not a crash. The same calls give the same handles. The slot
 * counts references: one for the handle, one for each look-up in progress, and those that objects
 * hold on each other. Thread: any; look-ups take no lock.
 */
#ifndef CUDA_COMMON_OBJECT_H
#define CUDA_COMMON_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

enum cuc_kind {
    CUC_CONTEXT = 1,
    CUC_STREAM,
    CUC_EVENT,
    CUC_MODULE,
    CUC_LIBRARY,
    CUC_FUNCTION,
    CUC_KERNEL,
    CUC_POOL,
    CUC_ALLOCATION,
    CUC_CALLBACK,
};

/* First member of every such object. */
struct cuc_object {
    enum cuc_kind kind;
    uint32_t index;
    uint64_t handle;
    void (*destroy)(struct cuc_object *object); /* by the last cuc_object_put() */
};

/* Gives the object a handle and one reference. CUDA_ERROR_OUT_OF_MEMORY when the table is full. */
CUresult cuc_object_register(struct cuc_object *object, enum cuc_kind kind,
                             void (*destroy)(struct cuc_object *object));

/* The live object of that kind with one more reference, or NULL. */
struct cuc_object *cuc_object_get(uint64_t handle, enum cuc_kind kind);
void cuc_object_ref(struct cuc_object *object);
void cuc_object_put(struct cuc_object *object); /* takes NULL */

/* From now on the handle is stale. True for the one caller that did it: the handle's reference is
 * then the caller's to put. */
bool cuc_object_retire(struct cuc_object *object);

/* The kind that a handle claims to be, without looking it up; 0 for no handle of ours. */
enum cuc_kind cuc_handle_kind(uint64_t handle);

#endif /* CUDA_COMMON_OBJECT_H */
