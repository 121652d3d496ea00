/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/agent_rig.c - see agent_rig.h.
 */
#include "tests/unit/fabricd/agent_rig.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"

enum { FTW_OPEN_MAX = 16, TURN_MS = 20, NS_PER_MS = 1000000 };

/* ---- the manager's script ---------------------------------------------------------------------
 */

static void keep_report(struct rig *rig, const struct message_report *report)
{
    rig->reports++;
    rig->gpu_count = report->gpu_count;
    rig->program_count = report->program_count < 8 ? report->program_count : 8;
    rig->rail_count = report->rail_count;
    if (report->rail_count)
        memcpy(rig->rails, report->rails, report->rail_count * sizeof(rig->rails[0]));
    rig->health_count = report->health_count;
    for (uint32_t i = 0; i < report->gpu_count; i++)
        rig->gpus[i] = report->gpus[i];
    for (uint32_t i = 0; i < rig->program_count; i++)
        rig->programs[i] = report->programs[i];
    for (uint32_t i = 0; i < report->health_count; i++)
        rig->health[i] = report->health[i];
}

static void keep(struct rig *rig, const struct message *message)
{
    struct rig_heard *heard = &rig->heard[rig->heard_count];

    if (!CHECK(rig->heard_count < RIG_HEARD_MAX))
        return;
    *heard = (struct rig_heard){.kind = message->kind};
    if (message->kind == MESSAGE_DONE)
        heard->done = message->done;
    else if (message->kind == MESSAGE_RELEASED)
        heard->released = message->released;
    else if (message->kind == MESSAGE_CHECKED)
        heard->checked = message->checked;
    else if (message->kind == MESSAGE_REQUEST)
        heard->request = message->request;
    else if (message->kind == MESSAGE_REQUEST_GONE)
        heard->gone_id = message->gone_id;
    rig->heard_count++;
}

static void on_up(void *user, struct link *link, const char *peer)
{
    (void)user, (void)link, (void)peer;
}

static void on_message(void *user, struct link *link, const struct message *message)
{
    struct rig *rig = user;

    if (message->kind == MESSAGE_REPORT) {
        keep_report(rig, &message->report);
    } else if (message->kind == MESSAGE_HELLO) {
        struct message welcome = {.kind = MESSAGE_WELCOME, .welcome = message->hello};

        CHECK_STR(message->hello.node, rig->name);
        CHECK(message->hello.is_agent);
        CHECK(message->hello.instance != 0);
        (void)link_send(link, &welcome);
    } else if (message->kind == MESSAGE_GAUGES) {
        rig->gauges = *message->gauges;
        rig->measures++;
    } else {
        keep(rig, message);
    }
}

static void on_packet(void *user, struct link *link, uint32_t channel, const void *bytes,
                      size_t count)
{
    (void)user, (void)link, (void)channel, (void)bytes, (void)count;
}

static void on_down(void *user, struct link *link, const struct fab_err *why)
{
    struct rig *rig = user;

    (void)why;
    link_close(link);
    rig->link = NULL;
}

static const struct link_ops manager_ops = {
    .up = on_up, .message = on_message, .packet = on_packet, .down = on_down};

