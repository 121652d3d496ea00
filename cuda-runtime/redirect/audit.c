/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/redirect/audit.c - libcudart-redirect.so, an LD_AUDIT library (rtld-audit(7)).
 *
 * It sees every object that the dynamic loader brings in, at start and by dlopen, before any
 * constructor runs. Once our libcudart is among them (preloaded, from the folder this library lies
 * in), every object that embeds a CUDA runtime has its entries sent to ours. The library lives in
 * a link-map namespace with a libc of its own: it shares no state with the program, calls nothing
 * of our runtime and only computes addresses. Thread: the one inside the loader, under its lock.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/err.h"
#include "cuda-runtime/redirect/elf_file.h"
#include "cuda-runtime/redirect/patch.h"
#include "cuda-runtime/redirect/plan.h"

FAB_EXPORT unsigned int la_version(unsigned int version);
FAB_EXPORT unsigned int la_objopen(struct link_map *map, Lmid_t namespace_id, uintptr_t *cookie);
FAB_EXPORT void la_activity(uintptr_t *cookie, unsigned int flag);
FAB_EXPORT unsigned int la_objclose(uintptr_t *cookie);

/* Objects that were opened and not looked at yet. The loader opens a handful at once; more than
 * this many pending would be a program with that many libraries, and the list grows for it. */
struct object {
    struct link_map *map;
    bool is_done;
};

static struct {
    struct object *objects;
    size_t count, capacity;
    struct elf_file runtime_file; /* kept open: the targets' names lie in it */
    struct plan_targets targets;
    uintptr_t runtime_base;
    bool has_runtime;
    char runtime_path[4096]; /* our libcudart beside this library; empty: unknown */
} audit;

/* The one line a user may see. No stdio: the program's own streams must not be disturbed. */
static void say(const char *object, const char *text)
{
    char line[1024];
    int length = snprintf(line, sizeof(line), "libcudart-redirect: %s: %s\n", object, text);

    if (length > 0)
        (void)!write(STDERR_FILENO, line,
                     (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1);
}

static void find_runtime_path(void)
{
    Dl_info self;
    char *slash;

    if (!dladdr((void *)(uintptr_t)la_version, &self) ||
        !realpath(self.dli_fname, audit.runtime_path))
        return;
    slash = strrchr(audit.runtime_path, '/');
    if (!slash || (size_t)(slash - audit.runtime_path) >
                      sizeof(audit.runtime_path) - sizeof("/libcudart.so.13")) {
        audit.runtime_path[0] = '\0';
        return;
    }
    memcpy(slash, "/libcudart.so.13", sizeof("/libcudart.so.13"));
}

unsigned int la_version(unsigned int version)
{
    const char *mode = getenv("FABRIC_REDIRECT");

    if (mode && strcmp(mode, "off") == 0)
        return 0; /* the loader forgets us */
    find_runtime_path();
    return version < LAV_CURRENT ? version : LAV_CURRENT;
}

unsigned int la_objopen(struct link_map *map, Lmid_t namespace_id, uintptr_t *cookie)
{
    *cookie = (uintptr_t)map;
    if (namespace_id != LM_ID_BASE)
        return 0;
    if (audit.count == audit.capacity) {
        size_t capacity = audit.capacity ? audit.capacity * 2 : 64;
        struct object *objects = realloc(audit.objects, capacity * sizeof(*objects));
        if (!objects) {
            say(map->l_name, "out of memory: its CUDA runtime, if any, is not redirected");
            return 0;
        }
        audit.objects = objects;
        audit.capacity = capacity;
    }
    audit.objects[audit.count++] = (struct object){.map = map};
    return 0; /* no symbol-binding notices wanted: calls keep their speed */
}

unsigned int la_objclose(uintptr_t *cookie)
{
    for (size_t i = 0; i < audit.count; i++) {
        if ((uintptr_t)audit.objects[i].map != *cookie)
            continue;
        audit.objects[i] = audit.objects[--audit.count];
        break;
    }
    return 0;
}

/* The executable's own name is empty in its link map. */
static const char *path_of(const struct link_map *map)
{
    static char executable[4096];
    ssize_t length;

    if (map->l_name[0])
        return map->l_name;
    length = readlink("/proc/self/exe", executable, sizeof(executable) - 1);
    if (length <= 0)
        return "/proc/self/exe";
    executable[length] = '\0';
    return executable;
}

static bool is_our_runtime(const struct link_map *map)
{
    char path[4096];

    return strstr(map->l_name, "libcudart.so.13") && audit.runtime_path[0] &&
           realpath(map->l_name, path) && strcmp(path, audit.runtime_path) == 0;
}

static void take_runtime(const struct link_map *map)
{
    struct fab_err err = {0};

    if (elf_file_open(map->l_name, &audit.runtime_file, &err) != FAB_OK ||
        plan_targets_init(&audit.runtime_file, &audit.targets, &err) != FAB_OK) {
        say(map->l_name, err.text);
        return;
    }
    audit.runtime_base = map->l_addr;
    audit.has_runtime = true;
}

static void redirect_object(const struct link_map *map)
{
    struct elf_file file;
    struct fab_err err = {0};
    enum plan_kind kind = PLAN_NOTHING;
    struct patch_entry *entries = NULL;
    enum fab_status status;
    size_t count = 0;

    if (elf_file_open(path_of(map), &file, &err) != FAB_OK)
        return; /* the vdso and objects without a file hold no CUDA runtime */
    status = plan_object(&file, map->l_addr, &audit.targets, audit.runtime_base, &kind, &entries,
                         &count, &err);
    if (status == FAB_OK && kind == PLAN_REDIRECT)
        status = patch_apply(entries, count, &err);
    if (status != FAB_OK)
        say(path_of(map), err.text);
    else if (kind == PLAN_STRIPPED)
        say(path_of(map), "holds a CUDA runtime of its own, but no symbol table (stripped): it "
                          "cannot be redirected. Relink it with -cudart shared, or "
                          "do not strip it");
    else if (kind == PLAN_WRONG_MAJOR)
        say(path_of(map), "embeds a CUDA 12 runtime, which needs libcudart.so.12: it cannot be "
                          "redirected. Rebuild it with CUDA 13");
    free(entries);
    elf_file_close(&file);
}

void la_activity(uintptr_t *cookie, unsigned int flag)
{
    int kept_errno = errno;

    (void)cookie;
    if (flag != LA_ACT_CONSISTENT)
        return;
    for (size_t i = 0; i < audit.count && !audit.has_runtime; i++) {
        if (is_our_runtime(audit.objects[i].map)) {
            take_runtime(audit.objects[i].map);
            audit.objects[i].is_done = true;
        }
    }
    for (size_t i = 0; i < audit.count && audit.has_runtime; i++) {
        if (!audit.objects[i].is_done)
            redirect_object(audit.objects[i].map);
        audit.objects[i].is_done = true;
    }
    errno = kept_errno;
}
