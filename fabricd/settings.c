/* SPDX-License-Identifier: Apache-2.0
 * fabricd/settings.c - the table of the daemon's settings; the same rows make fabricd.conf(5).
 */
#include "fabricd/settings.h"

#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/settings_file.h"
#include "fabricd/ledger.h"
#include "fabricd/rails.h"

#define SECOND INT64_C(1000000000)
#define MS INT64_C(1000000)

enum { ADDRESS_MAX = 63, PATH_MAX_BYTES = 1023, SOCKET_DIR_MAX = 90 };

/* ---- rows -------------------------------------------------------------------------------------
 */

static enum fab_status check_node(const struct fab_setting *row, const void *field,
                                  struct fab_err *err)
{
    const char *name = *(char *const *)field;

    (void)row;
    for (const char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && (at == name || !strchr("._-", *at)))
            return fab_err_set(err, FAB_ERR_INVALID,
                               "'%s': a node's name has letters, digits, dots, underscores and "
                               "dashes, and begins with a letter or digit",
                               name);
    return FAB_OK;
}

/* "", or something in front of a colon and a port behind it; whether the address is one is
 * known when it is used. */
static enum fab_status check_address(const struct fab_setting *row, const void *field,
                                     struct fab_err *err)
{
    const char *text = *(char *const *)field;
    const char *colon = strrchr(text, ':');
    unsigned long port = 0;

    (void)row;
    if (text[0] == '\0')
        return FAB_OK;
    for (const char *at = colon ? colon + 1 : ""; *at && port <= UINT16_MAX; at++)
        port = isdigit((unsigned char)*at) ? port * 10 + (unsigned long)(*at - '0') : UINT64_MAX;
    if (!colon || colon == text || colon[1] == '\0' || port > UINT16_MAX)
        return fab_err_set(err, FAB_ERR_INVALID,
                           "'%s': expected ADDRESS:PORT, such as 10.0.0.1:7100 or [fd00::1]:7100",
                           text);
    return FAB_OK;
}

#define RAIL(setting, kind, field)                                                                 \
    .name = (setting), .type = (kind), .offset = offsetof(struct fabricd_rail, field)

static const struct fab_setting rail_rows[] = {
    {RAIL("device", FAB_SETTING_STRING, device), .min = 1, .max = 63, .flags = FAB_SETTING_REQUIRED,
     .help = "What UCX opens: a port of an HCA such as mlx5_0:1, or an IP interface such as ib0 "
             "where TCP is meant."},
    {RAIL("port", FAB_SETTING_STRING, port), .fallback = "", .max = 63,
     .help = "The port of an HCA as discovery names it (mlx5_0:1), so that the rail has a place in "
             "the topology. By default found by device."},
};
static const struct fab_schema rail_schema = FAB_SCHEMA("rail", rail_rows, struct fabricd_rail);

#define ROW(setting, kind, field)                                                                  \
    .name = (setting), .type = (kind), .offset = offsetof(struct fabricd_settings, field)
#define TEXT(setting, field) ROW(setting, FAB_SETTING_STRING, field), .fallback = ""
#define FOLDER_OR_FILE(setting, field) TEXT(setting, field), .max = PATH_MAX_BYTES
#define ADDRESS(setting, field) TEXT(setting, field), .max = ADDRESS_MAX, .check = check_address

