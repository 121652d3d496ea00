/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/object.c - see object.h.
 */
#include "cuda-server/object.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cuda-server/context.h"

enum fab_status cudas_objects_create(struct cudas_objects **objects_out, struct fab_err *err)
{
    struct cudas_objects *objects = fab_alloc_zeroed(1, sizeof(*objects));

    if (!objects)
        return fab_err_set(err, FAB_ERR_NOMEM, "object table");
    fab_mutex_init(&objects->lock);
    fab_map_init(&objects->by_id);
    fab_list_init(&objects->all);
    *objects_out = objects;
    return FAB_OK;
}

void cudas_objects_destroy(struct cudas_objects *objects)
{
    struct fab_list *node;

    if (!objects)
        return;
    while ((node = fab_list_take(&objects->all)) != NULL)
        cudas_object_put(fab_list_object(node, struct cudas_object, link));
    fab_map_fini(&objects->by_id);
    fab_mutex_fini(&objects->lock);
    free(objects);
}

static struct cudas_record *record_of(const struct cudas_command *command)
{
    struct cudas_record *record = fab_alloc(sizeof(*record) + command->size_bytes);

    if (!record)
        return NULL;
    *record = (struct cudas_record){
        .number = command->number, .op = command->op, .size_bytes = (uint32_t)command->size_bytes};
    if (command->size_bytes > 0)
        memcpy(record->bytes, command->bytes, command->size_bytes);
    return record;
}

static CUresult enter_locked(struct cudas_objects *objects, struct cudas_object *object)
{
    if (object->id == 0 || fab_map_find(&objects->by_id, object->id))
        return CUDA_ERROR_ALREADY_MAPPED;
    if (fab_map_put(&objects->by_id, object->id, object) != FAB_OK)
        return CUDA_ERROR_OUT_OF_MEMORY;
    fab_list_append(&objects->all, &object->link);
    return CUDA_SUCCESS;
}

CUresult cudas_object_add(struct cudas_worker *worker, struct cudas_object *object,
                          const struct cudas_command *command)
{
    struct cudas_record *record = NULL;
    CUresult result;

    if (command) {
        record = record_of(command);
        if (!record)
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    atomic_store_explicit(&object->refs, 1, memory_order_relaxed);
    fab_mutex_lock(&worker->objects->lock);
    result = enter_locked(worker->objects, object);
    if (result == CUDA_SUCCESS) {
        object->record = record;
        record = NULL;
        if (object->context)
            cudas_object_ref(&object->context->object);
        if (object->parent)
            cudas_object_ref(object->parent);
    }
    fab_mutex_unlock(&worker->objects->lock);
    free(record);
    return result;
}

struct cudas_object *cudas_object_get(struct cudas_worker *worker, uint64_t id,
                                      enum cudas_kind kind)
{
    struct cudas_object *object;

    fab_mutex_lock(&worker->objects->lock);
    object = fab_map_find(&worker->objects->by_id, id);
    if (object && object->kind == kind)
        cudas_object_ref(object);
    else
        object = NULL;
    fab_mutex_unlock(&worker->objects->lock);
    return object;
}

void cudas_object_ref(struct cudas_object *object)
{
    (void)atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
}

void cudas_object_put(struct cudas_object *object)
{
    struct cudas_object *parent;
    struct cudas_context *context;

    if (!object || atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel) != 1)
        return;
    context = object->context;
    parent = object->parent;
    free(object->record);
    object->destroy(object);
    cudas_object_put(parent);
    if (context)
        cudas_object_put(&context->object);
}

static void leave_locked(struct cudas_objects *objects, struct cudas_object *object)
{
    (void)fab_map_remove(&objects->by_id, object->id);
    fab_list_remove(&object->link);
}

struct cudas_object *cudas_object_remove(struct cudas_worker *worker, uint64_t id,
                                         enum cudas_kind kind)
{
    struct cudas_objects *objects = worker->objects;
    struct cudas_object *object;

    fab_mutex_lock(&objects->lock);
    object = fab_map_find(&objects->by_id, id);
    if (object && object->kind == kind)
        leave_locked(objects, object);
    else
        object = NULL;
    fab_mutex_unlock(&objects->lock);
    return object;
}

void cudas_objects_drop(struct cudas_worker *worker, const struct cudas_context *context,
                        const struct cudas_object *parent)
{
    struct cudas_objects *objects = worker->objects;
    struct fab_list dropped;
    struct fab_list *node;

    fab_list_init(&dropped);
    fab_mutex_lock(&objects->lock);
    FAB_LIST_EACH(at, after, &objects->all)
    {
        struct cudas_object *object = fab_list_object(at, struct cudas_object, link);

        if ((context && object->context == context) || (parent && object->parent == parent)) {
            leave_locked(objects, object);
            fab_list_append(&dropped, &object->link);
        }
    }
    fab_mutex_unlock(&objects->lock);
    while ((node = fab_list_take(&dropped)) != NULL)
        cudas_object_put(fab_list_object(node, struct cudas_object, link));
}
