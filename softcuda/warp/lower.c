/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower.c - from a PTX function to a program: the order of the passes.
 *
 * The functions that an entry can call are lowered with it, so that they share its pages and
 * constants. Thread: any; one at a time per module, since bodies are parsed on first use.
 */
#include "softcuda/warp/lower_int.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum {
    REGS_PER_THREAD_MIN = 16, /* what ptxas reports for the smallest kernels */
    THREADS_PER_BLOCK_MAX = 1024,
};

void lower_fail(struct lower *l, enum fab_status status, const char *format, ...)
{
    char text[FAB_ERR_TEXT_BYTES - 32];
    va_list args;

    if (l->status != FAB_OK)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* cut when too long */
    va_end(args);
    l->status = fab_err_set(l->err, status, "line %u: %s", l->line, text);
}

void *lower_alloc(struct lower *l, size_t count, size_t item_bytes)
{
    void *memory = warp_arena_alloc(&l->program->arena, count ? count : 1, item_bytes);

    if (!memory)
        lower_fail(l, FAB_ERR_NOMEM, "out of memory");
    return memory;
}

bool lower_room(struct lower *l, void *array, uint32_t count, uint32_t *room, size_t item_bytes)
{
    void *old, *grown;
    uint32_t wanted = *room ? *room * 2 : 64;

    if (l->status != FAB_OK)
        return false;
    if (count < *room)
        return true;
    memcpy(&old, array, sizeof(old));
    grown = fab_alloc_resize(old, wanted, item_bytes);
    if (!grown) {
        lower_fail(l, FAB_ERR_NOMEM, "out of memory");
        return false;
    }
    memcpy(array, &grown, sizeof(grown));
    *room = wanted;
    return true;
}

static void reset_function(struct lower *l)
{
    free(l->regs);
    free(l->insns);
    free(l->label_at);
    free(l->local.vars);
    l->regs = NULL;
    l->insns = NULL;
    l->label_at = NULL;
    l->local = (struct lower_window){.vars = NULL};
    l->reg_count = l->reg_room = 0;
    l->insn_count = l->insn_room = 0;
    l->label_count = l->label_room = 0;
    l->blocks = NULL;
    l->block_count = l->order_count = 0;
}

static void lower_function(struct lower *l, struct warp_code *code)
{
    static void (*const passes[])(struct lower *) = {
        lower_frame_layout, lower_select, lower_uniform, lower_flow,
        lower_group,        lower_chain,  lower_slots,   lower_emit,
    };

    reset_function(l);
    l->code = code;
    l->function = code->function;
    l->line = code->function->line;
    for (size_t i = 0; i < FAB_ARRAY_LEN(passes) && l->status == FAB_OK; i++)
        passes[i](l);
}

/* Local bytes of the deepest call chain from `code`. A function met twice on a chain recurses. */
static uint32_t stack_depth(struct lower *l, const struct warp_code *code,
                            const struct warp_code **chain, uint32_t depth)
{
    uint32_t deepest = 0;

    for (uint32_t i = 0; i < depth; i++)
        if (chain[i] == code) {
            l->program->recursive = true;
            return 0;
        }
    chain[depth] = code;
    for (uint32_t i = 0; code->calls && i < code->function->insn_count; i++) {
        const struct ptx_insn *in = &code->function->insns[i];
        const struct warp_code *callee;
        uint32_t bytes;

        if (in->op.family != PTX_CALL || in->call->callee.kind != PTX_OPERAND_FUNC)
            continue;
        callee = lower_code_find(l, in->call->callee.symbol);
        if (!callee)
            continue;
        bytes = stack_depth(l, callee, chain, depth + 1);
        if (bytes > deepest)
            deepest = bytes;
    }
    return code->local_bytes + deepest;
}

static void fill_stack(struct lower *l)
{
    struct warp_program *program = l->program;
    const struct warp_code **chain;
    uint32_t code_count = 0;

    for (const struct warp_code *code = program->code; code; code = code->next)
        code_count++;
    chain = lower_alloc(l, code_count + 1, sizeof(const struct warp_code *));
    if (chain)
        program->stack_bytes = stack_depth(l, program->code, chain, 0);
}

