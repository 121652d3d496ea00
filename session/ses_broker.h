/* SPDX-License-Identifier: Apache-2.0
 * session/ses_broker.h - the middle of the attach protocol: clients on a unix socket, workers by
 * socket pairs.
 *
 * The broker knows no GPUs and starts no process: its owner does both in `ops`. What the broker
 * does is the protocol, its time limits, and evidence: it keeps a pidfd of every client and worker
 * and tells each end when the other is gone. One thread turns it; nothing here blocks.
 */
#ifndef SESSION_SES_BROKER_H
#define SESSION_SES_BROKER_H

#include <sys/types.h>

#include "session/ses.h"

struct ses_broker;

/* Who asks: from the socket (SO_PEERCRED). A pid of 0 or an overflow uid was refused already. */
struct ses_peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
    char system[SES_NAME_BYTES]; /* that it asks for; "": the only one it may use */
    uint64_t gpus;               /* bit i: it wants GPU i of the system; 0: all */
};

/* Which of the system's `count` GPUs the client gets, a bit each. FAB_ERR_NOT_FOUND: it wants one
 * that is not there. For ops->grant. */
FAB_NODISCARD enum fab_status ses_peer_gpus(const struct ses_peer *peer, uint32_t count,
                                            uint64_t *gpus_out, struct fab_err *err);

/* One client process and its workers, as the owner names it: given to every call about it. */
struct ses_broker_ops {
    /* Which GPUs, rails and workers the client gets; *session_out is the owner's for the calls
     * below. FAB_ERR_NOT_FOUND, FAB_ERR_DENIED ... with a sentence for the user. */
    enum fab_status (*grant)(void *user, const struct ses_peer *peer, struct ses_grant *grant_out,
                             void **session_out, struct fab_err *err);
    /* Starts worker `index`, whose end of the socket pair is `fd` (to be inherited as
     * FABRIC_WORKER_FD; the broker closes its copy). Fills the node that the worker lives on.
     * *pid_out 0: it is no process of this machine; ses_broker_worker_started() and
     * ses_broker_worker_gone() follow. */
    enum fab_status (*start)(void *user, void *session, uint32_t index, int fd,
                             struct ses_node *node_out, pid_t *pid_out, struct fab_err *err);
    /* The rails between the client and worker `index`, nearest first; count 0: same host. NULL:
     * rail i with rail i. */
    uint32_t (*pairs)(void *user, void *session, uint32_t index, struct ses_pair *pairs_out);
    /* A worker without a pid did not end in time: end it, and call ses_broker_worker_gone(). May be
     * NULL if there is none. */
    void (*kill)(void *user, void *session, uint32_t index);
    /* A worker's process ended (reap it here); `why` is a sentence. May be NULL. */
    void (*worker_ended)(void *user, void *session, uint32_t index, pid_t pid, const char *why);
    /* The client and all its workers are gone: the session's last call. */
    void (*ended)(void *user, void *session);
};

/* Listens at `path` (replaces a socket that nobody listens at; made with `mode`). `user` is handed
 * to the ops; ops are kept. FAB_ERR_BUSY: somebody listens there. */
FAB_NODISCARD enum fab_status ses_broker_create(const char *path, mode_t mode,
                                                const struct ses_broker_ops *ops, void *user,
                                                struct ses_broker **broker_out,
                                                struct fab_err *err);
/* Ends all sessions (workers are killed), unlinks the socket. Takes NULL. */
void ses_broker_destroy(struct ses_broker *broker);

/* Readable when ses_broker_turn() has something to do, but for its time limits: call it at least
 * after ses_broker_wait_ms() (-1: no limit runs). */
int ses_broker_fd(const struct ses_broker *broker);
int ses_broker_wait_ms(const struct ses_broker *broker);
void ses_broker_turn(struct ses_broker *broker);

/* Of a worker without a pid: where it lives; that it has ended, and why (evidence only: a lost link
 * to it is none). What is not of this session any more is ignored. Not in an op, but for kill. */
void ses_broker_worker_started(struct ses_broker *broker, const void *session, uint32_t index,
                               const struct ses_node *node);
void ses_broker_worker_gone(struct ses_broker *broker, const void *session, uint32_t index,
                            const char *why);
/* Whether all of it is in place, and its workers' sockets are silent from now on. */
bool ses_broker_is_attached(const struct ses_broker *broker, const void *session);

/* The lease of these sessions is over: clients hear it, workers are ended. NULL: all. */
void ses_broker_revoke(struct ses_broker *broker, const void *session, const char *why);
uint32_t ses_broker_session_count(const struct ses_broker *broker);

#endif /* SESSION_SES_BROKER_H */
