/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx.c - the backend over UCX: one context and one worker for each wire.
 *
 * Only active messages are asked for: without UCP's RMA and atomics no peer gets at our memory
 * through it. A worker is bound to one device; UCX never spreads over rails, the core does. Peers
 * add endpoints to the worker, no thread and no descriptor of ours (UCX's tcp has two sockets for
 * each). Endpoints are in xp_ucx_ep.c, loading in xp_ucx_lib.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/log.h"
#include "ucx-transport/xp_ucx_int.h"

/* ---------------------------------------------------------------- settings */

/* Everything that a user's own UCX_ variables could spoil for us is said here. Reasons:
 * facts/transport.md sections 3, 5 and 8. */
struct setting {
    const char *name, *value;
};

static const struct setting settings[] = {
    {"MAX_EAGER_RAILS", "1"},
    {"MAX_RNDV_RAILS", "1"},
    {"RNDV_SCHEME", "auto"},
    {"RNDV_THRESH", "auto"}, /* each message says which protocol it wants */
    {"KEEPALIVE_INTERVAL", "1s"},
    {"SOCKADDR_TLS_PRIORITY", "tcp"},
    /* A cache of registrations would hook the memory functions of the process. */
    {"RCACHE_ENABLE", "n"},
};

static const struct setting tcp_settings[] = {
    {"TCP_CONN_NB", "y"}, /* a link may be lost between the manager's dial and UCX's own */
    {"TCP_NODELAY", "y"},
    /* One event at a time: 1.13.1 may have freed the endpoint of the next one of a batch. */
    {"TCP_MAX_POLL", "1"},
    /* A chunk goes through buffers of that size, too (see carry_by_tcp()), and no larger than the
     * receiver's. */
    {"TCP_TX_SEG_SIZE", "112k"},
    /* A chunk comes through a buffer of that size, since nobody may PUT, and is copied out of it:
     * at 128k it is still in the core's cache (perf/README.md, bulk over tcp). */
    {"TCP_RX_SEG_SIZE", "128k"},
    {"TCP_KEEPIDLE", "1s"},
    {"TCP_KEEPINTVL", "1s"},
    {"TCP_KEEPCNT", "3"},
    {"TCP_PUT_ENABLE", "n"},    /* no peer writes where it likes */
    {"TCP_USER_TIMEOUT", "2s"}, /* last: 1.22 has it; before, only the core's probes see such a
                                   loss */
};

enum { PREFIXED_SINCE = 15 };

/* Settings of a transport go by another name before 1.15: without the transport's. What UCX does
 * not know it complains about on stdout, if it is somebody else's UCX that may. */
static void set_for_tcp(const struct xp_ucx_lib *lib, ucp_config_t *config)
{
    enum { USER_TIMEOUT_SINCE = 22 };
    size_t count = FAB_ARRAY_LEN(tcp_settings) - (lib->info.minor < USER_TIMEOUT_SINCE ? 1 : 0);
    size_t skip = lib->info.minor < PREFIXED_SINCE ? strlen("TCP_") : 0;

    for (size_t i = 0; i < count; i++)
        (void)lib->ucp_config_modify(config, tcp_settings[i].name + skip, tcp_settings[i].value);
}

/* InfiniBand has such a cache of its own, and is looked at for every rail. */
static void set_for_ib(const struct xp_ucx_lib *lib, ucp_config_t *config)
{
    (void)lib->ucp_config_modify(
        config, lib->info.minor < PREFIXED_SINCE ? "REG_METHODS" : "IB_REG_METHODS", "direct");
}

/* Without zero copy: when a write fails in the middle of such a send, UCX 1.13.1 completes the send
 * twice, by way of the endpoint's failure and by itself (uct_tcp_ep_progress_data_tx), and ends the
 * process at the second ("comp->count > 0"). What is copied first has nothing to complete. */
static ucs_status_t carry_by_tcp(const struct xp_ucx_lib *lib, ucp_config_t *config)
{
    ucs_status_t result = lib->ucp_config_modify(config, "ZCOPY_THRESH", "inf");

    return result == UCS_OK ? lib->ucp_config_modify(config, "TLS", "tcp") : result;
}

/* An RDMA port's connections are made over its interface, if it has one, by tcp (which needs no
 * more than that): UCX 1.13.1 ends the process when a datagram of its wire-up is lost for good. */
