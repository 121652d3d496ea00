/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_op.c - names and sizes of what ptx_op.h lists.
 */
#include "softcuda/ptx/ptx_op.h"

#include <string.h>

#include "softcuda/ptx/ptx_int.h"

const char *ptx_family_name(enum ptx_family family)
{
    static const char *const names[] = {
#define FAMILY_NAME(name, text) [PTX_##name] = text,
        PTX_FAMILY_LIST(FAMILY_NAME)
#undef FAMILY_NAME
    };

    return (size_t)family < FAB_ARRAY_LEN(names) ? names[family] : "?";
}

const char *ptx_type_name(enum ptx_type type)
{
    static const char *const names[] = {
#define TYPE_NAME(name, text, bytes) [PTX_##name] = text,
        PTX_TYPE_LIST(TYPE_NAME)
#undef TYPE_NAME
    };

    return (size_t)type < FAB_ARRAY_LEN(names) ? names[type] : "?";
}

uint32_t ptx_type_bytes(enum ptx_type type)
{
    static const uint8_t sizes[] = {
#define TYPE_BYTES(name, text, bytes) [PTX_##name] = bytes,
        PTX_TYPE_LIST(TYPE_BYTES)
#undef TYPE_BYTES
    };

    return (size_t)type < FAB_ARRAY_LEN(sizes) ? sizes[type] : 0;
}

bool ptx_type_is_float(enum ptx_type type)
{
    const uint64_t floats = UINT64_C(1) << PTX_F16 | UINT64_C(1) << PTX_F16X2 |
                            UINT64_C(1) << PTX_BF16 | UINT64_C(1) << PTX_BF16X2 |
                            UINT64_C(1) << PTX_F32 | UINT64_C(1) << PTX_F32X2 |
                            UINT64_C(1) << PTX_TF32 | UINT64_C(1) << PTX_F64 |
                            UINT64_C(1) << PTX_E4M3X2 | UINT64_C(1) << PTX_E5M2X2;

    return (size_t)type < PTX_TYPE_COUNT && (floats >> type & 1) != 0;
}

bool ptx_type_is_signed(enum ptx_type type)
{
    return type == PTX_S8 || type == PTX_S16 || type == PTX_S32 || type == PTX_S64 ||
           type == PTX_S16X2;
}

const char *ptx_sreg_name(enum ptx_sreg sreg)
{
    static const char *const names[] = {
#define SREG_NAME(name, text) [PTX_SREG_##name] = text,
        PTX_SREG_LIST(SREG_NAME)
#undef SREG_NAME
    };

    return (size_t)sreg < FAB_ARRAY_LEN(names) ? names[sreg] : "?";
}

bool ptx_type_from(struct ptx_span word, enum ptx_type *type_out)
{
    for (int type = PTX_PRED; type < PTX_TYPE_COUNT; type++) {
        if (ptx_span_is(word, ptx_type_name((enum ptx_type)type))) {
            *type_out = (enum ptx_type)type;
            return true;
        }
    }
    return false;
}

/* %envreg4..31 and %pm0..7 are one number each: nothing gives them a value. */
static bool sreg_group_from(struct ptx_span name, uint8_t *sreg_out)
{
    static const struct {
        const char *prefix;
        enum ptx_sreg sreg;
    } groups[] = {{"%envreg", PTX_SREG_ENVREG_OTHER}, {"%pm", PTX_SREG_PM_ANY}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(groups); i++) {
        size_t bytes = strlen(groups[i].prefix);

        if (name.bytes > bytes && memcmp(name.text, groups[i].prefix, bytes) == 0 &&
            name.text[bytes] >= '0' && name.text[bytes] <= '9') {
            *sreg_out = (uint8_t)groups[i].sreg;
            return true;
        }
    }
    return false;
}

bool ptx_sreg_from(struct ptx_span name, struct ptx_span component, uint8_t *sreg_out)
{
    for (int sreg = 0; sreg < PTX_SREG_COUNT; sreg++) {
        const char *text = ptx_sreg_name((enum ptx_sreg)sreg);
        size_t bytes = strcspn(text, ".");

        if (bytes != name.bytes || memcmp(text, name.text, bytes) != 0)
            continue;
        if (ptx_span_is(component, text[bytes] ? text + bytes + 1 : "")) {
            *sreg_out = (uint8_t)sreg;
            return true;
        }
    }
    return component.bytes == 0 && sreg_group_from(name, sreg_out);
}
