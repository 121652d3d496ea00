/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/image.c - code on its way to a worker, and what the worker says of it.
 *
 * A worker is asked by hash first: it may have the code from an earlier module, or an earlier
 * process of the same user. Only when it does not are the bytes sent.
 */
#include "cuda-client/code_int.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nettle/sha2.h>

#include "base/alloc.h"
#include "base/err.h"
#include "cuda-common/fatbin.h"

enum {
    PIECE_BYTES = 256 << 10, /* of code in one message */
    LOG_BYTES_MAX = 64 << 10,
    OPTIONS_MAX = 64,
    FUNCTION_IDS = 1 << 20, /* reserved for each image: limit `functions` of api.toml */
    PARAMS_MAX = 4096,      /* of one function; PTX allows 32764 bytes of them */
};

_Static_assert(SHA256_DIGEST_SIZE == CODE_HASH_BYTES, "hash of the wire");

uint64_t cudac_function_ids_new(void)
{
    return cudac_ids_new(FUNCTION_IDS);
}

/* ---- code ----------------------------------------------------------------------------------- */

static void hash_code(struct cudac_image *image)
{
    struct sha256_ctx context;

    sha256_init(&context);
    sha256_update(&context, image->code_bytes, image->code);
    sha256_digest(&context, sizeof(image->hash), image->hash);
}

static CUresult keep_code(struct cudac_image *image, const struct cuc_code *code)
{
    image->code = code->start;
    image->code_bytes = code->bytes;
    image->owned = code->made;
    if (image->is_preserved || image->owned)
        return CUDA_SUCCESS;
    image->owned = fab_alloc(code->bytes);
    if (!image->owned)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(image->owned, code->start, code->bytes);
    image->code = image->owned;
    return CUDA_SUCCESS;
}

CUresult cudac_image_of_code(const void *code, size_t code_bytes, bool is_preserved,
                             struct cuc_jit *jit, struct cudac_image **image_out)
{
    struct fab_err err = {.status = FAB_OK};
    struct cuc_code measured = {0};
    struct cudac_image *image;
    enum fab_status status = cuc_code_measure(code, code_bytes, &measured, &err);
    CUresult result;

