/* SPDX-License-Identifier: Apache-2.0
 * fabricd/settings.h - all settings of the daemon (fabricd.conf(5)); the schema is in settings.c.
 *
 * Nothing about the node is assumed: its name, addresses and folders are settings, and what it is
 * made of is discovered. Strings belong to the struct. Read at the start, and again at SIGHUP for
 * those marked FAB_SETTING_RUNTIME.
 */
#ifndef FABRICD_SETTINGS_H
#define FABRICD_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/settings.h"

struct fab_err;

/* One rail: the HCA port that discovery names, and what UCX opens for it. */
struct fabricd_rail {
    char *port;   /* "mlx5_0:1", as the model names it; "" matches by `device` alone */
    char *device; /* UCX's device: "mlx5_0:1", or an IP interface ("ib0") where tcp is meant */
};

struct fabricd_settings {
    char *node; /* this node's name; the name in its certificate */
    bool is_manager, is_agent, is_fabric;

    char *state_dir; /* survives a reboot: the store */
    char *run_dir;   /* sockets: api.sock (HTTP), client.sock (attach protocol) */

    /* Between daemons: mutual TLS. */
    char *listen;  /* "ADDRESS:PORT" of this daemon's links; "": none (a manager alone) */
    char *address; /* where others dial it; "": at `listen` (fabricd_address()) */
    char *manager; /* "ADDRESS:PORT" of the manager's links; not used by the manager's own agent */
    char *tls_ca, *tls_certificate, *tls_key; /* PEM files */
    char *tls_revoked;                        /* the CA's list, PEM; "": none */

    /* API for the network. */
    char *api_listen;   /* "ADDRESS:PORT" of HTTPS; "": only the unix socket */
    char *api_accounts; /* lines "name:crypt(3) hash:role"; "": no passwords, certificates only */
    char *admin_group;  /* members may do everything over the unix socket; uid 0 always may */
    char *user_group;   /* members may create and see their own; "": everybody may */

    /* Discovery (replayable: topology/machine.h). */
    char *hwloc_xml, *sysroot, *nvml; /* "": the machine itself; the loader's libnvidia-ml.so.1 */
    struct fab_setting_list rails;    /* struct fabricd_rail; none: every active HCA port */
    uint64_t discover_every_ns;

    /* Workers. */
    char *worker;      /* path of gpu-worker; "": beside fabricd */
    char *driver;      /* its libcuda.so.1; "": the loader's */
    int64_t uid_first; /* uids of leases; 0: none, workers run as the daemon does */
    int64_t uid_count;
    char *image_dir;                       /* device code kept by tenant; "": none */
    uint64_t check_limit_ns, check_age_ns; /* of gpu-worker --check; a fresh one is needed then */
    int64_t warm_workers;                  /* of each lease, before they are asked for; 0: none */
    uint64_t grace_ns;                     /* sessions outlive their connections so long */

    /* Fabric. */
    char *sweep;  /* path of fabric-sweep; "": beside fabricd */
    char *ib_hca; /* "": the first with an active port */
    int64_t ib_port;
    uint64_t sweep_every_ns;

    /* Manager. */
    uint64_t lost_after_ns; /* an agent that is silent for so long is lost */
};

extern const struct fab_schema fabricd_schema;

/* "ADDRESS:PORT" where other daemons dial this one; "": nowhere. */
static inline const char *fabricd_address(const struct fabricd_settings *settings)
{
    return settings->address[0] ? settings->address : settings->listen;
}

/* Defaults, the file (NULL: none), the environment (FABRICD_...), then the arguments; checks what
 * belongs together (a role, TLS files for a network address). Clear with fab_settings_clear(). */
FAB_NODISCARD enum fab_status fabricd_settings_load(const char *file, int *argc, char **argv,
                                                    struct fabricd_settings *settings_out,
                                                    struct fab_err *err);

#endif /* FABRICD_SETTINGS_H */
