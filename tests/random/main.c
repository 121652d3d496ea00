/* SPDX-License-Identifier: Apache-2.0
 * tests/random/main.c - the same random programs on two drivers, and where they differ.
 *
 *     random-cuda [--seed S] [--programs N] [--seconds T] [--nodes N] [--devices M]
 *                 [--faults KIND,...] --native FILE --remote FILE
 *
 * Run it under remote-run: the remote driver asks at FABRIC_SOCKET. Programs run in batches, one
 * process a batch and driver. A program that differs is shrunk, and what is left is printed. With
 * --faults each program has a process of its own, to which one fault happens (faults.h). Exit
 * status 0 all agree, 1 one differs.
 */
#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/functional/remote/remote_workers.h"
#include "tests/random/world.h"

#ifndef RANDOM_BATCH
#define RANDOM_BATCH 25
#endif

enum {
    BATCH = RANDOM_BATCH,    /* programs a process; no time is looked at meanwhile */
    PROGRAM_TIME_MS = 60000, /* longer is a hang */
    CONTEXT_LINES = 12,
    RATE = 100, /* each call once in so many programs */
};

struct options {
    uint64_t seed, programs, seconds, tries;
    uint32_t nodes, devices;
    const char *native, *remote;
    bool shrinks;
    uint32_t faults;    /* mask of kinds */
    const char *memory; /* of each native device */
};

static struct options options = {
    .seed = 1, .programs = 200, .tries = 1, .nodes = 1, .devices = 2, .shrinks = true};
static char config_path[] = "/tmp/random-cuda-XXXXXX";
static char state_path[] = "/tmp/random-cuda-state-XXXXXX"; /* of native: an account of its own */
static uint32_t calls[CALLS_MAX];
static uint32_t faulted[FAULT_KINDS]; /* programs */

/* ---- a process that runs programs on one driver -----------------------------------------------
 */

struct side {
    const char *name, *path;
    bool is_native;
    const struct fault_plan *plan;
    const char *told; /* native, with a fault: what the remote one wrote */
    pid_t pid;
    int fd;     /* its output: length and text of each program, then the counts of calls */
    bool ended; /* before its last program's text */
};

static bool put(int fd, const void *bytes, size_t size_bytes)
{
    const char *at = bytes;

    while (size_bytes > 0) {
        ssize_t done = write(fd, at, size_bytes);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        size_bytes -= (size_t)done;
    }
    return true;
}

/* Whether a device works, and what it says if not. */
static CUresult try_device(const struct driver *cu, uint32_t device)
{
    uint32_t words[1024] = {0}, value = 0x51f0a3 + device;
    CUcontext context;
    CUdeviceptr at = 0;
    CUresult result = cu->cuDevicePrimaryCtxRetain(&context, (CUdevice)device);

    if (result == CUDA_SUCCESS)
        result = cu->cuCtxSetCurrent(context);
    if (result == CUDA_SUCCESS)
        result = cu->cuMemAlloc_v2(&at, sizeof(words));
    if (result == CUDA_SUCCESS)
        result = cu->cuMemsetD32_v2(at, value, 1024);
    if (result == CUDA_SUCCESS)
        result = cu->cuMemcpyDtoH_v2(words, at, sizeof(words));
    for (uint32_t i = 0; result == CUDA_SUCCESS && i < 1024; i++)
        result = words[i] == value ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
    if (at)
        (void)cu->cuMemFree_v2(at);
    (void)cu->cuDevicePrimaryCtxRelease_v2((CUdevice)device);
    return result;
}

/* After the fault and a reset: lost devices are lost, all others work. The loss may not be known at
 * once. */
static char *add_devices(const struct side *side, const struct driver *cu, uint32_t count,
                         char *text)
{
    size_t bytes = strlen(text), room = bytes + count * 32 + 1;
    char *all = realloc(text, room);

    if (!all)
        abort();
    for (uint32_t i = 0; i < count; i++) {
        bool is_lost = side->plan->lost_mask >> i & 1;
        CUresult result = CUDA_SUCCESS;

        if (is_lost && side->is_native)
            result = CUDA_ERROR_DEVICE_UNAVAILABLE;
        else
            while ((result = try_device(cu, i)) == CUDA_SUCCESS && is_lost)
                ;
        bytes += (size_t)snprintf(all + bytes, room - bytes, "device %u: %d\n", i, (int)result);
    }
    return all;
}

