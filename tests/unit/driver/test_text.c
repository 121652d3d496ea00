/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/test_text.c - the buffer of device printf: order, overflow, limits.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "softcuda/driver/text.h"

static char printed[4096];

/* What a flush writes to a descriptor, caught in a file. */
static const char *flushed_to(struct soft_text *text, int fd)
{
    FILE *file = tmpfile();
    int saved;
    size_t count;

    (void)fflush(stdout);
    saved = dup(fd);
    if (!file || saved < 0 || dup2(fileno(file), fd) < 0)
        abort();
    soft_text_flush(text);
    (void)fflush(stdout);
    (void)fflush(stderr);
    (void)dup2(saved, fd);
    (void)close(saved);
    rewind(file);
    count = fread(printed, 1, sizeof(printed) - 1, file);
    printed[count] = '\0';
    (void)fclose(file);
    return printed;
}

static const char *flushed(struct soft_text *text)
{
    return flushed_to(text, STDOUT_FILENO);
}

static void append(struct soft_text *text, const char *line)
{
    soft_text_append(text, /* is_error */ false, line, strlen(line));
}

static void test_order(void)
{
    struct soft_text text;

    soft_text_init(&text);
    CHECK_STR(flushed(&text), "");
    append(&text, "one\n");
    append(&text, "");
    append(&text, "two\n");
    CHECK_STR(flushed(&text), "one\ntwo\n");
    CHECK_STR(flushed(&text), "");
    CHECK_CASE("an assertion goes to standard error");
    soft_text_append(&text, /* is_error */ true, "three\n", strlen("three\n"));
    CHECK_STR(flushed_to(&text, STDERR_FILENO), "three\n");
    soft_text_fini(&text);
}

/* Each record takes 4 bytes more than its text. */
static void test_overflow(void)
{
    static const struct {
        const char *label;
        size_t limit;
        const char *lines[4], *printed;
    } cases[] = {
        {"exactly full", 24, {"12345678", "abcdefgh"}, "12345678abcdefgh"},
        {"the oldest goes", 24, {"12345678", "abcdefgh", "x"}, "abcdefghx"},
        {"two go for a long one", 24, {"1234", "5678", "abcdefghijklmnop"}, "abcdefghijklmnop"},
        {"longer than the buffer", 16, {"ok", "12345678901234567890"}, "ok"},
        {"no buffer", 0, {"1"}, ""},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct soft_text text;

        CHECK_CASE("%s", cases[i].label);
        soft_text_init(&text);
        soft_text_set_limit(&text, cases[i].limit);
        for (size_t k = 0; k < 4 && cases[i].lines[k]; k++)
            append(&text, cases[i].lines[k]);
        CHECK_STR(flushed(&text), cases[i].printed);
        soft_text_fini(&text);
    }
}

static void test_wrapping(void)
{
    struct soft_text text;
    char line[16];

    soft_text_init(&text);
    soft_text_set_limit(&text, 50); /* no multiple of the records: they wrap at every place */
    for (int i = 0; i < 200; i++) {
        (void)snprintf(line, sizeof(line), "%d.", i);
        append(&text, line);
        if (i % 3 == 2) {
            char want[64];

            CHECK_CASE("up to %d", i);
            (void)snprintf(want, sizeof(want), "%d.%d.%d.", i - 2, i - 1, i);
            CHECK_STR(flushed(&text), want);
        }
    }
    soft_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_order), CHECK_TEST(test_overflow),
                                       CHECK_TEST(test_wrapping)};

    return check_run(tests);
}
