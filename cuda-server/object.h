/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/object.h - what the client's ids mean here: the only translation to driver handles.
 *
 * No driver value reaches the client (design 7b, F2), and each object keeps the command that made
 * it (F3); what an image made with its functions is in the image's command. A look-up takes a
 * reference, so that an object which another thread of the client destroys meanwhile stays whole;
 * its driver handle may then be stale, which the driver says. Thread: any, locked.
 */
#ifndef CUDA_SERVER_OBJECT_H
#define CUDA_SERVER_OBJECT_H

#include "base/list.h"
#include "base/map.h"
#include "base/mutex.h"
#include "cuda-server/dispatch.h"

enum cudas_kind {
    CUDAS_CONTEXT = 1,
    CUDAS_STREAM,
    CUDAS_EVENT,
    CUDAS_MODULE,
    CUDAS_LIBRARY,
    CUDAS_FUNCTION, /* of a module */
    CUDAS_KERNEL,   /* of a library */
    CUDAS_PHYS,
};

/* The command that made an object. */
struct cudas_record {
    uint64_t number;
    uint32_t op, size_bytes;
    uint8_t bytes[];
};

/* First member of every object. */
struct cudas_object {
    uint64_t id;
    enum cudas_kind kind;
    _Atomic uint32_t refs;
    struct cudas_context *context; /* holds a reference; NULL: belongs to none */
    struct cudas_object *parent;   /* image of a function; holds a reference; else NULL */
    struct cudas_record *record;   /* NULL: its parent's */
    void (*destroy)(struct cudas_object *object); /* with the last reference */
    struct fab_list link;                         /* of the table, while it has an id */
};

struct cudas_objects {
    struct fab_mutex lock;
    struct fab_map by_id;
    struct fab_list all;
};

FAB_NODISCARD enum fab_status cudas_objects_create(struct cudas_objects **objects_out,
                                                   struct fab_err *err);
void cudas_objects_destroy(struct cudas_objects *objects); /* takes NULL; drops what is left */

/* Gives a new object its id and one reference, which the table holds. `command` (may be NULL) is
 * copied. CUDA_ERROR_ALREADY_MAPPED: the id is in use, or 0; CUDA_ERROR_OUT_OF_MEMORY. On failure
 * the object is the caller's as before. */
CUresult cudas_object_add(struct cudas_worker *worker, struct cudas_object *object,
                          const struct cudas_command *command);
/* The object of that kind with one more reference, or NULL. */
struct cudas_object *cudas_object_get(struct cudas_worker *worker, uint64_t id,
                                      enum cudas_kind kind);
void cudas_object_ref(struct cudas_object *object);
void cudas_object_put(struct cudas_object *object); /* takes NULL */
/* Takes the id away; the table's reference is the caller's then. NULL: no such object. */
struct cudas_object *cudas_object_remove(struct cudas_worker *worker, uint64_t id,
                                         enum cudas_kind kind);
/* Drops all objects that belong to the context, or whose parent is `parent` (the other is NULL). */
void cudas_objects_drop(struct cudas_worker *worker, const struct cudas_context *context,
                        const struct cudas_object *parent);

#endif /* CUDA_SERVER_OBJECT_H */