static const struct fab_setting rows[] = {
    {TEXT("node", node), .max = LEDGER_NAME_BYTES - 1, .check = check_node, .env = "FABRICD_NODE",
     .help = "This node's name in the rack, and in its certificate. Must be set."},
    {ROW("role.manager", FAB_SETTING_BOOL, is_manager), .fallback = "false",
     .help = "Keep the inventory, compose systems, serve the API. One node of a rack."},
    {ROW("role.agent", FAB_SETTING_BOOL, is_agent), .fallback = "false",
     .help = "Offer this node's GPUs, and serve its programs. Every node."},
    {ROW("role.fabric", FAB_SETTING_BOOL, is_fabric), .fallback = "false",
     .help = "Sweep the InfiniBand fabric. One node with an HCA."},
    {ROW("state_dir", FAB_SETTING_STRING, state_dir), .fallback = "/var/lib/fabricd", .min = 1,
     .max = PATH_MAX_BYTES, .env = "FABRICD_STATE_DIR",
     .help = "Folder of what survives a reboot: fabricd.db on the manager, fence numbers on an "
             "agent."},
    {ROW("run_dir", FAB_SETTING_STRING, run_dir), .fallback = "/run/fabricd", .min = 1,
     .max = SOCKET_DIR_MAX, .env = "FABRICD_RUN_DIR",
     .help = "Folder of the sockets: api.sock (HTTP) and client.sock (programs)."},
    {ADDRESS("listen", listen), .env = "FABRICD_LISTEN",
     .help = "ADDRESS:PORT where this daemon listens for others. The manager and every node with "
             "GPUs need it when the rack has more than one node. 0.0.0.0 and [::] are all "
             "addresses of the node; others are then told one of them by address."},
    {ADDRESS("address", address), .env = "FABRICD_ADDRESS",
     .help = "ADDRESS:PORT where others dial this daemon, if that is not what listen says: behind "
             "a translation of addresses, or when it listens at all of its own."},
    {ADDRESS("manager", manager), .env = "FABRICD_MANAGER",
     .help = "ADDRESS:PORT of the manager. Not used on the manager's own node."},
    {FOLDER_OR_FILE("tls.ca", tls_ca), .flags = FAB_SETTING_RUNTIME,
     .help = "The certificate of the rack's authority, a PEM file (compose-cert(1))."},
    {FOLDER_OR_FILE("tls.certificate", tls_certificate), .flags = FAB_SETTING_RUNTIME,
     .help = "This node's certificate, a PEM file that carries its name."},
    {FOLDER_OR_FILE("tls.key", tls_key), .flags = FAB_SETTING_RUNTIME,
     .help = "The certificate's key, a PEM file that only the daemon may read. All of these files "
             "are read again at a reload, for connections that begin then."},
    {FOLDER_OR_FILE("tls.revoked", tls_revoked), .flags = FAB_SETTING_RUNTIME,
     .help = "The authority's list of certificates that are no longer accepted, a PEM file that "
             "`compose cert revoke` makes; of several in it, all count. By default none is."},
    {ADDRESS("api.listen", api_listen),
     .help = "ADDRESS:PORT of the API for the network (HTTPS). By default there is the unix socket "
             "only."},
    {FOLDER_OR_FILE("api.accounts", api_accounts),
     .help = "File of accounts for the network, lines NAME:HASH:ROLE with a hash of crypt(3) and a "
             "role admin, user or readonly. By default only certificates of the authority are "
             "accepted."},
    {TEXT("api.admin_group", admin_group), .max = 63, .flags = FAB_SETTING_RUNTIME,
     .help = "Members of this group may do everything over the unix socket, as root may."},
    {TEXT("api.user_group", user_group), .max = 63, .flags = FAB_SETTING_RUNTIME,
     .help = "Members of this group may have systems. By default everybody may."},
    {FOLDER_OR_FILE("discovery.hwloc_xml", hwloc_xml), .env = "FABRICD_HWLOC_XML",
     .help = "Read this machine from a file of lstopo instead of the machine."},
    {FOLDER_OR_FILE("discovery.sysroot", sysroot), .env = "FABRICD_SYSROOT",
     .help = "Folder that stands for / when files of the kernel are read."},
    {FOLDER_OR_FILE("discovery.nvml", nvml), .env = "FABRICD_NVML",
     .help = "The management library of the GPUs. By default the loader's libnvidia-ml.so.1."},
    {ROW("discovery.every", FAB_SETTING_DURATION, discover_every_ns), .fallback = "60s",
     .min = SECOND, .max = 86400 * SECOND, .flags = FAB_SETTING_RUNTIME,
     .help = "How often the machine is looked at again."},
    {ROW("rails", FAB_SETTING_LIST, rails), .item = &rail_schema, .max = RAILS_MAX,
     .help = "The ways to other nodes, best first. By default every active port of an HCA."},
    {FOLDER_OR_FILE("worker.program", worker), .env = "FABRICD_WORKER",
     .help = "The gpu-worker to start. By default the one beside fabricd."},
    {FOLDER_OR_FILE("worker.driver", driver), .env = "FABRICD_DRIVER",
     .help = "The CUDA driver that workers load. By default the loader's libcuda.so.1."},
    {ROW("worker.uid_first", FAB_SETTING_INT, uid_first), .fallback = "0", .max = INT32_MAX,
     .help =
         "The first of the user ids that workers run as, one a system; nobody else may have "
         "them. They must be able to reach gpu-worker, its driver and NVML: where a folder on the "
         "way is closed to them, fabricd does not start, and says which. 0: workers run as the "
         "daemon does, and health says so."},
    {ROW("worker.uid_count", FAB_SETTING_INT, uid_count), .fallback = "256", .min = 1, .max = 65536,
     .help = "How many user ids there are."},
    {FOLDER_OR_FILE("worker.image_dir", image_dir),
     .help = "Folder where device code is kept, for each user, until the node restarts. By default "
             "it is not."},
    {ROW("worker.check_limit", FAB_SETTING_DURATION, check_limit_ns), .fallback = "10s",
     .min = 100 * MS, .max = 600 * SECOND, .flags = FAB_SETTING_RUNTIME,
     .help =
         "A GPU whose check takes longer has failed; NVML that says nothing for longer is asked "
         "again by another process."},
    {ROW("worker.check_age", FAB_SETTING_DURATION, check_age_ns), .fallback = "60s",
     .max = 86400 * SECOND, .flags = FAB_SETTING_RUNTIME,
     .help = "A GPU whose last check is older is checked again before it is given."},
    {ROW("worker.warm", FAB_SETTING_INT, warm_workers), .fallback = "0", .max = 16,
     .flags = FAB_SETTING_RUNTIME,
     .help = "Workers that are started before they are asked for, for each system that has GPUs of "
             "this node, so that programs attach sooner. Each is a process with the driver loaded "
             "and its rails open."},
    {ROW("worker.grace", FAB_SETTING_DURATION, grace_ns), .fallback = "30s", .max = 3600 * SECOND,
     .help = "How long a program outlives its lost connections to a GPU; in the manager: an ad hoc "
             "system its lost host."},
    {FOLDER_OR_FILE("fabric.program", sweep), .env = "FABRICD_SWEEP",
     .help = "The fabric-sweep to start. By default the one beside fabricd."},
    {TEXT("fabric.hca", ib_hca), .max = 63, .env = "FABRICD_IB_HCA",
     .help = "The HCA to look from. By default the first that has an active port."},
    {ROW("fabric.port", FAB_SETTING_INT, ib_port), .fallback = "0", .max = 255,
     .help = "The port to look from; 0 is the first active one."},
    {ROW("fabric.every", FAB_SETTING_DURATION, sweep_every_ns), .fallback = "10s", .min = 100 * MS,
     .max = 86400 * SECOND, .flags = FAB_SETTING_RUNTIME, .help = "How often the fabric is swept."},
    {ROW("lost_after", FAB_SETTING_DURATION, lost_after_ns), .fallback = "5s", .max = 3600 * SECOND,
     .flags = FAB_SETTING_RUNTIME,
     .help = "The GPUs of a node whose connection to the manager has ended are lost after this "
             "time; an end that a silence shows takes 5s more."},
};
const struct fab_schema fabricd_schema = FAB_SCHEMA("fabricd", rows, struct fabricd_settings);

