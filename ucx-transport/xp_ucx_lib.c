/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx_lib.c - brings UCX into a process that is somebody else's.
 *
 * If a libucp is there already (MPI), it is used as it is. Else it is loaded with its process-wide
 * settings such that it installs no signal handlers, hooks no memory functions, starts no thread
 * and prints nothing (facts/transport.md section 3, pitfalls 7 to 11). UCX reads these from the
 * environment while it is loaded and at no other time, so the process gets another environment for
 * that moment: a new array, by one store each way, so that a getenv() elsewhere sees either and
 * never a freed one. Settings of our rails go by ucp_config_modify (xp_ucx.c).
 */
#include "ucx-transport/xp_ucx_lib.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/mutex.h"

static const char library_name[] = "libucp.so.0";

static struct fab_mutex load_lock;
static bool is_loaded, is_cuda_allowed;
static struct xp_ucx_lib loaded;

/* ---------------------------------------------------------------- the environment of the load */

/* "NAME=value" of what UCX reads when it is loaded. */
static const char *const load_settings[] = {
    "UCX_ERROR_SIGNALS=",          /* no handlers for SIGSEGV and so on */
    "UCX_DEBUG_SIGNO=0",           /* nor for SIGHUP */
    "UCX_HANDLE_ERRORS=none",      /* the same, and no debugger */
    "UCX_MEM_EVENTS=n",            /* mmap() and munmap() stay as they are */
    "UCX_MEM_MALLOC_HOOKS=n",      /* malloc() too */
    "UCX_MEM_CUDA_HOOK_MODE=none", /* and libcuda */
    "UCX_MEMTYPE_CACHE=n",         /* memory types are given, never guessed */
    "UCX_VFS_ENABLE=n",            /* no thread */
    "UCX_WARN_UNUSED_ENV_VARS=n",
    "UCX_LOG_LEVEL=fatal", /* what fails comes back as a status */
    "UCX_MODULES=^cu*",    /* last: left out where CUDA is allowed */
};

static size_t name_bytes(const char *setting)
{
    return (size_t)(strchr(setting, '=') - setting) + 1;
}

static bool is_replaced(const char *entry, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strncmp(entry, load_settings[i], name_bytes(load_settings[i])) == 0)
            return true;
    }
    return false;
}

/* A copy of the environment's array with our settings; entries are shared. */
static char **make_environment(bool cuda)
{
    size_t count = FAB_ARRAY_LEN(load_settings) - (cuda ? 1 : 0), used = 0, entries = 0;
    char **made;

    while (environ && environ[entries])
        entries++;
    made = fab_alloc_zeroed(entries + count + 1, sizeof(*made));
    if (!made)
        return NULL;
    for (size_t i = 0; i < entries; i++) {
        if (!is_replaced(environ[i], count))
            made[used++] = environ[i];
    }
    for (size_t i = 0; i < count; i++)
        memcpy(&made[used++], &load_settings[i], sizeof(*made)); /* never written through */
    return made;
}

static void *open_library(bool cuda, struct fab_err *err)
{
    /* Kept: a thread that is inside getenv() may still look at it. */
    static char **during;
    char **before = environ;
    void *library;

    during = make_environment(cuda);
    if (!during) {
        (void)fab_err_set(err, FAB_ERR_NOMEM, "the environment to load UCX in");
        return NULL;
    }
    environ = during;
    /* Not to be unloaded: its destructors are no better than its constructors. */
    library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        (void)fab_err_set(err, FAB_ERR_NOT_FOUND, "UCX cannot be loaded (package libucx0): %s",
                          dlerror());
    if (environ == during) {
        environ = before;
    } else { /* another thread changed the environment: it copied ours, which must go from there */
        for (size_t i = 0; i < FAB_ARRAY_LEN(load_settings); i++) {
            char name[64];
            size_t bytes = name_bytes(load_settings[i]) - 1;

            memcpy(name, load_settings[i], bytes);
            name[bytes] = '\0';
            (void)unsetenv(name);
        }
    }
    return library;
}

