/* SPDX-License-Identifier: Apache-2.0
 * compose/cli.h - what the commands of `compose` share: the table, arguments, output.
 *
 * Data go to stdout, talk to stderr. Exit status 0: done, 1: failed, 2: misused. Memory of a
 * command lives as long as the process, which ends with it.
 */
#ifndef COMPOSE_CLI_H
#define COMPOSE_CLI_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "compose/client.h"

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_MISUSED = 2 };

/* Keys of options above any letter. A command's own begin at CLI_KEY_OWN. */
enum { CLI_KEY_COMMON = 256, CLI_KEY_OWN = 320, CLI_KEYS = 384 };

struct cli;

/* What a command's plain arguments name, for completion. */
enum cli_words { CLI_WORDS_NONE, CLI_WORDS_SYSTEM, CLI_WORDS_NODE, CLI_WORDS_GPU };

enum {
    CLI_IN_ORDER = 1, /* the first plain argument ends the options: the rest is a program's */
    CLI_HIDDEN = 2,   /* not in the help */
    CLI_NOT_YET = 4   /* refused: of a later version */
};

/* A subcommand; each is the first thing in its file. */
struct cli_command {
    const char *name;
    const char *arguments;             /* as the help shows them: "NAME" */
    const char *help;                  /* one line */
    const char *more;                  /* behind the options in its own help; may be NULL */
    const struct argp_option *options; /* NULL: none but the common ones */
    unsigned flags;
    enum cli_words words;
    int repeatable;           /* key of the option that may stand more than once; 0: none */
    const char *const *verbs; /* first plain argument, for completion; NULL-terminated or NULL */
    int (*run)(struct cli *cli, int argc, char **argv);
};

struct cli {
    const struct cli_command *command;
    struct compose_options options; /* where and how */
    bool is_json;
    bool is_seen[CLI_KEYS]; /* options that stood already */
    struct compose *compose;
    const char *progress; /* what is waited for; NULL: nothing is shown */
    unsigned waited_s;
};

/* The table, in the order of the help; ends with a NULL. */
extern const struct cli_command *const cli_commands[];
extern const struct argp_option cli_common_options[];
/* By its name or an alias that users know from elsewhere ("list_gpus"); an alias may stand for
 * several words, which then take its place in the arguments. NULL: none. */
const struct cli_command *cli_find(const char *name, int *argc, char ***argv);

/* ---- arguments (arguments.c) ------------------------------------------------------------------
 */

/* Hands each option (and plain argument: ARGP_KEY_ARG) to `take`. False says of an option of the
 * command's table that it is of a later version, of an argument that it is one too many; both end
 * the process, as does an option that is given twice, unknown or without its value.
 * Returns the index in argv of what CLI_IN_ORDER left, or argc. */
int cli_parse(struct cli *cli, int argc, char **argv,
              bool (*take)(struct cli *cli, void *arguments, int key, char *text), void *arguments);
/* For commands without plain arguments and without options. */
void cli_parse_none(struct cli *cli, int argc, char **argv);

/* A number from 1 to `most`, or the end of the process. */
uint32_t cli_number(struct cli *cli, const char *option, const char *text, uint32_t most);
uint64_t cli_milliseconds(struct cli *cli, const char *option, const char *text);
/* The parts of "a,b,c", of which none may be empty; ends with NULL. */
const char **cli_split(struct cli *cli, const char *option, const char *text, size_t *count_out);

FAB_NORETURN void cli_misuse(const struct cli *cli, const char *format, ...) FAB_PRINTF(2, 3);
/* `what` is of a later version. */
FAB_NORETURN void cli_not_yet(const struct cli *cli, const char *what);

/* ---- requests (request.c) ---------------------------------------------------------------------
 */

/* The only end of the process but execve(): what was printed is written, or the status is a
 * failure. Memory is not given back one by one, and no leak checker asks for it. */
FAB_NORETURN void cli_exit(int status);
/* "compose: message" on stderr; CLI_FAILED. */
int cli_fail(const struct cli *cli, const char *format, ...) FAB_PRINTF(2, 3);

/* These end the process with the API's sentence when the request fails. JSON is given. */
struct compose *cli_open(struct cli *cli);
json_t *cli_get(struct cli *cli, const char *path);
json_t *cli_get_named(struct cli *cli, const char *base, const char *name);
json_t *cli_members(struct cli *cli, const char *path); /* of a collection, whole */
struct compose_answer cli_ask(struct cli *cli, const char *method, const char *path,
                              const char *body);
FAB_NORETURN void cli_end(const struct cli *cli, const struct compose_error *error);
/* The name of the node whose agent answers; ends the process where there is none. */
const char *cli_this_node(struct cli *cli);
/* A line on a terminal while the next requests are waited for; NULL takes it away. */
void cli_progress(struct cli *cli, const char *text);

/* ---- output (output.c) ------------------------------------------------------------------------
 */

enum cli_kind {
    CLI_TEXT,
    CLI_NUMBER,
    CLI_BYTES,   /* "12.0 GiB" */
    CLI_PERCENT, /* negative: unknown */
    CLI_TIME,    /* milliseconds since 1970 */
    CLI_USER,    /* a uid, shown by its name */
    CLI_LIST     /* an array of texts */
};

struct cli_column {
    const char *key, *title;
    enum cli_kind kind;
};

/* Prints the array of objects as a table, or, for --json, as it is; takes it. CLI_DONE. */
int cli_rows(const struct cli *cli, json_t *rows, const struct cli_column *columns, size_t count);
int cli_json(json_t *root); /* prints and takes it */
/* The value as the table shows it; given (free). */
char *cli_value_text(const json_t *value, enum cli_kind kind);
/* For a message: cut and cleaned of what a terminal might obey. */
void cli_print_clean(FILE *stream, const char *text);
/* Never NULL: the process ends where there is no memory. Steals references in the format "o". */
json_t *cli_pack(const char *format, ...);
void cli_append(json_t *array, json_t *item);             /* takes the item */
char *cli_text(const char *format, ...) FAB_PRINTF(1, 2); /* given */

/* One row a GPU of a composed system: what `show` and `smi` print. */
json_t *cli_gpu_rows(const json_t *system);
bool cli_is_adhoc(const json_t *system);

#endif /* COMPOSE_CLI_H */
