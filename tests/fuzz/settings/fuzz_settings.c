/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/settings/fuzz_settings.c - any bytes as a settings file and as a number.
 *
 * Beyond not crashing: a failed read leaves the target unchanged and says why, and
 * what a number parser takes, its formatter writes so that it reads back the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "base/settings_file.h"
#include "tests/unit/base/demo_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

/* libconfig 1.5 loses the text of a string that a syntax error follows ("a" = 1;). Nothing of ours
 * is allocated below its scanner. Remove when libconfig frees it. */
FAB_EXPORT const char *__lsan_default_suppressions(void);

FAB_EXPORT const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig_yylex\nleak:strbuf_append\n";
}

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_numbers(const char *text)
{
    char again[FAB_NUMBER_TEXT_BYTES];
    uint64_t value, back;
    int64_t number;

    if (fab_parse_size(text, &value) == FAB_OK)
        must(fab_parse_size(fab_format_size(value, again), &back) == FAB_OK && back == value);
    if (fab_parse_duration(text, &value) == FAB_OK)
        must(fab_parse_duration(fab_format_duration(value, again), &back) == FAB_OK &&
             back == value);
    if (fab_parse_int(text, &number) == FAB_OK)
        must(text[0] == '-' || number >= 0);
}

static void fuzz_file(const char *text, size_t text_bytes)
{
    struct demo_conf conf, before;
    struct fab_err err = {.status = FAB_OK};

    must(fab_settings_init(&demo_schema, &conf, NULL) == FAB_OK);
    before = conf;
    if (fab_settings_read_text(&demo_schema, &conf, text, text_bytes, "fuzz", &err) != FAB_OK) {
        /* Untouched, padding too. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-*) */
        must(memcmp(&conf, &before, sizeof(conf)) == 0);
        must(err.status != FAB_OK && err.text[0] != '\0');
    } else {
        must(conf.offset >= -10 && conf.offset <= 10 && conf.gpus.count <= 3);
    }
    fab_settings_clear(&demo_schema, &conf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    char *text = malloc(size_bytes + 1);

    if (!text)
        return 0;
    if (size_bytes > 0)
        memcpy(text, data, size_bytes);
    text[size_bytes] = '\0';
    fuzz_numbers(text);
    fuzz_file(text, size_bytes);
    free(text);
    return 0;
}
