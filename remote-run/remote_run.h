/* SPDX-License-Identifier: Apache-2.0
 * remote-run/remote_run.h - what the files of remote-run share.
 */
#ifndef REMOTE_RUN_REMOTE_RUN_H
#define REMOTE_RUN_REMOTE_RUN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "session/ses_account.h"
#include "session/ses_broker.h"

enum { REMOTE_SLOTS_MAX = SES_ACCOUNT_SLOTS * 4 };

struct remote_arguments {
    uint32_t workers, devices; /* devices of each worker */
    uint32_t rails;            /* 0: the same host, without rails */
    uint64_t grace_ns;
    uint64_t memory_bytes; /* limit of each GPU; 0: none */
    const char *driver;    /* that workers load; NULL: softcuda */
    const char *worker;    /* gpu-worker; NULL: beside remote-run */
    char **program;        /* and its arguments */
};

/* Exits with status 2 and a sentence for what makes no sense. */
void remote_arguments_read(int argc, char **argv, struct remote_arguments *out);

/* The owner of the broker: knows how to start workers, here or on the hosts of a soft rack. */
struct remote_workers {
    struct remote_arguments arguments;
    const char *rack;      /* RACK_RUN: folder of the hosts' namespaces; NULL: all is here */
    char folder[PATH_MAX]; /* of this run: sockets and state; removed at the end */
    char driver[PATH_MAX], worker[PATH_MAX];
    uint8_t client_node[SES_NODE_ID_BYTES];
    struct ses_account *accounts[SES_WORKERS_MAX]; /* of each node, for all programs of the run */
    struct remote_slot {
        pid_t pid; /* 0: free */
        uint32_t index, slot;
    } slots[REMOTE_SLOTS_MAX]; /* workers that run */
};

FAB_NODISCARD enum fab_status remote_workers_open(const struct remote_arguments *arguments,
                                                  struct remote_workers *workers,
                                                  struct fab_err *err);
void remote_workers_close(struct remote_workers *workers); /* removes the folder */

extern const struct ses_broker_ops remote_workers_ops; /* user: struct remote_workers * */

#endif /* REMOTE_RUN_REMOTE_RUN_H */
