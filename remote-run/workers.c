/* SPDX-License-Identifier: Apache-2.0
 * remote-run/workers.c - the nodes of a run: who gets which GPUs, and how a worker starts there.
 *
 * Worker i is node i + 1 of the run. Each node has its own state of softcuda, its own mount of that
 * state on a rack's host, and its own place for driver-made memory, as separate machines have.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda-runtime/launcher/launcher.h"
#include "remote-run/remote_run.h"

enum { FTW_OPEN_MAX = 16 };

/* ---- the run ----------------------------------------------------------------------------------
 */

static enum fab_status find_files(struct remote_workers *workers, struct fab_err *err)
{
    char dir[PATH_MAX - 32];
    enum fab_status status = FAB_OK;
    ssize_t length;

    if (workers->arguments.driver) {
        (void)snprintf(workers->driver, sizeof(workers->driver), "%s", workers->arguments.driver);
    } else {
        status = launcher_library_dir("softcuda", workers->driver, err);
        length = (ssize_t)strlen(workers->driver);
        if (status == FAB_OK)
            (void)snprintf(workers->driver + length, sizeof(workers->driver) - (size_t)length,
                           "/libcuda.so.1");
    }
    if (status != FAB_OK)
        return status;
    if (workers->arguments.worker)
        return launcher_find_program(workers->arguments.worker, workers->worker, err);
    length = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
    if (length < 0)
        return fab_err_errno(err, errno, "finding gpu-worker beside remote-run");
    dir[length] = '\0';
    *strrchr(dir, '/') = '\0';
    (void)snprintf(workers->worker, sizeof(workers->worker), "%s/gpu-worker", dir);
    if (access(workers->worker, X_OK) == 0)
        return FAB_OK;
    (void)snprintf(workers->worker, sizeof(workers->worker), "%s/../sbin/gpu-worker", dir);
    if (access(workers->worker, X_OK) != 0) /* not where it is installed, either */
        return fab_err_errno(err, errno, "%s (package fabricd-node)", workers->worker);
    return FAB_OK;
}

static enum fab_status open_accounts(struct remote_workers *workers, struct fab_err *err)
{
    const struct remote_arguments *arguments = &workers->arguments;

    for (uint32_t i = 0; i < arguments->workers; i++) {
        enum fab_status status = ses_account_create(&workers->accounts[i], err);

        if (status != FAB_OK)
            return status;
        for (uint32_t device = 0; device < arguments->devices; device++)
            ses_account_set_limit(workers->accounts[i], device, arguments->memory_bytes);
    }
    return FAB_OK;
}

enum fab_status remote_workers_open(const struct remote_arguments *arguments,
                                    struct remote_workers *workers, struct fab_err *err)
{
    const char *temporary = getenv("TMPDIR");
    enum fab_status status;

    *workers = (struct remote_workers){.arguments = *arguments};
    if (arguments->rails)
        workers->rack = getenv("RACK_RUN");
    status = find_files(workers, err);
    if (status != FAB_OK)
        return status;
    (void)snprintf(workers->folder, sizeof(workers->folder), "%s/remote-run-XXXXXX",
                   temporary && temporary[0] == '/' ? temporary : "/tmp");
    if (!mkdtemp(workers->folder)) {
        status = fab_err_errno(err, errno, "making the folder %s", workers->folder);
        workers->folder[0] = '\0';
        return status;
    }
    status = open_accounts(workers, err);
    if (status != FAB_OK)
        return status;
    if (getrandom(workers->client_node, sizeof(workers->client_node), 0) < 0)
        return fab_err_errno(err, errno, "making a node id");
    return FAB_OK;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    (void)remove(path);
    return 0;
}

void remote_workers_close(struct remote_workers *workers)
{
    if (workers->folder[0])
        (void)nftw(workers->folder, remove_one, FTW_OPEN_MAX, FTW_DEPTH | FTW_PHYS);
    workers->folder[0] = '\0';
    for (uint32_t i = 0; i < workers->arguments.workers; i++)
        ses_account_close(workers->accounts[i]);
}

/* ---- what the broker asks ---------------------------------------------------------------------
 */

