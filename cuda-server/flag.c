/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/flag.c - see flag.h; host functions of the client are flags with a message before.
 */
#include "cuda-server/flag.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cuda-server/outbox.h"
#include "cuda-server/text.h"
#include "cuda-server/transfer.h"

enum { EARLY_MAX = 1 << 16 }; /* flags that were set and nobody waited for: a client's mistake */

struct flag {
    bool is_set;
    CUresult result;
    struct fab_vec waits; /* struct cudas_wait */
};

struct cudas_flags {
    struct fab_mutex lock;
    struct fab_map by_id;
    uint32_t early_count;
};

enum fab_status cudas_flags_create(struct cudas_flags **flags_out, struct fab_err *err)
{
    struct cudas_flags *flags = fab_alloc_zeroed(1, sizeof(*flags));

    if (!flags)
        return fab_err_set(err, FAB_ERR_NOMEM, "flags");
    fab_mutex_init(&flags->lock);
    fab_map_init(&flags->by_id);
    *flags_out = flags;
    return FAB_OK;
}

static void flag_free(struct flag *flag)
{
    for (size_t i = 0; i < flag->waits.count; i++)
        cudas_wait_end(fab_vec_at(&flag->waits, struct cudas_wait, i));
    fab_vec_fini(&flag->waits);
    free(flag);
}

void cudas_flags_destroy(struct cudas_flags *flags)
{
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    if (!flags)
        return;
    while ((entry = fab_map_next(&flags->by_id, &cursor)) != NULL)
        flag_free(entry->value);
    fab_map_fini(&flags->by_id);
    fab_mutex_fini(&flags->lock);
    free(flags);
}

static struct flag *find_or_make_locked(struct cudas_flags *flags, uint64_t id)
{
    struct flag *flag = fab_map_find(&flags->by_id, id);

    if (flag)
        return flag;
    flag = fab_alloc_zeroed(1, sizeof(*flag));
    if (!flag)
        return NULL;
    fab_vec_init(&flag->waits, sizeof(struct cudas_wait));
    if (fab_map_put(&flags->by_id, id, flag) != FAB_OK) {
        free(flag);
        return NULL;
    }
    return flag;
}

/* Takes the flag off if it was set already. */
static struct flag *take_set_locked(struct cudas_flags *flags, uint64_t id)
{
    struct flag *flag = fab_map_find(&flags->by_id, id);

    if (!flag || !flag->is_set)
        return NULL;
    (void)fab_map_remove(&flags->by_id, id);
    flags->early_count--;
    return flag;
}

/* What a flag's result is to those that waited. */
static CUresult result_for_others(CUresult result)
{
    return cudas_is_sticky(result) ? CUDA_SUCCESS : result;
}

