/* SPDX-License-Identifier: Apache-2.0
 * fabricd/fabric_role.h - the node that looks at the fabric: runs fabric-sweep, tells the manager.
 *
 * The sweep is a child with a deadline, because the InfiniBand libraries can wait long and lose
 * memory. One that fails is logged, and the next one comes as ever. Thread: the loop's.
 */
#ifndef FABRICD_FABRIC_ROLE_H
#define FABRICD_FABRIC_ROLE_H

#include <stdint.h>

#include "base/status.h"

struct fab_err;
struct fabric_role;
struct fabricd_settings;
struct link_tls;
struct loop;

/* `settings` and `tls` are kept. */
FAB_NODISCARD enum fab_status
fabric_role_create(struct loop *loop, const struct fabricd_settings *settings, struct link_tls *tls,
                   struct fabric_role **role_out, struct fab_err *err);
void fabric_role_destroy(struct fabric_role *role); /* takes NULL; ends a sweep */

/* The manager is in this process: as agent_join(). */
void fabric_role_join(struct fabric_role *role,
                      enum fab_status (*pair)(void *user, int *fd_out, struct fab_err *err),
                      void *user);

uint64_t fabric_role_turn(struct fabric_role *role, uint64_t now_ns);

#endif /* FABRICD_FABRIC_ROLE_H */
