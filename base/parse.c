/* SPDX-License-Identifier: Apache-2.0
 * base/parse.c - see parse.h. Independent of the locale, unlike strtol and friends.
 */
#include "base/parse.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *suffix;
    uint64_t factor;
};

/* Largest first: the formatter takes the first that divides, the duration goes down the list. */
static const struct unit size_units[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"", 1},
};

static const struct unit duration_units[] = {
    {"d", UINT64_C(86400000000000)},
    {"h", UINT64_C(3600000000000)},
    {"m", UINT64_C(60000000000)},
    {"s", UINT64_C(1000000000)},
    {"ms", UINT64_C(1000000)},
    {"us", UINT64_C(1000)},
    {"ns", 1},
};

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Reads digits at *text and moves it behind them. All digits are consumed even when the value no
 * longer fits, so that malformed text is told from a number that is too large. */
static enum fab_status parse_digits(const char **text, unsigned base, uint64_t *value_out)
{
    const char *at = *text;
    uint64_t value = 0;
    bool fits = true;
    int digit;

    for (; (digit = digit_value(*at)) >= 0 && (unsigned)digit < base; at++) {
        fits = fits && !__builtin_mul_overflow(value, (uint64_t)base, &value) &&
               !__builtin_add_overflow(value, (uint64_t)digit, &value);
    }
    if (at == *text)
        return FAB_ERR_INVALID;
    *text = at;
    *value_out = value;
    return fits ? FAB_OK : FAB_ERR_RANGE;
}

enum fab_status fab_parse_int(const char *text, int64_t *value_out)
{
    bool negative = *text == '-';
    const char *at = text + negative;
    uint64_t magnitude, limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    bool hex = at[0] == '0' && (at[1] == 'x' || at[1] == 'X');
    enum fab_status status;

    at += hex ? 2 : 0;
    status = parse_digits(&at, hex ? 16 : 10, &magnitude);
    if (status == FAB_ERR_INVALID || *at != '\0')
        return FAB_ERR_INVALID;
    if (status != FAB_OK || magnitude > limit)
        return FAB_ERR_RANGE;
    *value_out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return FAB_OK;
}

enum fab_status fab_parse_size(const char *text, uint64_t *bytes_out)
{
    uint64_t value;
    enum fab_status status = parse_digits(&text, 10, &value);

    if (status == FAB_ERR_INVALID)
        return status;
    for (size_t i = 0; i < FAB_ARRAY_LEN(size_units); i++) {
        if (strcmp(text, size_units[i].suffix) != 0)
            continue;
        if (status != FAB_OK || __builtin_mul_overflow(value, size_units[i].factor, &value))
            return FAB_ERR_RANGE;
        *bytes_out = value;
        return FAB_OK;
    }
    return FAB_ERR_INVALID;
}

/* The unit that stands at `text` as a whole word of letters, from row `first` on; NULL if none. */
static const struct unit *duration_unit_at(const char *text, const struct unit *first)
{
    size_t letters = strspn(text, "abcdefghijklmnopqrstuvwxyz");

    for (; first < duration_units + FAB_ARRAY_LEN(duration_units); first++) {
        if (strlen(first->suffix) == letters && memcmp(text, first->suffix, letters) == 0)
            return first;
    }
    return NULL;
}

enum fab_status fab_parse_duration(const char *text, uint64_t *ns_out)
{
    const struct unit *unit = duration_units;
    enum fab_status status = FAB_OK;
    uint64_t total = 0;

    if (strcmp(text, "0") == 0) {
        *ns_out = 0;
        return FAB_OK;
    }
    do {
        uint64_t value;
        enum fab_status digits = parse_digits(&text, 10, &value);

        if (digits == FAB_ERR_INVALID)
            return digits;
        unit = duration_unit_at(text, unit);
        if (!unit)
            return FAB_ERR_INVALID;
        text += strlen(unit->suffix);
        if (digits != FAB_OK || __builtin_mul_overflow(value, unit->factor, &value) ||
            __builtin_add_overflow(total, value, &total))
            status = FAB_ERR_RANGE;
        unit++;
    } while (*text != '\0');
    if (status == FAB_OK)
        *ns_out = total;
    return status;
}

const char *fab_format_size(uint64_t bytes, char text[FAB_NUMBER_TEXT_BYTES])
{
    const struct unit *unit = size_units;

    while (unit->factor > 1 && (bytes == 0 || bytes % unit->factor != 0))
        unit++;
    (void)snprintf(text, FAB_NUMBER_TEXT_BYTES, "%" PRIu64 "%s", bytes / unit->factor,
                   unit->suffix);
    return text;
}

const char *fab_format_duration(uint64_t ns, char text[FAB_NUMBER_TEXT_BYTES])
{
    size_t used = 0;

    text[0] = '0';
    text[1] = '\0';
    for (size_t i = 0; i < FAB_ARRAY_LEN(duration_units) && ns > 0; i++) {
        const struct unit *unit = &duration_units[i];

        if (ns < unit->factor)
            continue;
        used += (size_t)snprintf(text + used, FAB_NUMBER_TEXT_BYTES - used, "%" PRIu64 "%s",
                                 ns / unit->factor, unit->suffix);
        ns %= unit->factor;
    }
    return text;
}
