/* SPDX-License-Identifier: Apache-2.0
 * base/settings.h - one table of rows describes all settings of a program.
 *
 * A row ties a name to a field of the program's own struct. The same row feeds the
 * file (base/settings_file.h), the environment, the command line, --help, the man
 * page and the example file (base/settings_text.h). Strength grows in that order:
 *
 *     struct conf { uint64_t memory_bytes; struct fab_setting_list gpus; };
 *     struct gpu { char *name; int64_t sm_count; };
 *
 *     static const struct fab_setting gpu_rows[] = {
 *         {.name = "name", .type = FAB_SETTING_STRING, .offset = offsetof(struct gpu, name),
 *          .flags = FAB_SETTING_REQUIRED, .help = "Product name."},
 *         {.name = "sms", .type = FAB_SETTING_INT, .offset = offsetof(struct gpu, sm_count),
 *          .fallback = "80", .min = 1, .max = 256, .help = "Streaming multiprocessors."},
 *     };
 *     static const struct fab_schema gpu_schema = FAB_SCHEMA("gpu", gpu_rows, struct gpu);
 *     static const struct fab_setting rows[] = {
 *         {.name = "device.memory", .type = FAB_SETTING_SIZE,
 *          .offset = offsetof(struct conf, memory_bytes), .fallback = "8GiB",
 *          .min = 1 << 20, .max = INT64_C(1) << 40, .env = "DEMO_MEMORY", .help = "..."},
 *         {.name = "gpus", .type = FAB_SETTING_LIST, .offset = offsetof(struct conf, gpus),
 *          .item = &gpu_schema, .max = 64, .help = "One group for each GPU."},
 *     };
 *     static const struct fab_schema schema = FAB_SCHEMA("demo", rows, struct conf);
 *
 *     status = fab_settings_init(&schema, &conf, &err);            // the defaults
 *     status = fab_settings_read_file(&schema, &conf, path, &err); // base/settings_file.h
 *     status = fab_settings_read_env(&schema, &conf, &err);
 *     for (size_t i = 0; i < conf.gpus.count; i++)
 *         const struct gpu *gpu = fab_setting_item(&conf.gpus, struct gpu, i);
 *     fab_settings_clear(&schema, &conf);
 *
 * A call that fails leaves the target as it was. Nothing is ever clamped or skipped:
 * an unknown name (FAB_ERR_NOT_FOUND), a wrong type or malformed text (FAB_ERR_INVALID) and
 * a value outside its range (FAB_ERR_RANGE) are errors whose text names where, what and
 * the allowed range. Thread: the target's owner.
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;
struct fab_schema;

/* The type of the value and, behind it, of the field. */
enum fab_setting_type {
    FAB_SETTING_BOOL,     /* bool: true, false (as text also yes, no, on, off, 1, 0) */
    FAB_SETTING_INT,      /* int64_t */
    FAB_SETTING_SIZE,     /* uint64_t bytes: "64MiB", or a number of bytes */
    FAB_SETTING_DURATION, /* uint64_t nanoseconds: "2m30s"; a string also in the file */
    FAB_SETTING_STRING,   /* char *, owned by the target; NULL without a fallback */
    FAB_SETTING_ENUM,     /* int: the index in `choices` */
    FAB_SETTING_LIST,     /* struct fab_setting_list: a list of groups, in the file only */
};

enum {
    FAB_SETTING_REQUIRED = 1u << 0, /* each item of a list must set it (in list items only) */
    FAB_SETTING_RUNTIME = 1u << 1,  /* fab_settings_reload may change it while the program runs */
};

/* What a FAB_SETTING_LIST fills: `count` items of the item schema's size, zero for no list. */
struct fab_setting_list {
    void *items;
    size_t count;
};

#define fab_setting_item(list, type, index) (&((type *)(list)->items)[index])