static ucs_status_t choose_devices(const struct xp_wire *wire, const char *device,
                                   ucp_config_t *config)
{
    const struct xp_ucx_lib *lib = wire->lib;
    bool is_port = xp_ucx_is_port(device);
    char both[2 * IF_NAMESIZE + 64];
    ucs_status_t result;

    (void)snprintf(both, sizeof(both), "%s,%s", device, wire->interface);
    result = lib->ucp_config_modify(config, "NET_DEVICES",
                                    is_port && wire->interface[0] ? both : device);
    if (result != UCS_OK)
        return result;
    if (!is_port)
        return carry_by_tcp(lib, config);
    return lib->ucp_config_modify(config, "TLS", wire->interface[0] ? "rc_v,rc_x,tcp" : "rc,ud");
}

static enum fab_status read_config(struct xp_wire *wire, ucp_config_t **config_out,
                                   struct fab_err *err)
{
    const struct xp_ucx_lib *lib = wire->lib;
    const char *device = wire->config.device;
    ucp_config_t *config;
    ucs_status_t result = lib->ucp_config_read("FABRIC", NULL, &config);

    if (result != UCS_OK)
        return xp_ucx_check(lib, result, err, "UCX's settings");
    for (size_t i = 0; i < FAB_ARRAY_LEN(settings); i++)
        (void)lib->ucp_config_modify(config, settings[i].name, settings[i].value);
    set_for_ib(lib, config);
    xp_ucx_lock_settle(wire, config, xp_ucx_is_port(device));
    if (wire->interface[0])
        set_for_tcp(lib, config);
    result = choose_devices(wire, device, config);
    if (result != UCS_OK) {
        lib->ucp_config_release(config);
        return xp_ucx_check(lib, result, err, "UCX's choice of device");
    }
    *config_out = config;
    return FAB_OK;
}

/* ---------------------------------------------------------------- opening */

static enum fab_status open_context(struct xp_wire *wire, struct fab_err *err)
{
    ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_NAME |
                                         UCP_PARAM_FIELD_MT_WORKERS_SHARED,
                           .features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP,
                           .name = wire->config.bulk ? "fabric-bulk" : "fabric-control",
                           /* any thread may register memory */
                           .mt_workers_shared = 1};
    ucp_context_attr_t attributes = {.field_mask = UCP_ATTR_FIELD_MEMORY_TYPES};
    ucp_config_t *config = NULL;
    ucs_status_t result;
    enum fab_status status = read_config(wire, &config, err);

    if (status != FAB_OK)
        return status;
    result =
        wire->lib->ucp_init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config, &wire->context);
    wire->lib->ucp_config_release(config);
    if (result != UCS_OK) {
        wire->context = NULL;
        return xp_ucx_check(wire->lib, result, err, "UCX on this device");
    }
    if (wire->lib->ucp_context_query(wire->context, &attributes) == UCS_OK)
        wire->takes_device_memory = attributes.memory_types & (1u << UCS_MEMORY_TYPE_CUDA);
    return FAB_OK;
}

static enum fab_status set_handler(struct xp_wire *wire, unsigned id, ucp_am_recv_callback_t cb,
                                   struct fab_err *err)
{
    ucp_am_handler_param_t param = {
        .field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                      UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG,
        .id = id,
        /* A chunk that comes eagerly is received as the others are. */
        .flags = UCP_AM_FLAG_WHOLE_MSG | (id == XP_UCX_AM_CHUNK ? UCP_AM_FLAG_PERSISTENT_DATA : 0u),
        .cb = cb,
        .arg = wire};

    return xp_ucx_check(wire->lib, wire->lib->ucp_worker_set_am_recv_handler(wire->worker, &param),
                        err, "UCX's message handler");
}

static enum fab_status keep_address(struct xp_wire *wire, struct fab_err *err)
{
    ucp_address_t *address;
    size_t bytes;
    ucs_status_t result = wire->lib->ucp_worker_get_address(wire->worker, &address, &bytes);

    if (result != UCS_OK)
        return xp_ucx_check(wire->lib, result, err, "the address of a UCX worker");
    if (bytes > XP_UCX_SOCKET_BYTES && bytes <= sizeof(wire->address)) {
        memcpy(wire->address, address, bytes);
        wire->address_bytes = bytes;
    }
    wire->lib->ucp_worker_release_address(wire->worker, address);
    if (wire->address_bytes == 0)
        return fab_err_set(err, FAB_ERR_LIMIT, "a UCX address of %zu bytes", bytes);
    return FAB_OK;
}

