/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/launcher/launcher.c - see launcher.h.
 */
#include "cuda-runtime/launcher/launcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "cuda-runtime/redirect/elf_file.h"

static const char RUNTIME_FILE[] = "libcudart.so.13";
static const char AUDIT_FILE[] = "libcudart-redirect.so";

/* ---- finding files ------------------------------------------------------------------------ */

enum fab_status launcher_library_dir(const char *name, char dir_out[PATH_MAX], struct fab_err *err)
{
    static const char *const places[] = {"lib", "lib/fabricd"};
    char self[PATH_MAX], dir[PATH_MAX + 64];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (length < 0)
        return fab_err_errno(err, errno, "reading /proc/self/exe");
    self[length] = '\0';
    for (int up = 0; up < 2; up++) { /* program, then bin/ */
        char *slash = strrchr(self, '/');
        if (!slash)
            return fab_err_set(err, FAB_ERR_NOT_FOUND, "no folder above %s", self);
        *slash = '\0';
    }
    for (size_t i = 0; i < FAB_ARRAY_LEN(places); i++) {
        int needed = snprintf(dir, sizeof(dir), "%s/%s/%s", self, places[i], name);
        if (needed > 0 && needed < PATH_MAX && access(dir, X_OK) == 0) {
            memcpy(dir_out, dir, (size_t)needed + 1);
            return FAB_OK;
        }
    }
    return fab_err_set(err, FAB_ERR_NOT_FOUND,
                       "no folder lib/%s below %s: is the installation complete?", name, self);
}

static bool is_runnable(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, X_OK) == 0;
}

enum fab_status launcher_find_program(const char *name, char path_out[PATH_MAX],
                                      struct fab_err *err)
{
    const char *list = getenv("PATH");

    if (strchr(name, '/')) {
        if (strlen(name) >= PATH_MAX || access(name, F_OK) != 0)
            return fab_err_set(err, FAB_ERR_NOT_FOUND, "%s: no such program", name);
        if (!is_runnable(name))
            return fab_err_set(err, FAB_ERR_DENIED, "%s: not executable", name);
        memcpy(path_out, name, strlen(name) + 1);
        return FAB_OK;
    }
    for (const char *at = list ? list : "/usr/bin:/bin"; *at;) {
        size_t length = strcspn(at, ":");
        int needed = snprintf(path_out, PATH_MAX, "%.*s/%s", (int)length, at, name);
        if (needed > 0 && needed < PATH_MAX && is_runnable(path_out))
            return FAB_OK;
        at += length + (at[length] == ':');
    }
    return fab_err_set(err, FAB_ERR_NOT_FOUND, "%s: no such program in PATH", name);
}

/* ---- what the file tells before the start ---------------------------------------------------- */

enum { SANITIZER_NAME_BYTES = 64 };

struct program_facts {
    bool has_device_code, is_static, is_privileged, has_gcc_tsan;
    char sanitizer[SANITIZER_NAME_BYTES]; /* runtime library it must meet first; "" if none */
};

/* The shared sanitizer runtime that a file is linked to, if any. */
static void find_sanitizer(const struct elf_file *file, char name_out[SANITIZER_NAME_BYTES])
{
    static const char *const prefixes[] = {"libasan.so", "libtsan.so", "libclang_rt.asan",
                                           "libclang_rt.tsan"};
    const char *needed;

    for (unsigned n = 0; (needed = elf_needed(file, n)); n++)
        for (size_t i = 0; i < FAB_ARRAY_LEN(prefixes); i++)
            if (strncmp(needed, prefixes[i], strlen(prefixes[i])) == 0 &&
                strlen(needed) < SANITIZER_NAME_BYTES) {
                memcpy(name_out, needed, strlen(needed) + 1);
                return;
            }
}

static struct program_facts inspect(const char *path)
{
    struct program_facts facts = {0};
    struct elf_file file;
    struct stat about;

    if (stat(path, &about) == 0)
        facts.is_privileged = (about.st_mode & (S_ISUID | S_ISGID)) && getuid() != 0;
    if (elf_file_open(path, &file, /* err */ NULL) != FAB_OK)
        return facts; /* a script: its interpreter inherits the environment */
    facts.has_device_code = elf_section_find(&file, ".nv_fatbin") != NULL;
    facts.is_static = !elf_has_interpreter(&file);
    find_sanitizer(&file, facts.sanitizer);
    facts.has_gcc_tsan = strncmp(facts.sanitizer, "libtsan", strlen("libtsan")) == 0;
    elf_file_close(&file);
    return facts;
}

static void say_what_will_not_work(const char *path, const struct program_facts *facts)
{
    if (facts->is_static && facts->has_device_code)
        fprintf(stderr,
                "%s is statically linked: no CUDA library can be put under it. Link it "
                "dynamically.\n",
                path);
    if (facts->is_privileged)
        fprintf(stderr,
                "%s is set-user-ID: the loader ignores our libraries in it. Run it as its owner.\n",
                path);
    if (facts->has_gcc_tsan && facts->has_device_code)
        fprintf(stderr,
                "%s uses gcc's thread sanitizer, which cannot be loaded beside an audit library: "
                "only its shared CUDA runtime is served. Build with -cudart shared or with "
                "clang.\n",
                path);
}

/* ---- the environment ---------------------------------------------------------------------------
 */

