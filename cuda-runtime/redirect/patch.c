/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/redirect/patch.c - see patch.h.
 *
 * Neighbouring pages form a run; each run is one memfd and one mmap() over the old pages. Where
 * memfds may not be executable (SELinux, vm.memfd_noexec) the pages are changed in place, after a
 * trial on a page of our own has shown that they can become executable again: without the trial a
 * refusal would leave the program's code unusable.
 */
#include "cuda-runtime/redirect/patch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"

struct run {
    uintptr_t start;
    size_t bytes;
    const struct patch_entry *entries;
    size_t count;
};

static void encode_jump(uint8_t *code, uintptr_t target)
{
    static const uint8_t jump[6] = {0xff, 0x25, 0, 0, 0, 0}; /* jmp *0(%rip): the next 8 bytes */
    uint64_t address = target;

    memcpy(code, jump, sizeof(jump));
    memcpy(code + sizeof(jump), &address, sizeof(address));
}

static bool holds_jump(const struct patch_entry *entry)
{
    uint8_t wanted[PATCH_JUMP_BYTES];

    encode_jump(wanted, entry->target);
    return memcmp((const void *)entry->address, wanted, sizeof(wanted)) == 0;
}

static int by_address(const void *left, const void *right)
{
    const struct patch_entry *a = left, *b = right;

    return a->address < b->address ? -1 : a->address > b->address;
}

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* The next run of entries from `first` on whose pages touch each other. */
static struct run next_run(const struct patch_entry *entries, size_t first, size_t count)
{
    uintptr_t page = page_bytes(), end;
    struct run run = {.start = entries[first].address & ~(page - 1), .entries = &entries[first]};

    end = run.start;
    for (size_t i = first; i < count && (entries[i].address & ~(page - 1)) <= end; i++) {
        end = (entries[i].address + PATCH_JUMP_BYTES + page - 1) & ~(page - 1);
        run.count++;
    }
    run.bytes = end - run.start;
    return run;
}

static enum fab_status write_all(int fd, const void *bytes, size_t size, struct fab_err *err)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fab_err_errno(err, errno, "copying code");
        at += written;
        size -= (size_t)written;
    }
    return FAB_OK;
}

static enum fab_status patch_copy(int fd, const struct run *run, struct fab_err *err)
{
    enum fab_status status = write_all(fd, (const void *)run->start, run->bytes, err);

    for (size_t i = 0; i < run->count && status == FAB_OK; i++) {
        uint8_t jump[PATCH_JUMP_BYTES];
        off_t at = (off_t)(run->entries[i].address - run->start);
        encode_jump(jump, run->entries[i].target);
        if (pwrite(fd, jump, sizeof(jump), at) != (ssize_t)sizeof(jump))
            status = fab_err_errno(err, errno, "patching the copied code");
    }
    return status;
}

static enum fab_status replace_pages(const struct run *run, struct fab_err *err)
{
    enum fab_status status;
    int fd = memfd_create("cudart-redirect", MFD_CLOEXEC);

    if (fd < 0)
        return fab_err_errno(err, errno, "memfd");
    status = patch_copy(fd, run, err);
    if (status == FAB_OK && mmap((void *)run->start, run->bytes, PROT_READ | PROT_EXEC,
                                 MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
        status = fab_err_errno(err, errno, "mapping patched code");
    (void)close(fd); /* the mapping stays */
    return status;
}

/* Whether a page that was writable may become executable in this process. */
static bool may_make_executable(void)
{
    void *page =
        mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool may;

    if (page == MAP_FAILED)
        return false;
    may = mprotect(page, page_bytes(), PROT_READ | PROT_EXEC) == 0;
    (void)munmap(page, page_bytes());
    return may;
}

static enum fab_status change_pages(const struct run *run, struct fab_err *err)
{
    if (!may_make_executable())
        return fab_err_set(err, FAB_ERR_DENIED,
                           "this process may not make memory executable (MemoryDenyWriteExecute?)");
    if (mprotect((void *)run->start, run->bytes, PROT_READ | PROT_WRITE) != 0)
        return fab_err_errno(err, errno, "opening code pages");
    for (size_t i = 0; i < run->count; i++)
        encode_jump((uint8_t *)run->entries[i].address, run->entries[i].target);
    if (mprotect((void *)run->start, run->bytes, PROT_READ | PROT_EXEC) != 0)
        return fab_err_errno(err, errno, "closing code pages");
    return FAB_OK;
}

enum fab_status patch_apply(struct patch_entry *entries, size_t count, struct fab_err *err)
{
    size_t open_entries = 0;

    qsort(entries, count, sizeof(*entries), by_address);
    for (size_t i = 0; i + 1 < count; i++)
        if (entries[i + 1].address - entries[i].address < PATCH_JUMP_BYTES)
            return fab_err_set(err, FAB_ERR_INVALID, "two functions lie within %d bytes",
                               PATCH_JUMP_BYTES);
    for (size_t i = 0; i < count; i++)
        open_entries += !holds_jump(&entries[i]);
    if (open_entries == 0)
        return FAB_OK;
    for (size_t i = 0; i < count;) {
        struct run run = next_run(entries, i, count);
        if (replace_pages(&run, err) != FAB_OK) {
            enum fab_status status = change_pages(&run, err);
            if (status != FAB_OK)
                return status;
        }
        i += run.count;
    }
    return FAB_OK;
}
