/* SPDX-License-Identifier: Apache-2.0
 * fabricd/message.h - what daemons say to each other, as plain structs and as JSON.
 *
 * docs/protocol.md, "Agents' protocol". Every message is one JSON object with a member "kind".
 * Reading trusts nothing: unknown kinds and members, missing members, texts beyond their bounds and
 * numbers out of range are refused by name (fuzzed), although the peer holds a certificate.
 *
 *   agent                      manager                    host's agent          GPU node's agent
 *     hello, report ----------> |                           hello --------------> |
 *     <--------------- welcome  |                           <------------ welcome |
 *     gauges, checked --------> | inventory                 worker_start -------> | is the system
 *     <---------------- command | prepare, present          <------ worker_started| granted to this
 *     done -------------------> |         release, withdraw  packets <=========> | host? starts it
 *     released ---------------> |                           <-------- worker_ended|
 *     request (its API socket)> | answers as HTTP           worker_stop --------> |
 *     <----------------- answer |
 */
#ifndef FABRICD_MESSAGE_H
#define FABRICD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/status.h"
#include "fabricd/ledger.h"
#include "fabricd/manager.h"
#include "fabricd/rails.h"
#include "session/ses.h"
#include "topology/records.h"

struct fab_err;

enum {
    MESSAGE_VERSION = 2,        /* raised when any message changes */
    MESSAGE_ADDRESS_BYTES = 64, /* "ADDRESS:PORT" */
    MESSAGE_PATH_BYTES = 1024,
    MESSAGE_BODY_BYTES = 16 << 20, /* of an answer; a request's is HTTP_BODY_BYTES */
    MESSAGE_GPU_MAX = LEDGER_SYSTEM_GPU_MAX
};

enum message_kind {
    MESSAGE_PING,           /* nothing: the sender lives (made and eaten by link.c) */
    MESSAGE_REFUSE,         /* it ends here, and why (link_refuse(); comes as down()) */
    MESSAGE_HELLO,          /* first, from who dialled */
    MESSAGE_WELCOME,        /* its answer */
    MESSAGE_REPORT,         /* agent: all of this node; again at each change */
    MESSAGE_GAUGES,         /* agent: load and memory of its GPUs, each second */
    MESSAGE_CHECKED,        /* agent: a GPU's check ended */
    MESSAGE_COMMAND,        /* manager: manager.h */
    MESSAGE_DONE,           /* agent: PREPARE, PRESENT or WITHDRAW is done, or cannot be */
    MESSAGE_RELEASED,       /* agent: nothing of this fence number is on the GPU any more */
    MESSAGE_FABRIC,         /* fabric: a sweep */
    MESSAGE_REQUEST,        /* agent: an HTTP request of a local client */
    MESSAGE_REQUEST_GONE,   /* agent: who asked has gone */
    MESSAGE_ANSWER,         /* manager: answer to a request */
    MESSAGE_WORKER_START,   /* host's agent: start a worker of a system */
    MESSAGE_WORKER_STARTED, /* GPU node's agent: it runs; packets flow on its channel */
    MESSAGE_WORKER_ENDED, /* either way a worker ends: it did not start, it ended, it was killed */
    MESSAGE_WORKER_STOP,  /* host's agent: the client is gone; end it */
    MESSAGE_KINDS
};
const char *message_kind_name(enum message_kind kind); /* "worker_start" */

struct message_hello {
    uint32_t version;
    char node[LEDGER_NAME_BYTES];
    char boot_id[40];
    uint64_t instance; /* random below 2^53, of this run of the daemon: a restart by itself is told
                        * from a lost link by it */
    char address[MESSAGE_ADDRESS_BYTES]; /* where others dial this daemon; "": nowhere */
    bool is_agent, is_fabric;            /* what the sender is */
    bool to_agent; /* it wants workers of the dialled daemon's agent, not its manager */
};

struct message_gpu_report {
    char uuid[LEDGER_UUID_BYTES];
    char name[LEDGER_NAME_BYTES];
    uint32_t index;
    uint64_t fence; /* ledger_gpu_report */
};

/* A program that is attached on this host now. */
struct message_program {
    char system[LEDGER_NAME_BYTES];
    uint32_t uid;
    uint32_t pid;
    char command[64];
    uint64_t since_ms;
};

/* One check of the node's health (facts: a row of `compose health`). */
struct message_health {
    char name[64];    /* "memory-lock limit" */
    char value[96];   /* "64 KiB" */
    uint8_t grade;    /* 0 pass, 1 marginal, 2 fail */
    char advice[160]; /* what to do; "" for pass */
};

enum { MESSAGE_PROGRAM_MAX = 256, MESSAGE_HEALTH_MAX = 256 };

struct message_report {
    const struct topo_machine *machine;
    const struct message_gpu_report *gpus;
    uint32_t gpu_count; /* at most LEDGER_NODE_GPU_MAX */
    const struct message_program *programs;
    uint32_t program_count;
    const struct message_health *health;
    uint32_t health_count;
    const struct rails_rail *rails; /* by number */
    uint32_t rail_count;            /* at most RAILS_MAX */
};

