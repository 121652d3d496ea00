/* SPDX-License-Identifier: Apache-2.0
 * base/status.c - names, texts and ranges of enum fab_status.
 *
 * Everything is made from FAB_STATUS_LIST; a new status needs no line here.
 */
#include "base/status.h"

/* The last number of each range (base/status.h). */
enum {
    RESOURCE_FIRST = -20,
    RESOURCE_LAST = -39,
    LINK_FIRST = -40,
    LINK_LAST = -59,
    DEVICE_FIRST = -60,
    DEVICE_LAST = -79,
};

const char *fab_status_name(enum fab_status status)
{
    switch (status) {
#define STATUS_NAME(number, name, text)                                                            \
    case FAB_##name:                                                                               \
        return "FAB_" #name;
        FAB_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    }
    return "FAB_?";
}

const char *fab_status_text(enum fab_status status)
{
    switch (status) {
#define STATUS_TEXT(number, name, text)                                                            \
    case FAB_##name:                                                                               \
        return text;
        FAB_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}

static bool is_within(enum fab_status status, int first, int last)
{
    return (int)status <= first && (int)status >= last;
}

bool fab_status_is_resource(enum fab_status status)
{
    return is_within(status, RESOURCE_FIRST, RESOURCE_LAST);
}

bool fab_status_is_link(enum fab_status status)
{
    return is_within(status, LINK_FIRST, LINK_LAST);
}

bool fab_status_is_device(enum fab_status status)
{
    return is_within(status, DEVICE_FIRST, DEVICE_LAST);
}