static void fill_info(struct lower *l)
{
    struct warp_program *program = l->program;
    struct ptx_function *function = program->function;
    struct warp_program_info *info = &program->info;
    uint32_t *size = lower_alloc(l, function->proto.param_count, sizeof(uint32_t));
    uint64_t threads = 1;

    if (!size)
        return;
    for (uint32_t i = 0; i < function->proto.param_count; i++)
        size[i] = (uint32_t)function->proto.params[i]->bytes;
    info->regs_per_thread = REGS_PER_THREAD_MIN;
    for (const struct warp_code *code = program->code; code; code = code->next)
        if (code->regs_per_thread > info->regs_per_thread)
            info->regs_per_thread = code->regs_per_thread;
    info->static_shared_bytes = l->shared.bytes - program->reserved_shared_bytes;
    info->local_bytes = program->stack_bytes;
    for (uint32_t i = 0; i < l->module->var_count; i++)
        if (l->module->vars[i]->space == PTX_SPACE_CONST)
            info->const_bytes += (uint32_t)l->module->vars[i]->bytes;
    info->max_threads_per_block = THREADS_PER_BLOCK_MAX;
    for (unsigned i = 0; i < 3; i++) {
        threads *= function->maxntid[i] ? function->maxntid[i] : 1;
        info->reqntid[i] = function->reqntid[i];
    }
    if (function->maxntid[0] && threads < THREADS_PER_BLOCK_MAX)
        info->max_threads_per_block = (uint32_t)threads;
    if (function->reqntid[0])
        info->max_threads_per_block = function->reqntid[0] *
                                      (function->reqntid[1] ? function->reqntid[1] : 1) *
                                      (function->reqntid[2] ? function->reqntid[2] : 1);
    info->param_count = function->proto.param_count;
    info->param_bytes = function->param_bytes;
    info->param_offset = function->param_offset;
    info->param_size = size;
}

static void lower_program(struct lower *l)
{
    lower_scan(l);
    for (struct warp_code *code = l->program->code; code && l->status == FAB_OK; code = code->next)
        lower_function(l, code);
    if (l->status == FAB_OK)
        lower_emit_hoisted(l);
    if (l->status == FAB_OK)
        lower_pool_finish(l);
    if (l->status == FAB_OK)
        fill_stack(l);
    if (l->status == FAB_OK)
        fill_info(l);
}

static void lower_fini(struct lower *l)
{
    reset_function(l);
    free(l->consts);
    free(l->inits);
    free(l->page_level);
    free(l->shared.vars);
    for (unsigned i = 0; i < WARP_HOIST_LEVELS; i++)
        free(l->hoisted[i]);
}

enum fab_status warp_program_create(struct ptx_module *module, struct ptx_function *function,
                                    const struct warp_link *link, struct warp_program **program_out,
                                    struct fab_err *err)
{
    static atomic_uint_least64_t next_id = 1;
    const struct warp_policy *policy = link->policy;
    struct lower l = {.module = module, .function = function, .link = link, .err = err};
    struct warp_program *program = fab_alloc_zeroed(1, sizeof(*program));

    if (!program)
        return fab_err_set(err, FAB_ERR_NOMEM, "program record");
    program->module = module;
    program->function = function;
    program->id = atomic_fetch_add(&next_id, 1);
    l.program = program;
    l.isa = warp_isa_select(policy ? policy->isa : NULL);
    l.no_slot_sharing = policy && policy->no_slot_sharing;
    l.no_hoisting = policy && policy->no_hoisting;
    if (l.isa)
        lower_program(&l);
    else
        l.status = fab_err_set(err, FAB_ERR_NOT_FOUND, "this processor has no instruction set %s",
                               policy && policy->isa ? policy->isa : "that SOFTCUDA_ISA names");
    lower_fini(&l);
    if (l.status != FAB_OK) {
        warp_program_destroy(program);
        return l.status;
    }
    *program_out = program;
    return FAB_OK;
}

const struct warp_program_info *warp_program_info(const struct warp_program *program)
{
    return &program->info;
}

const char *warp_program_name(const struct warp_program *program)
{
    return program->function->name;
}

void warp_program_destroy(struct warp_program *program)
{
    if (!program)
        return;
    warp_arena_fini(&program->arena);
    free(program);
}