/* "NAME=first:rest", where rest is the value the variable has now, if any. */
static char *joined(const char *name, const char *first, const char *rest)
{
    char *entry = NULL;
    bool has_rest = rest && rest[0];

    if (asprintf(&entry, "%s=%s%s%s", name, first, has_rest ? ":" : "", has_rest ? rest : "") < 0)
        return NULL;
    return entry;
}

static const char *value_in(char *const *environment, const char *name)
{
    size_t length = strlen(name);

    for (; *environment; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    return NULL;
}

static bool same_variable(const char *a, const char *b)
{
    size_t length = strcspn(a, "=");

    return strncmp(a, b, length) == 0 && b[length] == '=';
}

/* The sanitizer that must come first in LD_PRELOAD: the program's own, or the one of our library.
 */
static const char *sanitizer_first(const struct program_facts *facts, const char *runtime,
                                   char buffer[SANITIZER_NAME_BYTES])
{
    struct elf_file file;

    if (facts->sanitizer[0])
        return facts->sanitizer;
    buffer[0] = '\0';
    if (elf_file_open(runtime, &file, /* err */ NULL) == FAB_OK) {
        find_sanitizer(&file, buffer);
        elf_file_close(&file);
    }
    return buffer[0] ? buffer : NULL;
}

/* Our own three entries; an entry that does not apply stays NULL. False: out of memory. */
static bool our_entries(const struct launcher_request *request, const char *program_path,
                        char *const *inherited, char *entries[3])
{
    struct program_facts facts = inspect(program_path);
    char runtime[PATH_MAX + 32], audit[PATH_MAX + 32], libraries[2 * PATH_MAX + 2];
    char preload[sizeof(runtime) + SANITIZER_NAME_BYTES + 1], buffer[SANITIZER_NAME_BYTES];
    const char *sanitizer;

    (void)snprintf(runtime, sizeof(runtime), "%s/%s", request->runtime_dir, RUNTIME_FILE);
    (void)snprintf(audit, sizeof(audit), "%s/%s", request->runtime_dir, AUDIT_FILE);
    (void)snprintf(libraries, sizeof(libraries), "%s:%s", request->driver_dir,
                   request->runtime_dir);
    sanitizer = sanitizer_first(&facts, runtime, buffer);
    (void)snprintf(preload, sizeof(preload), "%s%s%s", sanitizer ? sanitizer : "",
                   sanitizer ? ":" : "", runtime);

    entries[0] = joined("LD_LIBRARY_PATH", libraries, value_in(inherited, "LD_LIBRARY_PATH"));
    entries[1] = joined("LD_PRELOAD", preload, value_in(inherited, "LD_PRELOAD"));
    if (facts.has_gcc_tsan)
        return entries[0] && entries[1];
    entries[2] = joined("LD_AUDIT", audit, value_in(inherited, "LD_AUDIT"));
    return entries[0] && entries[1] && entries[2];
}

static size_t list_length(const char *const *list)
{
    size_t length = 0;

    while (list && list[length])
        length++;
    return length;
}

/* Takes the place of the variable's present entry, or the end of the list. */
static void put_entry(char **environment, size_t *count, char *entry)
{
    for (size_t i = 0; i < *count; i++) {
        if (same_variable(entry, environment[i])) {
            free(environment[i]);
            environment[i] = entry;
            return;
        }
    }
    environment[(*count)++] = entry;
    environment[*count] = NULL;
}

enum fab_status launcher_environment(const struct launcher_request *request,
                                     const char *program_path, char *const *inherited,
                                     char ***environment_out, struct fab_err *err)
{
    size_t inherited_count = list_length((const char *const *)inherited), count = 0;
    size_t set_count = list_length(request->set);
    char *ours[3] = {NULL, NULL, NULL};
    char **environment =
        calloc(inherited_count + set_count + FAB_ARRAY_LEN(ours) + 1, sizeof(char *));

    if (!environment || !our_entries(request, program_path, inherited, ours))
        goto fail;
    for (size_t i = 0; i < inherited_count + set_count; i++) {
        char *copy = strdup(i < inherited_count ? inherited[i] : request->set[i - inherited_count]);
        if (!copy)
            goto fail;
        put_entry(environment, &count, copy);
    }
    for (size_t i = 0; i < FAB_ARRAY_LEN(ours); i++)
        if (ours[i])
            put_entry(environment, &count, ours[i]);
    *environment_out = environment;
    return FAB_OK;

fail:
    for (size_t i = 0; i < FAB_ARRAY_LEN(ours); i++)
        free(ours[i]);
    launcher_environment_free(environment);
    return fab_err_set(err, FAB_ERR_NOMEM, "environment of the program");
}

void launcher_environment_free(char **environment)
{
    for (size_t i = 0; environment && environment[i]; i++)
        free(environment[i]);
    free(environment);
}

enum fab_status launcher_exec(const struct launcher_request *request, struct fab_err *err)
{
    char path[PATH_MAX];
    char **environment = NULL;
    struct program_facts facts;
    enum fab_status status = launcher_find_program(request->argv[0], path, err);

    if (status != FAB_OK)
        return status;
    status = launcher_environment(request, path, environ, &environment, err);
    if (status != FAB_OK)
        return status;
    facts = inspect(path);
    say_what_will_not_work(path, &facts);
    (void)fflush(stderr);
    (void)execve(path, request->argv, environment);
    status = fab_err_errno(err, errno, "starting %s", path);
    launcher_environment_free(environment);
    return status;
}