static enum fab_status open_worker(struct xp_wire *wire, struct fab_err *err)
{
    ucp_worker_params_t params = {.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE |
                                                UCP_WORKER_PARAM_FIELD_AM_ALIGNMENT,
                                  /* whoever holds the engine: one at a time */
                                  .thread_mode = UCS_THREAD_MODE_SERIALIZED,
                                  .am_alignment = sizeof(uint64_t)};
    ucs_status_t result = wire->lib->ucp_worker_create(wire->context, &params, &wire->worker);
    enum fab_status status;

    if (result != UCS_OK) {
        wire->worker = NULL;
        return xp_ucx_check(wire->lib, result, err, "a UCX worker");
    }
    status = set_handler(wire, XP_UCX_AM_FIRST, xp_ucx_on_first, err);
    if (status == FAB_OK)
        status = set_handler(wire, XP_UCX_AM_FRAME, xp_ucx_on_frame, err);
    if (status == FAB_OK)
        status = set_handler(wire, XP_UCX_AM_CHUNK, xp_ucx_on_chunk, err);
    if (status == FAB_OK)
        status = wire->interface[0] ? xp_ucx_listen(wire, err) : keep_address(wire, err);
    if (status != FAB_OK)
        return status;
    result = wire->lib->ucp_worker_get_efd(wire->worker, &wire->event_fd);
    if (result != UCS_OK)
        return xp_ucx_check(wire->lib, result, err, "UCX's event descriptor");
    xp_ucx_fds_mark(wire);
    return FAB_OK;
}

static void end_worker(struct xp_wire *wire)
{
    xp_ucx_listen_end(wire);
    if (wire->worker)
        wire->lib->ucp_worker_destroy(wire->worker);
    wire->worker = NULL;
}

/* UCX's destructors take from its helper thread what that uses (1.13.1 then ends the process by an
 * assertion in async.c), so that thread must be gone before: it is when the last worker is. And
 * that UCX destroys no worker that has something to send. */
static void wire_quiet(struct xp_wire *wire)
{
    enum { TURNS_MAX = 10000 };
    bool is_closed = false;

    wire->is_quiet = true;
    xp_ucx_eps_close(wire);
    for (int i = 0; i < TURNS_MAX && !is_closed; i++) {
        (void)wire->lib->ucp_worker_progress(wire->worker);
        is_closed = xp_ucx_eps_are_released(wire);
    }
    if (is_closed)
        end_worker(wire);
}

static void wire_close(struct xp_wire *wire)
{
    xp_ucx_eps_drop(wire);
    end_worker(wire);
    if (wire->context)
        wire->lib->ucp_cleanup(wire->context);
    while (wire->free_sends) {
        struct xp_ucx_send *send = wire->free_sends;

        wire->free_sends = send->next_free;
        free(send);
    }
    fab_map_fini(&wire->ids);
    fab_map_fini(&wire->dials);
    fab_map_fini(&wire->handles);
    fab_vec_fini(&wire->hosts);
    fab_mutex_fini(&wire->hosts_lock);
    free(wire->aligned);
    free(wire);
}

static enum fab_status wire_open(const struct xp_wire_config *config, struct xp_wire **wire_out,
                                 struct fab_err *err)
{
    const struct xp_ucx_lib *lib;
    enum fab_status status = xp_ucx_lib_get(&lib, err);
    struct xp_wire *wire;

    if (status != FAB_OK)
        return status;
    if (!config->device || config->device[0] == '\0' || strchr(config->device, ','))
        return fab_err_set(err, FAB_ERR_INVALID, "a UCX rail needs the name of one device");
    wire = fab_alloc_zeroed(1, sizeof(*wire));
    if (!wire)
        return fab_err_set(err, FAB_ERR_NOMEM, "wire");
    wire->lib = lib;
    wire->config = *config;
    fab_map_init(&wire->ids);
    fab_map_init(&wire->dials);
    fab_map_init(&wire->handles);
    fab_mutex_init(&wire->hosts_lock);
    fab_vec_init(&wire->hosts, sizeof(struct xp_ucx_host));
    fab_list_init(&wire->eps);
    fab_list_init(&wire->news);
    fab_list_init(&wire->firsts);
    fab_list_init(&wire->requests);
    wire->helper_fd = -1;
    wire->looked_at = SIZE_MAX; /* never */
    status = xp_ucx_find_interface(wire, config->device, err);
    if (status == FAB_OK)
        status = open_context(wire, err);
    if (status == FAB_OK)
        status = open_worker(wire, err);
    if (status != FAB_OK) {
        wire_close(wire);
        return status;
    }
    wire->config.device = NULL; /* the caller's, for this call only */
    fab_log_debug(config->log, "ucx wire open", "device %s bulk %d ucx %u.%u.%u foreign %d",
                  config->device, config->bulk, lib->info.major, lib->info.minor, lib->info.release,
                  lib->info.was_there);
    *wire_out = wire;
    return FAB_OK;
}

