/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent.h - a node's own part: what it has, who may use it, and every process that does.
 *
 * The agent discovers its node and checks its GPUs in child processes with a deadline; it carries
 * out the manager's commands (message.h), starts workers for programs of this host (session/), here
 * or through the agent of the GPU's node, and ends them when a lease ends. It holds a pidfd of each
 * client and worker: it is the authority on who lives. Without its manager it goes on with what it
 * was told, and dials again.
 *
 * Fence numbers: a command or a worker_start below the highest number seen of a GPU is refused.
 * Thread: the loop's.
 */
#ifndef FABRICD_AGENT_H
#define FABRICD_AGENT_H

#include <stdint.h>

#include "base/status.h"

struct agent;
struct fab_err;
struct fabricd_settings;
struct link;
struct link_tls;
struct loop;
struct message_hello;

/* FAB_ERR_DENIED: the users of leases cannot reach what a worker needs; err names what is closed.
 * Listens at RUN/client.sock (attach protocol) and RUN/api.sock (HTTP, forwarded to the manager
 * with the caller's uid), begins the first discovery. `tls` may be NULL when everything is on this
 * node. `settings` are kept. */
FAB_NODISCARD enum fab_status agent_create(struct loop *loop,
                                           const struct fabricd_settings *settings,
                                           struct link_tls *tls, struct agent **agent_out,
                                           struct fab_err *err);
/* Ends every worker and child. Takes NULL. */
void agent_destroy(struct agent *agent);

/* What this node is made of, found out now by this process, as a line of JSON on standard output.
 */
FAB_NODISCARD enum fab_status agent_print_machine(const struct fabricd_settings *settings,
                                                  struct fab_err *err);

/* SIGHUP: this node is discovered again. FAB_ERR_DENIED: workers could not run, and nothing is
 * done. */
FAB_NODISCARD enum fab_status agent_reload(struct agent *agent, struct fab_err *err);

/* The manager is in this process: `pair` is asked for the agent's end of a link, now and whenever
 * the last one has ended, instead of dialling. */
void agent_join(struct agent *agent,
                enum fab_status (*pair)(void *user, int *fd_out, struct fab_err *err), void *user);

/* A daemon has dialled this one and said hello for its agent (door.h): a host's agent that will ask
 * for workers. The link is the agent's now. */
void agent_take_link(struct agent *agent, struct link *link, const char *peer,
                     const struct message_hello *hello);

/* In every turn of the loop. Returns when to come again. */
uint64_t agent_turn(struct agent *agent, uint64_t now_ns);

#endif /* FABRICD_AGENT_H */