void rig_cut(struct rig *rig)
{
    rig->is_manager_away = true;
    link_close(rig->link);
    rig->link = NULL;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static uint64_t turn(void *user, uint64_t now_ns)
{
    struct rig *first = user;
    uint64_t next_ns = now_ns + TURN_MS * (uint64_t)NS_PER_MS;

    for (struct rig *rig = first; rig; rig = rig->other) {
        if (rig->agent)
            next_ns = fab_earlier_ns(next_ns, agent_turn(rig->agent, now_ns));
        if (rig->turn)
            next_ns = fab_earlier_ns(next_ns, rig->turn(rig, now_ns));
    }
    next_ns = fab_earlier_ns(next_ns, link_turn(first->loop, now_ns));
    for (struct rig *rig = first; rig; rig = rig->other)
        if (rig->is_done && rig->is_done(rig))
            loop_stop(first->loop);
    return next_ns;
}

void rig_until(struct rig *rig, bool (*is_done)(struct rig *rig))
{
    rig->is_done = is_done;
    CHECK_EQ(loop_run(rig->loop, NULL), FAB_OK);
    rig->is_done = NULL;
}

static char worker_path[] = GPU_WORKER, driver_path[] = SOFTCUDA_LIBRARY,
            nvml_path[] = SOFTCUDA_NVML, nothing[] = "";

static bool make_node(struct rig *rig, const char *name)
{
    char state[128];

    *rig = (struct rig){.name = name};
    (void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/test-agent-XXXXXX");
    if (!mkdtemp(rig->folder))
        return false;
    (void)chmod(rig->folder, 0755); /* programs of other users come here, too */
    (void)snprintf(rig->state, sizeof(rig->state), "%s/state", rig->folder);
    (void)snprintf(rig->run, sizeof(rig->run), "%s/run", rig->folder);
    (void)snprintf(state, sizeof(state), "%s/softcuda", rig->folder);
    if (mkdir(state, 0700) != 0 || chmod(state, 01777) != 0)
        return false;
    (void)setenv("SOFTCUDA_STATE", state, 1);
    (void)setenv("SOFTCUDA_DEVICES", "2", 1);
    agent_copy_text(rig->node_name, sizeof(rig->node_name), name);
    rig->settings = (struct fabricd_settings){.node = rig->node_name,
                                              .is_agent = true,
                                              .state_dir = rig->state,
                                              .run_dir = rig->run,
                                              .listen = nothing,
                                              .address = nothing,
                                              .manager = nothing,
                                              .hwloc_xml = nothing,
                                              .sysroot = nothing,
                                              .nvml = nvml_path,
                                              .worker = worker_path,
                                              .driver = driver_path,
                                              .image_dir = nothing,
                                              .check_limit_ns = UINT64_C(60000000000),
                                              .check_age_ns = UINT64_C(600000000000),
                                              .grace_ns = UINT64_C(30000000000)};
    return true;
}

bool rig_begin(struct rig *rig)
{
    if (!make_node(rig, "n1") || loop_create(&rig->loop, NULL) != FAB_OK)
        return false;
    loop_set_turn(rig->loop, turn, rig);
    return true;
}

bool rig_begin_beside(struct rig *rig, struct rig *first, const char *name)
{
    if (!make_node(rig, name))
        return false;
    rig->loop = first->loop;
    rig->is_beside = true;
    first->other = rig;
    return true;
}

static enum fab_status make_pair(void *user, int *fd_out, struct fab_err *err)
{
    struct rig *rig = user;
    enum fab_status status;
    int ends[2];

    if (rig->is_manager_away)
        return fab_err_set(err, FAB_ERR_UNREACHABLE, "the script's manager is away");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return fab_err_set(err, FAB_ERR_IO, "a socket pair");
    status = link_adopt(rig->loop, ends[1], rig->name, &manager_ops, rig, &rig->link, err);
    if (status != FAB_OK)
        (void)close(ends[0]);
    *fd_out = ends[0];
    return status;
}

void rig_join(struct rig *rig)
{
    rig->is_manager_away = false;
    agent_join(rig->agent, make_pair, rig);
}

bool rig_start(struct rig *rig, struct fab_err *err)
{
    rig->heard_count = rig->reports = 0;
    if (agent_create(rig->loop, &rig->settings, rig->tls, &rig->agent, err) != FAB_OK)
        return false;
    rig_join(rig);
    return true;
}

bool rig_up(struct rig *rig)
{
    struct fab_err err = {0};

    if (!CHECK(rig_begin(rig)) || !CHECK(rig_start(rig, &err))) {
        CHECK_STR(err.text, "");
        return false;
    }
    rig_report(rig);
    return CHECK_EQ(rig->gpu_count, 2);
}

void rig_stop(struct rig *rig)
{
    agent_destroy(rig->agent);
    rig->agent = NULL;
    rig_cut(rig);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type, (void)where;
    return remove(path);
}

void rig_end(struct rig *rig)
{
    rig_stop(rig);
    if (!rig->is_beside)
        loop_destroy(rig->loop);
    CHECK_EQ(nftw(rig->folder, remove_one, FTW_OPEN_MAX, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- saying and hearing -----------------------------------------------------------------------
 */

void rig_send(struct rig *rig, const struct message *message)
{
    CHECK(link_send(rig->link, message));
}

void rig_command(struct rig *rig, enum manager_verb verb, const char *system, uint64_t fence)
{
    rig_command_of(rig, rig, rig->name, "", verb, system, fence);
}

void rig_command_of(struct rig *rig, const struct rig *owner, const char *host, const char *address,
                    enum manager_verb verb, const char *system, uint64_t fence)
{
    static struct message message;
    struct message_command *command = &message.command;

    message = (struct message){.kind = MESSAGE_COMMAND};
    *command = (struct message_command){.verb = verb,
                                        .owner_uid = getuid(),
                                        .fence = fence,
                                        .is_adhoc = rig->is_adhoc,
                                        .gpu_count = owner->gpu_count};
    agent_copy_text(command->system, sizeof(command->system), system);
    for (uint32_t i = 0; i < owner->gpu_count; i++) {
        struct message_gpu *gpu = &command->gpus[i];

        gpu->index = owner->gpus[i].index;
        gpu->fence = fence;
        gpu->rail_count = rig->choice.count;
        memcpy(gpu->rails, rig->choice.pairs, sizeof(gpu->rails));
        agent_copy_text(gpu->uuid, sizeof(gpu->uuid), owner->gpus[i].uuid);
        agent_copy_text(gpu->node, sizeof(gpu->node), owner->name);
        agent_copy_text(gpu->host, sizeof(gpu->host), host);
        agent_copy_text(gpu->address, sizeof(gpu->address), address);
    }
    rig_send(rig, &message);
}

void rig_answer(struct rig *rig, uint64_t id, uint32_t status, const char *body, const char *adhoc,
                bool is_more)
{
    struct message message = {.kind = MESSAGE_ANSWER,
                              .answer = {.id = id,
                                         .status = status,
                                         .type = "application/json",
                                         .location = "/there",
                                         .body = body,
                                         .body_bytes = strlen(body),
                                         .is_more = is_more}};

    agent_copy_text(message.answer.adhoc, sizeof(message.answer.adhoc), adhoc);
    rig_send(rig, &message);
}

static enum message_kind wanted_kind;

static bool is_heard(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->heard_count; i++)
        if (rig->heard[i].kind == wanted_kind)
            return true;
    return rig->link == NULL;
}

struct rig_heard rig_take(struct rig *rig, enum message_kind kind)
{
    struct rig_heard taken = {.kind = MESSAGE_KINDS};
    uint32_t i = 0;

    wanted_kind = kind;
    rig_until(rig, is_heard);
    while (i < rig->heard_count && rig->heard[i].kind != kind)
        i++;
    if (!CHECK(i < rig->heard_count))
        return taken;
    taken = rig->heard[i];
    memmove(&rig->heard[i], &rig->heard[i + 1], (rig->heard_count - i - 1) * sizeof(rig->heard[0]));
    rig->heard_count--;
    return taken;
}

const char *rig_done(struct rig *rig, enum manager_verb verb, const char *system, uint64_t fence)
{
    static char reason[LEDGER_REASON_BYTES];
    const struct rig_heard heard = rig_take(rig, MESSAGE_DONE);

    CHECK_EQ(heard.done.verb, verb);
    CHECK_STR(heard.done.system, system);
    CHECK_EQ(heard.done.fence, fence);
    agent_copy_text(reason, sizeof(reason), heard.done.reason);
    return reason;
}

static bool is_reported(struct rig *rig)
{
    return rig->reports > 0;
}

void rig_report(struct rig *rig)
{
    rig_until(rig, is_reported);
}

/* ---- programs ---------------------------------------------------------------------------------
 */

static void on_output(void *user, uint32_t events)
{
    struct rig_program *program = user;
    const ssize_t got = read(program->output, program->text + program->bytes,
                             sizeof(program->text) - 1 - program->bytes);

    (void)events;
    if (got > 0) {
        program->bytes += (size_t)got;
        program->text[program->bytes] = '\0';
        return;
    }
    loop_unwatch(program->output_watch);
    program->output_watch = NULL;
}

static FAB_NORETURN void become_program(const struct rig *rig, const char *argument,
                                        const char *system, uid_t uid, const int *input,
                                        const int *output)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/client.sock", rig->run);
    (void)setenv("FABRIC_SOCKET", path, 1);
    (void)setenv("LD_LIBRARY_PATH", CLIENT_LIBRARY_DIR, 1);
    if (system)
        (void)setenv("FABRIC_SYSTEM", system, 1);
    if (dup2(input[0], STDIN_FILENO) < 0 || dup2(output[1], STDOUT_FILENO) < 0 ||
        dup2(output[1], STDERR_FILENO) < 0 || (uid != getuid() && setresuid(uid, uid, uid) != 0))
        _exit(EXIT_FAILURE);
    execl(AGENT_PROGRAM, "agent_program", argument, (char *)NULL);
    _exit(EXIT_FAILURE);
}

bool rig_run(struct rig *rig, struct rig_program *program, const char *argument, const char *system,
             uid_t uid)
{
    int input[2], output[2];

    *program = (struct rig_program){.rig = rig};
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
        return false;
    program->pid = fork();
    if (program->pid == 0)
        become_program(rig, argument, system, uid, input, output);
    (void)close(input[0]);
    (void)close(output[1]);
    program->input = input[1];
    program->output = output[0];
    return CHECK(program->pid > 0) &&
           CHECK_EQ(loop_watch(rig->loop, program->output, EPOLLIN, on_output, program,
                               &program->output_watch, NULL),
                    FAB_OK);
}

static const struct rig_program *asked_program;
static const char *wanted_part;

static bool has_said(struct rig *rig)
{
    (void)rig;
    return strstr(asked_program->text, wanted_part) != NULL || asked_program->output_watch == NULL;
}

void rig_say(struct rig_program *program, const char *part)
{
    asked_program = program;
    wanted_part = part;
    rig_until(program->rig, has_said);
    CHECK_HAS(program->text, part);
}

static bool has_ended(struct rig *rig)
{
    (void)rig;
    return asked_program->output_watch == NULL;
}

void rig_let_go(struct rig_program *program)
{
    if (program->input >= 0)
        (void)close(program->input);
    program->input = -1;
}

int rig_wait(struct rig_program *program)
{
    asked_program = program;
    rig_let_go(program);
    rig_until(program->rig, has_ended);
    (void)close(program->output);
    CHECK_EQ(waitpid(program->pid, &program->status, 0), program->pid);
    program->pid = 0;
    return WIFEXITED(program->status) ? WEXITSTATUS(program->status) : -WTERMSIG(program->status);
}
