/* SPDX-License-Identifier: Apache-2.0
 * fabricd/door.h - the one listener of a daemon: who dials says hello, and goes to hub or agent.
 *
 * A link that does not say hello within 10 s, says another version, or a name that is not its
 * certificate's, is refused with a sentence. Thread: the loop's.
 */
#ifndef FABRICD_DOOR_H
#define FABRICD_DOOR_H

#include <stdint.h>

#include "base/status.h"

struct agent;
struct door;
struct fab_err;
struct hub;
struct link_tls;
struct loop;

/* `hub` or `agent` may be NULL: what is asked of it is refused. */
FAB_NODISCARD enum fab_status door_open(struct loop *loop, struct link_tls *tls,
                                        const char *address, struct hub *hub, struct agent *agent,
                                        struct door **door_out, struct fab_err *err);
void door_close(struct door *door); /* takes NULL */
uint16_t door_port(const struct door *door);
uint64_t door_turn(struct door *door, uint64_t now_ns);

#endif /* FABRICD_DOOR_H */
