/* SPDX-License-Identifier: Apache-2.0
 * man/softcuda.conf.5 and configs/softcuda: what they say comes from the settings table, and the
 * examples are read without an error. UPDATE_EXPECTED=1 writes the generated parts.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/settings_text.h"
#include "softcuda/devices/device_model.h"

static const char page[] = SOURCE_DIR "/man/softcuda.conf.5";
static const char example[] = SOURCE_DIR "/configs/softcuda/example.cfg";
static const char begin_mark[] = "test_driver_device_page writes it.\n";
static const char end_mark[] = ".\\\" end of the settings table\n";
static const char example_head[] =
    "# SPDX-License-Identifier: Apache-2.0\n"
    "# Every setting of a softcuda device file with its default: softcuda.conf(5). Made from the\n"
    "# settings table; UPDATE_EXPECTED=1 test_driver_device_page writes it.\n\n";

/* The caller frees it. */
static char *read_all(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 16);

    if (file && text)
        text[fread(text, 1, (1 << 16) - 1, file)] = '\0';
    if (file)
        (void)fclose(file);
    return text;
}

static void write_all(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* Head, generated text, tail. The caller frees it. */
static char *compose(const char *head, void (*print)(const struct fab_schema *schema, FILE *out),
                     const char *tail)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    (void)fputs(head, out);
    print(device_model_schema(), out);
    (void)fputs(tail, out);
    (void)fclose(out);
    return text;
}

static void compare(const char *path, const char *wanted)
{
    char *text = read_all(path);

    CHECK_CASE("%s (UPDATE_EXPECTED=1 writes it)", path);
    if (getenv("UPDATE_EXPECTED") && strcmp(text, wanted) != 0)
        write_all(path, wanted);
    else
        CHECK(strcmp(text, wanted) == 0);
    free(text);
}

static void test_page(void)
{
    char *text = read_all(page);
    char *begin = strstr(text, begin_mark), *end = strstr(text, end_mark);

    if (CHECK(begin && end && begin < end)) {
        char *tail = strdup(end);

        begin[sizeof(begin_mark) - 1] = '\0';
        char *wanted = compose(text, fab_settings_print_man, tail);

        compare(page, wanted);
        free(wanted);
        free(tail);
    }
    free(text);
}

static void test_example(void)
{
    char *wanted = compose(example_head, fab_settings_print_example, "");

    compare(example, wanted);
    free(wanted);
}

static void test_configs(void)
{
    static const struct {
        const char *path;
        uint32_t devices;
    } cases[] = {
        {SOURCE_DIR "/configs/softcuda/example.cfg", 1},
        {SOURCE_DIR "/configs/softcuda/c4130.cfg", 4},
        {SOURCE_DIR "/configs/softcuda/modelled-a100.cfg", 4},
        {SOURCE_DIR "/configs/softcuda/small.cfg", 2},
    };
    static struct device_models models;

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_err err = {0};

        CHECK_CASE("%s", cases[i].path);
        CHECK_EQ(device_models_read(cases[i].path, &models, &err), FAB_OK);
        CHECK_STR(err.text, "");
        CHECK_EQ(models.count, cases[i].devices);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_page),
        CHECK_TEST(test_example),
        CHECK_TEST(test_configs),
    };

    (void)unsetenv("SOFTCUDA_DEVICES");
    return check_run(tests);
}
