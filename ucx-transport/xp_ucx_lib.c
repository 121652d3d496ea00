/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx_lib.c - brings UCX into a process that is somebody else's.
 *
 * If a libucp is there already (MPI), it is used as it is. Else it is loaded such that it installs
 * no signal handlers, starts no thread and looks for no CUDA (facts/transport.md section 3,
 * pitfalls 7 to 11). UCX reads that from the environment while it is loaded and at no other time,
 * so the process gets another environment for that moment: a new array, by one store each way, so
 * that a getenv() elsewhere sees either and never a freed one.
 *
 * Only what acts at that moment is set so. An MPI that starts later uses the same UCX and must find
 * everything else as its user wants it: memory hooks, messages, crash reports. What we want
 * otherwise is said to our own contexts (xp_ucx.c), and our threads are kept quiet by a filter
 * (below).
 */
#include "ucx-transport/xp_ucx_lib.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <ucm/api/ucm.h>
#include <ucs/debug/log_def.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/fault.h"
#include "base/mutex.h"

static const char library_name[] = "libucp.so.0";

static struct fab_mutex load_lock;
static bool is_loaded, is_cuda_allowed;
static struct xp_ucx_lib loaded;

/* ---------------------------------------------------------------- the environment of the load */

/* "NAME=value" of what UCX does when it is loaded. */
static const char *const load_settings[] = {
    "UCX_ERROR_SIGNALS=", /* no handlers for SIGSEGV and so on */
    "UCX_DEBUG_SIGNO=0",  /* nor for SIGHUP */
    "UCX_VFS_ENABLE=n",   /* no thread */
    "UCX_MEM_EVENTS=n",   /* mmap() and munmap() stay as they are */
    "UCX_MODULES=^cu*",   /* last: left out where CUDA is allowed */
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

/* Whoever asks UCX for memory events from now on gets them, if the user wants that. Nothing is
 * hooked before. */
static void allow_memory_events(void *library)
{
    static const char *const noes[] = {"n", "no", "off", "0"};
    const char *wish = getenv("UCX_MEM_EVENTS");
    ucm_global_config_t *options = dlsym(library, "ucm_global_opts");

    for (size_t i = 0; wish && i < FAB_ARRAY_LEN(noes); i++) {
        if (strcasecmp(wish, noes[i]) == 0)
            return;
    }
    if (options)
        options->enable_events = 1;
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
    if (library)
        allow_memory_events(library);
    return library;
}

/* ---------------------------------------------------------------- quiet
 *
 * What fails in UCX comes back to us as a status; a warning about our rails has no place in the
 * output of somebody's program, unless its user asked for UCX's messages. So the functions that can
 * have something to say mark their thread, and a log handler drops what UCX says there. */

static _Thread_local unsigned quiet_depth;
static struct xp_ucx_lib spoken; /* UCX's own functions */

#define QUIET(type, name, parameters, arguments)                                                   \
    static type quiet_##name parameters                                                            \
    {                                                                                              \
        type result;                                                                               \
                                                                                                   \
        quiet_depth++;                                                                             \
        result = spoken.name arguments;                                                            \
        quiet_depth--;                                                                             \
        return result;                                                                             \
    }

QUIET(ucs_status_t, ucp_config_read, (const char *prefix, const char *file, ucp_config_t **config),
      (prefix, file, config))
QUIET(ucs_status_t, ucp_config_modify, (ucp_config_t * config, const char *name, const char *value),
      (config, name, value))
QUIET(ucs_status_t, ucp_init_version,
      (unsigned major, unsigned minor, const ucp_params_t *params, const ucp_config_t *config,
       ucp_context_h *context),
      (major, minor, params, config, context))
QUIET(ucs_status_t, ucp_worker_create,
      (ucp_context_h context, const ucp_worker_params_t *params, ucp_worker_h *worker),
      (context, params, worker))
QUIET(unsigned, ucp_worker_progress, (ucp_worker_h worker), (worker))
QUIET(ucs_status_t, ucp_ep_create,
      (ucp_worker_h worker, const ucp_ep_params_t *params, ucp_ep_h *ep), (worker, params, ep))
QUIET(ucs_status_ptr_t, ucp_ep_close_nbx, (ucp_ep_h ep, const ucp_request_param_t *param),
      (ep, param))
QUIET(ucs_status_ptr_t, ucp_am_send_nbx,
      (ucp_ep_h ep, unsigned id, const void *header, size_t header_bytes, const void *body,
       size_t count, const ucp_request_param_t *param),
      (ep, id, header, header_bytes, body, count, param))
QUIET(ucs_status_ptr_t, ucp_am_recv_data_nbx,
      (ucp_worker_h worker, void *descriptor, void *place, size_t count,
       const ucp_request_param_t *param),
      (worker, descriptor, place, count, param))
QUIET(ucs_status_t, ucp_mem_map,
      (ucp_context_h context, const ucp_mem_map_params_t *params, ucp_mem_h *memory),
      (context, params, memory))

static void quiet_ucp_worker_destroy(ucp_worker_h worker)
{
    quiet_depth++;
    spoken.ucp_worker_destroy(worker);
    quiet_depth--;
}

static void quiet_ucp_cleanup(ucp_context_h context)
{
    quiet_depth++;
    spoken.ucp_cleanup(context);
    quiet_depth--;
}

static ucs_log_func_rc_t drop_ours(const char *file, unsigned line, const char *function,
                                   ucs_log_level_t level,
                                   const ucs_log_component_config_t *component, const char *format,
                                   va_list values)
{
    (void)file, (void)line, (void)function, (void)component, (void)format, (void)values;
    /* Fatal: the process ends, and must say why. */
    return quiet_depth > 0 && level > UCS_LOG_LEVEL_FATAL ? UCS_LOG_FUNC_RC_STOP
                                                          : UCS_LOG_FUNC_RC_CONTINUE;
}

static void keep_quiet(void *library, struct xp_ucx_lib *lib)
{
    void (*push)(ucs_log_func_t handler);
    void *found = dlsym(library, "ucs_log_push_handler");

    if (!found || getenv("UCX_LOG_LEVEL"))
        return;
    memcpy(&push, &found, sizeof(push));
    push(drop_ours);
    spoken = *lib;
    lib->ucp_config_read = quiet_ucp_config_read;
    lib->ucp_config_modify = quiet_ucp_config_modify;
    lib->ucp_init_version = quiet_ucp_init_version;
    lib->ucp_worker_create = quiet_ucp_worker_create;
    lib->ucp_worker_progress = quiet_ucp_worker_progress;
    lib->ucp_ep_create = quiet_ucp_ep_create;
    lib->ucp_ep_close_nbx = quiet_ucp_ep_close_nbx;
    lib->ucp_am_send_nbx = quiet_ucp_am_send_nbx;
    lib->ucp_am_recv_data_nbx = quiet_ucp_am_recv_data_nbx;
    lib->ucp_mem_map = quiet_ucp_mem_map;
    lib->ucp_worker_destroy = quiet_ucp_worker_destroy;
    lib->ucp_cleanup = quiet_ucp_cleanup;
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
    fab_assert(lib.ucp_get_version); /* as all of them */
    lib.ucp_get_version(&lib.info.major, &lib.info.minor, &lib.info.release);
    /* The layout of the structs that we pass is that of the headers; newer takes older. */
    if (lib.info.major != UCP_API_MAJOR || lib.info.minor < UCP_API_MINOR)
        return fab_err_set(err, FAB_ERR_VERSION, "UCX %u.%u is there, %u.%u or newer is needed",
                           lib.info.major, lib.info.minor, UCP_API_MAJOR, UCP_API_MINOR);
    lib.allows_cuda = is_cuda_allowed;
    keep_quiet(library, &lib);
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
