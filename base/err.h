/* SPDX-License-Identifier: Apache-2.0
 * base/err.h - the cause of a failure: one record of fixed size, no allocation.
 *
 * The function that sees the foreign result fills the record once; callers pass it
 * up, and a boundary may add one context in front. Every function takes NULL as the
 * record and then only passes the status through.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/status.h"

enum { FAB_ERR_TEXT_BYTES = 256 };

struct fab_err {
    enum fab_status status;
    int foreign;        /* errno, ucs_status_t, CUresult ...; 0 if none */
    const char *domain; /* whose number `foreign` is: "errno", "ucx", "cuda"; NULL if none */
    char text[FAB_ERR_TEXT_BYTES];
};

/* Fills the record with a formatted sentence (cut at FAB_ERR_TEXT_BYTES) and returns `status`, so
 * that a failing line reads `return fab_err_set(err, FAB_ERR_RANGE, "...");`. */
enum fab_status fab_err_set(struct fab_err *err, enum fab_status status, const char *format, ...)
    FAB_PRINTF(3, 4);

/* The same from an errno value: maps it to a status and appends its text ("...: No such file"). */
enum fab_status fab_err_errno(struct fab_err *err, int errno_value, const char *format, ...)
    FAB_PRINTF(3, 4);

/* The same with another library's number; `domain` is a static string. */
enum fab_status fab_err_foreign(struct fab_err *err, enum fab_status status, const char *domain,
                                int foreign, const char *format, ...) FAB_PRINTF(5, 6);

/* Puts "context: " in front of the text. Returns nothing: the record may be NULL, and only the
 * caller has the status then. */
void fab_err_context(struct fab_err *err, const char *format, ...) FAB_PRINTF(2, 3);

#endif /* BASE_ERR_H */
