/* SPDX-License-Identifier: Apache-2.0
 * tests/support/host_state.c - see host_state.h.
 */
#include "tests/support/host_state.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/hash.h"

extern char **environ;

/* ---------------------------------------------------------------- looking */

/* From libc itself: a sanitizer has its own in front. */
static void look_at_code(struct host_state *state)
{
    static const char *const patched[] = {"mmap", "munmap", "mremap", "madvise", "brk", "shmat"};
    void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

    _Static_assert(FAB_ARRAY_LEN(patched) == FAB_ARRAY_LEN(((struct host_state *)0)->code),
                   "one place each");
    for (size_t i = 0; libc && i < FAB_ARRAY_LEN(patched); i++) {
        const void *code = dlsym(libc, patched[i]);

        if (code)
            memcpy(state->code[i], code, HOST_CODE_BYTES);
    }
}

/* UCX prints what it holds now, not what the environment says. */
static void look_at_settings(struct host_state *state)
{
    enum { PRINT_CONFIG = 1, EVENTS_AT = 1 /* of the ints of ucm's settings: "enabled" */ };
    void *ucx = dlopen("libucp.so.0", RTLD_NOW | RTLD_NOLOAD);
    void (*print)(FILE *, int);
    const int *memory;
    void *found;
    FILE *out;

    if (!ucx)
        return;
    out = fmemopen(state->settings, sizeof(state->settings), "w");
    found = dlsym(ucx, "ucs_global_opts_print");
    memcpy(&print, &found, sizeof(print));
    memory = dlsym(ucx, "ucm_global_opts");
    if (out && print)
        print(out, PRINT_CONFIG);
    if (out && memory)
        (void)fprintf(out, "UCX_MEM_EVENTS=%d\n", memory[EVENTS_AT]);
    if (out)
        (void)fclose(out);
}

void host_look(struct host_state *state)
{
    memset(state, 0, sizeof(*state));
    for (int i = 1; i < HOST_SIGNALS; i++)
        (void)sigaction(i, NULL, &state->actions[i]);
    state->environment = environ;
    for (size_t i = 0; i < HOST_VARIABLES_MAX && environ[i]; i++) {
        state->variables[i] = environ[i];
        state->texts = fab_hash_text(state->texts, environ[i]);
    }
    look_at_code(state);
    look_at_settings(state);
}

bool host_settings_alone(struct host_state *state)
{
    bool whole = false;
    int fds[2];
    pid_t pid;

    memset(state, 0, sizeof(*state));
    if (pipe(fds) != 0 || (pid = fork()) < 0)
        return false;
    if (pid == 0) {
        FILE *out = fdopen(fds[1], "w");

        if (out && dlopen("libucp.so.0", RTLD_NOW)) {
            look_at_settings(state);
            (void)fwrite(state->settings, 1, sizeof(state->settings), out);
            (void)fflush(out);
        }
        _exit(0);
    }
    (void)close(fds[1]);
    for (size_t at = 0; at < sizeof(state->settings);) {
        ssize_t got = read(fds[0], state->settings + at, sizeof(state->settings) - at);

        if (got <= 0)
            break;
        at += (size_t)got;
        whole = at == sizeof(state->settings);
    }
    (void)close(fds[0]);
    (void)waitpid(pid, NULL, 0);
    return whole;
}

/* ---------------------------------------------------------------- comparing */

static bool is_excepted(const char *line, const char *const *except)
{
    for (; except && *except; except++) {
        size_t bytes = strlen(*except);

        if (strncmp(line, *except, bytes) == 0 && line[bytes] == '=')
            return true;
    }
    return false;
}

/* Both print the same lines in the same order. */
static bool settings_differ(const char *before, const char *after, const char *const *except)
{
    bool differ = false;

    while (*before || *after) {
        size_t bytes = strcspn(before, "\n"), other_bytes = strcspn(after, "\n");

        if ((bytes != other_bytes || memcmp(before, after, bytes) != 0) &&
            !is_excepted(before, except)) {
            (void)fprintf(stderr, "UCX's setting %.*s became %.*s\n", (int)bytes, before,
                          (int)other_bytes, after);
            differ = true;
        }
        before += bytes + (before[bytes] == '\n');
        after += other_bytes + (after[other_bytes] == '\n');
    }
    return differ;
}

static bool signals_differ(const struct host_state *before, const struct host_state *after)
{
    bool differ = false;

    for (int i = 1; i < HOST_SIGNALS; i++) {
        const struct sigaction *one = &before->actions[i], *other = &after->actions[i];

        /* Not the mask's bytes beyond the kernel's signals. */
        if (one->sa_handler != other->sa_handler || one->sa_flags != other->sa_flags) {
            (void)fprintf(stderr, "signal %d has another handler\n", i);
            differ = true;
        }
    }
    return differ;
}

int host_compare(const struct host_state *before, const struct host_state *after,
                 const char *const *except)
{
    int different = signals_differ(before, after) ? HOST_SIGNAL : 0;

    if (before->environment != after->environment || before->texts != after->texts ||
        memcmp(before->variables, after->variables, sizeof(before->variables)) != 0) {
        (void)fprintf(stderr, "the environment is another\n");
        different |= HOST_ENVIRONMENT;
    }
    if (memcmp(before->code, after->code, sizeof(before->code)) != 0) {
        (void)fprintf(stderr, "code of the C library is patched\n");
        different |= HOST_CODE;
    }
    /* A process without UCX has no settings to change. */
    if (before->settings[0] && settings_differ(before->settings, after->settings, except))
        different |= HOST_SETTINGS;
    return different;
}