/* ---- what belongs together --------------------------------------------------------------------
 */

static enum fab_status check_tls(const struct fabricd_settings *settings, const char *why,
                                 struct fab_err *err)
{
    const struct {
        const char *name, *value;
    } files[] = {{"tls.ca", settings->tls_ca},
                 {"tls.certificate", settings->tls_certificate},
                 {"tls.key", settings->tls_key}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(files); i++)
        if (files[i].value[0] == '\0')
            return fab_err_set(err, FAB_ERR_INVALID,
                               "%s is not set, and %s is: `compose cert` makes the files",
                               files[i].name, why);
    return FAB_OK;
}

static bool is_unspecified(const struct addrinfo *found)
{
    static const struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    if (found->ai_family == AF_INET) {
        memcpy(&four, found->ai_addr, sizeof(four));
        return four.sin_addr.s_addr == htonl(INADDR_ANY);
    }
    memcpy(&six, found->ai_addr, sizeof(six));
    return IN6_IS_ADDR_UNSPECIFIED(&six.sin6_addr) ||
           memcmp(&six.sin6_addr, &mapped, sizeof(mapped)) == 0;
}

/* 0.0.0.0, [::] and their other spellings (0, [::0%1]), read as the listener reads them: bound by
 * the kernel, and dialled by nobody. */
