/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ptx/test_corpus.c - everything that nvcc makes of programs/ parses to the last
 * function.
 *
 * The build compiles each program for several targets, with and without debug output and fast
 * mathematics. What the parser understood is not compared here: test_body.c does that by cases.
 */
#include "base/err.h"
#include "softcuda/ptx/ptx.h"
#include "tests/support/check.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILES_WANTED = 25 }; /* five programs, five ways */

static char *read_file(const char *path, size_t *bytes_out)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    long bytes = 0;

    if (!file)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (bytes = ftell(file)) > 0) {
        rewind(file);
        text = malloc((size_t)bytes);
        if (text && fread(text, 1, (size_t)bytes, file) != (size_t)bytes) {
            free(text);
            text = NULL;
        }
    }
    (void)fclose(file);
    *bytes_out = (size_t)bytes;
    return text;
}

/* Every register an instruction uses exists, every label leads into the function. */
static void check_insn(const struct ptx_function *f, const struct ptx_insn *insn)
{
    CHECK(insn->guard_reg < (int32_t)f->reg_count);
    CHECK(insn->dst_count <= insn->operand_count);
    for (uint32_t i = 0; i < insn->operand_count; i++) {
        const struct ptx_operand *o = &insn->operands[i];

        CHECK(o->reg < (int32_t)f->reg_count);
        CHECK(o->label < (int32_t)f->label_count);
        CHECK(o->kind != PTX_OPERAND_LABEL || o->label >= 0);
        CHECK(o->kind != PTX_OPERAND_SYMBOL || o->var);
    }
    CHECK((insn->op.family == PTX_CALL) == (insn->call != NULL));
}

static void check_function(struct ptx_module *module, struct ptx_function *f, const char *path)
{
    struct fab_err err = {.status = FAB_OK};

    CHECK_CASE("%s: %.60s", path, f->name);
    if (!f->body)
        return;
    CHECK_EQ(ptx_function_parse(module, f, &err), FAB_OK);
    CHECK_STR(err.text, "");
    CHECK(f->is_parsed && f->insn_count > 0);
    for (uint32_t i = 0; i < f->insn_count; i++)
        check_insn(f, &f->insns[i]);
    for (uint32_t i = 0; i < f->label_count; i++)
        CHECK(f->labels[i].insn <= f->insn_count);
}

static void check_file(const char *path)
{
    struct ptx_module *module = NULL;
    struct fab_err err = {.status = FAB_OK};
    size_t bytes = 0;
    char *text = read_file(path, &bytes);

    CHECK_CASE("%s", path);
    if (!CHECK(text))
        return;
    if (CHECK_EQ(ptx_module_parse(text, bytes, &module, &err), FAB_OK)) {
        CHECK(module->function_count > 0);
        for (uint32_t i = 0; i < module->function_count; i++)
            check_function(module, module->functions[i], path);
    }
    CHECK_STR(err.text, "");
    ptx_module_destroy(module);
    free(text);
}

static void test_corpus(void)
{
    glob_t found;

    CHECK_CASE("%s", PTX_CORPUS);
    if (!CHECK_EQ(glob(PTX_CORPUS "/*.ptx", 0, NULL, &found), 0))
        return;
    CHECK_EQ(found.gl_pathc, FILES_WANTED);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_file(found.gl_pathv[i]);
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_corpus)};

    return check_run(tests);
}
