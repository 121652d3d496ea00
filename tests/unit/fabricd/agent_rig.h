/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/agent_rig.h - an agent in the test's own loop, and a manager that is a script:
 * it says welcome, keeps what it hears, and says what the test tells it to.
 */
#ifndef TESTS_UNIT_FABRICD_AGENT_RIG_H
#define TESTS_UNIT_FABRICD_AGENT_RIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "fabricd/agent_int.h"

enum { RIG_HEARD_MAX = 64, RIG_OUTPUT_BYTES = 1024 };

struct rig_heard {
    enum message_kind kind;
    struct message_done done;
    struct message_released released;
    struct message_checked checked;
    struct message_request request; /* without its body */
    uint64_t gone_id;
};

struct rig {
    const char *name; /* of the node */
    struct loop *loop;
    char node_name[LEDGER_NAME_BYTES];
    bool is_beside;    /* the loop is another's */
    struct rig *other; /* that lives in the same loop; NULL: none */
    struct link_tls *tls;
    uint64_t (*turn)(struct rig *rig, uint64_t now_ns); /* of what else the test has; may be NULL */
    struct fabricd_settings settings;
    struct agent *agent;
    struct link *link;    /* the manager's end */
    bool is_manager_away; /* the agent cannot have a link */
    char folder[64];
    char state[96], run[96];
    uint32_t reports, measures;
    struct topo_gauges gauges; /* the last ones */
    uint32_t gpu_count, program_count, health_count;
    struct message_gpu_report gpus[LEDGER_NODE_GPU_MAX]; /* of the last report */
    struct message_program programs[8];
    struct message_health health[MESSAGE_HEALTH_MAX];
    struct rig_heard heard[RIG_HEARD_MAX]; /* not taken yet */
    uint32_t heard_count;
    struct rails_rail rails[RAILS_MAX]; /* of the last report */
    uint32_t rail_count;
    bool is_adhoc;              /* what rig_command() says */
    struct rails_choice choice; /* also that, of each GPU */
    bool (*is_done)(struct rig *rig);
};

/* A folder, and settings for a node of two softcuda GPUs. False: the machine refuses. */
bool rig_begin(struct rig *rig);
/* Another node in the loop of `first`, which then turns both. */
bool rig_begin_beside(struct rig *rig, struct rig *first, const char *name);
/* Creates the agent and joins it; false: err says why. */
bool rig_start(struct rig *rig, struct fab_err *err);
/* Begins and starts, up to the first report of both GPUs. False: a check has failed. */
bool rig_up(struct rig *rig);
void rig_stop(struct rig *rig); /* the agent only */
void rig_end(struct rig *rig);  /* all, and the folder */

/* The manager goes, and is there again (then the agent makes a link). */
void rig_cut(struct rig *rig);
void rig_join(struct rig *rig);

/* Turns the loop until that holds. */
void rig_until(struct rig *rig, bool (*is_done)(struct rig *rig));
void rig_report(struct rig *rig); /* there is one since the start */

/* A command for all GPUs of the last report, all for this host. */
void rig_command(struct rig *rig, enum manager_verb verb, const char *system, uint64_t fence);
/* The same for the GPUs of another node, for programs of `host`; `address` is its agent's. */
void rig_command_of(struct rig *rig, const struct rig *owner, const char *host, const char *address,
                    enum manager_verb verb, const char *system, uint64_t fence);
void rig_send(struct rig *rig, const struct message *message);
/* The next message of that kind, waited for and taken; what came before it stays. */
struct rig_heard rig_take(struct rig *rig, enum message_kind kind);
/* The next DONE of this command; returns its reason. */
const char *rig_done(struct rig *rig, enum manager_verb verb, const char *system, uint64_t fence);

void rig_answer(struct rig *rig, uint64_t id, uint32_t status, const char *body, const char *adhoc,
                bool is_more);

/* A program that finds the client library and this agent's socket; `system` may be NULL. */
struct rig_program {
    pid_t pid; /* 0: it has ended */
    int status;
    int input, output; /* ends of pipes */
    char text[RIG_OUTPUT_BYTES];
    size_t bytes;
    struct loop_watch *output_watch;
    struct rig *rig;
};
bool rig_run(struct rig *rig, struct rig_program *program, const char *argument, const char *system,
             uid_t uid);
void rig_say(struct rig_program *program, const char *part); /* until it has said that */
int rig_wait(struct rig_program *program);                   /* its exit status, or -signal */
void rig_let_go(struct rig_program *program);                /* ends its input */

#endif /* TESTS_UNIT_FABRICD_AGENT_RIG_H */
