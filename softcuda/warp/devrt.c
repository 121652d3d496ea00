/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/devrt.c - the device functions that a toolkit declares: vprintf, __assertfail.
 *
 * Arguments of vprintf lie packed in memory, each aligned to its size: int and smaller 4 bytes,
 * long, pointers and double 8. Text of one thread is handed on in one piece.
 * Source: CUDA C++ Programming Guide, "Formatted Output", "Assertion".
 */
#include <stdio.h>
#include <string.h>

#include "softcuda/warp/exec_ops_int.h"
#include "softcuda/warp/launch_int.h"

enum {
    TEXT_BYTES = 8192,    /* of one thread's call; the rest is cut, as the device does */
    DIRECTIVE_BYTES = 32, /* "%-+ #0123.456lld" */
    STRING_BYTES = 1024,  /* of a name in an assertion */
};

/* ---- device memory ---- */

static bool inside(uint64_t address, const void *window, uint64_t window_bytes, uint64_t *room_out)
{
    uint64_t offset = address - (uint64_t)(uintptr_t)window;

    if (!window || offset >= window_bytes)
        return false;
    *room_out = window_bytes - offset;
    return true;
}

/* How many bytes can be read at a generic address; 0: none. */
static uint64_t readable(struct warp *w, uint64_t address)
{
    struct warp_range range;
    uint64_t room;

    if (inside(address, w->local, w->local_stride * WARP_LANES, &room) ||
        inside(address, w->block->shared, w->block->shared_bytes, &room))
        return room;
    if (warp_range_find(w, address, 1, /* write */ false, &range))
        return range.hi - address;
    return 0;
}

static const char *host_pointer(uint64_t address)
{
    return (const char *)(uintptr_t)address;
}

/* A parameter of the call as one lane has it. */
static uint64_t argument(const struct warp *w, const struct warp_copy *copy, uint32_t lane)
{
    const struct warp_frame *frame = ((const struct warp_exec *)w)->frame;
    uint64_t value = 0;

    if (copy->operand != WARP_NO_OPERAND) {
        const uint8_t *slot = warp_at(w, copy->operand);

        memcpy(&value, slot + (size_t)lane * copy->width, copy->bytes <= 8 ? copy->bytes : 8);
    } else {
        memcpy(&value, w->local + lane * w->local_stride + frame->local_base + copy->caller_offset,
               copy->bytes <= 8 ? copy->bytes : 8);
    }
    return value;
}

static void set_result(struct warp *w, const struct warp_call *call, uint32_t lane, int32_t value)
{
    const struct warp_frame *frame = ((const struct warp_exec *)w)->frame;
    uint8_t *at;

    if (call->ret_count == 0)
        return;
    if (call->rets[0].operand != WARP_NO_OPERAND)
        at = (uint8_t *)warp_at(w, call->rets[0].operand) + (size_t)lane * sizeof(value);
    else
        at = w->local + lane * w->local_stride + frame->local_base + call->rets[0].caller_offset;
    memcpy(at, &value, sizeof(value));
}

/* ---- printf ---- */

struct printer {
    struct warp *w;
    const char *format, *format_end;
    uint64_t args; /* address of the next argument */
    int32_t arg_count;
    bool failed; /* an address could not be read; fault_address says which */
    uint64_t fault_address;
    size_t length;
    char text[TEXT_BYTES];
};

static void put_text(struct printer *p, const char *text, size_t length)
{
    if (length > sizeof(p->text) - p->length)
        length = sizeof(p->text) - p->length;
    memcpy(p->text + p->length, text, length);
    p->length += length;
}

static uint64_t next_argument(struct printer *p, uint32_t bytes)
{
    uint64_t value = 0;

    p->args = (p->args + bytes - 1) & ~(uint64_t)(bytes - 1);
    if (readable(p->w, p->args) < bytes) {
        p->failed = true;
        p->fault_address = p->args;
        return 0;
    }
    memcpy(&value, host_pointer(p->args), bytes);
    p->args += bytes;
    p->arg_count++;
    return value;
}

struct directive {
    char text[DIRECTIVE_BYTES]; /* rebuilt for the host's printf, without the length modifier */
    size_t length;
    bool is_long;
    char conversion;
    int width, precision; /* -1: none */
};

static bool peek(const struct printer *p, char *out)
{
    if (p->format >= p->format_end || !*p->format)
        return false;
    *out = *p->format;
    return true;
}