/* A GPU of a system. */
struct message_gpu {
    char uuid[LEDGER_UUID_BYTES];
    char node[LEDGER_NAME_BYTES];        /* where it is */
    char host[LEDGER_NAME_BYTES];        /* whose programs see it */
    char address[MESSAGE_ADDRESS_BYTES]; /* of the node's agent; PRESENT only, else "" */
    uint32_t index;                      /* of its node's driver */
    uint64_t fence;
    uint32_t rail_count;                /* 0: rail i with rail i, all that both have */
    struct rails_pair rails[RAILS_MAX]; /* the host's and the node's, by number */
};

struct message_command {
    enum manager_verb verb;
    char system[LEDGER_NAME_BYTES];
    uint32_t owner_uid;
    uint64_t fence;
    bool is_adhoc;
    struct message_gpu gpus[MESSAGE_GPU_MAX]; /* as in manager_command */
    uint32_t gpu_count;
};

struct message_done {
    enum manager_verb verb;
    char system[LEDGER_NAME_BYTES];
    uint64_t fence;
    char reason[LEDGER_REASON_BYTES]; /* "": well */
};

struct message_checked {
    char uuid[LEDGER_UUID_BYTES];
    char reason[LEDGER_REASON_BYTES]; /* "": it passed */
};

struct message_released {
    char uuid[LEDGER_UUID_BYTES];
    uint64_t fence;
};

struct message_request {
    uint64_t id; /* the agent's, for the answer */
    char method[16];
    char path[MESSAGE_PATH_BYTES]; /* with its query */
    const char *body;              /* ends with NUL */
    size_t body_bytes;
    uint32_t uid; /* of the local client, from its socket */
    uint32_t pid;
};

struct message_answer {
    uint64_t id;
    uint32_t status; /* HTTP's */
    char type[64];   /* the content's */
    char location[MESSAGE_PATH_BYTES];
    char allow[48]; /* the methods of the path, for 405 */
    char
        adhoc[LEDGER_NAME_BYTES]; /* this request made this ad hoc system: it ends with who asked */
    const char *body;
    size_t body_bytes;
    bool is_more; /* a stream (events): further answers of this id follow */
};

/* `channel` is the host's agent's choice, never 0, unique on the link until the worker ended. */
struct message_worker_start {
    uint32_t channel;
    char system[LEDGER_NAME_BYTES];
    uint64_t fence;
    uint32_t uid;                      /* of the client process; the system's owner */
    uint32_t devices[MESSAGE_GPU_MAX]; /* ordinals of this node's driver; must be of the system */
    uint32_t device_count;
};

struct message_worker_started {
    uint32_t channel;
    uint32_t pid; /* on its node */
    struct ses_node node;
};

struct message_worker_ended {
    uint32_t channel;
    char why[SES_TEXT_BYTES];
};

struct message {
    enum message_kind kind;
    union {
        char refuse_reason[LEDGER_REASON_BYTES];
        struct message_hello hello;
        struct message_hello welcome; /* of who was dialled */
        struct message_report report;
        const struct topo_gauges *gauges;
        struct message_checked checked;
        struct message_command command;
        struct message_done done;
        struct message_released released;
        const struct topo_fabric *fabric;
        struct message_request request;
        uint64_t gone_id; /* MESSAGE_REQUEST_GONE */
        struct message_answer answer;
        struct message_worker_start worker_start;
        struct message_worker_started worker_started;
        struct message_worker_ended worker_ended;
        uint32_t stop_channel; /* MESSAGE_WORKER_STOP */
    };
};

/* Can it be written? For what strangers said: a request with a path or body that is no text
 * (FAB_ERR_INVALID) or too long (FAB_ERR_LIMIT). Bytes outside printable ASCII are refused in
 * names, and become '?' in what is said to people (reasons, advice, commands). */
FAB_NODISCARD enum fab_status message_check(const struct message *message, struct fab_err *err);
/* One line of JSON, given to the caller (free). FAB_ERR_NOMEM; FAB_ERR_LIMIT: beyond `most` bytes;
 * what message_check() says. */
FAB_NODISCARD enum fab_status message_write(const struct message *message, size_t most,
                                            char **text_out, size_t *bytes_out,
                                            struct fab_err *err);
/* What the message points to belongs to it: message_clear(). FAB_ERR_FORMAT, FAB_ERR_INVALID,
 * FAB_ERR_RANGE, FAB_ERR_LIMIT name the member; FAB_ERR_VERSION: a hello or welcome of another
 * version. A failed read leaves an empty message. */
FAB_NODISCARD enum fab_status message_read(const char *text, size_t bytes,
                                           struct message *message_out, struct fab_err *err);
void message_clear(struct message *message); /* takes an empty one */

#endif /* FABRICD_MESSAGE_H */
