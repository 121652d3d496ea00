/* SPDX-License-Identifier: Apache-2.0
 * perf/softcuda-kernels.c - what softcuda costs: its kernels against plain loops, one core against
 * two, an empty launch, and the start of a process.
 *
 *     softcuda-kernels [--quick] [--json] [--rounds N] [--library PATH]
 *
 * A round times each kernel on one core of softcuda, on two, and the plain loop, one after the
 * other; the ratio of a row is the median over the rounds, with its 90 % interval. CPU time counts
 * for the comparison with the loops (other programs on the machine do not enter), wall time for
 * the rest. Exit status: 0 measured, 1 failed or wrong results, 2 misused; a missed budget is only
 * reported.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "perf/softcuda-kernels-plain.h"
#include "perf/softcuda-kernels-serve.h"
#include "softcuda/warp/ops/ops.h"

extern char **environ;

enum { ROUNDS = 41, ROUNDS_QUICK = 11, ROUNDS_MAX = 64 };

static struct {
    bool json;
    unsigned rounds;
    char library[PATH_MAX], self[PATH_MAX];
} options;

/* ---- servers --------------------------------------------------------------------------------- */

struct server {
    pid_t pid;
    int to, from;
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "softcuda-kernels: %s: %s\n", what, strerror(errno));
    exit(1);
}

