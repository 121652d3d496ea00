/* SPDX-License-Identifier: Apache-2.0
 * fabricd/hub.h - the manager's ends of all links: agents' messages in, commands and answers out.
 *
 * Puts together what has no I/O of its own: ledger, manager, the model of machines and fabric
 * (joined again when a report or a sweep changed), the API. An agent whose link ends, or that is
 * silent, is lost after `lost_after`. Thread: the loop's.
 */
#ifndef FABRICD_HUB_H
#define FABRICD_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;
struct fabricd_settings;
struct hub;
struct link;
struct link_tls;
struct loop;
struct message_hello;

/* Opens STATE/fabricd.db and, where settings say so, HTTPS. */
FAB_NODISCARD enum fab_status hub_create(struct loop *loop, const struct fabricd_settings *settings,
                                         struct link_tls *tls, struct hub **hub_out,
                                         struct fab_err *err);
void hub_destroy(struct hub *hub); /* takes NULL; systems stay as they are */

/* An agent of this process: the manager's end of the socket pair, which the hub owns. */
FAB_NODISCARD enum fab_status hub_join(struct hub *hub, int fd, const char *node,
                                       struct fab_err *err);

/* An agent has dialled and said hello (door.h). The link is the hub's now. */
void hub_take_link(struct hub *hub, struct link *link, const char *peer,
                   const struct message_hello *hello);

/* Is this node's agent connected? */
bool hub_has(const struct hub *hub, const char *node);

/* Settings marked as such have changed (SIGHUP), and files that they name. */
FAB_NODISCARD enum fab_status hub_reload(struct hub *hub, struct fab_err *err);

uint64_t hub_turn(struct hub *hub, uint64_t now_ns);

#endif /* FABRICD_HUB_H */
