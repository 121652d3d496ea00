/* SPDX-License-Identifier: Apache-2.0
 * tests/support/check.c - see check.h. Safe to use from several threads of one test.
 */
#include "tests/support/check.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_BYTES = 160, DUMP_BYTES = 16, EXIT_SKIPPED = 77 };

static _Thread_local char label[LABEL_BYTES];
static atomic_uint failures;

unsigned check_failures(void)
{
    return atomic_load(&failures);
}

void check_case(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(label, sizeof(label), format, args);
    va_end(args);
}

void check_run_one(void **state)
{
    const check_function_t *function = *state;
    unsigned before = check_failures();

    label[0] = '\0';
    (*function)();
    if (check_failures() != before)
        fail_msg("%u checks failed", check_failures() - before);
}

/* One line, so that threads do not mix their output. */
static bool failed(const char *file, int line, const char *format, ...) FAB_PRINTF(3, 4);

static bool failed(const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)fprintf(stderr, "%s:%d: [%s] %s\n", file, line, label[0] ? label : "no case", text);
    (void)atomic_fetch_add(&failures, 1);
    return false;
}

bool check_true(bool holds, const char *what, const char *file, int line)
{
    return holds || failed(file, line, "not true: %s", what);
}

bool check_equal(intmax_t got, intmax_t wanted, const char *got_text, const char *wanted_text,
                 const char *file, int line)
{
    if (got == wanted)
        return true;
    return failed(file, line, "%s is %" PRIdMAX " (0x%" PRIxMAX "), wanted %" PRIdMAX " (%s)",
                  got_text, got, (uintmax_t)got, wanted, wanted_text);
}

bool check_near(double got, double wanted, double tolerance, const char *what, const char *file,
                int line)
{
    double difference = got > wanted ? got - wanted : wanted - got;

    if (difference <= tolerance) /* false for a NaN */
        return true;
    return failed(file, line, "%s is %.17g, wanted %.17g within %g", what, got, wanted, tolerance);
}

bool check_string(const char *got, const char *wanted, const char *what, const char *file, int line)
{
    if (got == wanted || (got && wanted && strcmp(got, wanted) == 0))
        return true;
    return failed(file, line, "%s is \"%s\", wanted \"%s\"", what, got ? got : "(NULL)",
                  wanted ? wanted : "(NULL)");
}

bool check_contains(const char *got, const char *part, const char *what, const char *file, int line)
{
    if (got && strstr(got, part))
        return true;
    return failed(file, line, "%s is \"%s\", wanted it to hold \"%s\"", what, got ? got : "(NULL)",
                  part);
}

/* The hex of up to DUMP_BYTES bytes from the first difference on. */
static void dump(const unsigned char *bytes, size_t size_bytes, char *text, size_t text_bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < size_bytes && i < DUMP_BYTES; i++)
        used += (size_t)snprintf(text + used, text_bytes - used, " %02x", bytes[i]);
}

bool check_memory(const void *got, const void *wanted, size_t size_bytes, const char *what,
                  const char *file, int line)
{
    const unsigned char *g = got, *w = wanted;
    char got_text[DUMP_BYTES * 3 + 1], wanted_text[DUMP_BYTES * 3 + 1];
    size_t at = 0;

    while (at < size_bytes && g[at] == w[at])
        at++;
    if (at == size_bytes)
        return true;
    dump(g + at, size_bytes - at, got_text, sizeof(got_text));
    dump(w + at, size_bytes - at, wanted_text, sizeof(wanted_text));
    return failed(file, line, "%s differs at byte %zu of %zu: got%s, wanted%s", what, at,
                  size_bytes, got_text, wanted_text);
}

void check_skip(const char *reason, ...)
{
    va_list args;

    /* A failure before the skip is still a failure. */
    if (check_failures() > 0)
        exit(1);
    va_start(args, reason);
    (void)fputs("skipped: ", stderr);
    (void)vfprintf(stderr, reason, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(EXIT_SKIPPED);
}
