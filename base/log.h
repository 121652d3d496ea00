/* SPDX-License-Identifier: Apache-2.0
 * base/log.h - one line for what happened: a constant text, then keys and values.
 *
 *     fab_log_info(log, "lease expired", "lease %u gpu %u tenant %" PRIu64, id, gpu, tenant);
 *     2026-11-25T15:10:00.123Z info fabricd[17]: lease expired lease 42 gpu 3 tenant 9
 *
 * Programs log, at their top; libraries return a status (debug and trace aside). A NULL
 * log is silent. What stands in a loop goes through a struct fab_log_limit. errno is
 * kept. Thread: any; each line is one write(2), so lines do not mix.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;

enum fab_log_level {
    FAB_LOG_OFF,   /* as a threshold only */
    FAB_LOG_ERROR, /* a request or a device is lost */
    FAB_LOG_WARN,  /* odd, and we go on */
    FAB_LOG_INFO,  /* a state changed; a few lines a minute at most */
    FAB_LOG_DEBUG, /* per object */
    FAB_LOG_TRACE, /* per call; compiled out with NDEBUG */
};

enum { FAB_LOG_LINE_MAX_BYTES = 1024 }; /* a longer line is cut and ends with "..." */

struct fab_log {
    const char *program; /* borrowed for the life of the log */
    int fd;              /* borrowed; 2 for stderr */
    _Atomic int level;   /* enum fab_log_level; may change at run time */
};

/* Sets up a log at level info, or at what the environment variable FABRIC_LOG says: off, error,
 * warn, info, debug, trace. Another word is FAB_ERR_INVALID with the choices in err; the log then
 * works, at info. */
FAB_NODISCARD enum fab_status fab_log_init(struct fab_log *log, const char *program, int fd,
                                           struct fab_err *err);

FAB_NODISCARD enum fab_status fab_log_level_parse(const char *word, enum fab_log_level *level_out);
const char *fab_log_level_name(enum fab_log_level level);

static inline bool fab_log_is_on(const struct fab_log *log, enum fab_log_level level)
{
    return log && (int)level <= atomic_load_explicit(&log->level, memory_order_relaxed);
}

/* Called through the macros below, which do not evaluate values of a level that is off. `what` is
 * constant; `pairs` is a format of keys and values, "" for none. Control characters in the line
 * are replaced by '?', so that a value cannot forge a line. */
void fab_log_write(const struct fab_log *log, enum fab_log_level level, const char *what,
                   const char *pairs, ...) FAB_PRINTF(4, 5);

#define FAB_LOG_AT(log, level, what, ...)                                                          \
    (fab_log_is_on((log), (level)) ? fab_log_write((log), (level), "" what, __VA_ARGS__) : (void)0)

#define fab_log_error(log, what, ...) FAB_LOG_AT(log, FAB_LOG_ERROR, what, __VA_ARGS__)
#define fab_log_warn(log, what, ...) FAB_LOG_AT(log, FAB_LOG_WARN, what, __VA_ARGS__)
#define fab_log_info(log, what, ...) FAB_LOG_AT(log, FAB_LOG_INFO, what, __VA_ARGS__)
#define fab_log_debug(log, what, ...) FAB_LOG_AT(log, FAB_LOG_DEBUG, what, __VA_ARGS__)
#ifdef NDEBUG
#define fab_log_trace(log, what, ...)                                                              \
    (0 ? fab_log_write((log), FAB_LOG_TRACE, "" what, __VA_ARGS__) : (void)0)
#else
#define fab_log_trace(log, what, ...) FAB_LOG_AT(log, FAB_LOG_TRACE, what, __VA_ARGS__)
#endif

/* At most one line in each interval. All-zero but interval_ns is ready. Thread: any. */
struct fab_log_limit {
    uint64_t interval_ns;
    _Atomic uint64_t next_ns;
    atomic_uint suppressed;
};

#define FAB_LOG_LIMIT(ns)                                                                          \
    {                                                                                              \
        .interval_ns = (ns)                                                                        \
    }

/* Whether the line may be written now; *suppressed_out then says how many were not since the last
 * one ("... suppressed 17"). */
bool fab_log_limit_pass(struct fab_log_limit *limit, uint64_t now_ns, unsigned *suppressed_out);

#endif /* BASE_LOG_H */
