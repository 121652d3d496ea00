/* SPDX-License-Identifier: Apache-2.0
 * base/log.c - see log.h. No lock and no buffer that outlives a call, so fork is safe.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

static const char *const level_names[] = {
    [FAB_LOG_OFF] = "off",   [FAB_LOG_ERROR] = "error", [FAB_LOG_WARN] = "warn",
    [FAB_LOG_INFO] = "info", [FAB_LOG_DEBUG] = "debug", [FAB_LOG_TRACE] = "trace",
};

const char *fab_log_level_name(enum fab_log_level level)
{
    return (unsigned)level < FAB_ARRAY_LEN(level_names) ? level_names[level] : "?";
}

enum fab_status fab_log_level_parse(const char *word, enum fab_log_level *level_out)
{
    for (unsigned i = 0; i < FAB_ARRAY_LEN(level_names); i++) {
        if (strcmp(word, level_names[i]) == 0) {
            *level_out = (enum fab_log_level)i;
            return FAB_OK;
        }
    }
    return FAB_ERR_INVALID;
}

enum fab_status fab_log_init(struct fab_log *log, const char *program, int fd, struct fab_err *err)
{
    const char *word = getenv("FABRIC_LOG");
    enum fab_log_level level = FAB_LOG_INFO;
    enum fab_status status = FAB_OK;

    if (word && *word && fab_log_level_parse(word, &level) != FAB_OK)
        status = fab_err_set(err, FAB_ERR_INVALID,
                             "FABRIC_LOG: \"%.40s\" is not one of off, error, warn, info, debug, "
                             "trace",
                             word);
    log->program = program;
    log->fd = fd;
    atomic_init(&log->level, (int)level);
    return status;
}

/* "2026-11-25T15:10:00.123Z info fabricd[17]: " */
static size_t put_head(const struct fab_log *log, enum fab_log_level level, char *line,
                       size_t line_bytes)
{
    struct timespec now;
    struct tm utc;
    size_t used;
    int wrote;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    (void)gmtime_r(&now.tv_sec, &utc);
    used = strftime(line, line_bytes, "%Y-%m-%dT%H:%M:%S", &utc);
    wrote =
        snprintf(line + used, line_bytes - used, ".%03ldZ %s %.64s[%d]: ", now.tv_nsec / 1000000,
                 fab_log_level_name(level), log->program, getpid());
    return used + (wrote > 0 ? (size_t)wrote : 0);
}

/* Ends the line with a newline and takes away what could pass for another line. */
static size_t finish(char *line, size_t wanted_bytes)
{
    size_t used = wanted_bytes;

    if (used > FAB_LOG_LINE_MAX_BYTES - 1) {
        used = FAB_LOG_LINE_MAX_BYTES - 1;
        memset(line + used - 3, '.', 3);
    }
    for (size_t i = 0; i < used; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    }
    line[used] = '\n';
    return used + 1;
}

void fab_log_write(const struct fab_log *log, enum fab_log_level level, const char *what,
                   const char *pairs, ...)
{
    char line[FAB_LOG_LINE_MAX_BYTES];
    int saved = errno, wrote;
    va_list args;
    size_t used;

    if (!fab_log_is_on(log, level))
        return;
    used = put_head(log, level, line, sizeof(line));
    wrote = snprintf(line + used, sizeof(line) - used, "%.256s%s", what, *pairs ? " " : "");
    used += wrote > 0 ? (size_t)wrote : 0;
    va_start(args, pairs);
    wrote = vsnprintf(line + used, sizeof(line) - used, pairs, args);
    va_end(args);
    used += wrote > 0 ? (size_t)wrote : 0;
    used = finish(line, used);
    if (write(log->fd, line, used) < 0) {
        /* Nobody is left to tell: a log that cannot be written must not stop the program. */
    }
    errno = saved;
}

bool fab_log_limit_pass(struct fab_log_limit *limit, uint64_t now_ns, unsigned *suppressed_out)
{
    uint64_t next_ns = atomic_load(&limit->next_ns);

    if (now_ns < next_ns ||
        !atomic_compare_exchange_strong(&limit->next_ns, &next_ns, now_ns + limit->interval_ns)) {
        (void)atomic_fetch_add(&limit->suppressed, 1);
        return false;
    }
    *suppressed_out = atomic_exchange(&limit->suppressed, 0);
    return true;
}