static void fill_rails(const struct remote_workers *workers, struct ses_node *node)
{
    uint32_t count = workers->arguments.rails;

    if (count == 0) {
        node->rails[0] = (struct ses_rail){.wire = SES_WIRE_SHM, .numa_node = -1};
        node->rail_count = 1;
        return;
    }
    node->rail_count = count;
    for (uint32_t i = 0; i < count; i++) {
        node->rails[i] = (struct ses_rail){.wire = SES_WIRE_UCX, .numa_node = -1};
        if (workers->rack)
            (void)snprintf(node->rails[i].device, SES_DEVICE_BYTES, "rail%u", i);
        else
            (void)snprintf(node->rails[i].device, SES_DEVICE_BYTES, "lo");
    }
}

/* Node 0 is the client's. Without rails all are one host. */
static void fill_node(const struct remote_workers *workers, uint32_t number, struct ses_node *node)
{
    *node = (struct ses_node){0};
    memcpy(node->id, workers->client_node, sizeof(node->id));
    if (workers->arguments.rails)
        node->id[0] ^= (uint8_t)number;
    (void)snprintf(node->name, sizeof(node->name), number ? "node%u" : "client", number);
    fill_rails(workers, node);
}

/* A session is its nodes, a bit each: worker `index` runs on the node of the index-th of them. */
static uint32_t node_of(const void *session, uint32_t index)
{
    uint64_t nodes = (uintptr_t)session;

    for (; index > 0; index--)
        nodes &= nodes - 1;
    return (uint32_t)__builtin_ctzll(nodes);
}

static void add_gpu(const struct remote_workers *workers, uint32_t number, uint64_t *nodes,
                    struct ses_grant *grant)
{
    const uint32_t of = number / workers->arguments.devices;
    struct ses_node node;

    if (!(*nodes >> of & 1)) {
        *nodes |= UINT64_C(1) << of;
        fill_node(workers, of + 1, &node);
        memcpy(grant->worker_nodes[grant->worker_count++], node.name, sizeof(node.name));
    }
    grant->vgpus[grant->vgpu_count++] =
        (struct ses_vgpu){.worker = grant->worker_count - 1,
                          .device = number % workers->arguments.devices,
                          .fence = 1};
}

static enum fab_status grant(void *user, const struct ses_peer *peer, struct ses_grant *grant_out,
                             void **session_out, struct fab_err *err)
{
    struct remote_workers *workers = user;
    const struct remote_arguments *arguments = &workers->arguments;
    const uint32_t count = arguments->workers * arguments->devices;
    uint64_t gpus, nodes = 0;
    enum fab_status status = ses_peer_gpus(peer, count, &gpus, err);

    if (status != FAB_OK)
        return status;
    *grant_out = (struct ses_grant){.settings = {.grace_ns = arguments->grace_ns}};
    (void)snprintf(grant_out->system, sizeof(grant_out->system), "remote-run");
    fill_node(workers, 0, &grant_out->node);
    for (uint32_t i = 0; i < count; i++)
        if (gpus >> i & 1)
            add_gpu(workers, i, &nodes, grant_out);
    *session_out = (void *)(uintptr_t)nodes;
    return FAB_OK;
}

/* ---- starting a worker ------------------------------------------------------------------------
 */

static void set_number(const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    (void)setenv(name, text, 1);
}

/* The devices of the node: what belongs to the program's own use of softcuda must not reach it. */
static void set_devices(const struct remote_workers *workers, uint32_t number, const char *state)
{
    char name[SES_NAME_BYTES];

    (void)snprintf(name, sizeof(name), "node%u", number);
    (void)setenv("SOFTCUDA_NODE", name, 1);
    (void)setenv("SOFTCUDA_STATE", state, 1);
    set_number("SOFTCUDA_DEVICES", workers->arguments.devices);
    set_number("SOFTCUDA_FIRST_PLACE", (number - 1) * workers->arguments.devices);
    (void)unsetenv("CUDA_VISIBLE_DEVICES"); /* the client's business */
}

/* A rack's host: its network, and its own view of /sys/class/net and of the state. */
static bool enter_host(const struct remote_workers *workers, uint32_t number, const char *state)
{
    char path[PATH_MAX];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%u.net", workers->rack, number + 1);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount("sysfs", "/sys", "sysfs", 0, NULL) != 0 ||
        mount("state", state, "tmpfs", 0, "mode=0700") != 0) {
        fprintf(stderr, "remote-run: host %u of the rack: %s\n", number + 1, strerror(errno));
        return false;
    }
    (void)close(fd);
    return true;
}

