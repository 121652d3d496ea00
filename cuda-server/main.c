/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/main.c - gpu-worker: one process for one client process on one node.
 *
 * A broker starts it with a socket (session/ses.h), tells it which GPUs and rails it has, and
 * passes the client's address. It serves until the client or the lease is gone, and holds nothing
 * that outlives it. Thread: main waits for the broker; all else is the transport's and queue.c's.
 */
#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "cuda-server/check.h"
#include "cuda-server/clear.h"
#include "cuda-server/driver.h"
#include "cuda-server/pinned.h"
#include "cuda-server/worker.h"
#include "session/ses.h"
#include "ucx-transport/xp_backend.h"

enum { SPIN_US = 30, CORES_FEW = 4 }; /* design D7 */
enum { PART_NS = 500000000 };         /* for the last word to the client */

enum { OPTION_NVML = 256, OPTION_CHECK, OPTION_CLEAR };

static struct {
    const char *driver, *nvml;
    int64_t check, clear; /* device to check or clear instead of serving; -1: serve */
} arguments = {.check = -1, .clear = -1};

static void parse_device(const char *name, const char *text, int64_t *device_out,
                         const struct argp_state *state)
{
    if (fab_parse_int(text, device_out) != FAB_OK || *device_out < 0 ||
        *device_out >= SES_VGPUS_MAX)
        argp_error(state, "%s takes a device number from 0 to %d, not '%s'", name,
                   SES_VGPUS_MAX - 1, text);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    switch (key) {
    case 'd':
        arguments.driver = text;
        return 0;
    case OPTION_NVML:
        arguments.nvml = text;
        return 0;
    case OPTION_CHECK:
        parse_device("--check", text, &arguments.check, state);
        return 0;
    case OPTION_CLEAR:
        parse_device("--clear", text, &arguments.clear, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"driver", 'd', "PATH", 0, "CUDA driver library to load (libcuda.so.1 as the loader finds it)",
     0},
    {"nvml", OPTION_NVML, "PATH", 0,
     "NVML library to load (libnvidia-ml.so.1 beside that driver, or as the loader finds it)", 0},
    {"check", OPTION_CHECK, "DEVICE", 0,
     "Serve nobody: check that the device computes, say what is wrong, and exit", 0},
    {"clear", OPTION_CLEAR, "DEVICE", 0,
     "Serve nobody: set all memory of the device, which nobody may use, to zero, and exit", 0},
    {0}};
static const struct argp parser = {
    .options = options,
    .parser = parse,
    .doc = "Executes CUDA driver calls of one remote client process. Started by fabricd."};

/* ---- set-up ---------------------------------------------------------------------------------- */

/* Ends with its parent, and nobody else of its user may look into it. */
static void guard_process(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1)
        exit(EXIT_FAILURE); /* the parent was gone before */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(SIGPIPE, SIG_IGN); /* a lost peer is a status, not an end */
}

static bool read_queue_depth(int64_t *depth_out)
{
    const char *text = getenv("FABRIC_QUEUE_DEPTH");

    *depth_out = CUDAS_QUEUE_DEPTH;
    return !text || (fab_parse_int(text, depth_out) == FAB_OK &&
                     *depth_out >= CUDAS_QUEUE_DEPTH_MIN && *depth_out <= CUDAS_QUEUE_DEPTH_MAX);
}

static enum fab_status create_worker(const struct ses_prepare *prepare, const struct fab_log *log,
                                     struct cudas_worker **worker_out, struct fab_err *err)
{
    struct cudas_vgpu vgpus[SES_VGPUS_MAX];
    int64_t queue_depth;

    if (!read_queue_depth(&queue_depth))
        return fab_err_set(err, FAB_ERR_RANGE, "FABRIC_QUEUE_DEPTH is a number from %d to %d",
                           CUDAS_QUEUE_DEPTH_MIN, CUDAS_QUEUE_DEPTH_MAX);
    const struct cudas_config config = {
        .driver = arguments.driver,
        .nvml = arguments.nvml,
        .clock = fab_clock_real(),
        .log = log,
        .vgpus = vgpus,
        .vgpu_count = prepare->vgpu_count,
        .numa_node = prepare->node.rail_count > 0 ? prepare->node.rails[0].numa_node : -1,
        .image_folder = getenv("FABRIC_IMAGE_FOLDER"),
        .queue_depth = (uint32_t)queue_depth,
        .capture_text = true};

    for (uint32_t i = 0; i < prepare->vgpu_count; i++)
        vgpus[i] = (struct cudas_vgpu){.index = prepare->vgpu_index[i],
                                       .device = (CUdevice)prepare->vgpus[i].device,
                                       .role = prepare->vgpus[i].role,
                                       .epoch = prepare->vgpus[i].epoch,
                                       .fence = prepare->vgpus[i].fence};
    return cudas_worker_create(&config, worker_out, err);
}