    if (status != FAB_OK) {
        cuc_jit_error(jit, err.text);
        return status == FAB_ERR_NOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_IMAGE;
    }
    image = fab_alloc_zeroed(1, sizeof(*image));
    if (!image) {
        free(measured.made);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    atomic_init(&image->refs, 1);
    fab_map_init(&image->by_name);
    image->is_preserved = is_preserved;
    result = keep_code(image, &measured);
    if (result != CUDA_SUCCESS) {
        cudac_image_put(image);
        return result;
    }
    hash_code(image);
    *image_out = image;
    return CUDA_SUCCESS;
}

static CUresult read_all(int fd, void **code_out, size_t *code_bytes_out)
{
    struct stat info;
    size_t size_bytes, done = 0;
    char *code;

    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return CUDA_ERROR_INVALID_VALUE;
    size_bytes = (size_t)info.st_size;
    code = fab_alloc_zeroed(size_bytes + sizeof(uint64_t), 1); /* zeros end a PTX text */
    if (!code)
        return CUDA_ERROR_OUT_OF_MEMORY;
    while (done < size_bytes) {
        ssize_t got = read(fd, code + done, size_bytes - done);

        if (got <= 0) {
            free(code);
            return CUDA_ERROR_OPERATING_SYSTEM;
        }
        done += (size_t)got;
    }
    *code_out = code;
    *code_bytes_out = size_bytes;
    return CUDA_SUCCESS;
}

CUresult cudac_image_of_file(const char *path, struct cuc_jit *jit, struct cudac_image **image_out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t code_bytes = 0;
    void *code = NULL;
    CUresult result;

    if (fd < 0)
        return CUDA_ERROR_FILE_NOT_FOUND;
    result = read_all(fd, &code, &code_bytes);
    (void)close(fd);
    if (result == CUDA_SUCCESS && code_bytes == 0)
        result = CUDA_ERROR_INVALID_IMAGE;
    if (result == CUDA_SUCCESS)
        result = cudac_image_of_code(code, code_bytes, /* is_preserved */ false, jit, image_out);
    free(code);
    return result;
}

void cudac_image_put(struct cudac_image *image)
{
    if (!image || atomic_fetch_sub_explicit(&image->refs, 1, memory_order_acq_rel) != 1)
        return;
    fab_map_fini(&image->by_name);
    free(image->params);
    free(image->names);
    free(image->symbols);
    free(image->owned);
    free(image);
}

int cudac_image_find(const struct cudac_image *image, const char *name)
{
    const uintptr_t found = (uintptr_t)fab_map_find_text(&image->by_name, name);

    return (int)found - 1;
}

/* ---- what the worker says ------------------------------------------------------------------- */

/* Copies names (each with a NUL behind it) and parameters; false: out of bounds. */
static bool take_function(struct cudac_image *image, const struct wire_image_load_reply *reply,
                          const struct wire_function *function, char **name_at, uint32_t **param_at)
{
    struct cudac_symbol *symbol = &image->symbols[image->count];
    const char *names = reply->names;
    uint32_t *offset = *param_at, *size = *param_at + function->param_count;

    if (function->name_at > reply->names_count ||
        function->name_bytes > reply->names_count - function->name_at ||
        function->param_at > reply->params_count ||
        function->param_count > reply->params_count - function->param_at)
        return false;
    for (uint32_t i = 0; i < function->param_count; i++) {
        const struct wire_param *param = &reply->params[function->param_at + i];

        if (param->offset > function->param_bytes ||
            param->bytes > function->param_bytes - param->offset)
            return false;
        offset[i] = param->offset;
        size[i] = param->bytes;
    }
    memcpy(*name_at, names + function->name_at, function->name_bytes);
    (*name_at)[function->name_bytes] = '\0';
    *symbol = (struct cudac_symbol){.name = *name_at,
                                    .params = {.count = function->param_count,
                                               .bytes = function->param_bytes,
                                               .offset = offset,
                                               .size = size},
                                    .flags = function->flags};
    memcpy(symbol->attributes, function->attributes, sizeof(symbol->attributes));
    *name_at += function->name_bytes + 1;
    *param_at += 2 * (size_t)function->param_count;
    return true;
}

/* How much the functions' names and parameters need, with what two of them share counted twice. */
static bool measure_reply(const struct wire_image_load_reply *reply, size_t *name_bytes_out,
                          size_t *param_count_out)
{
    size_t name_bytes = 0, param_count = 0;

    for (uint32_t i = 0; i < reply->functions_count; i++) {
        if (reply->functions[i].param_count > PARAMS_MAX ||
            reply->functions[i].name_bytes > reply->names_count ||
            reply->functions[i].param_bytes > 32768)
            return false;
        name_bytes += reply->functions[i].name_bytes + 1;
        param_count += reply->functions[i].param_count;
    }
    *name_bytes_out = name_bytes;
    *param_count_out = param_count;
    return true;
}

static CUresult take_functions(struct cudac_image *image, struct cudac_worker *worker,
                               const struct wire_image_load_reply *reply)
{
    size_t name_bytes = 0, param_count = 0;
    char *name_at;
    uint32_t *param_at;

    if (!measure_reply(reply, &name_bytes, &param_count) ||
        reply->functions_count > reply->function_count)
        return cudac_worker_broken(worker, "it described functions beyond all bounds");
    image->symbols = fab_alloc_zeroed(reply->functions_count + 1, sizeof(*image->symbols));
    image->names = fab_alloc_zeroed(name_bytes + 1, 1);
    image->params = fab_alloc_zeroed(2 * param_count + 1, sizeof(*image->params));
    if (!image->symbols || !image->names || !image->params)
        return CUDA_ERROR_OUT_OF_MEMORY;
    name_at = image->names;
    param_at = image->params;
    for (uint32_t i = 0; i < reply->functions_count; i++) {
        if (!take_function(image, reply, &reply->functions[i], &name_at, &param_at))
            return cudac_worker_broken(worker, "it described functions out of bounds");
        if (fab_map_put_text(&image->by_name, image->symbols[i].name, (void *)(uintptr_t)(i + 1)) !=
            FAB_OK)
            return CUDA_ERROR_OUT_OF_MEMORY;
        image->count++;
    }
    image->is_complete = reply->complete != 0;
    image->count_in_all = reply->function_count;
    return CUDA_SUCCESS;
}

/* ---- loading -------------------------------------------------------------------------------- */

static CUresult send_code(const struct cudac_image *image, struct cudac_worker *worker)
{
    struct wire_image_bytes piece = {.bytes = image->code_bytes};

    memcpy(piece.hash, image->hash, sizeof(piece.hash));
    for (size_t at = 0; at < image->code_bytes; at += PIECE_BYTES) {
        const size_t left = image->code_bytes - at;
        struct wire_parts parts;
        CUresult result;

        piece.offset = at;
        piece.data = image->code + at;
        piece.data_count = (uint32_t)(left < PIECE_BYTES ? left : PIECE_BYTES);
        wire_put_image_bytes(&piece, &parts);
        result = cudac_post(worker, WIRE_IMAGE_BYTES, &parts, NULL);
        if (result != CUDA_SUCCESS)
            return result;
    }
    return CUDA_SUCCESS;
}

/* Log buffers are ours; of the other options the worker's driver gets the numbers. */
static bool goes_to_worker(CUjit_option option)
{
    return option != CU_JIT_INFO_LOG_BUFFER && option != CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES &&
           option != CU_JIT_ERROR_LOG_BUFFER && option != CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES &&
           option != CU_JIT_WALL_TIME && option != CU_JIT_GLOBAL_SYMBOL_NAMES &&
           option != CU_JIT_GLOBAL_SYMBOL_ADDRESSES && option != CU_JIT_GLOBAL_SYMBOL_COUNT;
}

static uint32_t options_of(const struct cudac_load *load, uint32_t *options, uint64_t *values)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < load->option_count && count < OPTIONS_MAX; i++) {
        if (!goes_to_worker(load->options[i]))
            continue;
        options[count] = (uint32_t)load->options[i];
        values[count++] = (uint64_t)(uintptr_t)load->values[i];
    }
    return count;
}