static void hand_down_account(const struct ses_account *account, uint32_t slot)
{
    char text[32];

    if (fcntl(ses_account_fd(account), F_SETFD, 0) != 0)
        _exit(EXIT_FAILURE);
    (void)snprintf(text, sizeof(text), "%d:%u", ses_account_fd(account), slot);
    (void)setenv(SES_ACCOUNT_VARIABLE, text, 1);
}

static FAB_NORETURN void become_worker(const struct remote_workers *workers, uint32_t number,
                                       const char *state, int fd, uint32_t slot)
{
    char driver[PATH_MAX + 16];
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (workers->rack && !enter_host(workers, number, state))
        _exit(EXIT_FAILURE);
    set_devices(workers, number, state);
    if (fcntl(fd, F_SETFD, 0) != 0)
        _exit(EXIT_FAILURE);
    set_number("FABRIC_WORKER_FD", (uint64_t)fd);
    hand_down_account(workers->accounts[number - 1], slot);
    (void)snprintf(driver, sizeof(driver), "--driver=%s", workers->driver);
    execl(workers->worker, "gpu-worker", driver, (char *)NULL);
    fprintf(stderr, "remote-run: %s: %s\n", workers->worker, strerror(errno));
    _exit(EXIT_FAILURE);
}

/* A place for a worker of node `index`, with a slot in its account; NULL: none is free. */
static struct remote_slot *take_slot(struct remote_workers *workers, uint32_t index)
{
    for (uint32_t i = 0; i < REMOTE_SLOTS_MAX; i++) {
        struct remote_slot *slot = &workers->slots[i];
        int number;

        if (slot->pid)
            continue;
        number = ses_account_slot_take(workers->accounts[index]);
        if (number < 0)
            return NULL;
        slot->index = index;
        slot->slot = (uint32_t)number;
        return slot;
    }
    return NULL;
}

static void give_slot(struct remote_workers *workers, struct remote_slot *slot)
{
    ses_account_slot_drop(workers->accounts[slot->index], slot->slot);
    slot->pid = 0;
}

static enum fab_status start(void *user, void *session, uint32_t index, int fd,
                             struct ses_node *node_out, pid_t *pid_out, struct fab_err *err)
{
    struct remote_workers *workers = user;
    struct remote_slot *slot;
    char state[PATH_MAX + 32];

    index = node_of(session, index);
    fill_node(workers, index + 1, node_out);
    (void)snprintf(state, sizeof(state), "%s/node%u", workers->folder, index + 1);
    if (mkdir(state, 0700) != 0 && errno != EEXIST)
        return fab_err_errno(err, errno, "making %s", state);
    slot = take_slot(workers, index);
    if (!slot)
        return fab_err_set(err, FAB_ERR_BUSY, "too many workers run on node%u", index + 1);
    *pid_out = fork();
    if (*pid_out == 0)
        become_worker(workers, index + 1, state, fd, slot->slot);
    if (*pid_out < 0) {
        give_slot(workers, slot);
        return fab_err_errno(err, errno, "starting a worker");
    }
    slot->pid = *pid_out;
    return FAB_OK;
}

static uint32_t pairs(void *user, void *session, uint32_t index, struct ses_pair *pairs_out)
{
    const struct remote_workers *workers = user;

    (void)session;
    (void)index;
    for (uint32_t i = 0; i < workers->arguments.rails; i++)
        pairs_out[i] = (struct ses_pair){.local = (uint8_t)i, .peer = (uint8_t)i};
    return workers->arguments.rails;
}

static void worker_ended(void *user, void *session, uint32_t index, pid_t pid, const char *why)
{
    struct remote_workers *workers = user;
    int status;

    (void)session;
    (void)index;
    (void)why;
    (void)waitpid(pid, &status, 0); /* it is gone: its pidfd said so */
    for (uint32_t i = 0; i < REMOTE_SLOTS_MAX; i++)
        if (workers->slots[i].pid == pid)
            give_slot(workers, &workers->slots[i]);
}

const struct ses_broker_ops remote_workers_ops = {
    .grant = grant, .start = start, .pairs = pairs, .worker_ended = worker_ended};
