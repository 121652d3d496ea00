/* SPDX-License-Identifier: Apache-2.0
 * tests/random/faults.c - see faults.h.
 */
#include "tests/random/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "tests/functional/remote/remote_workers.h"
#include "tests/rack/rack_link.h"
#include "tests/random/world.h"
#include "tests/support/memlock.h"

enum { RAILS = 2, FIRST_HOST = 2 /* of worker 0 */, MEMLOCK_KIB = 64 };

#define BIT(kind) (1u << (kind))
static const uint32_t cuts = BIT(FAULT_RAIL) | BIT(FAULT_RAILS) | BIT(FAULT_LOST);
static const uint32_t drivers = BIT(FAULT_MEMORY) | BIT(FAULT_TRAP) | BIT(FAULT_LAUNCH);

static const struct {
    const char *name;
    int codes[2];
} kinds_of[FAULT_KINDS] = {
    [FAULT_KILLED] = {"killed", {CUDA_ERROR_DEVICE_UNAVAILABLE}},
    [FAULT_RAIL] = {"rail", {0}},
    [FAULT_RAILS] = {"rails", {0}},
    [FAULT_LOST] = {"lost", {CUDA_ERROR_DEVICE_UNAVAILABLE}},
    [FAULT_MEMORY] = {"memory", {CUDA_ERROR_OUT_OF_MEMORY}},
    [FAULT_TRAP] = {"trap", {CUDA_ERROR_LAUNCH_FAILED, CUDA_ERROR_ILLEGAL_INSTRUCTION}},
    [FAULT_LAUNCH] = {"launch", {CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES}},
    [FAULT_MEMLOCK] = {"memlock", {0}},
    [FAULT_MEMFD] = {"memfd", {CUDA_ERROR_OUT_OF_MEMORY, CUDA_ERROR_SYSTEM_NOT_READY}},
};

/* ---- plans ------------------------------------------------------------------------------------
 */

const char *fault_name(enum fault_kind kind)
{
    return kinds_of[kind].name;
}

uint32_t fault_kinds(const char *names)
{
    uint32_t mask = 0;

    while (*names) {
        size_t bytes = strcspn(names, ",");
        uint32_t kind = 0;

        while (kind < FAULT_KINDS && (strlen(kinds_of[kind].name) != bytes ||
                                      strncmp(kinds_of[kind].name, names, bytes) != 0))
            kind++;
        if (kind == FAULT_KINDS)
            return 0;
        mask |= BIT(kind);
        names += bytes + (names[bytes] == ',');
    }
    return mask;
}

uint32_t fault_kinds_possible(uint32_t kinds)
{
    if (!getenv("RACK_RUN"))
        kinds &= ~cuts;
    if (!getenv("RANDOM_FAULT_FILE"))
        kinds &= ~drivers;
    return kinds;
}

void fault_plan_make(uint64_t seed, uint32_t kinds, uint32_t steps, uint32_t workers,
                     uint32_t devices, struct fault_plan *plan)
{
    struct rng rng = {seed * 7919 + 3};
    uint32_t kind;

    do
        kind = rng_below(&rng, FAULT_KINDS);
    while (!(kinds & BIT(kind)));
    *plan = (struct fault_plan){.kind = (enum fault_kind)kind};
    memcpy(plan->codes, kinds_of[kind].codes, sizeof(plan->codes));
    plan->step = rng_below(&rng, steps);
    plan->delay_us = rng_chance(&rng, 2) ? 0 : rng_below(&rng, 3000);
    plan->lasts_us = rng_below(&rng, rng_chance(&rng, 4) ? 1500000 : 300000);
    plan->worker = rng_below(&rng, workers);
    plan->rail = rng_below(&rng, RAILS);
    plan->count = kind == FAULT_MEMFD ? rng_below(&rng, 4) : rng_below(&rng, 12);
    if (kind == FAULT_KILLED || kind == FAULT_LOST)
        plan->lost_mask = ((UINT64_C(1) << devices) - 1) << (plan->worker * devices);
}