static pid_t spawn(const char *mode, const char *argument, int in, int out)
{
    char *const arguments[] = {options.self, strdup(mode), strdup(options.library),
                               strdup(argument), NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;

    (void)posix_spawn_file_actions_init(&actions);
    if (in >= 0)
        (void)posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    if (out >= 0)
        (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    errno = posix_spawn(&pid, options.self, &actions, NULL, arguments, environ);
    if (errno)
        fail(options.self);
    (void)posix_spawn_file_actions_destroy(&actions);
    for (size_t i = 1; i < 4; i++)
        free(arguments[i]);
    return pid;
}

static void server_start(struct server *server, unsigned cores)
{
    char text[16];
    int in[2], out[2];

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        fail("pipe");
    (void)snprintf(text, sizeof(text), "%u", cores);
    *server = (struct server){spawn("--serve", text, in[0], out[1]), in[1], out[0]};
    (void)close(in[0]);
    (void)close(out[1]);
}

static struct bench_time server_ask(const struct server *server, enum bench bench)
{
    const uint32_t number = bench;
    struct bench_time time;

    if (write(server->to, &number, sizeof(number)) != (ssize_t)sizeof(number) ||
        read(server->from, &time, sizeof(time)) != (ssize_t)sizeof(time)) {
        (void)fprintf(stderr, "softcuda-kernels: the softcuda process ended\n");
        exit(1);
    }
    return time;
}

static void server_stop(struct server *server)
{
    (void)close(server->to);
    (void)close(server->from);
    (void)waitpid(server->pid, NULL, 0);
}

/* ---- statistics ------------------------------------------------------------------------------ */

struct sample {
    double values[ROUNDS_MAX];
    unsigned count;
};

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sample_sort(struct sample *sample)
{
    qsort(sample->values, sample->count, sizeof(double), by_value);
}

static double sample_median(const struct sample *sorted)
{
    const unsigned half = sorted->count / 2;
    return sorted->count % 2 ? sorted->values[half]
                             : (sorted->values[half - 1] + sorted->values[half]) / 2;
}

/* The 90 % interval of the median, from the order of the values (binomial, 1.645 sigma). */
static void sample_interval(const struct sample *sorted, double *low, double *high)
{
    const double reach = 1.645 * sqrt((double)sorted->count) / 2;
    const int first = (int)floor((double)sorted->count / 2 - reach);
    const unsigned index = first < 0 ? 0 : (unsigned)first;

    *low = sorted->values[index];
    *high = sorted->values[sorted->count - 1 - index];
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct row {
    const char *name, *unit;
    double budget;         /* of the ratio; 0: reported only */
    bool is_at_least;      /* the ratio must reach the budget instead of staying below */
    const char *no_budget; /* why there is none on this machine */
    struct sample ours, limit, ratio;
    bool is_right;
};

static void row_add(struct row *row, double ours, double limit, double ratio)
{
    row->ours.values[row->ours.count++] = ours;
    row->limit.values[row->limit.count++] = limit;
    row->ratio.values[row->ratio.count++] = ratio;
}

static void row_print(struct row *row, const char *isa, bool is_last)
{
    double low, high, ratio;
    bool met;

    sample_sort(&row->ours);
    sample_sort(&row->limit);
    sample_sort(&row->ratio);
    ratio = sample_median(&row->ratio);
    sample_interval(&row->ratio, &low, &high);
    met = row->is_right && (row->is_at_least ? high >= row->budget : low <= row->budget);
    if (!options.json) {
        printf("%-22s %10.3f %10.3f %-3s ratio %7.3f [%7.3f, %7.3f]", row->name,
               sample_median(&row->ours), sample_median(&row->limit), row->unit, ratio, low, high);
        if (row->budget > 0)
            printf("  budget %s %g: %s", row->is_at_least ? ">=" : "<=", row->budget,
                   met ? "met" : "missed");
        else if (row->no_budget)
            printf("  (%s)", row->no_budget);
        printf("%s\n", row->is_right ? "" : "  WRONG RESULTS");
        return;
    }
    printf("  {\"name\": \"%s\", \"ours\": %.6g, \"limit\": %.6g, \"unit\": \"%s\", "
           "\"ratio\": %.4g, \"interval\": [%.4g, %.4g], \"pairs\": %u, \"isa\": \"%s\", ",
           row->name, sample_median(&row->ours), sample_median(&row->limit), row->unit, ratio, low,
           high, row->ratio.count, isa);
    if (row->budget > 0)
        printf("\"budget\": %g, \"at_least\": %s, \"met\": %s", row->budget,
               row->is_at_least ? "true" : "false", met ? "true" : "false");
    else
        printf("\"budget\": null, \"met\": null, \"reason\": \"%s\"",
               row->no_budget ? row->no_budget : "reported only");
    printf(", \"right\": %s}%s\n", row->is_right ? "true" : "false", is_last ? "" : ",");
}

/* ---- measuring ------------------------------------------------------------------------------- */

static struct row single[BENCH_COUNT] = {
    [BENCH_VECADD] = {.name = "vecadd", .budget = 6},
    [BENCH_MATMUL16] = {.name = "matmul 16x16"},
    [BENCH_MATMUL32] = {.name = "matmul 32x32"},
    [BENCH_REDUCE] = {.name = "reduce", .budget = 6},
    [BENCH_HISTOGRAM] = {.name = "histogram"},
    [BENCH_MANDELBROT] = {.name = "mandelbrot", .budget = 2},
    [BENCH_COLLATZ] = {.name = "collatz", .budget = 2},
    [BENCH_SCAN] = {.name = "scan"},
    [BENCH_LAUNCH] = {.name = "launch + synchronise", .budget = 1},
};
static struct row scaling = {
    .name = "1 to 2 cores", .unit = "ms", .budget = 1.7, .is_at_least = true};
static struct row start = {.name = "process start", .unit = "ms", .budget = 1};

static void set_budgets(const char *isa)
{
    const bool is_avx512 = strcmp(isa, "avx512") == 0, is_avx2 = strcmp(isa, "avx2") == 0;
    const char *none = "the budget is for AVX-512";

    single[BENCH_MATMUL16].budget = single[BENCH_MATMUL32].budget = is_avx512 ? 12
                                                                    : is_avx2 ? 30
                                                                              : 0;
    single[BENCH_HISTOGRAM].budget = is_avx512 ? 12 : 0;
    single[BENCH_MATMUL16].no_budget = single[BENCH_MATMUL32].no_budget = "the budget is for AVX";
    single[BENCH_HISTOGRAM].no_budget = none;
    for (int i = 0; i < BENCH_COUNT; i++) {
        single[i].unit = i == BENCH_LAUNCH ? "us" : "ms";
        single[i].is_right = true;
    }
    scaling.is_right = start.is_right = true;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        scaling.budget = 0;
        scaling.no_budget = "one core only";
    }
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;

    (void)clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static struct {
    float *a, *b, *c;
    uint32_t *words, bins[256];
    volatile float sum;
} plain;

static void plain_run(enum bench bench)
{
    switch (bench) {
    case BENCH_VECADD:
        plain_vecadd(plain.a, plain.b, plain.c, BENCH_ELEMENTS);
        break;
    case BENCH_MATMUL16:
    case BENCH_MATMUL32:
        plain_matmul(plain.a, plain.b, plain.c, BENCH_MATRIX);
        break;
    case BENCH_REDUCE:
        plain.sum = plain_reduce(plain.a, BENCH_ELEMENTS);
        break;
    case BENCH_HISTOGRAM:
        plain_histogram(plain.words, plain.bins, BENCH_ELEMENTS);
        break;
    case BENCH_MANDELBROT:
        plain_mandelbrot((int *)(void *)plain.c, BENCH_IMAGE, BENCH_LIMIT);
        break;
    case BENCH_COLLATZ:
        plain_collatz((int *)(void *)plain.c, BENCH_NUMBERS);
        break;
    case BENCH_SCAN:
        plain_scan((const int *)(const void *)plain.words, (int *)(void *)plain.c, BENCH_SCANNED);
        break;
    case BENCH_LAUNCH:
    case BENCH_COUNT:
        break;
    }
}

static void plain_prepare(void)
{
    plain.a = calloc(BENCH_ELEMENTS, sizeof(float));
    plain.b = calloc(BENCH_ELEMENTS, sizeof(float));
    plain.c = calloc(BENCH_ELEMENTS, sizeof(float));
    plain.words = calloc(BENCH_ELEMENTS, sizeof(uint32_t));
    if (!plain.a || !plain.b || !plain.c || !plain.words)
        fail("memory");
    bench_fill_floats(plain.a, BENCH_ELEMENTS, 1);
    bench_fill_floats(plain.b, BENCH_ELEMENTS, 2);
    bench_fill_words(plain.words, BENCH_ELEMENTS, 3);
    for (int i = 0; i < BENCH_LAUNCH; i++)
        plain_run((enum bench)i); /* pages and caches */
}

static double plain_ms(enum bench bench)
{
    const uint64_t before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

    plain_run(bench);
    return (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before) / 1e6;
}

enum { LAUNCH_LIMIT_US = 3, START_LIMIT_MS = 15 }; /* design section 9 */

static void one_round(const struct server servers[2])
{
    double one_core = 0, two_cores = 0;

    for (int i = 0; i < BENCH_LAUNCH; i++) {
        const struct bench_time one = server_ask(&servers[0], (enum bench)i);
        const struct bench_time two = server_ask(&servers[1], (enum bench)i);
        const double limit = plain_ms((enum bench)i), ours = (double)one.cpu_ns / 1e6;

        row_add(&single[i], ours, limit, ours / limit);
        single[i].is_right = single[i].is_right && one.is_right && two.is_right;
        one_core += (double)one.wall_ns / 1e6;
        two_cores += (double)two.wall_ns / 1e6;
    }
    row_add(&scaling, two_cores, one_core, one_core / two_cores);
}

static void measure_launch(const struct server *server)
{
    const struct bench_time time = server_ask(server, BENCH_LAUNCH);
    const double ours = (double)time.wall_ns / 1e3 / BENCH_LAUNCHES;

    row_add(&single[BENCH_LAUNCH], ours, LAUNCH_LIMIT_US, ours / LAUNCH_LIMIT_US);
}

static double spawned_ms(const char *mode)
{
    const uint64_t before = clock_ns(CLOCK_MONOTONIC);
    int status = 0;

    if (waitpid(spawn(mode, "", -1, -1), &status, 0) < 0 || status != 0) {
        (void)fprintf(stderr, "softcuda-kernels: %s failed\n", mode);
        exit(1);
    }
    return (double)(clock_ns(CLOCK_MONOTONIC) - before) / 1e6;
}

static void measure_start(void)
{
    const double without = spawned_ms("--start-plain"), with = spawned_ms("--start");

    row_add(&start, with - without, START_LIMIT_MS, (with - without) / START_LIMIT_MS);
}

static int run(void)
{
    const struct warp_isa *isa = warp_isa_select(NULL);
    struct server servers[2];
    bool right = true;

    if (!isa) {
        (void)fprintf(stderr, "softcuda-kernels: SOFTCUDA_ISA names no variant of this machine\n");
        return 2;
    }
    set_budgets(isa->name);
    server_start(&servers[0], 1);
    server_start(&servers[1], 2);
    plain_prepare();
    for (unsigned i = 0; i < options.rounds; i++) {
        one_round(servers);
        measure_launch(&servers[1]);
        measure_start();
    }
    server_stop(&servers[0]);
    server_stop(&servers[1]);
    printf(options.json ? "[\n" : "softcuda with %s; limit: plain loops; %u rounds\n", isa->name,
           options.rounds);
    for (int i = 0; i < BENCH_COUNT; i++) {
        row_print(&single[i], isa->name, false);
        right = right && single[i].is_right;
    }
    row_print(&scaling, isa->name, false);
    row_print(&start, isa->name, true);
    if (options.json)
        printf("]\n");
    return right ? 0 : 1;
}

/* ---- command line ---------------------------------------------------------------------------- */

static void find_self(void)
{
    char folder[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", options.self, sizeof(options.self) - 1);

    if (length < 0)
        fail("/proc/self/exe");
    options.self[length] = 0;
    memcpy(folder, options.self, sizeof(folder));
    (void)snprintf(options.library, sizeof(options.library), "%.3800s/../lib/softcuda/libcuda.so.1",
                   dirname(folder));
}

static int usage(void)
{
    (void)fprintf(stderr,
                  "usage: softcuda-kernels [--quick] [--json] [--rounds 1..%d] [--library PATH]\n",
                  ROUNDS_MAX);
    return 2;
}

int main(int argc, char **argv)
{
    find_self();
    if (argc == 4 && strcmp(argv[1], "--serve") == 0)
        return bench_serve(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "--start") == 0)
        return bench_start(argv[2]);
    if (argc == 4 && strcmp(argv[1], "--start-plain") == 0)
        return 0;
    options.rounds = ROUNDS;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            options.rounds = ROUNDS_QUICK;
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            options.rounds = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--json") == 0) {
            options.json = true;
        } else if (strcmp(argv[i], "--library") == 0 && i + 1 < argc) {
            (void)snprintf(options.library, sizeof(options.library), "%s", argv[++i]);
        } else {
            return usage();
        }
    }
    if (options.rounds == 0 || options.rounds > ROUNDS_MAX)
        return usage();
    return run();
}
