/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/copy.c - moving and setting memory as stream commands.
 */
#include "softcuda/driver/copy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "softcuda/driver/context_int.h"
#include "softcuda/driver/mem.h"
#include "softcuda/driver/stream_int.h"
#include "softcuda/driver/va.h"

enum {
    PIECE_BYTES = 1 << 20,    /* what one worker takes at a time */
    PAGE_BYTES = 4096,        /* the smallest there is: larger ones make mincore() fail, at worst */
    INLINE_BYTES = 16 << 10,  /* up to this a transfer is not worth another thread */
    STAGING_BYTES = 64 << 10, /* pageable sources up to this are copied aside, as CUDA documents */
    HELPERS_MAX = 15,
};

/* In a command's data. */
struct transfer {
    struct soft_transfer what;
    void *staging; /* what.src points here; freed with the command */
    size_t rows_per_piece;
    uint64_t piece_count;
    _Atomic uint64_t next_piece, done_pieces;
};
_Static_assert(sizeof(struct transfer) <= SOFT_COMMAND_DATA_BYTES, "fits into a command");

static struct transfer *transfer_of(struct soft_command *command)
{
    return (struct transfer *)(void *)command->data;
}

static uint8_t *at_address(uint64_t address)
{
    return (uint8_t *)(uintptr_t)address; // NOLINT(performance-no-int-to-ptr)
}

/* ---- doing it ------------------------------------------------------------------------------- */

/* True: the pages were never written, or are swapped out, and are holes of their file now, which
 * read as zero. So setting a whole device costs no memory of the machine; pages that are there are
 * as quickly set as given back; but to look takes longest, so of a vast set all are given back.
 * Source: madvise(2), MADV_REMOVE; mincore(2). */
static bool set_hole(uint64_t dst, size_t width, bool is_vast)
{
    unsigned char there[PIECE_BYTES / PAGE_BYTES];

    if (dst % PAGE_BYTES != 0 || width != PIECE_BYTES ||
        (!is_vast && mincore(at_address(dst), width, there) != 0))
        return false;
    for (size_t i = 0; !is_vast && i < sizeof(there); i++)
        if (there[i] & 1)
            return false;
    return madvise(at_address(dst), width, MADV_REMOVE) == 0;
}

static void do_row(const struct soft_transfer *what, uint64_t dst, uint64_t src, size_t width)
{
    if (what->is_sparse && what->value == 0 && set_hole(dst, width, what->is_vast))
        return;
    if (what->value_bytes)
        cuc_set_row(at_address(dst), width, what->value, what->value_bytes);
    else
        memmove(at_address(dst), at_address(src), width);
}

/* A single row is cut by bytes, more rows by rows. */
static void do_piece(const struct transfer *transfer, uint64_t piece)
{
    const struct soft_transfer *what = &transfer->what;
    uint64_t row, end, rows = (uint64_t)what->height * what->depth;

    if (rows == 1) {
        uint64_t offset = piece * PIECE_BYTES, left = what->width - offset;

        do_row(what, what->dst + offset, what->src + offset,
               (size_t)(left < PIECE_BYTES ? left : PIECE_BYTES));
        return;
    }
    row = piece * transfer->rows_per_piece;
    end = row + transfer->rows_per_piece < rows ? row + transfer->rows_per_piece : rows;
    for (; row < end; row++) {
        uint64_t layer = row / what->height, line = row % what->height;

        do_row(what, what->dst + layer * what->dst_layer + line * what->dst_pitch,
               what->src + layer * what->src_layer + line * what->src_pitch, what->width);
    }
}

/* Takes pieces until none is left. True for the one caller that did the last one. */
static bool do_pieces(struct transfer *transfer)
{
    bool was_last = false;

    for (;;) {
        uint64_t piece = atomic_fetch_add_explicit(&transfer->next_piece, 1, memory_order_relaxed);

        if (piece >= transfer->piece_count)
            return was_last;
        do_piece(transfer, piece);
        was_last = atomic_fetch_add_explicit(&transfer->done_pieces, 1, memory_order_acq_rel) + 1 ==
                   transfer->piece_count;
    }
}

/* A helper that comes late finds no piece; its reference keeps the command for that look. */
static void help_transfer(void *arg)
{
    struct soft_command *command = arg;

    if (do_pieces(transfer_of(command)))
        soft_command_finish(command, CUDA_SUCCESS);
    soft_command_unref(command);
}

static void transfer_start(struct soft_command *command)
{
    struct transfer *transfer = transfer_of(command);
    uint64_t helpers = transfer->piece_count - 1;

    if (helpers > 0) {
        unsigned workers = warp_pool_worker_count(soft_engine());

        helpers = helpers < workers ? helpers : workers;
        helpers = helpers < HELPERS_MAX ? helpers : HELPERS_MAX;
    }
    soft_command_ref(command); /* first: helpers may do it all before the last one is called */
    for (uint64_t i = 0; i < helpers; i++) {
        soft_command_ref(command);
        if (warp_pool_run(soft_engine(), help_transfer, command) != FAB_OK) {
            soft_command_unref(command); /* then fewer hands do the work */
            break;
        }
    }
    help_transfer(command);
}

static void transfer_clear(struct soft_command *command)
{
    free(transfer_of(command)->staging);
}

static const struct soft_command_ops large_ops = {
    .name = "copy", .start = transfer_start, .clear = transfer_clear, .on_worker = true};
static const struct soft_command_ops small_ops = {
    .name = "copy", .start = transfer_start, .clear = transfer_clear};