/* ---------------------------------------------------------------- the functions */

static enum fab_status find_functions(void *library, struct xp_ucx_lib *lib, struct fab_err *err)
{
    static const char *const names[] = {
#define XP_UCX_NAME(name) #name,
        XP_UCX_FUNCTIONS(XP_UCX_NAME)
#undef XP_UCX_NAME
    };
    void *slots[] = {
#define XP_UCX_SLOT(name) &lib->name,
        XP_UCX_FUNCTIONS(XP_UCX_SLOT)
#undef XP_UCX_SLOT
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(names); i++) {
        void *found = dlsym(library, names[i]);

        if (!found)
            return fab_err_set(err, FAB_ERR_VERSION, "this UCX has no %s", names[i]);
        memcpy(slots[i], &found, sizeof(found));
    }
    return FAB_OK;
}

static enum fab_status load_locked(struct fab_err *err)
{
    struct xp_ucx_lib lib = {0};
    void *library = dlopen(library_name, RTLD_NOW | RTLD_NOLOAD);
    enum fab_status status;

    if (fab_fault("ucx load"))
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "as the test wished");
    lib.info.was_there = library != NULL;
    if (!library)
        library = open_library(is_cuda_allowed, err);
    if (!library)
        return FAB_ERR_NOT_FOUND;
    status = find_functions(library, &lib, err);
    if (status != FAB_OK)
        return status;
    lib.ucp_get_version(&lib.info.major, &lib.info.minor, &lib.info.release);
    /* The layout of the structs that we pass is that of the headers; newer takes older. */
    if (lib.info.major != UCP_API_MAJOR || lib.info.minor < UCP_API_MINOR)
        return fab_err_set(err, FAB_ERR_VERSION, "UCX %u.%u is there, %u.%u or newer is needed",
                           lib.info.major, lib.info.minor, UCP_API_MAJOR, UCP_API_MINOR);
    loaded = lib;
    is_loaded = true;
    return FAB_OK;
}

enum fab_status xp_ucx_lib_get(const struct xp_ucx_lib **lib_out, struct fab_err *err)
{
    enum fab_status status = FAB_OK;

    fab_mutex_lock(&load_lock);
    if (!is_loaded)
        status = load_locked(err);
    fab_mutex_unlock(&load_lock);
    if (status == FAB_OK)
        *lib_out = &loaded;
    return status;
}

enum fab_status xp_ucx_load(struct xp_ucx_info *info_out, struct fab_err *err)
{
    const struct xp_ucx_lib *lib;
    enum fab_status status = xp_ucx_lib_get(&lib, err);

    if (status == FAB_OK)
        *info_out = lib->info;
    return status;
}

enum fab_status xp_ucx_allow_cuda(void)
{
    enum fab_status status = FAB_OK;

    fab_mutex_lock(&load_lock);
    if (is_loaded)
        status = FAB_ERR_STATE;
    else
        is_cuda_allowed = true;
    fab_mutex_unlock(&load_lock);
    return status;
}

enum fab_status xp_ucx_check(const struct xp_ucx_lib *lib, ucs_status_t result, struct fab_err *err,
                             const char *what)
{
    enum fab_status status = FAB_ERR_LINK_LOST;

    if (result == UCS_OK)
        return FAB_OK;
    if (result == UCS_ERR_NO_MEMORY)
        status = FAB_ERR_NOMEM;
    else if (result == UCS_ERR_NO_DEVICE)
        status = FAB_ERR_NOT_FOUND;
    else if (result == UCS_ERR_CANCELED)
        status = FAB_ERR_CANCELLED;
    else if (result == UCS_ERR_UNREACHABLE)
        status = FAB_ERR_UNREACHABLE;
    return fab_err_foreign(err, status, "ucx", result, "%s: %s", what,
                           lib->ucs_status_string(result));
}