static enum fab_status open_node(const struct ses_node *described, const struct fab_log *log,
                                 struct xp_node **node_out, struct fab_err *err)
{
    struct xp_rail_config rails[SES_RAILS_MAX];
    struct xp_node_config config = {.rails = rails,
                                    .rail_count = described->rail_count,
                                    .clock = fab_clock_real(),
                                    .log = log,
                                    .spin_us = SPIN_US,
                                    .cores_short = sysconf(_SC_NPROCESSORS_ONLN) < CORES_FEW};

    memcpy(config.node_id, described->id, sizeof(config.node_id));
    for (uint32_t i = 0; i < described->rail_count; i++) {
        const struct ses_rail *rail = &described->rails[i];

        rails[i] = (struct xp_rail_config){.backend = rail->wire == SES_WIRE_SHM ? &xp_backend_shm
                                                                                 : &xp_backend_ucx,
                                           .device = rail->device[0] ? rail->device : NULL,
                                           .numa_node = rail->numa_node};
    }
    return xp_node_create(&config, node_out, err);
}

static enum fab_status open_connection(struct cudas_worker *worker, struct xp_node *node,
                                       const struct ses_accept *accept, struct xp_conn **conn_out,
                                       struct fab_err *err)
{
    const struct ses_link *link = &accept->link;
    struct xp_rail_pair pairs[SES_RAILS_MAX * SES_RAILS_MAX];
    struct xp_conn_config config = {
        .session_id = link->session_id,
        .peer_address = link->address,
        .peer_address_bytes = link->address_bytes,
        .pairs = pairs,
        .pair_count = link->pair_count,
        .manual_executed = true,
        /* Silence is no evidence here: a program may be stopped, by a terminal or a debugger, for
         * as long as its user likes. The broker tells when it has ended. */
        .limits = {.chunk_bytes = CUDAS_SLOT_BYTES, .grace_ns = UINT64_MAX},
        .handlers = &cudas_client_handlers,
        .user = worker};

    memcpy(config.key, link->key, sizeof(config.key));
    for (uint32_t i = 0; i < link->pair_count; i++)
        pairs[i] = (struct xp_rail_pair){link->pairs[i].local, link->pairs[i].peer};
    return xp_conn_open(node, &config, conn_out, err);
}

/* ---- serving --------------------------------------------------------------------------------- */

static void on_end(void *user)
{
    (void)eventfd_write(*(const int *)user, 1);
}

/* Until the session or the lease is over. */
static void serve(struct ses_worker *session, int end_fd, const struct fab_log *log)
{
    struct pollfd fds[] = {{.fd = end_fd, .events = POLLIN},
                           {.fd = ses_worker_fd(session), .events = POLLIN}};
    bool is_over = false;

    while (!is_over) {
        struct ses_event event = {.kind = SES_EVENT_NONE};

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        is_over = fds[0].revents != 0;
        if (fds[1].revents == 0)
            continue;
        ses_worker_event(session, &event);
        if (event.kind == SES_EVENT_REVOKED || event.kind == SES_EVENT_BROKER_GONE) {
            fab_log_debug(log, "the session is over", "why %s", event.text);
            is_over = true;
        }
    }
}

/* ---- waiting for a client ------------------------------------------------------------------- */

/* What a worker that was started before it was asked for has opened meanwhile. */
static struct {
    struct ses_node described;
    struct xp_node *node; /* NULL: nothing */
} warm;

/* The rails, open already if they are those that were foreseen. */
static enum fab_status take_node(const struct ses_node *node, const struct fab_log *log,
                                 struct xp_node **node_out, struct fab_err *err)
{
    struct xp_node *opened = warm.node;

    warm.node = NULL;
    if (opened && ses_node_is_same(node, &warm.described)) {
        *node_out = opened;
        return FAB_OK;
    }
    if (opened)
        fab_log_info(log, "the session has other rails than were foreseen", "node %s", node->name);
    xp_node_destroy(opened);
    return open_node(node, log, node_out, err);
}

/* All that is the same for every client of the lease: the driver is loaded and started, the rails
 * are open. Nothing is allocated on a device. */
static enum fab_status get_ready(const struct fab_log *log, struct fab_err *err)
{
    struct cudas_driver driver;
    enum fab_status status = cudas_driver_load(arguments.driver, &driver, err);
    CUresult result = status == FAB_OK ? driver.cuInit(0) : CUDA_SUCCESS;

    if (result != CUDA_SUCCESS)
        return fab_err_foreign(err, FAB_ERR_DEVICE, "cuda", (int)result,
                               "the CUDA driver does not start");
    return status == FAB_OK ? open_node(&warm.described, log, &warm.node, err) : status;
}

