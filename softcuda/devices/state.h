/* SPDX-License-Identifier: Apache-2.0
 * softcuda/devices/state.h - the account of one device, shared by all processes that use it.
 *
 * One file a device in the state directory, mapped by everybody: a header and a slot for each
 * process with the bytes it took. A process holds an open-file-description lock on its slot's
 * byte, which the kernel drops at its death, so what a killed process took is free again when
 * somebody next looks. It is a model's account, not a security boundary. Thread: any.
 */
#ifndef SOFTCUDA_DEVICES_STATE_H
#define SOFTCUDA_DEVICES_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

struct device_model;
struct fab_err;
struct state_account;

enum { STATE_SLOTS = 256 }; /* processes that use one device at a time */

/* What one process has of a device. */
struct state_usage {
    pid_t pid;
    uint64_t bytes;
    uint64_t busy_ns; /* time that its kernels ran, since it started */
};

/* Opens (creating it when missing) the account of a device; `dir` is made, for this user only, when
 * it does not exist. The file gets the directory's read and write permissions. FAB_ERR_DENIED,
 * FAB_ERR_FORMAT when the file is for another memory size or version, FAB_ERR_IO. */
FAB_NODISCARD enum fab_status state_account_open(const char *dir, const struct device_model *model,
                                                 struct state_account **account_out,
                                                 struct fab_err *err);
/* Gives back everything this process took. Takes NULL. */
void state_account_close(struct state_account *account);

/* Takes `bytes` if that many are free of `limit_bytes`. False: not free, or no slot is left. */
bool state_account_charge(struct state_account *account, uint64_t bytes);
void state_account_uncharge(struct state_account *account, uint64_t bytes);
/* Adds to the time that this process's kernels ran (no lock; a slot is taken if need be). */
void state_account_busy(struct state_account *account, uint64_t ns);

/* Taken by all living processes. */
uint64_t state_account_used(struct state_account *account);
/* Time that kernels of any process ran, since the file was made: never goes back. */
uint64_t state_account_busy_ns(struct state_account *account);
/* Fills up to `max` entries with living processes; returns how many there are. */
uint32_t state_account_list(struct state_account *account, struct state_usage *usage, uint32_t max);

#endif /* SOFTCUDA_DEVICES_STATE_H */
