/* SPDX-License-Identifier: Apache-2.0
 * softcuda/devices/state.c - the account file of a device.
 *
 * Two descriptors: one is mapped, the other only carries the locks. A lock belongs to an open file
 * description, and both a mapping and a forked child would keep that alive; so the lock's
 * description is never mapped and a forked child closes its copy first thing. Byte 0 is the
 * account's lock (held for a moment, also between threads by a mutex), byte 1 + i the life of
 * slot i. Totals are the sum of the living slots, so no crash can leave a wrong total.
 */
#include "softcuda/devices/state.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "softcuda/devices/device_model.h"

enum {
    STATE_MAGIC = 0x41435453, /* "STCA" */
    STATE_VERSION = 1,
    STATE_LOCK_BYTE = 0,
    STATE_FIRST_SLOT_BYTE = 1,
};

struct state_slot {
    _Atomic uint64_t bytes;
    _Atomic uint64_t busy_ns;
    _Atomic int32_t pid; /* 0: never used; as its own namespace sees it, for people */
    uint32_t spare[11];
};
_Static_assert(sizeof(struct state_slot) == 64, "one cache line a slot");

struct state_file {
    _Atomic uint32_t magic; /* written last */
    uint32_t version;
    uint64_t total_bytes;
    _Atomic uint64_t busy_gone_ns; /* of processes that ended */
    uint64_t spare[5];
    struct state_slot slot[STATE_SLOTS];
};

struct state_account {
    struct state_file *file;
    pthread_mutex_t lock;
    int lock_fd;
    _Atomic int32_t slot; /* -1: none yet */
    struct state_account *next;
};

/* All open accounts, so that a forked child can let go of their locks. */
static pthread_mutex_t accounts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct state_account *accounts;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    (void)pthread_mutex_lock(&accounts_lock);
}

static void after_fork_parent(void)
{
    (void)pthread_mutex_unlock(&accounts_lock);
}

static void after_fork_child(void)
{
    for (struct state_account *account = accounts; account; account = account->next) {
        (void)close(account->lock_fd);
        account->lock_fd = -1;
    }
    (void)pthread_mutex_unlock(&accounts_lock);
}