static bool is_any(const char *address)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(address, ':');
    struct addrinfo *found = NULL;
    char host[ADDRESS_MAX + 1];
    size_t bytes;
    bool is_so;

    if (!colon)
        return false;
    bytes = (size_t)snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
    if (bytes > 2 && host[0] == '[' && host[bytes - 1] == ']') {
        host[bytes - 1] = '\0';
        memmove(host, host + 1, bytes - 1);
    }
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    is_so = is_unspecified(found);
    freeaddrinfo(found);
    return is_so;
}

static enum fab_status check_addresses(const struct fabricd_settings *settings, struct fab_err *err)
{
    if (settings->address[0] && !settings->listen[0])
        return fab_err_set(err, FAB_ERR_INVALID,
                           "address is set, and listen is not: nobody can reach this daemon there");
    if (is_any(settings->address))
        return fab_err_set(
            err, FAB_ERR_INVALID,
            "address is %s, which nobody can dial: give one of this node's addresses",
            settings->address);
    if (is_any(settings->listen) && !settings->address[0])
        return fab_err_set(err, FAB_ERR_INVALID,
                           "listen is %s, which nobody can dial: set address to the ADDRESS:PORT "
                           "where others reach this node",
                           settings->listen);
    if (is_any(settings->manager))
        return fab_err_set(err, FAB_ERR_INVALID,
                           "manager is %s, which nobody can dial: give the manager's address",
                           settings->manager);
    return FAB_OK;
}

static enum fab_status check_all(const struct fabricd_settings *settings, struct fab_err *err)
{
    const bool dials = !settings->is_manager && settings->manager[0];

    if (settings->node[0] == '\0')
        return fab_err_set(err, FAB_ERR_INVALID, "node is not set: give this node a name");
    if (!settings->is_manager && !settings->is_agent && !settings->is_fabric)
        return fab_err_set(err, FAB_ERR_INVALID,
                           "there is nothing to do: set one of role.manager, role.agent and "
                           "role.fabric");
    if (!settings->is_manager && settings->manager[0] == '\0')
        return fab_err_set(err, FAB_ERR_INVALID,
                           "manager is not set: give the ADDRESS:PORT where the manager listens");
    if (settings->api_listen[0] && !settings->is_manager)
        return fab_err_set(err, FAB_ERR_INVALID,
                           "api.listen is set, but this node is not the manager");
    if (check_addresses(settings, err) != FAB_OK)
        return FAB_ERR_INVALID;
    if (settings->listen[0] || dials || settings->api_listen[0])
        return check_tls(settings,
                         settings->listen[0]       ? "listen"
                         : settings->api_listen[0] ? "api.listen"
                                                   : "manager",
                         err);
    return FAB_OK;
}

enum fab_status fabricd_settings_load(const char *file, int *argc, char **argv,
                                      struct fabricd_settings *settings_out, struct fab_err *err)
{
    struct fabricd_settings settings;
    enum fab_status status = fab_settings_init(&fabricd_schema, &settings, err);

    if (status != FAB_OK)
        return status;
    if (file)
        status = fab_settings_read_file(&fabricd_schema, &settings, file, err);
    if (status == FAB_OK)
        status = fab_settings_read_env(&fabricd_schema, &settings, err);
    if (status == FAB_OK && argc)
        status = fab_settings_read_args(&fabricd_schema, &settings, argc, argv, err);
    if (status == FAB_OK)
        status = check_all(&settings, err);
    if (status != FAB_OK) {
        fab_settings_clear(&fabricd_schema, &settings);
        return status;
    }
    *settings_out = settings;
    return FAB_OK;
}