/* ---- submitting ----------------------------------------------------------------------------- */

/* Rows that lie end to end are one row, layers likewise. */
static struct soft_transfer join_rows(struct soft_transfer what)
{
    bool is_set = what.value_bytes != 0;

    if (what.height > 1 && what.dst_pitch == what.width &&
        (is_set || what.src_pitch == what.width) &&
        (what.depth == 1 || (what.dst_layer == what.width * what.height &&
                             (is_set || what.src_layer == what.width * what.height)))) {
        what.width *= what.height * what.depth;
        what.height = what.depth = 1;
    }
    return what;
}

static void plan_pieces(struct transfer *transfer)
{
    const struct soft_transfer *what = &transfer->what;
    uint64_t rows = (uint64_t)what->height * what->depth;

    atomic_init(&transfer->next_piece, 0);
    atomic_init(&transfer->done_pieces, 0);
    if (rows == 1) {
        transfer->rows_per_piece = 1;
        transfer->piece_count = (what->width + PIECE_BYTES - 1) / PIECE_BYTES;
        return;
    }
    transfer->rows_per_piece = what->width < PIECE_BYTES ? PIECE_BYTES / what->width : 1;
    transfer->piece_count = (rows + transfer->rows_per_piece - 1) / transfer->rows_per_piece;
}

/* False: no memory; the transfer is as it was. */
static bool stage_source(struct transfer *transfer)
{
    struct soft_transfer *what = &transfer->what;
    uint64_t rows = (uint64_t)what->height * what->depth;
    uint8_t *staging = fab_alloc(what->width * rows);

    if (!staging)
        return false;
    for (uint64_t row = 0; row < rows; row++)
        memcpy(staging + row * what->width,
               at_address(what->src + row / what->height * what->src_layer +
                          row % what->height * what->src_pitch),
               what->width);
    transfer->staging = staging;
    what->src = (uint64_t)(uintptr_t)staging;
    what->src_pitch = what->width;
    what->src_layer = what->width * what->height;
    return true;
}

CUresult soft_transfer_submit(struct soft_stream *stream, const struct soft_transfer *what,
                              enum soft_wait wait)
{
    uint64_t bytes = (uint64_t)what->width * what->height * what->depth;
    struct soft_command *command;
    struct transfer *transfer;
    CUresult result = CUDA_SUCCESS;

    if (bytes == 0)
        return wait == SOFT_WAIT_NEVER ? CUDA_SUCCESS : soft_stream_wait(stream);
    command =
        soft_command_new(stream->context, stream, bytes <= INLINE_BYTES ? &small_ops : &large_ops);
    if (!command)
        return CUDA_ERROR_OUT_OF_MEMORY;
    transfer = transfer_of(command);
    transfer->what = join_rows(*what);
    transfer->staging = NULL;
    plan_pieces(transfer);
    if (wait == SOFT_WAIT_SOURCE && bytes <= STAGING_BYTES && stage_source(transfer)) {
        transfer->what = join_rows(transfer->what);
        plan_pieces(transfer);
        wait = SOFT_WAIT_NEVER;
    }
    if (wait == SOFT_WAIT_NEVER) {
        soft_command_submit(command);
        return CUDA_SUCCESS;
    }
    result = soft_command_submit_and_wait(command);
    soft_text_flush(&stream->context->text);
    return result;
}

/* ---- addresses ------------------------------------------------------------------------------ */

CUresult soft_side_check(struct soft_context *context, enum cuc_side side, uint64_t address,
                         uint64_t bytes, bool write)
{
    struct mem_info info;

    if (bytes == 0)
        return CUDA_SUCCESS;
    if (side == CUC_SIDE_HOST)
        return address ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    /* What nobody allocated is the program's own memory, unless it lies where only we allocate:
     * then it was freed. */
    if (side == CUC_SIDE_ANY && !soft_mem_find(address, &info))
        return address && !va_is_ours(address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    return soft_mem_check(context, address, bytes, write);
}

bool soft_is_pageable(uint64_t address)
{
    struct mem_info info;

    return !soft_mem_find(address, &info);
}

static enum soft_wait line_wait(const struct soft_line *line, bool is_async)
{
    bool dst_pageable = line->dst_side != CUC_SIDE_DEVICE && soft_is_pageable(line->dst);
    bool src_pageable = line->src_side != CUC_SIDE_DEVICE && soft_is_pageable(line->src);

    if (dst_pageable)
        return SOFT_WAIT_DONE;
    if (is_async)
        return src_pageable ? SOFT_WAIT_SOURCE : SOFT_WAIT_NEVER;
    /* Between device memories even the plain call returns before it is done. */
    if (line->dst_side == CUC_SIDE_DEVICE && line->src_side == CUC_SIDE_DEVICE)
        return SOFT_WAIT_NEVER;
    return SOFT_WAIT_DONE;
}

CUresult soft_line_copy(CUstream handle, const struct soft_line *line, bool is_async)
{
    struct soft_transfer what = {
        .dst = line->dst, .src = line->src, .width = line->bytes, .height = 1, .depth = 1};
    struct soft_stream *stream;
    CUresult result = soft_stream_get(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = soft_side_check(line->dst_context, line->dst_side, line->dst, line->bytes,
                             /* write */ true);
    if (result == CUDA_SUCCESS)
        result = soft_side_check(line->src_context, line->src_side, line->src, line->bytes,
                                 /* write */ false);
    if (result == CUDA_SUCCESS)
        result = soft_transfer_submit(stream, &what, line_wait(line, is_async));
    soft_stream_put(stream);
    return result;
}
