/* SPDX-License-Identifier: Apache-2.0
 * base/err.c - fills the cause record; allocates nothing and keeps errno.
 *
 * Names in parentheses: err.h has macros of the same names for the analyzer.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ERRNO_TEXT_BYTES = 96 };

/* Keeps errno: the record is often filled while the caller still wants to look at it. */
static void fill(struct fab_err *err, enum fab_status status, const char *domain, int foreign,
                 const char *format, va_list args) FAB_PRINTF(5, 0);

static void fill(struct fab_err *err, enum fab_status status, const char *domain, int foreign,
                 const char *format, va_list args)
{
    int saved = errno;

    err->status = status;
    err->domain = domain;
    err->foreign = foreign;
    /* A sentence longer than the record is cut: that is the documented answer. */
    (void)vsnprintf(err->text, sizeof(err->text), format, args);
    errno = saved;
}

enum fab_status(fab_err_set)(struct fab_err *err, enum fab_status status, const char *format, ...)
{
    va_list args;

    if (!err)
        return status;
    va_start(args, format);
    fill(err, status, /* domain */ NULL, /* foreign */ 0, format, args);
    va_end(args);
    return status;
}

enum fab_status(fab_err_foreign)(struct fab_err *err, enum fab_status status, const char *domain,
                                 int foreign, const char *format, ...)
{
    va_list args;

    if (!err)
        return status;
    va_start(args, format);
    fill(err, status, domain, foreign, format, args);
    va_end(args);
    return status;
}

static enum fab_status status_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOMEM:
        return FAB_ERR_NOMEM;
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ESRCH:
        return FAB_ERR_NOT_FOUND;
    case EEXIST:
        return FAB_ERR_EXISTS;
    case EACCES:
    case EPERM:
        return FAB_ERR_DENIED;
    case EBUSY:
    case ETXTBSY:
        return FAB_ERR_BUSY;
    case EAGAIN:
    case EINPROGRESS:
    case ENOBUFS:
        return FAB_ERR_AGAIN;
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
        return FAB_ERR_LIMIT;
    case ENOSYS:
    case EOPNOTSUPP:
        return FAB_ERR_UNSUPPORTED;
    case ETIMEDOUT:
        return FAB_ERR_TIMEOUT;
    case ECANCELED:
        return FAB_ERR_CANCELLED;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return FAB_ERR_UNREACHABLE;
    case ECONNRESET:
    case EPIPE:
        return FAB_ERR_PEER_LOST;
    default:
        return FAB_ERR_IO;
    }
}

enum fab_status(fab_err_errno)(struct fab_err *err, int errno_value, const char *format, ...)
{
    enum fab_status status = status_of_errno(errno_value);
    char errno_text[ERRNO_TEXT_BYTES];
    size_t used;
    va_list args;

    if (!err)
        return status;
    va_start(args, format);
    fill(err, status, "errno", errno_value, format, args);
    va_end(args);
    used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof(err->text) - used, ": %s",
                   strerror_r(errno_value, errno_text, sizeof(errno_text)));
    return status;
}

/* What does not fit is cut; the caller keeps the end set. */
static size_t append(char *text, size_t used, const char *part)
{
    size_t part_bytes = strnlen(part, FAB_ERR_TEXT_BYTES - 1 - used);

    memcpy(text + used, part, part_bytes);
    return used + part_bytes;
}

void fab_err_context(struct fab_err *err, const char *format, ...)
{
    char text[FAB_ERR_TEXT_BYTES];
    size_t used;
    va_list args;

    if (!err)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    used = append(text, strlen(text), ": ");
    used = append(text, used, err->text);
    text[used] = '\0';
    memcpy(err->text, text, sizeof(err->text));
}
