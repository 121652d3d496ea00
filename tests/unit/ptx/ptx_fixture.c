/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ptx/ptx_fixture.c - see ptx_fixture.h.
 */
#include "tests/unit/ptx/ptx_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "softcuda/ptx/ptx_dump.h"

static void dump(struct ptx_fixture *f)
{
    FILE *out = fmemopen(f->dump, sizeof(f->dump), "w");

    if (!out)
        abort();
    ptx_module_dump(f->module, out);
    (void)fclose(out); /* what does not fit is cut */
    f->dump[sizeof(f->dump) - 1] = '\0';
}

static void parse(struct ptx_fixture *f, char *text, size_t bytes)
{
    *f = (struct ptx_fixture){.status = FAB_OK};
    f->status = ptx_module_parse(text, bytes, &f->module, &f->err);
    for (uint32_t i = 0; f->status == FAB_OK && i < f->module->function_count; i++) {
        if (f->module->functions[i]->body)
            f->status = ptx_function_parse(f->module, f->module->functions[i], &f->err);
    }
    if (f->module)
        dump(f);
}

static char *put(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    return to;
}

/* The three texts as one, with no byte behind it: the parser needs no terminator. */
static char *exact_copy(const char *before, const char *text, const char *after, size_t *bytes_out)
{
    size_t bytes = strlen(before) + strlen(text) + strlen(after);
    char *copy = malloc(bytes);

    if (!copy)
        abort();
    (void)put(put(put(copy, before), text), after);
    *bytes_out = bytes;
    return copy;
}

/* The module borrows it until fini. */
static char *kept_text;

void ptx_fixture_parse(struct ptx_fixture *f, const char *text)
{
    size_t bytes;

    kept_text = exact_copy(".version 8.5 .target sm_80 ", text, "", &bytes);
    parse(f, kept_text, bytes);
}

void ptx_fixture_parse_body(struct ptx_fixture *f, const char *statements)
{
    size_t bytes;

    kept_text = exact_copy(".version 8.5 .target sm_80 .entry k(.param .u64 p) {\n", statements,
                           "\n}", &bytes);
    parse(f, kept_text, bytes);
}

void ptx_fixture_insns(const struct ptx_fixture *f, char *text, size_t text_bytes)
{
    const char *line = f->dump;

    text[0] = '\0';
    while (*line) {
        const char *end = strchr(line, '\n');
        size_t blanks = strspn(line, " "), digits;

        if (!end)
            break;
        digits = strspn(line + blanks, "0123456789");
        if (digits > 0 && line[blanks + digits] == ':') {
            const char *insn = line + blanks + digits + 2;
            size_t used = strlen(text);

            (void)snprintf(text + used, text_bytes - used, "%s%.*s", used ? "\n" : "",
                           (int)(end - insn), insn);
        }
        line = end + 1;
    }
}

void ptx_fixture_fini(struct ptx_fixture *f)
{
    ptx_module_destroy(f->module);
    f->module = NULL;
    free(kept_text);
    kept_text = NULL;
}
