/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_dump.h - a parsed module as text: what was understood, a line each.
 *
 * For tests and for people who wonder what the parser made of their PTX. Opcodes are spelled from
 * their fields, always in the same order, so hints are gone and defaults are visible.
 */
#ifndef SOFTCUDA_PTX_PTX_DUMP_H
#define SOFTCUDA_PTX_PTX_DUMP_H

#include <stddef.h>
#include <stdio.h>

struct ptx_function;
struct ptx_insn;
struct ptx_module;
struct ptx_op;

/* "ld.relaxed.gpu.global.v4.f32"; cut at text_bytes. */
void ptx_op_format(const struct ptx_op *op, char *text, size_t text_bytes);

void ptx_insn_dump(const struct ptx_insn *insn, FILE *out);
void ptx_function_dump(const struct ptx_function *function, FILE *out); /* parsed or not */
void ptx_module_dump(const struct ptx_module *module, FILE *out);       /* with its functions */

#endif /* SOFTCUDA_PTX_PTX_DUMP_H */
