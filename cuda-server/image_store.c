/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/image_store.c - see image_store.h.
 */
#include "cuda-server/image_store.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/mutex.h"

#define CODE_MAX_BYTES (UINT64_C(2) << 30)  /* of one code: far above what toolkits make */
#define STORE_MAX_BYTES (UINT64_C(8) << 30) /* of all in a session */

enum { KEY_BYTES = 2 * CUDAS_HASH_BYTES + 1, PATH_BYTES = 4096 };

struct code {
    uint64_t size_bytes, have_bytes;
    bool is_complete;
    uint8_t bytes[];
};

struct cudas_images {
    char *folder;
    struct fab_mutex lock; /* guards what follows */
    struct fab_map by_hash;
    uint64_t total_bytes;
};

enum fab_status cudas_images_create(const char *folder, struct cudas_images **images_out,
                                    struct fab_err *err)
{
    struct cudas_images *images = fab_alloc_zeroed(1, sizeof(*images));

    if (images && folder)
        images->folder = fab_alloc_text(folder);
    if (!images || (folder && !images->folder)) {
        free(images);
        return fab_err_set(err, FAB_ERR_NOMEM, "store of device code");
    }
    fab_mutex_init(&images->lock);
    fab_map_init(&images->by_hash);
    *images_out = images;
    return FAB_OK;
}

void cudas_images_destroy(struct cudas_images *images)
{
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    if (!images)
        return;
    while ((entry = fab_map_next(&images->by_hash, &cursor)) != NULL)
        free(entry->value);
    fab_map_fini(&images->by_hash);
    fab_mutex_fini(&images->lock);
    free(images->folder);
    free(images);
}

static void key_of(const uint8_t hash[CUDAS_HASH_BYTES], char key_out[KEY_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < CUDAS_HASH_BYTES; i++) {
        key_out[2 * i] = digits[hash[i] >> 4];
        key_out[2 * i + 1] = digits[hash[i] & 0xf];
    }
    key_out[KEY_BYTES - 1] = '\0';
}

static bool has_hash(const struct code *code, const uint8_t hash[CUDAS_HASH_BYTES])
{
    uint8_t digest[CUDAS_HASH_BYTES];
    struct sha256_ctx state;

    sha256_init(&state);
    sha256_update(&state, code->size_bytes, code->bytes);
    sha256_digest(&state, sizeof(digest), digest);
    return memcmp(digest, hash, sizeof(digest)) == 0;
}

/* A new entry for a code of that size, or NULL. */
static struct code *enter_locked(struct cudas_images *images, const char *key, uint64_t size_bytes)
{
    struct code *code;

    if (size_bytes == 0 || size_bytes > CODE_MAX_BYTES ||
        size_bytes > STORE_MAX_BYTES - images->total_bytes)
        return NULL;
    code = fab_alloc(sizeof(*code) + size_bytes);
    if (!code)
        return NULL;
    *code = (struct code){.size_bytes = size_bytes};
    if (fab_map_put_text(&images->by_hash, key, code) != FAB_OK) {
        free(code);
        return NULL;
    }
    images->total_bytes += size_bytes;
    return code;
}

static void drop_locked(struct cudas_images *images, const char *key)
{
    struct code *code = fab_map_remove_text(&images->by_hash, key);

    if (code)
        images->total_bytes -= code->size_bytes;
    free(code);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static bool read_all(int fd, uint8_t *bytes, uint64_t size_bytes)
{
    uint64_t at = 0;

    while (at < size_bytes) {
        const ssize_t count = read(fd, bytes + at, size_bytes - at);

        if (count <= 0 && !(count < 0 && errno == EINTR))
            return false;
        at += count > 0 ? (uint64_t)count : 0;
    }
    return true;
}

static bool write_all(int fd, const uint8_t *bytes, uint64_t size_bytes)
{
    uint64_t at = 0;

    while (at < size_bytes) {
        const ssize_t count = write(fd, bytes + at, size_bytes - at);

        if (count <= 0 && !(count < 0 && errno == EINTR))
            return false;
        at += count > 0 ? (uint64_t)count : 0;
    }
    return true;
}

/* An earlier session's code, if it is whole. */
static struct code *load_locked(struct cudas_images *images, const char *key,
                                const uint8_t hash[CUDAS_HASH_BYTES], uint64_t size_bytes)
{
    char path[PATH_BYTES];
    struct code *code = NULL;
    struct stat info;
    int fd;

    if (!images->folder ||
        snprintf(path, sizeof(path), "%s/%s", images->folder, key) >= (int)sizeof(path))
        return NULL;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &info) == 0 && (uint64_t)info.st_size == size_bytes)
        code = enter_locked(images, key, size_bytes);
    if (code && (!read_all(fd, code->bytes, size_bytes) || !has_hash(code, hash))) {
        drop_locked(images, key);
        code = NULL;
    }
    (void)close(fd);
    if (code)
        code->is_complete = true;
    return code;
}

