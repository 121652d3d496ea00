/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ptx/ptx_fixture.h - PTX text in, dump or error out, in one call.
 */
#ifndef TESTS_UNIT_PTX_PTX_FIXTURE_H
#define TESTS_UNIT_PTX_PTX_FIXTURE_H

#include "base/err.h"
#include "softcuda/ptx/ptx.h"

enum { PTX_FIXTURE_TEXT_BYTES = 16 << 10 };

struct ptx_fixture {
    enum fab_status status;
    struct fab_err err;
    struct ptx_module *module;         /* NULL after a failure */
    char dump[PTX_FIXTURE_TEXT_BYTES]; /* of the module */
};

/* Parses the text (with ".version 8.5 .target sm_80" in front, on the same line) and all bodies;
 * dumps it. A copy of exactly the text's size is parsed, so that a sanitizer sees a read too far.
 */
void ptx_fixture_parse(struct ptx_fixture *f, const char *text);
/* The same for statements: the body of ".entry k(.param .u64 p)", which starts on line 2. */
void ptx_fixture_parse_body(struct ptx_fixture *f, const char *statements);
/* The dump's lines behind "  LINE: ", for the body's instructions only, with '\n' between. */
void ptx_fixture_insns(const struct ptx_fixture *f, char *text, size_t text_bytes);
void ptx_fixture_fini(struct ptx_fixture *f);

#endif /* TESTS_UNIT_PTX_PTX_FIXTURE_H */
