/* SPDX-License-Identifier: Apache-2.0
 * base/settings_text.h - what people read, made from the rows of base/settings.h.
 */
#ifndef BASE_SETTINGS_TEXT_H
#define BASE_SETTINGS_TEXT_H

#include <stdio.h>

#include "base/settings.h"

/* The options part of --help: one entry a row, without rows of lists. */
void fab_settings_print_help(const struct fab_schema *schema, FILE *out);

/* The list of settings as mdoc(7) source, to stand in a page's .Sh SETTINGS section. */
void fab_settings_print_man(const struct fab_schema *schema, FILE *out);

/* A complete file, every setting at its default and commented out, with its help above. */
void fab_settings_print_example(const struct fab_schema *schema, FILE *out);

#endif /* BASE_SETTINGS_TEXT_H */