static uint32_t log_wanted(const struct cuc_jit *jit)
{
    size_t wanted = 0;

    if (jit)
        wanted = jit->info_bytes > jit->error_bytes ? jit->info_bytes : jit->error_bytes;
    return (uint32_t)(wanted < LOG_BYTES_MAX ? wanted : LOG_BYTES_MAX);
}

static void take_logs(const struct wire_image_load_reply *reply, struct cuc_jit *jit)
{
    if (!jit)
        return;
    cuc_jit_log(jit->info_text, jit->info_bytes, reply->info_log, reply->info_log_count,
                &jit->info_used);
    cuc_jit_log(jit->error_text, jit->error_bytes, reply->error_log, reply->error_log_count,
                &jit->error_used);
    jit->wall_time_ms = (float)reply->wall_time_us / 1000.0f;
}

void cudac_image_unload(struct cudac_worker *worker, uint64_t id)
{
    const struct wire_image_unload message = {.image = id};
    struct wire_parts parts;

    wire_put_image_unload(&message, &parts);
    (void)cudac_call(worker, WIRE_IMAGE_UNLOAD, &parts, NULL); /* a lost worker has none */
}

/* One question; *known_out false: the bytes must be sent. */
static CUresult load_once(struct cudac_image *image, struct cudac_worker *worker,
                          const struct wire_image_load *message, struct cuc_jit *jit,
                          bool *known_out)
{
    struct wire_image_load_reply answer;
    struct cudac_reply reply;
    struct wire_parts parts;
    CUresult result;

    wire_put_image_load(message, &parts);
    result = cudac_call(worker, WIRE_IMAGE_LOAD, &parts, &reply);
    *known_out = true;
    if (reply.bytes && !wire_get_image_load_reply(reply.bytes, reply.size_bytes, &answer)) {
        result = cudac_worker_broken(worker, "its reply to image_load does not decode");
    } else if (reply.bytes) {
        *known_out = result != CUDA_ERROR_NOT_FOUND || answer.known != 0;
        if (*known_out)
            take_logs(&answer, jit);
        if (result == CUDA_SUCCESS && !image->symbols) {
            result = take_functions(image, worker, &answer);
            if (result != CUDA_SUCCESS)
                cudac_image_unload(worker, message->image);
        }
    }
    cudac_reply_free(&reply);
    return result;
}

CUresult cudac_image_load(struct cudac_image *image, struct cudac_worker *worker,
                          const struct cudac_load *load)
{
    uint32_t options[OPTIONS_MAX];
    uint64_t values[OPTIONS_MAX];
    struct wire_image_load message = {
        .image = load->id,
        .ctx = load->ctx,
        .bytes = image->code_bytes,
        .first_function = load->first_function,
        .lib_preserved = image->is_preserved,
        .log_bytes = log_wanted(load->jit),
        .options = options,
        .values = values,
    };
    CUresult result;
    bool known = false;

    memcpy(message.hash, image->hash, sizeof(message.hash));
    message.options_count = message.values_count = options_of(load, options, values);
    result = load_once(image, worker, &message, load->jit, &known);
    if (known)
        return result;
    result = send_code(image, worker);
    if (result == CUDA_SUCCESS)
        result = load_once(image, worker, &message, load->jit, &known);
    return known ? result : cudac_worker_broken(worker, "it does not know code it was sent");
}