CUresult cudas_flag_wait(struct cudas_worker *worker, uint64_t id, struct cudas_context *context,
                         CUstream stream)
{
    struct cudas_flags *flags = worker->flags;
    struct cudas_wait wait = {.context = NULL};
    CUresult result = cudas_wait_begin(context, stream, &wait);
    struct flag *set, *flag;

    if (result != CUDA_SUCCESS)
        return result;
    fab_mutex_lock(&flags->lock);
    set = take_set_locked(flags, id);
    flag = set ? NULL : find_or_make_locked(flags, id);
    if (flag && fab_vec_push(&flag->waits, &wait) == FAB_OK)
        wait.context = NULL;
    fab_mutex_unlock(&flags->lock);
    if (set) {
        if (set->result != CUDA_SUCCESS)
            cudas_context_failed(context, set->result);
        flag_free(set);
    } else if (wait.context) {
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    cudas_wait_end(&wait);
    return result;
}

void cudas_flag_set(struct cudas_worker *worker, uint64_t id, CUresult result)
{
    struct cudas_flags *flags = worker->flags;
    struct flag *flag;
    bool is_lost = false;

    fab_mutex_lock(&flags->lock);
    flag = fab_map_find(&flags->by_id, id);
    if (flag && !flag->is_set) {
        (void)fab_map_remove(&flags->by_id, id);
    } else {
        if (!flag && flags->early_count < EARLY_MAX)
            flag = find_or_make_locked(flags, id);
        is_lost = !flag;
        if (flag && !flag->is_set) {
            flag->is_set = true;
            flag->result = result_for_others(result);
            flags->early_count++;
        }
        flag = NULL;
    }
    fab_mutex_unlock(&flags->lock);
    if (is_lost)
        cudas_condemn(worker, "too many flags that nobody waits for");
    if (!flag)
        return;
    result = result_for_others(result);
    for (size_t i = 0; result != CUDA_SUCCESS && i < flag->waits.count; i++)
        cudas_context_failed(fab_vec_at(&flag->waits, struct cudas_wait, i)->context, result);
    flag_free(flag);
}

void cudas_flags_set_all(struct cudas_worker *worker)
{
    struct cudas_flags *flags = worker->flags;
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    fab_mutex_lock(&flags->lock);
    while ((entry = fab_map_next(&flags->by_id, &cursor)) != NULL) {
        struct flag *flag = entry->value;

        for (size_t i = 0; i < flag->waits.count; i++)
            cudas_wait_end(fab_vec_at(&flag->waits, struct cudas_wait, i));
        flag->waits.count = 0;
    }
    fab_mutex_unlock(&flags->lock);
}

/* ---- commands -------------------------------------------------------------------------------- */

static CUresult flag_wait(struct cudas_worker *worker, const struct wire_flag_wait *m,
                          const struct cudas_place *place)
{
    CUstream stream = place->stream->handle;
    CUresult result = m->whole_ctx ? cudas_hold_begin(place->context, &stream) : CUDA_SUCCESS;

    if (result == CUDA_SUCCESS)
        result = cudas_flag_wait(worker, m->flag, place->context, stream);
    if (result == CUDA_SUCCESS && m->whole_ctx)
        result = cudas_hold_end(place->context);
    return result;
}

void cudas_on_flag_wait(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct wire_flag_wait m;
    CUresult result;

    if (!wire_get_flag_wait(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_scope_get(worker, m.ctx, m.stream, m.whole_ctx, &place);
    if (result == CUDA_SUCCESS)
        result = flag_wait(worker, &m, &place);
    cudas_posted(worker, place.context, result);
    cudas_place_put(&place);
}

/* ---- host functions -------------------------------------------------------------------------- */

struct host_call {
    struct cudas_worker *worker;
    uint64_t token;
};

static void tell_client(struct host_call *call, CUresult result)
{
    uint64_t landed[CUDAS_LANDED_MAX];
    struct wire_host_run m = {.token = call->token, .result = (int32_t)result, .landed = landed};
    struct wire_parts parts;

    cudas_text_send(call->worker);
    m.landed_count = cudas_landed(call->worker, landed);
    wire_put_host_run(&m, &parts);
    cudas_signal(call->worker, WIRE_HOST_RUN, &parts);
    free(call);
}

/* Called by the driver in stream order. */
static void run_function(void *arg)
{
    tell_client(arg, CUDA_SUCCESS);
}

static void run_callback(CUstream stream, CUresult status, void *arg)
{
    (void)stream;
    tell_client(arg, status);
}

static CUresult host_call(struct cudas_worker *worker, const struct wire_host_call *m,
                          const struct cudas_place *place)
{
    const struct cudas_driver *cu = &worker->cu;
    CUstream stream = place->stream->handle;
    struct host_call *call = fab_alloc_zeroed(1, sizeof(*call));
    CUresult result;

    if (!call)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *call = (struct host_call){.worker = worker, .token = m->token};
    if (m->kind == WIRE_HOST_CALLBACK)
        result = cu->cuStreamAddCallback(stream, run_callback, call, 0);
    else
        result = cu->cuLaunchHostFunc(stream, run_function, call);
    if (result != CUDA_SUCCESS) {
        free(call);
        return result;
    }
    return cudas_flag_wait(worker, m->token, place->context, stream);
}

void cudas_on_host_call(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_place place = {.context = NULL};
    struct wire_host_call m;
    CUresult result;

    if (!wire_get_host_call(command->bytes, command->size_bytes, &m) ||
        m.kind > WIRE_HOST_CALLBACK) {
        cudas_malformed(worker, command);
        return;
    }
    result = cudas_work_place_get(worker, m.ctx, m.stream, &place);
    if (result == CUDA_SUCCESS)
        result = host_call(worker, &m, &place);
    cudas_posted(worker, place.context, result);
    cudas_place_put(&place);
}
