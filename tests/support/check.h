/* SPDX-License-Identifier: Apache-2.0
 * tests/support/check.h - checks that go on after a failure, for table-driven cmocka tests.
 *
 * A failed check prints the case's label, both values and the line, and is counted.
 * CHECK_TEST wraps a test function so that its failures make the cmocka test fail
 * at its end:
 *
 *     const struct CMUnitTest tests[] = {CHECK_TEST(test_parse_size)};
 *     return check_run(tests);
 *
 * A test that cannot run calls check_skip("why") in main or in a test. Add check.c to SOURCES.
 */
#ifndef TESTS_SUPPORT_CHECK_H
#define TESTS_SUPPORT_CHECK_H

/* cmocka.h wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "base/compiler.h"

/* The label printed with each failure until the next CHECK_CASE. printf-like; kept as a copy. */
#define CHECK_CASE(...) check_case(__VA_ARGS__)

/* All return true when they hold, so that `if (!CHECK(x)) return;` protects what follows. */
#define CHECK(condition) check_true(!!(condition), #condition, __FILE__, __LINE__)
/* Integers, enums and pointers. Floating point does not compile here: use CHECK_NEAR. */
#define CHECK_EQ(got, wanted)                                                                      \
    check_equal(CHECK_AS_INTEGER(got), CHECK_AS_INTEGER(wanted), #got, #wanted, __FILE__, __LINE__)
#define CHECK_NEAR(got, wanted, tolerance)                                                         \
    check_near((got), (wanted), (tolerance), #got, __FILE__, __LINE__)
#define CHECK_STR(got, wanted) check_string((got), (wanted), #got, __FILE__, __LINE__)
#define CHECK_MEM(got, wanted, size_bytes)                                                         \
    check_memory((got), (wanted), (size_bytes), #got, __FILE__, __LINE__)
/* The text contains the part. */
#define CHECK_HAS(got, part) check_contains((got), (part), #got, __FILE__, __LINE__)

#define CHECK_AS_INTEGER(x)                                                                        \
    _Generic((x), float : (void)0, double : (void)0, default : (intmax_t)(x))

/* One row of the tests array, which must be a local of main and not static. */
#define CHECK_TEST(function)                                                                       \
    {                                                                                              \
        .name = #function, .test_func = check_run_one, .initial_state = &(check_function_t)        \
        {                                                                                          \
            (function)                                                                             \
        }                                                                                          \
    }
/* Runs the tests; the value is main's exit status. */
#define check_run(tests)                                                                           \
    (_cmocka_run_group_tests(__FILE__, (tests), FAB_ARRAY_LEN(tests), NULL, NULL) ? 1 : 0)

typedef void (*check_function_t)(void);

void check_run_one(void **state); /* what CHECK_TEST puts between cmocka and the function */

void check_case(const char *format, ...) FAB_PRINTF(1, 2);
bool check_true(bool holds, const char *what, const char *file, int line);
bool check_equal(intmax_t got, intmax_t wanted, const char *got_text, const char *wanted_text,
                 const char *file, int line);
bool check_near(double got, double wanted, double tolerance, const char *what, const char *file,
                int line);
bool check_string(const char *got, const char *wanted, const char *what, const char *file,
                  int line);
bool check_contains(const char *got, const char *part, const char *what, const char *file,
                    int line);
bool check_memory(const void *got, const void *wanted, size_t size_bytes, const char *what,
                  const char *file, int line);

/* Ends the process as "skipped" (exit 77), printing the reason. */
FAB_NORETURN void check_skip(const char *reason, ...) FAB_PRINTF(1, 2);

/* Failures counted so far in this process. */
unsigned check_failures(void);

#endif /* TESTS_SUPPORT_CHECK_H */