/* Only makes later sessions start faster, so nobody hears when it fails. */
static void save(const struct cudas_images *images, const char *key, const struct code *code)
{
    char path[PATH_BYTES], part[PATH_BYTES];
    bool is_written;
    int fd;

    if (!images->folder ||
        snprintf(path, sizeof(path), "%s/%s", images->folder, key) >= (int)sizeof(path) ||
        snprintf(part, sizeof(part), "%s/%s.XXXXXX", images->folder, key) >= (int)sizeof(part))
        return;
    fd = mkostemp(part, O_CLOEXEC);
    if (fd < 0)
        return;
    is_written = write_all(fd, code->bytes, code->size_bytes);
    if (close(fd) != 0 || !is_written || rename(part, path) != 0)
        (void)unlink(part);
}

/* ---- the store ------------------------------------------------------------------------------- */

const void *cudas_code_find(struct cudas_images *images, const uint8_t hash[CUDAS_HASH_BYTES],
                            uint64_t size_bytes)
{
    char key[KEY_BYTES];
    struct code *code;

    key_of(hash, key);
    fab_mutex_lock(&images->lock);
    code = fab_map_find_text(&images->by_hash, key);
    if (!code)
        code = load_locked(images, key, hash, size_bytes);
    if (code && (!code->is_complete || code->size_bytes != size_bytes))
        code = NULL;
    fab_mutex_unlock(&images->lock);
    return code ? code->bytes : NULL;
}

static enum fab_status add_locked(struct cudas_images *images, const char *key, uint64_t size_bytes,
                                  uint64_t offset, const void *piece, size_t piece_bytes,
                                  struct code **code_out)
{
    struct code *code = fab_map_find_text(&images->by_hash, key);

    *code_out = code;
    if (code && code->is_complete)
        return FAB_OK; /* two threads of the client sent the same */
    if (!code && offset == 0) {
        if (size_bytes == 0 || size_bytes > CODE_MAX_BYTES ||
            size_bytes > STORE_MAX_BYTES - images->total_bytes)
            return FAB_ERR_LIMIT;
        code = enter_locked(images, key, size_bytes);
        if (!code)
            return FAB_ERR_NOMEM;
    }
    *code_out = code;
    if (!code || code->size_bytes != size_bytes || offset > code->have_bytes ||
        piece_bytes > size_bytes - offset)
        return FAB_ERR_PROTOCOL;
    if (piece_bytes > 0)
        memcpy(code->bytes + offset, piece, piece_bytes);
    if (offset + piece_bytes > code->have_bytes)
        code->have_bytes = offset + piece_bytes;
    return FAB_OK;
}

enum fab_status cudas_code_add(struct cudas_images *images, const uint8_t hash[CUDAS_HASH_BYTES],
                               uint64_t size_bytes, uint64_t offset, const void *piece,
                               size_t piece_bytes)
{
    char key[KEY_BYTES];
    enum fab_status status;
    struct code *code;

    key_of(hash, key);
    fab_mutex_lock(&images->lock);
    status = add_locked(images, key, size_bytes, offset, piece, piece_bytes, &code);
    if (status == FAB_OK && !code->is_complete && code->have_bytes == code->size_bytes) {
        if (has_hash(code, hash)) {
            code->is_complete = true;
            save(images, key, code);
        } else {
            drop_locked(images, key);
            status = FAB_ERR_PROTOCOL;
        }
    }
    fab_mutex_unlock(&images->lock);
    return status;
}
