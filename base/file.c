/* SPDX-License-Identifier: Apache-2.0
 * base/file.c - see file.h. The size is not asked for: /proc says 0, and files grow.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/fault.h"

enum { FIRST_ROOM_BYTES = 4096 };

/* Appends until the end or one byte more than allowed. The caller frees *bytes in any case. */
static enum fab_status read_all(int fd, size_t max_bytes, char **bytes, size_t *size_bytes,
                                struct fab_err *err)
{
    size_t room_bytes = 0;

    for (;;) {
        ssize_t got;

        if (*size_bytes + 1 >= room_bytes) { /* one for the NUL */
            size_t grown_bytes = room_bytes ? 2 * room_bytes : FIRST_ROOM_BYTES;
            char *grown = fab_alloc_resize(*bytes, grown_bytes, 1);

            if (!grown)
                return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
            *bytes = grown;
            room_bytes = grown_bytes;
        }
        got = fab_fault("read") ? (errno = EIO, -1)
                                : read(fd, *bytes + *size_bytes, room_bytes - *size_bytes - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fab_err_errno(err, errno, "reading");
        *size_bytes += (size_t)got;
        (*bytes)[*size_bytes] = '\0';
        if (*size_bytes > max_bytes)
            return fab_err_set(err, FAB_ERR_LIMIT, "larger than %zu bytes", max_bytes);
        if (got == 0)
            return FAB_OK;
    }
}

enum fab_status fab_file_read(const char *path, size_t max_bytes, char **bytes_out,
                              size_t *size_bytes_out, struct fab_err *err)
{
    int fd = fab_fault("open") ? (errno = EMFILE, -1) : open(path, O_RDONLY | O_CLOEXEC);
    enum fab_status status;
    size_t size_bytes = 0;
    char *bytes = NULL;

    if (fd < 0)
        return fab_err_errno(err, errno, "%s", path);
    status = read_all(fd, max_bytes, &bytes, &size_bytes, err);
    (void)close(fd); /* only read from */
    if (status != FAB_OK) {
        fab_err_context(err, "%s", path);
        free(bytes);
        return status;
    }
    *bytes_out = bytes;
    if (size_bytes_out)
        *size_bytes_out = size_bytes;
    return FAB_OK;
}