struct fab_setting {
    const char *name; /* "memory", or with groups "device.memory"; lower case, digits, '_' */
    enum fab_setting_type type;
    size_t offset;        /* of the field in the target */
    const char *fallback; /* default, as text; NULL is 0, false, no string, first choice, no list */
    /* Allowed values, inclusive; for strings their length, for lists the number of items, for
     * durations nanoseconds. Both 0: all that the type holds (strings 4095 bytes, lists 4096). */
    int64_t min, max;
    const char *const *choices;    /* FAB_SETTING_ENUM: names, NULL at the end */
    const struct fab_schema *item; /* FAB_SETTING_LIST: the rows of one group. With a single row an
                                      item may also be the bare value: rails = ["a", "b"]; */
    const char *unit;              /* for the texts, where the type does not say it: "MHz" */
    const char *env;               /* environment variable, or NULL */
    unsigned flags;                /* FAB_SETTING_REQUIRED ... */
    const char *help;              /* whole sentences for --help and the man page */
    /* A further check of a value that is in range; fills err with a sentence. May be NULL. */
    enum fab_status (*check)(const struct fab_setting *row, const void *field, struct fab_err *err);
};

struct fab_schema {
    const char *name; /* of the program, or of one group */
    const struct fab_setting *rows;
    size_t row_count;
    size_t target_bytes;
};

#define FAB_SCHEMA(schema_name, row_array, target_type)                                            \
    {                                                                                              \
        .name = (schema_name), .rows = (row_array), .row_count = FAB_ARRAY_LEN(row_array),         \
        .target_bytes = sizeof(target_type)                                                        \
    }

/* Fills a raw target with the defaults (all its bytes are set). */
FAB_NODISCARD enum fab_status fab_settings_init(const struct fab_schema *schema, void *target,
                                                struct fab_err *err);

/* Frees strings and lists; the target is then raw again. Takes an all-zero target. */
void fab_settings_clear(const struct fab_schema *schema, void *target);

/* Every row with an `env` that is set (also to ""). The text: "DEMO_MEMORY: ...". */
FAB_NODISCARD enum fab_status fab_settings_read_env(const struct fab_schema *schema, void *target,
                                                    struct fab_err *err);

/* Takes --device-memory=64GiB, --device-memory 64GiB and, for a bool, --name and --no-name out of
 * argv (the option is the name with '-' for '.' and '_'). What is not a setting stays, in order,
 * for the program to judge; "--" and all behind it stay too. argv[0] is not looked at. */
FAB_NODISCARD enum fab_status fab_settings_read_args(const struct fab_schema *schema, void *target,
                                                     int *argc, char **argv, struct fab_err *err);

/* One setting by name, from text. */
FAB_NODISCARD enum fab_status fab_settings_set(const struct fab_schema *schema, void *target,
                                               const char *name, const char *text,
                                               struct fab_err *err);

/* A running program takes over `fresh` (built aside, the same schema). Where a row differs that is
 * not FAB_SETTING_RUNTIME: FAB_ERR_STATE naming it, and nothing changes. On FAB_OK the target has
 * the new values and `fresh` the old ones, to be cleared by the caller as ever. */
FAB_NODISCARD enum fab_status fab_settings_reload(const struct fab_schema *schema, void *target,
                                                  void *fresh, struct fab_err *err);

/* A deep copy into a raw target. */
FAB_NODISCARD enum fab_status fab_settings_copy(const struct fab_schema *schema, const void *target,
                                                void *copy_out, struct fab_err *err);

/* The row of that name, or NULL. */
const struct fab_setting *fab_setting_find(const struct fab_schema *schema, const char *name);

/* Parses text into the field and checks it; `field` points at the row's field. */
FAB_NODISCARD enum fab_status fab_setting_parse(const struct fab_setting *row, const char *text,
                                                void *field, struct fab_err *err);

/* Checks range and `check` of an integer that the caller has read, then sets the field. For
 * FAB_SETTING_INT and FAB_SETTING_SIZE. */
FAB_NODISCARD enum fab_status fab_setting_assign(const struct fab_setting *row, int64_t value,
                                                 void *field, struct fab_err *err);

/* The allowed values in words: "1MiB .. 1TiB", "pack, spread"; "" where anything goes. */
const char *fab_setting_range(const struct fab_setting *row, char *text, size_t text_bytes);

/* For unit tests of a table: names well formed and unique, defaults valid, ranges in order, no
 * REQUIRED outside lists. Returns the first mistake. */
FAB_NODISCARD enum fab_status fab_schema_check(const struct fab_schema *schema,
                                               struct fab_err *err);

#endif /* BASE_SETTINGS_H */
