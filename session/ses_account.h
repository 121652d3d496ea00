/* SPDX-License-Identifier: Apache-2.0
 * session/ses_account.h - how much device memory the workers of one lease on one node may take, and
 * how much each has taken.
 *
 * One memory file a lease and node, made by who starts the workers (the agent) and inherited by
 * each of them, with a slot of its own. A worker adds to its slot first, then looks at the sum, and
 * takes back what is too much; so nothing is lost when it is killed in between: the agent clears
 * its slot. Limits may change at any time. Thread: charging: any, of any process; slots: the
 * maker's one.
 */
#ifndef SESSION_SES_ACCOUNT_H
#define SESSION_SES_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
    SES_ACCOUNT_DEVICES = 64, /* ordinals of the node's driver */
    SES_ACCOUNT_SLOTS = 256,  /* workers at one time */
};

/* What a worker inherits, and where it finds it: "FD:SLOT". */
#define SES_ACCOUNT_VARIABLE "FABRIC_ACCOUNT"

struct ses_account;

/* With no limits. */
FAB_NODISCARD enum fab_status ses_account_create(struct ses_account **account_out,
                                                 struct fab_err *err);
/* Maps the one that FABRIC_ACCOUNT names, and keeps no descriptor of it; without the variable one
 * of this process alone. FAB_ERR_PROTOCOL: what was inherited is none. */
FAB_NODISCARD enum fab_status ses_account_inherit(struct ses_account **account_out,
                                                  uint32_t *slot_out, struct fab_err *err);
void ses_account_close(struct ses_account *account); /* takes NULL */
int ses_account_fd(const struct ses_account *account);

/* The maker's: a slot for a worker, or -1; and its bytes back when the worker is gone. */
int ses_account_slot_take(struct ses_account *account);
void ses_account_slot_drop(struct ses_account *account, uint32_t slot);

/* 0: none. A limit below what is taken only keeps more from being taken. */
void ses_account_set_limit(struct ses_account *account, uint32_t device, uint64_t bytes);
uint64_t ses_account_limit(const struct ses_account *account, uint32_t device);

/* False: the limit does not leave so much. Two that ask for the last bytes at once may both hear
 * that. */
bool ses_account_charge(struct ses_account *account, uint32_t slot, uint32_t device,
                        uint64_t bytes);
void ses_account_uncharge(struct ses_account *account, uint32_t slot, uint32_t device,
                          uint64_t bytes);
uint64_t ses_account_used(const struct ses_account *account, uint32_t device); /* by all */

#endif /* SESSION_SES_ACCOUNT_H */
