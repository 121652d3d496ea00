/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/image.c - from code as programs hand it over to a parsed PTX module.
 */
#include "softcuda/driver/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "softcuda/driver/fatbin.h"
#include "softcuda/driver/trace.h"
#include "softcuda/ptx/ptx.h"

/* The newest PTX that this CUDA version defines. */
enum { PTX_VERSION_MAJOR = 9, PTX_VERSION_MINOR = 0 };

/* One line that says how to build the program: nothing else would tell its user. */
static void say_no_ptx(const struct soft_code *code, uint32_t capability)
{
    if (code->is_relocatable) {
        cuc_say(CU_LOG_LEVEL_ERROR,
                "softcuda: a program's GPU code was built with -rdc=true, whose parts only a GPU's "
                "linker joins, and cannot run here; build it without, with the device code of a "
                "kernel in one source file");
        return;
    }
    cuc_say(CU_LOG_LEVEL_ERROR,
            "softcuda: a program's GPU code %s and cannot run here; build it with "
            "-gencode arch=compute_%u,code=compute_%u (PTX), or take NVRTC's PTX, not its cubin",
            code->has_newer_ptx ? "holds PTX for later devices only" : "holds machine code only",
            capability, capability);
}

static CUresult find_result(enum fab_status status, const struct soft_code *code,
                            uint32_t capability)
{
    if (status == FAB_OK)
        return CUDA_SUCCESS;
    if (status == FAB_ERR_NOT_FOUND) {
        say_no_ptx(code, capability);
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    return status == FAB_ERR_NOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_IMAGE;
}

static CUresult parse(struct soft_image *image, size_t text_bytes, uint32_t capability,
                      struct fab_err *err)
{
    enum fab_status status = ptx_module_parse(image->text, text_bytes, &image->ptx, err);
    const struct ptx_module *ptx = image->ptx;

    if (status != FAB_OK)
        return status == FAB_ERR_NOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_PTX;
    if (ptx->version_major > PTX_VERSION_MAJOR ||
        (ptx->version_major == PTX_VERSION_MAJOR && ptx->version_minor > PTX_VERSION_MINOR)) {
        (void)fab_err_set(err, FAB_ERR_UNSUPPORTED, "PTX version %u.%u, newer than %d.%d",
                          ptx->version_major, ptx->version_minor, PTX_VERSION_MAJOR,
                          PTX_VERSION_MINOR);
        return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    }
    if (ptx->target > capability || ptx->target_suffix != 0) {
        (void)fab_err_set(err, FAB_ERR_UNSUPPORTED, ".target sm_%u%.1s on a device sm_%u",
                          ptx->target, &ptx->target_suffix, capability);
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    return CUDA_SUCCESS;
}

static CUresult collect_entries(struct soft_image *image)
{
    const struct ptx_module *ptx = image->ptx;

    image->entries = fab_alloc_zeroed(ptx->function_count + 1, sizeof(struct ptx_function *));
    if (!image->entries)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < ptx->function_count; i++)
        if (ptx->functions[i]->is_entry && ptx->functions[i]->body)
            image->entries[image->entry_count++] = ptx->functions[i];
    return CUDA_SUCCESS;
}

CUresult soft_image_load(const void *code, size_t code_bytes, uint32_t capability,
                         struct cuc_jit *jit, struct soft_image **image_out)
{
    struct fab_err err = {.status = FAB_OK};
    struct soft_code found;
    struct soft_image *image;
    CUresult result =
        find_result(soft_code_find(code, code_bytes, capability, &found, &err), &found, capability);

    if (result != CUDA_SUCCESS) {
        cuc_jit_error(jit, err.text);
        return result;
    }
    image = fab_alloc_zeroed(1, sizeof(*image));
    if (!image) {
        free(found.text);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    atomic_init(&image->refs, 1);
    (void)pthread_mutex_init(&image->lock, NULL);
    image->text = found.text;
    result = parse(image, found.text_bytes, capability, &err);
    if (result == CUDA_SUCCESS)
        result = collect_entries(image);
    else
        cuc_jit_error(jit, err.text);
    if (result != CUDA_SUCCESS) {
        if (result != CUDA_ERROR_OUT_OF_MEMORY)
            cuc_say(CU_LOG_LEVEL_ERROR, "softcuda: PTX refused: %s", err.text);
        soft_image_put(image);
        return result;
    }
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
    code = fab_alloc_zeroed(size_bytes + sizeof(uint64_t), 1);
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

CUresult soft_image_load_file(const char *path, uint32_t capability, struct cuc_jit *jit,
                              struct soft_image **image_out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t code_bytes = 0;
    void *code = NULL;
    CUresult result;

    if (fd < 0)
        return CUDA_ERROR_FILE_NOT_FOUND;
    result = read_all(fd, &code, &code_bytes); /* zeros behind it end a PTX text */
    (void)close(fd);
    if (result == CUDA_SUCCESS && code_bytes == 0)
        result = CUDA_ERROR_INVALID_IMAGE;
    if (result == CUDA_SUCCESS)
        result = soft_image_load(code, code_bytes, capability, jit, image_out);
    free(code);
    return result;
}

void soft_image_ref(struct soft_image *image)
{
    (void)atomic_fetch_add_explicit(&image->refs, 1, memory_order_relaxed);
}

void soft_image_put(struct soft_image *image)
{
    if (!image || atomic_fetch_sub_explicit(&image->refs, 1, memory_order_acq_rel) != 1)
        return;
    ptx_module_destroy(image->ptx);
    free(image->entries);
    free(image->text);
    (void)pthread_mutex_destroy(&image->lock);
    free(image);
}

int soft_image_find(const struct soft_image *image, const char *name)
{
    for (uint32_t i = 0; i < image->entry_count; i++)
        if (strcmp(image->entries[i]->name, name) == 0)
            return (int)i;
    return -1;
}