static void watch_forks(void)
{
    (void)pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static bool lock_byte(int fd, int command, short type, off_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int result;

    do {
        result = fcntl(fd, command, &lock);
    } while (result < 0 && errno == EINTR);
    return result == 0;
}

static bool account_lock(struct state_account *account)
{
    (void)pthread_mutex_lock(&account->lock);
    if (lock_byte(account->lock_fd, F_OFD_SETLKW, F_WRLCK, STATE_LOCK_BYTE))
        return true;
    (void)pthread_mutex_unlock(&account->lock);
    return false; /* a forked child */
}

static void account_unlock(struct state_account *account)
{
    (void)lock_byte(account->lock_fd, F_OFD_SETLK, F_UNLCK, STATE_LOCK_BYTE);
    (void)pthread_mutex_unlock(&account->lock);
}

static bool slot_alive(const struct state_account *account, int32_t slot)
{
    struct flock lock = {.l_type = F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = STATE_FIRST_SLOT_BYTE + slot,
                         .l_len = 1};

    if (slot == atomic_load(&account->slot))
        return true;
    return fcntl(account->lock_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Under the account's lock. */
static void slot_clear(struct state_account *account, struct state_slot *slot)
{
    atomic_fetch_add(&account->file->busy_gone_ns, atomic_load(&slot->busy_ns));
    atomic_store(&slot->bytes, 0);
    atomic_store(&slot->busy_ns, 0);
    atomic_store(&slot->pid, 0);
}

/* Clears slots of processes that are gone. Under the account's lock. */
static void reap(struct state_account *account)
{
    for (int32_t i = 0; i < STATE_SLOTS; i++) {
        struct state_slot *slot = &account->file->slot[i];

        if (atomic_load(&slot->pid) != 0 && !slot_alive(account, i))
            slot_clear(account, slot);
    }
}

/* Under the account's lock. */
static struct state_slot *own_slot(struct state_account *account)
{
    int32_t index = atomic_load(&account->slot);

    for (int32_t i = 0; index < 0 && i < STATE_SLOTS; i++) {
        if (atomic_load(&account->file->slot[i].pid) != 0 && slot_alive(account, i))
            continue;
        if (!lock_byte(account->lock_fd, F_OFD_SETLK, F_WRLCK, STATE_FIRST_SLOT_BYTE + i))
            continue;
        slot_clear(account, &account->file->slot[i]);
        atomic_store(&account->file->slot[i].pid, (int32_t)getpid());
        atomic_store(&account->slot, i);
        index = i;
    }
    return index < 0 ? NULL : &account->file->slot[index];
}

static uint64_t sum_bytes(const struct state_account *account)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < STATE_SLOTS; i++)
        sum += atomic_load(&account->file->slot[i].bytes);
    return sum;
}

bool state_account_charge(struct state_account *account, uint64_t bytes)
{
    bool fits = false;

    if (!account_lock(account))
        return false;
    struct state_slot *slot = own_slot(account);

    if (slot) {
        uint64_t used = sum_bytes(account), total = account->file->total_bytes;

        fits = used <= total && bytes <= total - used;
        if (!fits) {
            reap(account);
            used = sum_bytes(account);
            fits = used <= total && bytes <= total - used;
        }
        if (fits)
            atomic_fetch_add(&slot->bytes, bytes);
    }
    account_unlock(account);
    return fits;
}

void state_account_uncharge(struct state_account *account, uint64_t bytes)
{
    int32_t slot = atomic_load(&account->slot);

    if (slot >= 0 && account->lock_fd >= 0)
        atomic_fetch_sub(&account->file->slot[slot].bytes, bytes);
}

void state_account_busy(struct state_account *account, uint64_t ns)
{
    int32_t slot = atomic_load(&account->slot);

    if (slot < 0 && account_lock(account)) {
        (void)own_slot(account); /* without one the time is lost, and nothing else */
        slot = atomic_load(&account->slot);
        account_unlock(account);
    }
    if (slot >= 0)
        atomic_fetch_add_explicit(&account->file->slot[slot].busy_ns, ns, memory_order_relaxed);
}

uint64_t state_account_used(struct state_account *account)
{
    uint64_t used = 0;

    if (!account_lock(account))
        return 0;
    reap(account);
    used = sum_bytes(account);
    account_unlock(account);
    return used;
}

uint64_t state_account_busy_ns(struct state_account *account)
{
    uint64_t busy_ns = 0;

    if (!account_lock(account))
        return 0;
    busy_ns = atomic_load(&account->file->busy_gone_ns);
    for (size_t i = 0; i < STATE_SLOTS; i++)
        busy_ns += atomic_load(&account->file->slot[i].busy_ns);
    account_unlock(account);
    return busy_ns;
}

uint32_t state_account_list(struct state_account *account, struct state_usage *usage, uint32_t max)
{
    uint32_t count = 0;

    if (!account_lock(account))
        return 0;
    reap(account);
    for (size_t i = 0; i < STATE_SLOTS; i++) {
        const struct state_slot *slot = &account->file->slot[i];

        if (atomic_load(&slot->pid) == 0)
            continue;
        if (count < max)
            usage[count] = (struct state_usage){.pid = atomic_load(&slot->pid),
                                                .bytes = atomic_load(&slot->bytes),
                                                .busy_ns = atomic_load(&slot->busy_ns)};
        count++;
    }
    account_unlock(account);
    return count;
}

/* Sizes a new file and writes its header, or checks the one that is there. */
static enum fab_status header_check(struct state_account *account, const char *path, int fd,
                                    uint64_t total_bytes, struct fab_err *err)
{
    struct stat info;
    void *mapping;

    if (fstat(fd, &info) != 0)
        return fab_err_errno(err, errno, "%s", path);
    if (info.st_size == 0 && ftruncate(fd, sizeof(struct state_file)) != 0)
        return fab_err_errno(err, errno, "sizing %s", path);
    if (info.st_size != 0 && info.st_size != (off_t)sizeof(struct state_file))
        return fab_err_set(err, FAB_ERR_FORMAT, "%s is not a device account: remove it", path);
    mapping = mmap(NULL, sizeof(struct state_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapping == MAP_FAILED)
        return fab_err_errno(err, errno, "mapping %s", path);
    account->file = mapping;
    if (atomic_load(&account->file->magic) == 0) {
        account->file->version = STATE_VERSION;
        account->file->total_bytes = total_bytes;
        atomic_store(&account->file->magic, STATE_MAGIC);
    }
    if (atomic_load(&account->file->magic) != STATE_MAGIC ||
        account->file->version != STATE_VERSION)
        return fab_err_set(err, FAB_ERR_FORMAT, "%s is not a device account: remove it", path);
    if (account->file->total_bytes == total_bytes)
        return FAB_OK;
    /* The device file changed. Nobody may be using the old size. */
    reap(account);
    if (sum_bytes(account) != 0)
        return fab_err_set(
            err, FAB_ERR_BUSY, "%s: in use with %llu bytes of device memory, now it is %llu", path,
            (unsigned long long)account->file->total_bytes, (unsigned long long)total_bytes);
    account->file->total_bytes = total_bytes;
    return FAB_OK;
}

/* Opens the file, or makes it. Where several users share a sticky directory, Linux lets nobody
 * open another's file with O_CREAT (fs.protected_regular), so making it is a step of its own. */
static int open_or_make(const char *path, mode_t mode)
{
    enum { TRIES = 10 }; /* against others who make and remove it */

    for (int i = 0; i < TRIES; i++) {
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fd >= 0 || errno != ENOENT)
            return fd;
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0)
            (void)fchmod(fd, mode); /* ours, so it cannot fail */
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static enum fab_status open_files(struct state_account *account, const char *dir, const char *path,
                                  uint64_t total_bytes, struct fab_err *err)
{
    enum fab_status status = FAB_OK;
    struct stat info;

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return fab_err_errno(err, errno, "making the state directory %s", dir);
    if (stat(dir, &info) != 0)
        return fab_err_errno(err, errno, "%s", dir);
    int fd = open_or_make(path, info.st_mode & 0666);

    if (fd < 0)
        return fab_err_errno(err, errno, "opening %s", path);
    account->lock_fd = open(path, O_RDWR | O_CLOEXEC);
    if (account->lock_fd < 0)
        status = fab_err_errno(err, errno, "opening %s", path);
    else if (!account_lock(account))
        status = fab_err_errno(err, errno, "locking %s", path);
    if (status == FAB_OK) {
        status = header_check(account, path, fd, total_bytes, err);
        account_unlock(account);
    }
    (void)close(fd);
    return status;
}

enum fab_status state_account_open(const char *dir, const struct device_model *model,
                                   struct state_account **account_out, struct fab_err *err)
{
    char uuid[DEVICE_UUID_TEXT_BYTES];
    char path[DEVICE_STATE_DIR_BYTES + DEVICE_UUID_TEXT_BYTES];
    struct state_account *account = calloc(1, sizeof(*account));

    if (!account)
        return fab_err_set(err, FAB_ERR_NOMEM, "device account");
    (void)pthread_once(&fork_once, watch_forks);
    (void)pthread_mutex_init(&account->lock, NULL);
    account->lock_fd = -1;
    atomic_init(&account->slot, -1);
    (void)snprintf(path, sizeof(path), "%s/%s", dir, device_uuid_format(model->uuid, uuid));
    (void)pthread_mutex_lock(&accounts_lock);
    account->next = accounts;
    accounts = account;
    (void)pthread_mutex_unlock(&accounts_lock);

    enum fab_status status = open_files(account, dir, path, model->memory_bytes, err);

    if (status != FAB_OK) {
        state_account_close(account);
        return status;
    }
    *account_out = account;
    return FAB_OK;
}

void state_account_close(struct state_account *account)
{
    struct state_account **at = &accounts;

    if (!account)
        return;
    (void)pthread_mutex_lock(&accounts_lock);
    while (*at && *at != account)
        at = &(*at)->next;
    if (*at)
        *at = account->next;
    (void)pthread_mutex_unlock(&accounts_lock);

    int32_t slot = atomic_load(&account->slot);

    if (slot >= 0 && account->lock_fd >= 0 && account_lock(account)) {
        slot_clear(account, &account->file->slot[slot]);
        account_unlock(account);
    }
    if (account->lock_fd >= 0)
        (void)close(account->lock_fd);
    if (account->file)
        (void)munmap(account->file, sizeof(*account->file));
    (void)pthread_mutex_destroy(&account->lock);
    free(account);
}
