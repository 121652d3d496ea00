/* SPDX-License-Identifier: Apache-2.0
 * fabricd/name.c - see name.h.
 */
#include "fabricd/name.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"

/* Not isalnum(): what is a letter does not depend on the locale. */
static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

enum fab_status name_check(const char *what, const char *name, struct fab_err *err)
{
    const size_t length = strnlen(name, NAME_BYTES);
    bool is_good = length > 0 && length < NAME_BYTES && is_letter_or_digit(name[0]);

    for (size_t i = 0; is_good && i < length; i++)
        is_good = is_letter_or_digit(name[i]) || strchr("._-", name[i]);
    if (is_good)
        return FAB_OK;
    return fab_err_set(
        err, FAB_ERR_INVALID,
        "'%.*s' is no name for a %s: 1 to %d letters, digits, '.', '_' or '-', with a "
        "letter or digit first",
        (int)length, name, what, NAME_BYTES - 1);
}