static char *run_one(const struct side *side, const struct driver *cu,
                     const struct program *program, uint32_t *counts)
{
    char *text = program_run(program, cu, counts, side->plan, side->told);

    if (!side->plan)
        return text;
    if (!side->is_native)
        fault_join(side->plan);
    text = add_devices(side, cu, program->device_count, text);
    if (!side->is_native)
        fault_end(side->plan);
    return text;
}

static void put_text(int fd, const char *text)
{
    uint64_t bytes = strlen(text);

    if (!put(fd, &bytes, sizeof(bytes)) || !put(fd, text, bytes))
        _exit(1);
}

/* cuInit may be what the fault befalls: then there is no more to it. */
static void begin(const struct side *side, struct driver *cu, int fd)
{
    char text[64];
    CUresult result;

    if (!driver_open(side->path, cu))
        _exit(1);
    if (side->plan && !side->is_native && !fault_prepare(side->plan))
        _exit(1);
    (void)snprintf(text, sizeof(text), "cuInit %d\n", CUDA_ERROR_SYSTEM_NOT_READY);
    if (side->told && strcmp(side->told, text) == 0)
        result = CUDA_ERROR_SYSTEM_NOT_READY;
    else
        result = cu->cuInit(0);
    if (result == CUDA_SUCCESS)
        return;
    if (!side->plan || !fault_is_documented(side->plan, (int)result))
        _exit(1);
    (void)snprintf(text, sizeof(text), "cuInit %d\n", (int)result);
    put_text(fd, text);
    _exit(0);
}

static void child(const struct side *side, const struct program *programs, uint32_t count, int fd)
{
    static struct driver driver;
    static uint32_t counts[CALLS_MAX];

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (side->is_native) {
        (void)setenv("SOFTCUDA_CONFIG", config_path, 1);
        (void)setenv("SOFTCUDA_STATE", state_path, 1);
    }
    begin(side, &driver, fd);
    counts[CAPI_cuInit]++;
    for (uint32_t i = 0; i < count; i++) {
        char *text = run_one(side, &driver, &programs[i], counts);

        put_text(fd, text);
        free(text);
    }
    _exit(put(fd, counts, sizeof(counts)) ? 0 : 1);
}

static void start(struct side *side, const struct program *programs, uint32_t count)
{
    int pipe_fds[2];

    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        abort();
    (void)fflush(stdout);
    side->pid = fork();
    if (side->pid == 0) {
        (void)close(pipe_fds[0]);
        child(side, programs, count, pipe_fds[1]);
    }
    (void)close(pipe_fds[1]);
    side->fd = pipe_fds[0];
    side->ended = false;
}

static void stop(struct side *side)
{
    (void)close(side->fd);
    (void)kill(side->pid, SIGKILL);
    (void)waitpid(side->pid, NULL, 0);
}