bool fault_is_documented(const struct fault_plan *plan, int result)
{
    return result != 0 && (result == plan->codes[0] || result == plan->codes[1]);
}

/* ---- the program's own memory files -----------------------------------------------------------
 * The libraries that the program loads find this ftruncate() before libc's. */

static _Atomic uint32_t memfds_left; /* and one; 0: all succeed */

FAB_EXPORT int ftruncate(int fd, off_t bytes)
{
    uint32_t left = atomic_load(&memfds_left);

    while (left > 0 && !atomic_compare_exchange_weak(&memfds_left, &left, left - 1))
        ;
    if (left == 1) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_ftruncate, fd, bytes);
}

/* ---- happening --------------------------------------------------------------------------------
 */

static pthread_t thread;
static atomic_bool has_begun;

static void pause_us(uint32_t microseconds)
{
    const struct timespec pause = {.tv_sec = microseconds / 1000000,
                                   .tv_nsec = microseconds % 1000000 * 1000L};

    (void)nanosleep(&pause, NULL);
}

static void set_links(const struct fault_plan *plan, bool up)
{
    for (unsigned rail = 0; rail < RAILS; rail++)
        if (plan->kind != FAULT_RAIL || rail == plan->rail)
            (void)rack_set_link(rail, FIRST_HOST + plan->worker, up);
}

static void kill_worker(const struct fault_plan *plan)
{
    pid_t pids[REMOTE_WORKERS_MAX];

    if (remote_workers(pids) > plan->worker)
        (void)kill(pids[plan->worker], SIGKILL);
}

static void tell_driver(uint32_t kind, uint32_t count)
{
    const char *path = getenv("RANDOM_FAULT_FILE");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    struct fault_file *file = MAP_FAILED;

    if (fd >= 0 && syscall(SYS_ftruncate, fd, sizeof(*file)) == 0)
        file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    if (file == MAP_FAILED)
        abort();
    atomic_store(&file->count, count);
    atomic_store(&file->kind, kind);
    (void)munmap(file, sizeof(*file));
}

static void *happen(void *arg)
{
    const struct fault_plan *plan = arg;

    pause_us(plan->delay_us);
    switch (plan->kind) {
    case FAULT_KILLED:
        kill_worker(plan);
        break;
    case FAULT_RAIL:
    case FAULT_RAILS:
        set_links(plan, false);
        pause_us(plan->lasts_us);
        set_links(plan, true);
        break;
    case FAULT_LOST:
        set_links(plan, false);
        break;
    case FAULT_MEMORY:
    case FAULT_TRAP:
    case FAULT_LAUNCH:
        tell_driver((uint32_t)plan->kind + 1, plan->count);
        break;
    case FAULT_MEMLOCK:
    case FAULT_MEMFD:
    case FAULT_KINDS:
        break;
    }
    return NULL;
}

bool fault_prepare(const struct fault_plan *plan)
{
    if (BIT(plan->kind) & drivers)
        tell_driver(0, 0);
    if (plan->kind == FAULT_MEMFD)
        atomic_store(&memfds_left, plan->count + 2);
    return plan->kind != FAULT_MEMLOCK || memlock_limit(MEMLOCK_KIB);
}

void fault_begin(const struct fault_plan *plan)
{
    void *arg;

    memcpy(&arg, &plan, sizeof(arg)); /* never written through */
    if (!atomic_exchange(&has_begun, true) && pthread_create(&thread, NULL, happen, arg) != 0)
        abort();
}

void fault_join(const struct fault_plan *plan)
{
    fault_begin(plan); /* its thread may have ended early */
    (void)pthread_join(thread, NULL);
    if (BIT(plan->kind) & drivers)
        tell_driver(0, 0);
    atomic_store(&memfds_left, 0);
}

void fault_end(const struct fault_plan *plan)
{
    if (plan->kind != FAULT_LOST)
        return;
    set_links(plan, true);
    for (unsigned rail = 0; rail < RAILS; rail++)
        (void)rack_reach(rail, FIRST_HOST + plan->worker); /* the next program will tell */
}