/* Who asked for it meanwhile hears what a worker that was not started before would say. */
static void refuse_asker(int fd, const struct fab_err *why)
{
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    struct ses_worker *session;
    int session_fd;

    if (poll(&asked, 1, 0) > 0 && ses_warm_wait(fd, &session_fd, NULL) == FAB_OK &&
        ses_worker_open_at(session_fd, &session, NULL) == FAB_OK) {
        ses_worker_refuse(session, why);
        ses_worker_close(session);
    }
}

/* The session of who asked for this worker, at its start or later. */
static enum fab_status open_session(const struct fab_log *log, struct ses_worker **session_out,
                                    struct fab_err *err)
{
    int fd, session_fd;
    enum fab_status status = ses_warm_open(&fd, &warm.described, err);

    if (status == FAB_ERR_NOT_FOUND)
        return ses_worker_open(session_out, err);
    if (status != FAB_OK)
        return status;
    status = get_ready(log, err);
    if (status != FAB_OK) {
        refuse_asker(fd, err);
        return status;
    }
    status = ses_warm_wait(fd, &session_fd, err);
    return status == FAB_OK ? ses_worker_open_at(session_fd, session_out, err) : status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum fab_status run(struct ses_worker *session, const struct fab_log *log,
                           struct fab_err *err)
{
    const struct ses_prepare *prepare = ses_worker_prepare(session);
    struct cudas_worker *worker;
    struct ses_accept accept;
    struct xp_conn *conn;
    struct xp_node *node;
    static int end_fd;
    const uint8_t *address;
    size_t address_bytes;
    enum fab_status status = create_worker(prepare, log, &worker, err);

    if (status != FAB_OK)
        return status;
    status = take_node(&prepare->node, log, &node, err);
    if (status != FAB_OK)
        return status;
    end_fd = eventfd(0, EFD_CLOEXEC);
    if (end_fd < 0)
        return fab_err_errno(err, errno, "an event descriptor");
    cudas_worker_on_end(worker, on_end, &end_fd);
    address = xp_node_address(node, &address_bytes);
    status =
        ses_worker_offer(session, address, address_bytes, cudas_worker_rows(worker), &accept, err);
    if (status == FAB_OK)
        status = cudas_worker_start(worker, accept.row, node, err);
    if (status == FAB_OK)
        status = open_connection(worker, node, &accept, &conn, err);
    if (status == FAB_OK)
        status = ses_worker_ready(session, err);
    if (status == FAB_OK)
        serve(session, end_fd, log);
    xp_node_part(node, PART_NS); /* why, if the worker condemned it */
    return status;
}

/* The answer is the exit status, and one line on standard output if it is no. */
static int check_or_clear(void)
{
    struct cudas_driver driver;
    struct fab_err err = {.status = FAB_OK};
    enum fab_status status = cudas_driver_load(arguments.driver, &driver, &err);

    if (status == FAB_OK && arguments.check >= 0)
        status = cudas_check_device(&driver, (int)arguments.check, &err);
    if (status == FAB_OK && arguments.clear >= 0)
        status = cudas_clear_device(&driver, (int)arguments.clear, &err);
    if (status != FAB_OK)
        printf("%s\n", err.text);
    fflush(NULL);
    return status == FAB_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static struct fab_log log;
    struct ses_worker *session;
    struct fab_err err = {.status = FAB_OK};
    enum fab_status status;
    int log_fd;

    guard_process();
    log_fd = dup(STDERR_FILENO); /* the worker's own words are not the kernels' */
    if (fab_log_init(&log, "gpu-worker", log_fd < 0 ? STDERR_FILENO : log_fd, &err) != FAB_OK)
        fab_log_warn(&log, "setting ignored", "%s", err.text);
    if (argp_parse(&parser, argc, argv, 0, NULL, NULL) != 0)
        return EXIT_FAILURE;
    if (arguments.check >= 0 || arguments.clear >= 0)
        _exit(check_or_clear()); /* a device that hangs must not keep the process */
    status = open_session(&log, &session, &err);
    if (status == FAB_OK) {
        status = run(session, &log, &err);
        if (status != FAB_OK && status != FAB_ERR_CANCELLED)
            ses_worker_refuse(session, &err);
        ses_worker_close(session);
    }
    if (status != FAB_OK && status != FAB_ERR_CANCELLED)
        fab_log_error(&log, "cannot serve", "why %s", err.text);
    /* Nothing is worth an orderly end: everything that the worker has is the kernel's to take back,
     * and a device that hangs must not keep it. */
    fflush(NULL);
    _exit(status == FAB_OK || status == FAB_ERR_CANCELLED ? EXIT_SUCCESS : EXIT_FAILURE);
}