/* ---------------------------------------------------------------- the rest of the table */

static const uint8_t *wire_address(const struct xp_wire *wire, size_t *size_bytes_out)
{
    *size_bytes_out = wire->address_bytes;
    return wire->address;
}

static void wire_caps(const struct xp_wire *wire, struct xp_wire_caps *caps_out)
{
    *caps_out = (struct xp_wire_caps){.direct = 1u << XP_MEMORY_HOST, .in_passing = true};
    if (wire->takes_device_memory)
        caps_out->direct |= 1u << XP_MEMORY_DEVICE;
}

static bool progress(struct xp_wire *wire)
{
    enum { TURNS_BULK = 16 }; /* then others of the engine have their turn */
    /* An answer does not wait for a look that finds nothing more, which is a system call. */
    int turns = wire->config.bulk ? TURNS_BULK : 1;
    bool did = false;

    wire->must_turn = false;
    for (int i = 0; i < turns && wire->lib->ucp_worker_progress(wire->worker) > 0; i++)
        did = true;
    return xp_ucx_tend(wire) || did;
}

static int event_fd(const struct xp_wire *wire)
{
    return wire->event_fd;
}

static bool is_settled(const struct xp_wire *wire)
{
    return !wire->must_turn && fab_list_is_empty(&wire->news) && fab_list_is_empty(&wire->firsts) &&
           fab_list_is_empty(&wire->requests);
}

static enum fab_status arm(struct xp_wire *wire)
{
    if (!is_settled(wire))
        return FAB_ERR_AGAIN;
    xp_ucx_fds_mark(wire);
    return wire->lib->ucp_worker_arm(wire->worker) == UCS_OK ? FAB_OK : FAB_ERR_AGAIN;
}

static enum fab_status mem_register(struct xp_wire *wire, const struct xp_mem_config *config,
                                    uint64_t mem_id, void **registration_out, struct fab_err *err)
{
    ucp_mem_map_params_t params = {
        .field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH |
                      UCP_MEM_MAP_PARAM_FIELD_MEMORY_TYPE,
        .address = config->address,
        .length = config->size_bytes,
        .memory_type =
            config->memory == XP_MEMORY_DEVICE ? UCS_MEMORY_TYPE_CUDA : UCS_MEMORY_TYPE_HOST};
    ucp_mem_h memory;
    ucs_status_t result;

    (void)mem_id;
    if (!wire->config.bulk || (config->memory == XP_MEMORY_DEVICE && !wire->takes_device_memory))
        return fab_err_set(err, FAB_ERR_UNSUPPORTED, "this wire registers no such memory");
    if (fab_fault("ucp_mem_map"))
        return fab_err_set(err, FAB_ERR_LIMIT, "as the test wished");
    if (wire->stages)
        return fab_err_set(err, FAB_ERR_LIMIT, "too little memory may be locked");
    result = wire->lib->ucp_mem_map(wire->context, &params, &memory);
    if (result != UCS_OK)
        return xp_ucx_check(wire->lib, result, err, "registering memory");
    *registration_out = memory;
    return FAB_OK;
}

static void mem_unregister(struct xp_wire *wire, void *registration)
{
    (void)wire->lib->ucp_mem_unmap(wire->context, registration); /* nobody is left to tell */
}

const struct xp_backend xp_backend_ucx = {
    .name = "ucx",
    .wire_open = wire_open,
    .wire_close = wire_close,
    .wire_quiet = wire_quiet,
    .wire_address = wire_address,
    .wire_caps = wire_caps,
    .ep_open = xp_ucx_ep_open,
    .ep_own = xp_ucx_ep_own,
    .ep_close = xp_ucx_ep_close,
    .send = xp_ucx_send,
    .accept = xp_ucx_accept,
    .refuse = xp_ucx_refuse,
    .progress = progress,
    .event_fd = event_fd,
    .arm = arm,
    .is_settled = is_settled,
    .mem_register = mem_register,
    .mem_unregister = mem_unregister,
    .expect = xp_ucx_expect,
};