static bool take(struct side *side, void *bytes, size_t size_bytes)
{
    char *at = bytes;

    while (size_bytes > 0) {
        struct pollfd poll_fd = {.fd = side->fd, .events = POLLIN};
        ssize_t got;

        if (poll(&poll_fd, 1, PROGRAM_TIME_MS) == 0)
            return false;
        got = read(side->fd, at, size_bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        size_bytes -= (size_t)got;
    }
    return true;
}

/* Why there is no (whole) transcript. */
static char *end_of(struct side *side)
{
    siginfo_t info = {0};
    char text[80];

    side->ended = true;
    if (waitid(P_PID, (id_t)side->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return strdup("the program hung\n");
    (void)snprintf(text, sizeof(text), "the program's process ended: %s %d\n",
                   info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
    return strdup(text);
}

/* The next program's transcript; a sentence when the process hung or died. */
static char *next_text(struct side *side)
{
    uint64_t bytes;
    char *text;

    if (!take(side, &bytes, sizeof(bytes)))
        return end_of(side);
    text = malloc(bytes + 1);
    if (!text)
        abort();
    text[bytes] = '\0';
    if (!take(side, text, bytes)) {
        free(text);
        return end_of(side);
    }
    return text;
}

/* ---- comparing --------------------------------------------------------------------------------
 */

static struct side native = {.name = "native", .is_native = true};
static struct side remote = {.name = "remote"};

/* The number of the first line that differs; 0: none does. */
static uint32_t first_difference(const char *a, const char *b)
{
    uint32_t line = 1;

    while (*a && *a == *b) {
        line += *a == '\n';
        a++;
        b++;
    }
    return *a == *b ? 0 : line;
}

/* The number of the first line that differs between the two drivers' transcripts; 0: none does. Two
 * processes that end alike show nothing of the drivers: natively every program ends well. */
static uint32_t difference(const char *a, const char *b)
{
    return native.ended ? 1 : first_difference(a, b);
}

static void print_lines(const char *name, const char *text, uint32_t around)
{
    uint32_t line = 1, from = around > CONTEXT_LINES ? around - CONTEXT_LINES : 1;

    printf("--- %s, lines %u to %u\n", name, from, around + 1);
    while (*text && line <= around + 1) {
        const char *end = strchr(text, '\n');
        int length = (int)(end ? end - text : (ptrdiff_t)strlen(text));

        if (line >= from)
            printf("%s %.*s\n", line == around ? ">" : " ", length, text);
        text += length + (end != NULL);
        line++;
    }
}

static void add_counts(struct side *side)
{
    uint32_t counts[CALLS_MAX];

    if (take(side, counts, sizeof(counts))) {
        for (uint32_t i = 0; i < CALLS_MAX; i++)
            calls[i] += counts[i];
    }
}

static void make_plan(const struct program *program, struct fault_plan *plan)
{
    fault_plan_make(program->seed, options.faults, program->step_count, options.nodes,
                    options.devices, plan);
}

/* Runs one program on both; true when they differ. A fault happens to the remote one, which is
 * first: the other is told which of its calls failed. */
static bool differs_once(const struct program *program, bool prints)
{
    struct fault_plan plan;

    if (options.faults) {
        make_plan(program, &plan);
        native.plan = remote.plan = &plan;
    }
    start(&remote, program, 1);
    if (!options.faults)
        start(&native, program, 1);
    char *b = next_text(&remote), *a;

    if (options.faults) {
        native.told = b;
        start(&native, program, 1);
    }
    a = next_text(&native);
    uint32_t line = difference(a, b);

    if (line && prints) {
        print_lines("native", a, line);
        print_lines("remote", b, line);
    }
    if (line == 0)
        add_counts(&remote);
    stop(&native);
    stop(&remote);
    free(a);
    free(b);
    if (options.faults)
        fault_end(&plan); /* the program may not have come to it */
    if (options.faults && !remote_workers_wait(0))
        printf("a worker stays after its program\n");
    return line != 0;
}

static bool differs(const struct program *program, bool prints)
{
    for (uint64_t i = 0; i < options.tries; i++)
        if (differs_once(program, prints))
            return true;
    return false;
}

/* ---- shrinking (delta debugging) ---------------------------------------------------------------
 */

static uint32_t left_in(const struct program *program)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < program->step_count; i++)
        count += !program->is_out[i];
    return count;
}

/* Takes the steps [from, from + size) among those left out; puts them back if it then agrees. */
static bool try_without(struct program *program, uint32_t from, uint32_t size)
{
    uint8_t *before = malloc(program->step_count);
    uint32_t seen = 0;
    bool still;

    if (!before)
        abort();
    memcpy(before, program->is_out, program->step_count);
    for (uint32_t i = 0; i < program->step_count; i++) {
        if (before[i])
            continue;
        if (seen >= from && seen < from + size)
            program->is_out[i] = 1;
        seen++;
    }
    still = differs(program, false);
    if (!still)
        memcpy(program->is_out, before, program->step_count);
    free(before);
    return still;
}

static void shrink(struct program *program)
{
    for (uint32_t size = left_in(program) / 2; size > 0; size /= 2) {
        for (uint32_t from = 0; from < left_in(program);) {
            if (!try_without(program, from, size))
                from += size;
        }
    }
}

static void report(struct program *program)
{
    printf("program %llu differs (%u threads, %u steps)\n", (unsigned long long)program->seed,
           program->threads, program->step_count);
    if (options.shrinks && differs(program, false))
        shrink(program);
    printf("steps left:");
    for (uint32_t i = 0; i < program->step_count; i++) {
        if (!program->is_out[i])
            printf(" %u:%s", i, program_step_name(program, i));
    }
    printf("\n");
    if (!differs(program, true))
        printf("it does not differ every time\n");
}

/* ---- batches ----------------------------------------------------------------------------------
 */

static bool run_faulted(uint64_t seed)
{
    struct program program;
    struct fault_plan plan;
    bool agrees;

    program_make(seed, options.nodes * options.devices, options.memory != NULL, &program);
    make_plan(&program, &plan);
    agrees = !differs_once(&program, true);
    if (!agrees) {
        printf("fault of program %llu: %s of worker %u at step %u and %u us, count %u\n",
               (unsigned long long)seed, fault_name(plan.kind), plan.worker, plan.step,
               plan.delay_us, plan.count);
        report(&program);
    }
    faulted[plan.kind]++;
    program_free(&program);
    return agrees;
}

/* False: one differs, and was reported. */
static bool run_batch(uint64_t seed, uint32_t count)
{
    if (options.faults)
        return run_faulted(seed);
    struct program programs[BATCH] = {0};
    bool agree = true;

    for (uint32_t i = 0; i < count; i++)
        program_make(seed + i, options.nodes * options.devices, options.memory != NULL,
                     &programs[i]);
    start(&native, programs, count);
    start(&remote, programs, count);
    for (uint32_t i = 0; i < count && agree; i++) {
        char *a = next_text(&native), *b = next_text(&remote);
        uint32_t line = difference(a, b);

        agree = line == 0;
        if (!agree) {
            print_lines("native", a, line);
            print_lines("remote", b, line);
        }
        free(a);
        free(b);
        if (!agree) {
            stop(&native);
            stop(&remote);
            report(&programs[i]);
        }
    }
    if (agree) {
        add_counts(&remote);
        stop(&native);
        stop(&remote);
    }
    for (uint32_t i = 0; i < count; i++)
        program_free(&programs[i]);
    return agree;
}

/* The forms for per-thread default streams (_ptsz, _ptds) are exports of the same calls; a program
 * is compiled for one or the other. All else that is implemented can be in a program. */
static void print_coverage(uint64_t programs)
{
    uint32_t least = UINT32_MAX, total = 0, functions = 0;
    const char *rarest = "";

#define FUNCTION(name)                                                                             \
    if (!strstr(#name, "_pts") && !strstr(#name, "_ptds")) {                                       \
        functions++;                                                                               \
        total += calls[CAPI_##name];                                                               \
        if ((uint64_t)calls[CAPI_##name] * RATE < programs && programs >= RATE)                    \
            printf("rare: %s, %u times\n", #name, calls[CAPI_##name]);                             \
        if (calls[CAPI_##name] < least) {                                                          \
            least = calls[CAPI_##name];                                                            \
            rarest = #name;                                                                        \
        }                                                                                          \
    }
#include "random_functions.inc"
#undef FUNCTION
    printf("%llu programs agree: %u calls of %u functions, least often %s (%u)\n",
           (unsigned long long)programs, total, functions, rarest, least);
}

static void print_faults(void)
{
    printf("programs with a fault:");
    for (uint32_t i = 0; i < FAULT_KINDS; i++)
        if (faulted[i])
            printf(" %s %u", fault_name((enum fault_kind)i), faulted[i]);
    printf("\n");
}

/* Devices of one node reach each other directly, as those of one worker do. */
static bool write_config(void)
{
    int fd = mkdtemp(state_path) ? mkstemp(config_path) : -1;
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    const char *mark = "";

    if (!file)
        return false;
    if (options.memory)
        fprintf(file, "devices = ( { count = %u; memory = \"%s\"; } );\n",
                options.nodes * options.devices, options.memory);
    else
        fprintf(file, "device_count = %u;\n", options.nodes * options.devices);
    fprintf(file, "peers = \"links\";\nlinks = (");
    for (uint32_t node = 0; node < options.nodes; node++) {
        for (uint32_t a = 0; a < options.devices; a++) {
            for (uint32_t b = a + 1; b < options.devices; b++) {
                fprintf(file, "%s { a = %u; b = %u; }", mark, node * options.devices + a,
                        node * options.devices + b);
                mark = ",";
            }
        }
    }
    fprintf(file, " );\n");
    return fclose(file) == 0;
}

/* The accounts are files in one flat folder. */
static void remove_state(void)
{
    DIR *folder = opendir(state_path);
    const struct dirent *entry;

    while (folder && (entry = readdir(folder)) != NULL)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        (void)closedir(folder);
    (void)rmdir(state_path);
}

/* ---- the command line -------------------------------------------------------------------------
 */

static const struct argp_option option_rows[] = {
    {"seed", 's', "S", 0, "Seed of the first program (default 1)", 0},
    {"programs", 'p', "N", 0, "Run N programs (default 200; with --seconds: no limit)", 0},
    {"seconds", 't', "T", 0, "Start no program after T seconds", 0},
    {"nodes", 'w', "N", 0, "Nodes, as remote-run --workers", 0},
    {"devices", 'n', "M", 0, "Devices a node, as remote-run --devices", 0},
    {"native", 'a', "FILE", 0, "The driver to compare with", 0},
    {"remote", 'b', "FILE", 0, "The driver under test", 0},
    {"faults", 'f', "KINDS", 0,
     "A fault a program: of killed, rail, rails, lost, memory, trap, launch, memlock, memfd", 0},
    {"memory", 'm', "SIZE", 0,
     "Memory of each native device (remote-run --memory); of threads it would be chance who gets "
     "the last of it, so programs have one",
     0},
    {"tries", 'r', "N", 0, "While shrinking run what agrees up to N times (default 1)", 0},
    {"no-shrink", 'k', NULL, 0, "Report the first difference as it is", 0},
    {0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    switch (key) {
    case 's':
        options.seed = strtoull(text, NULL, 0);
        return 0;
    case 'p':
        options.programs = strtoull(text, NULL, 0);
        return 0;
    case 't':
        options.seconds = strtoull(text, NULL, 0);
        options.programs = UINT64_MAX;
        return 0;
    case 'w':
        options.nodes = (uint32_t)strtoul(text, NULL, 0);
        return 0;
    case 'n':
        options.devices = (uint32_t)strtoul(text, NULL, 0);
        return 0;
    case 'a':
        options.native = text;
        return 0;
    case 'b':
        options.remote = text;
        return 0;
    case 'f':
        options.faults = fault_kinds(text);
        if (!options.faults)
            argp_error(state, "unknown faults: %s", text);
        return 0;
    case 'm':
        options.memory = text;
        return 0;
    case 'r':
        options.tries = strtoull(text, NULL, 0);
        return 0;
    case 'k':
        options.shrinks = false;
        return 0;
    case ARGP_KEY_END:
        if (!options.native || !options.remote)
            argp_error(state, "--native and --remote are needed");
        if (options.nodes * options.devices < 1 || options.nodes * options.devices > DEVICES_MAX)
            argp_error(state, "1 to %d devices", DEVICES_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {option_rows, parse, NULL, "Compare two CUDA drivers.",
                                     NULL,        NULL,  NULL};
    const struct fab_clock *clock = fab_clock_real();
    uint64_t done = 0, end;
    bool agree = true;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    native.path = options.native;
    remote.path = options.remote;
    (void)remote_broker();
    if (options.faults) {
        options.faults = fault_kinds_possible(options.faults);
        if (!options.faults) {
            printf("skipped: none of these faults can be brought about here\n");
            return 77;
        }
    }
    if (!write_config())
        return 2;
    printf("random-cuda: seed %llu\n", (unsigned long long)options.seed);
    end = fab_clock_now_ns(clock) + options.seconds * UINT64_C(1000000000);
    while (agree && done < options.programs &&
           (!options.seconds || fab_clock_now_ns(clock) < end)) {
        uint32_t size = options.faults ? 1 : BATCH;
        uint32_t count =
            options.programs - done < size ? (uint32_t)(options.programs - done) : size;

        agree = run_batch(options.seed + done, count);
        done += count;
    }
    (void)unlink(config_path);
    remove_state();
    if (options.faults)
        print_faults();
    else if (agree)
        print_coverage(done);
    return agree ? 0 : 1;
}