static int parse_number(struct printer *p)
{
    int value = 0;
    char c;

    if (peek(p, &c) && c == '*') {
        p->format++;
        return (int)(uint32_t)next_argument(p, 4);
    }
    while (peek(p, &c) && c >= '0' && c <= '9') {
        if (value < TEXT_BYTES)
            value = value * 10 + (c - '0');
        p->format++;
    }
    return value;
}

/* After the '%'. */
static void parse_directive(struct printer *p, struct directive *d)
{
    char c;

    *d = (struct directive){.text = "%", .length = 1, .width = -1, .precision = -1};
    while (peek(p, &c) && strchr("-+ #0", c)) {
        if (d->length < 8)
            d->text[d->length++] = c;
        p->format++;
    }
    if (peek(p, &c) && (c == '*' || (c >= '1' && c <= '9')))
        d->width = parse_number(p);
    if (d->width < -1) { /* a negative '*' means left-justified */
        d->text[d->length++] = '-';
        d->width = d->width > -TEXT_BYTES ? -d->width : TEXT_BYTES;
    }
    if (peek(p, &c) && c == '.') {
        p->format++;
        d->precision = parse_number(p);
    }
    while (peek(p, &c) && strchr("hlLqjzt", c)) {
        d->is_long = d->is_long || c != 'h';
        p->format++;
    }
    if (peek(p, &c)) {
        d->conversion = c;
        p->format++;
    }
}

/* One formatted piece; the host's printf does the work. */
#define PRINT_PIECE(p, d, value)                                                                   \
    ((d)->width >= 0 && (d)->precision >= 0                                                        \
         ? snprintf((p)->text + (p)->length, room, (d)->text, (d)->width, (d)->precision, value)   \
     : (d)->width >= 0 ? snprintf((p)->text + (p)->length, room, (d)->text, (d)->width, value)     \
     : (d)->precision >= 0                                                                         \
         ? snprintf((p)->text + (p)->length, room, (d)->text, (d)->precision, value)               \
         : snprintf((p)->text + (p)->length, room, (d)->text, value))

static void finish_directive(struct directive *d, const char *modifier, char conversion)
{
    const char *parts[] = {d->width >= 0 ? "*" : "", d->precision >= 0 ? ".*" : "", modifier};

    for (size_t i = 0; i < FAB_ARRAY_LEN(parts); i++)
        for (const char *c = parts[i]; *c; c++)
            d->text[d->length++] = *c;
    d->text[d->length++] = conversion;
    d->text[d->length] = '\0';
    if (d->width > TEXT_BYTES)
        d->width = TEXT_BYTES;
}

static void printed(struct printer *p, size_t room, int count)
{
    if (count > 0)
        p->length += (size_t)count < room ? (size_t)count : room - 1;
}

/* The format is built from checked parts of the program's. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void print_integer(struct printer *p, struct directive *d)
{
    size_t room = sizeof(p->text) - p->length;
    uint64_t value = next_argument(p, d->is_long ? 8 : 4);
    bool is_signed = d->conversion == 'd' || d->conversion == 'i';

    if (!d->is_long && is_signed)
        value = (uint64_t)(int64_t)(int32_t)(uint32_t)value;
    finish_directive(d, "ll", d->conversion);
    if (room)
        printed(p, room, PRINT_PIECE(p, d, (unsigned long long)value));
}

static void print_double(struct printer *p, struct directive *d)
{
    size_t room = sizeof(p->text) - p->length;
    uint64_t bits = next_argument(p, 8);
    double value;

    memcpy(&value, &bits, sizeof(value));
    finish_directive(d, "", d->conversion);
    if (room)
        printed(p, room, PRINT_PIECE(p, d, value));
}

static void print_char(struct printer *p, struct directive *d)
{
    size_t room = sizeof(p->text) - p->length;
    int value = (int)(unsigned char)next_argument(p, 4);

    finish_directive(d, "", 'c');
    if (room)
        printed(p, room, PRINT_PIECE(p, d, value));
}

static void print_pointer(struct printer *p, struct directive *d)
{
    size_t room = sizeof(p->text) - p->length;
    uint64_t value = next_argument(p, 8);

    finish_directive(d, "", 'p');
    if (room)
        printed(p, room, PRINT_PIECE(p, d, (const void *)host_pointer(value)));
}

static void print_string(struct printer *p, struct directive *d)
{
    size_t room = sizeof(p->text) - p->length;
    uint64_t address = next_argument(p, 8);
    uint64_t limit = address ? readable(p->w, address) : 0;
    const char *text = host_pointer(address);
    size_t length;

    if (p->failed)
        return;
    if (address == 0) {
        text = "(null)";
        limit = 7;
    } else if (limit == 0) {
        p->failed = true;
        p->fault_address = address;
        return;
    }
    length = strnlen(text, limit < TEXT_BYTES ? (size_t)limit : TEXT_BYTES);
    if (d->precision < 0 || (size_t)d->precision > length)
        d->precision = (int)length; /* never beyond what may be read */
    finish_directive(d, "", 's');
    if (room)
        printed(p, room, PRINT_PIECE(p, d, text));
}

