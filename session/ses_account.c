/* SPDX-License-Identifier: Apache-2.0
 * session/ses_account.c - see ses_account.h.
 */
#include "session/ses_account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

enum { MAGIC = 0x43434146 /* "FACC" */, VERSION = 1 };

struct device {
    _Atomic uint64_t limit_bytes;
    _Atomic uint64_t used_bytes[SES_ACCOUNT_SLOTS];
};

struct page {
    uint32_t magic, version;
    struct device devices[SES_ACCOUNT_DEVICES];
};

struct ses_account {
    struct page *page;
    int fd;                           /* -1: inherited */
    bool is_taken[SES_ACCOUNT_SLOTS]; /* the maker's */
};

/* ---- making -----------------------------------------------------------------------------------
 */

static enum fab_status map(int fd, struct ses_account **account_out, struct fab_err *err)
{
    struct ses_account *account = fab_alloc_zeroed(1, sizeof(*account));
    void *at;

    if (!account)
        return fab_err_set(err, FAB_ERR_NOMEM, "an account of device memory");
    at = mmap(NULL, sizeof(*account->page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        enum fab_status status = fab_err_errno(err, errno, "mapping an account of device memory");

        free(account);
        return status;
    }
    account->page = at;
    account->fd = -1;
    *account_out = account;
    return FAB_OK;
}

enum fab_status ses_account_create(struct ses_account **account_out, struct fab_err *err)
{
    int fd = memfd_create("fabric-account", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct ses_account *account;
    enum fab_status status;

    /* Sealed: nobody can take the pages away from under another. */
    if (fd < 0 || ftruncate(fd, sizeof(struct page)) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        status = fab_err_errno(err, errno, "making an account of device memory");
        if (fd >= 0)
            (void)close(fd);
        return status;
    }
    status = map(fd, &account, err);
    if (status != FAB_OK) {
        (void)close(fd);
        return status;
    }
    account->fd = fd;
    account->page->magic = MAGIC;
    account->page->version = VERSION;
    *account_out = account;
    return FAB_OK;
}

enum fab_status ses_account_inherit(struct ses_account **account_out, uint32_t *slot_out,
                                    struct fab_err *err)
{
    const char *text = getenv(SES_ACCOUNT_VARIABLE);
    struct stat info;
    unsigned slot;
    char end;
    int fd;

    if (!text) {
        *slot_out = 0;
        return ses_account_create(account_out, err);
    }
    if (sscanf(text, "%d:%u%c", &fd, &slot, &end) != 2 || fd < 0 || slot >= SES_ACCOUNT_SLOTS ||
        fstat(fd, &info) != 0 || info.st_size != (off_t)sizeof(struct page))
        return fab_err_set(err, FAB_ERR_PROTOCOL, SES_ACCOUNT_VARIABLE "=%s is no account", text);
    enum fab_status status = map(fd, account_out, err);

    (void)close(fd);
    if (status != FAB_OK)
        return status;
    if ((*account_out)->page->magic != MAGIC || (*account_out)->page->version != VERSION) {
        ses_account_close(*account_out);
        *account_out = NULL;
        return fab_err_set(err, FAB_ERR_PROTOCOL, SES_ACCOUNT_VARIABLE "=%s is no account", text);
    }
    *slot_out = slot;
    return FAB_OK;
}

void ses_account_close(struct ses_account *account)
{
    if (!account)
        return;
    (void)munmap(account->page, sizeof(*account->page));
    if (account->fd >= 0)
        (void)close(account->fd);
    free(account);
}

int ses_account_fd(const struct ses_account *account)
{
    return account->fd;
}

/* ---- slots ------------------------------------------------------------------------------------
 */

int ses_account_slot_take(struct ses_account *account)
{
    for (int i = 0; i < SES_ACCOUNT_SLOTS; i++) {
        if (account->is_taken[i])
            continue;
        account->is_taken[i] = true;
        return i;
    }
    return -1;
}

void ses_account_slot_drop(struct ses_account *account, uint32_t slot)
{
    for (uint32_t i = 0; i < SES_ACCOUNT_DEVICES; i++)
        atomic_store(&account->page->devices[i].used_bytes[slot], 0);
    account->is_taken[slot] = false;
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

void ses_account_set_limit(struct ses_account *account, uint32_t device, uint64_t bytes)
{
    atomic_store(&account->page->devices[device].limit_bytes, bytes);
}

uint64_t ses_account_limit(const struct ses_account *account, uint32_t device)
{
    return atomic_load(&account->page->devices[device].limit_bytes);
}

uint64_t ses_account_used(const struct ses_account *account, uint32_t device)
{
    const struct device *at = &account->page->devices[device];
    uint64_t sum = 0;

    for (uint32_t i = 0; i < SES_ACCOUNT_SLOTS; i++)
        sum += atomic_load(&at->used_bytes[i]);
    return sum;
}

bool ses_account_charge(struct ses_account *account, uint32_t slot, uint32_t device, uint64_t bytes)
{
    struct device *at = &account->page->devices[device];
    uint64_t limit = atomic_load(&at->limit_bytes);

    if (limit && bytes > limit)
        return false; /* nor could the sum wrap */
    (void)atomic_fetch_add(&at->used_bytes[slot], bytes);
    if (!limit || ses_account_used(account, device) <= limit)
        return true;
    (void)atomic_fetch_sub(&at->used_bytes[slot], bytes);
    return false;
}

void ses_account_uncharge(struct ses_account *account, uint32_t slot, uint32_t device,
                          uint64_t bytes)
{
    (void)atomic_fetch_sub(&account->page->devices[device].used_bytes[slot], bytes);
}