#pragma GCC diagnostic pop

static void print_directive(struct printer *p)
{
    const char *start = p->format; /* after '%' */
    struct directive d;

    parse_directive(p, &d);
    switch (d.conversion) {
    case '%':
        put_text(p, "%", 1);
        break;
    case 'd':
    case 'i':
    case 'o':
    case 'u':
    case 'x':
    case 'X':
        print_integer(p, &d);
        break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case 'a':
    case 'A':
        print_double(p, &d);
        break;
    case 'c':
        print_char(p, &d);
        break;
    case 'p':
        print_pointer(p, &d);
        break;
    case 's':
        print_string(p, &d);
        break;
    default: /* unknown: as it stands */
        put_text(p, "%", 1);
        put_text(p, start, (size_t)(p->format - start));
        break;
    }
}

static void print_all(struct printer *p)
{
    char c;

    while (!p->failed && peek(p, &c)) {
        const char *start = p->format;

        while (peek(p, &c) && c != '%')
            p->format++;
        put_text(p, start, (size_t)(p->format - start));
        if (peek(p, &c)) {
            p->format++;
            print_directive(p);
        }
    }
}

const struct warp_insn *warp_op_vprintf(struct warp *w, const struct warp_insn *in)
{
    const struct warp_call *call = in->aux;
    const struct warp_env *env = w->block->launch->env;
    struct printer p;

    for (uint32_t rest = w->mask; rest; rest &= rest - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(rest);
        uint64_t format = argument(w, &call->args[0], lane);
        uint64_t room = format ? readable(w, format) : 0;

        if (format == 0) {
            set_result(w, call, lane, -1);
            continue;
        }
        if (room == 0)
            return warp_fault(w, in, WARP_FAULT_ILLEGAL_ADDRESS, format, lane);
        p.w = w;
        p.format = host_pointer(format);
        p.format_end = p.format + room;
        p.args = argument(w, &call->args[1], lane);
        p.arg_count = 0;
        p.failed = false;
        p.length = 0;
        print_all(&p);
        if (p.failed)
            return warp_fault(w, in, WARP_FAULT_ILLEGAL_ADDRESS, p.fault_address, lane);
        if (env->text && p.length)
            env->text(env->arg, /* is_error */ false, p.text, p.length);
        set_result(w, call, lane, p.arg_count);
    }
    return in + 1;
}

/* ---- assert ---- */

static void copy_string(struct warp *w, uint64_t address, char text[STRING_BYTES])
{
    uint64_t room = address ? readable(w, address) : 0;
    size_t length = 0;

    if (room)
        length = strnlen(host_pointer(address),
                         room < STRING_BYTES ? (size_t)room : (size_t)STRING_BYTES - 1);
    memcpy(text, host_pointer(address), length);
    text[length] = '\0';
}

const struct warp_insn *warp_op_assertfail(struct warp *w, const struct warp_insn *in)
{
    const struct warp_call *call = in->aux;
    const struct warp_launch *launch = w->block->launch;
    char message[STRING_BYTES], file[STRING_BYTES], function[STRING_BYTES], text[TEXT_BYTES];

    for (uint32_t rest = w->mask; rest; rest &= rest - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(rest);
        uint32_t thread = w->warp_index * WARP_LANES + lane;
        int length;

        copy_string(w, argument(w, &call->args[0], lane), message);
        copy_string(w, argument(w, &call->args[1], lane), file);
        copy_string(w, argument(w, &call->args[3], lane), function);
        length = snprintf(text, sizeof(text),
                          "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` "
                          "failed.\n",
                          file, (uint32_t)argument(w, &call->args[2], lane), function,
                          w->block->ctaid[0], w->block->ctaid[1], w->block->ctaid[2],
                          thread % launch->block[0], thread / launch->block[0] % launch->block[1],
                          thread / launch->block[0] / launch->block[1], message);
        if (launch->env->text && length > 0)
            launch->env->text(launch->env->arg, /* is_error */ true, text, (size_t)length);
    }
    return warp_fault(w, in, WARP_FAULT_ASSERT, 0, WARP_LANES);
}
