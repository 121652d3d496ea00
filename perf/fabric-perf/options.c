/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/options.c - see options.h.
 */
#include "perf/fabric-perf/options.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"

enum { NUMBER_MAX = 1000000 };

const char fp_help[] =
    "usage: fabric-perf [OPTION...]\n"
    "       fabric-perf report FILE.json... [-o REPORT.html] [--svg FILE] [--csv FILE]\n"
    "\n"
    "Latency and bandwidth of cudaMemcpy and cudaMemcpyAsync, of launches and synchronisation.\n"
    "\n"
    "  -t, --tests LIST      of h2d d2h both d2d p2p p2p-both launch launch-sync sync memcpy\n"
    "  -m, --memory LIST     of pageable pinned mapped managed (default: what the GPU can)\n"
    "  -c, --calls LIST      of sync async kernel\n"
    "  -s, --size LIST       sizes, 64K, or ranges, 1:256M (powers of two)\n"
    "  -a, --all             all sizes from 1 B to 256 MiB\n"
    "  -b, --bidirectional   in and out, and both ways between GPUs, at once, too\n"
    "      --streams LIST    of each GPU (default 1)\n"
    "  -g, --gpus LIST|all   single rows: the first of them (default 0)\n"
    "      --together        all of --gpus at once, too\n"
    "      --matrix          from every GPU of --gpus (default: all) to every other\n"
    "  -n, --iters N         iterations of a repeat (default: what the duration wants)\n"
    "  -w, --warmup N        iterations before (default 2)\n"
    "  -r, --repeats N       at least 5 (default 15)\n"
    "  -D, --duration S      seconds for a row (default 0.3)\n"
    "      --quick           a short list of sizes, 0.04 s a row\n"
    "      --max-spread PCT  wider intervals are not printed (default 20)\n"
    "      --limit SIZE      bytes on their way at once (default 256M)\n"
    "  -l, --label TEXT      what these GPUs are called in a report\n"
    "      --json FILE, --csv FILE, --svg FILE     as files; - is standard output\n"
    "  -o, --html FILE       the report\n";

enum {
    KEY_STREAMS = 256,
    KEY_TOGETHER,
    KEY_MATRIX,
    KEY_QUICK,
    KEY_SPREAD,
    KEY_LIMIT,
    KEY_JSON,
    KEY_CSV,
    KEY_SVG
};

static const struct option long_options[] = {
    {"tests", required_argument, NULL, 't'},
    {"memory", required_argument, NULL, 'm'},
    {"calls", required_argument, NULL, 'c'},
    {"size", required_argument, NULL, 's'},
    {"all", no_argument, NULL, 'a'},
    {"bidirectional", no_argument, NULL, 'b'},
    {"streams", required_argument, NULL, KEY_STREAMS},
    {"gpus", required_argument, NULL, 'g'},
    {"together", no_argument, NULL, KEY_TOGETHER},
    {"matrix", no_argument, NULL, KEY_MATRIX},
    {"iters", required_argument, NULL, 'n'},
    {"warmup", required_argument, NULL, 'w'},
    {"repeats", required_argument, NULL, 'r'},
    {"duration", required_argument, NULL, 'D'},
    {"quick", no_argument, NULL, KEY_QUICK},
    {"max-spread", required_argument, NULL, KEY_SPREAD},
    {"limit", required_argument, NULL, KEY_LIMIT},
    {"label", required_argument, NULL, 'l'},
    {"json", required_argument, NULL, KEY_JSON},
    {"csv", required_argument, NULL, KEY_CSV},
    {"svg", required_argument, NULL, KEY_SVG},
    {"html", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* ---- values ------------------------------------------------------------------------------------
 */

static enum fab_status wrong(struct fab_err *err, const char *what, const char *text,
                             const char *wanted)
{
    return fab_err_set(err, FAB_ERR_INVALID, "%s '%s': %s", what, text, wanted);
}

/* Calls `take` for each part of "a,b,c". */
static enum fab_status each(const char *list,
                            enum fab_status (*take)(struct fp_options *options, const char *part,
                                                    struct fab_err *err),
                            struct fp_options *options, struct fab_err *err)
{
    char part[64];

    for (;;) {
        const size_t length = strcspn(list, ",");
        enum fab_status status;

        if (length == 0 || length >= sizeof(part))
            return wrong(err, "the list", list, "has an empty or a strange part");
        memcpy(part, list, length);
        part[length] = '\0';
        status = take(options, part, err);
        if (status != FAB_OK || list[length] == '\0')
            return status;
        list += length + 1;
    }
}

/* Bits of the names in a list. */
static enum fab_status add_name(const char *const *names, uint32_t first, const char *part,
                                uint32_t *bits, struct fab_err *err)
{
    char all[160] = "one of";

    for (uint32_t i = first; names[i]; i++) {
        const size_t used = strlen(all);

        if (strcmp(names[i], part) == 0) {
            *bits |= 1u << i;
            return FAB_OK;
        }
        (void)snprintf(all + used, sizeof(all) - used, " %s", names[i]);
    }
    return wrong(err, "there is no", part, all);
}

static enum fab_status add_test(struct fp_options *options, const char *part, struct fab_err *err)
{
    if (strcmp(part, fp_test_names[FP_LIMIT]) == 0)
        return wrong(err, "test", part, "is of other programs, not of this one");
    return add_name(fp_test_names, 0, part, &options->tests, err);
}

static enum fab_status add_memory(struct fp_options *options, const char *part, struct fab_err *err)
{
    options->is_memory_named = true;
    return add_name(fp_memory_names, 1, part, &options->memories, err);
}

static enum fab_status add_call(struct fp_options *options, const char *part, struct fab_err *err)
{
    return add_name(fp_call_names, 1, part, &options->calls, err);
}

/* "64K" is 64KiB, as perftest and OSU mean it. */
static enum fab_status parse_size(const char *text, uint64_t *size_out, struct fab_err *err)
{
    char whole[80];
    const size_t length = strlen(text);
    const bool is_short = length > 0 && strchr("KMG", text[length - 1]) != NULL;
    uint64_t size = 0;

    (void)snprintf(whole, sizeof(whole), "%s%s", text, is_short ? "iB" : "");
    if (fab_parse_size(whole, &size) != FAB_OK || size < 1)
        return wrong(err, "size", text, "is none: write 4096, 64K or 16MiB");
    *size_out = size;
    return FAB_OK;
}

static enum fab_status add_one_size(struct fp_options *options, uint64_t size, struct fab_err *err)
{
    if (size > FP_SIZE_MAX || options->size_count == FP_SIZES_MAX)
        return fab_err_set(err, FAB_ERR_INVALID, "sizes: at most %d, up to 256 MiB", FP_SIZES_MAX);
    for (uint32_t i = 0; i < options->size_count; i++)
        if (options->sizes[i] == size)
            return FAB_OK;
    options->sizes[options->size_count++] = size;
    return FAB_OK;
}

static enum fab_status add_size(struct fp_options *options, const char *part, struct fab_err *err)
{
    char first_text[64];
    const char *colon = strchr(part, ':');
    uint64_t first, last;
    enum fab_status status;

    (void)snprintf(first_text, sizeof(first_text), "%.*s", (int)strcspn(part, ":"), part);
    status = parse_size(first_text, &first, err);
    last = first;
    if (status == FAB_OK && colon)
        status = parse_size(colon + 1, &last, err);
    if (status == FAB_OK && last < first)
        status = wrong(err, "sizes", part, "end below their beginning");
    for (uint64_t size = first; status == FAB_OK && size <= last; size *= 2)
        status = add_one_size(options, size, err);
    return status;
}

static enum fab_status parse_number(const char *what, const char *text, uint32_t least,
                                    uint32_t most, uint32_t *value_out, struct fab_err *err)
{
    int64_t value;

    if (fab_parse_int(text, &value) != FAB_OK || value < least || value > most)
        return fab_err_set(err, FAB_ERR_INVALID, "%s '%s': a number from %u to %u is wanted", what,
                           text, least, most);
    *value_out = (uint32_t)value;
    return FAB_OK;
}

static enum fab_status parse_real(const char *what, const char *text, double least, double most,
                                  double *value_out, struct fab_err *err)
{
    char *end;
    const double value = strtod(text, &end);

    if (end == text || *end || !(value >= least) || !(value <= most))
        return fab_err_set(err, FAB_ERR_INVALID, "%s '%s': a number from %g to %g is wanted", what,
                           text, least, most);
    *value_out = value;
    return FAB_OK;
}

static enum fab_status add_stream(struct fp_options *options, const char *part, struct fab_err *err)
{
    if (options->stream_count == FP_STREAMS_LIST_MAX)
        return wrong(err, "streams", part, "is one number too many");
    return parse_number("streams", part, 1, FP_STREAMS_MAX,
                        &options->streams[options->stream_count++], err);
}

static enum fab_status add_gpu(struct fp_options *options, const char *part, struct fab_err *err)
{
    uint32_t gpu = 0;
    enum fab_status status = parse_number("GPU", part, 0, FP_GPUS_MAX - 1, &gpu, err);

    for (uint32_t i = 0; i < options->gpu_count && status == FAB_OK; i++)
        if (options->gpus[i] == (int32_t)gpu)
            status = wrong(err, "GPU", part, "stands twice");
    if (status == FAB_OK && options->gpu_count == FP_GPUS_MAX)
        status = wrong(err, "GPU", part, "is one too many");
    if (status == FAB_OK)
        options->gpus[options->gpu_count++] = (int32_t)gpu;
    return status;
}

/* ---- the line ----------------------------------------------------------------------------------
 */

static void set_flag(struct fp_options *options, int key)
{
    static const uint64_t quick[] = {8, 4096, 65536, 1 << 20, 16 << 20};

    switch (key) {
    case 'a':
        options->size_count = 0;
        options->are_sizes_named = true;
        for (uint64_t size = 1; size <= FP_SIZE_MAX; size *= 2)
            options->sizes[options->size_count++] = size;
        break;
    case 'b':
        options->is_bidirectional = true;
        break;
    case KEY_TOGETHER:
        options->is_together = true;
        break;
    case KEY_MATRIX:
        options->is_matrix = true;
        break;
    case KEY_QUICK:
        options->are_sizes_named = false;
        options->duration_s = 0.04;
        memcpy(options->sizes, quick, sizeof(quick));
        options->size_count = FAB_ARRAY_LEN(quick);
        break;
    case 'h':
        options->is_help = true;
        break;
    default:
        break;
    }
}

static bool set_text(struct fp_options *options, int key, const char *text)
{
    switch (key) {
    case 'l':
        options->label = text;
        return true;
    case KEY_JSON:
        options->json = text;
        return true;
    case KEY_CSV:
        options->csv = text;
        return true;
    case KEY_SVG:
        options->svg = text;
        return true;
    case 'o':
        options->html = text;
        return true;
    default:
        return false;
    }
}

static enum fab_status set_value(struct fp_options *options, int key, const char *text,
                                 struct fab_err *err)
{
    double percent;
    enum fab_status status;

    switch (key) {
    case 't':
        return each(text, add_test, options, err);
    case 'm':
        return each(text, add_memory, options, err);
    case 'c':
        return each(text, add_call, options, err);
    case 's':
        options->size_count = 0;
        options->are_sizes_named = true;
        return each(text, add_size, options, err);
    case KEY_STREAMS:
        return each(text, add_stream, options, err);
    case 'g':
        if (strcmp(text, "all") != 0)
            return each(text, add_gpu, options, err);
        for (int32_t gpu = 0; gpu < FP_GPUS_MAX; gpu++)
            options->gpus[gpu] = gpu;
        options->gpu_count = FP_GPUS_MAX; /* the plan cuts it to what is there */
        return FAB_OK;
    case 'n':
        return parse_number("--iters", text, 1, NUMBER_MAX, &options->iterations, err);
    case 'w':
        return parse_number("--warmup", text, 0, NUMBER_MAX, &options->warmup, err);
    case 'r':
        return parse_number("--repeats", text, 5, 60, &options->repeats, err);
    case 'D':
        return parse_real("--duration", text, 0.001, 600, &options->duration_s, err);
    case KEY_SPREAD:
        status = parse_real("--max-spread", text, 0.1, 1000, &percent, err);
        options->spread_max = status == FAB_OK ? percent / 100 : options->spread_max;
        return status;
    case KEY_LIMIT:
        return parse_size(text, &options->limit_bytes, err);
    default:
        return FAB_OK;
    }
}

static enum fab_status take_options(int argc, char **argv, struct fp_options *options,
                                    struct fab_err *err)
{
    enum fab_status status = FAB_OK;
    int key;

    optind = 0; /* a fresh start, also for the second line of a test */
    opterr = 0;
    while (status == FAB_OK && (key = getopt_long(argc, argv, ":t:m:c:s:abg:n:w:r:D:l:o:h",
                                                  long_options, NULL)) != -1) {
        if (key == '?' || key == ':')
            return wrong(err, key == ':' ? "option without its value" : "unknown option",
                         argv[optind - 1], "see fabric-perf --help");
        if (!optarg)
            set_flag(options, key);
        else if (!set_text(options, key, optarg))
            status = set_value(options, key, optarg, err);
    }
    return status;
}

static enum fab_status take_files(int argc, char **argv, struct fp_options *options,
                                  struct fab_err *err)
{
    for (int i = optind + (options->is_report ? 1 : 0); i < argc; i++) {
        if (!options->is_report)
            return wrong(err, "argument", argv[i], "there are only options, or 'report FILE...'");
        if (options->file_count == FP_FILES_MAX)
            return wrong(err, "file", argv[i], "is one too many");
        options->files[options->file_count++] = argv[i];
    }
    if (options->is_report && options->file_count == 0 && !options->is_help)
        return fab_err_set(err, FAB_ERR_INVALID, "report: of which files?");
    if (options->is_report && options->json)
        return fab_err_set(err, FAB_ERR_INVALID, "report: it reads JSON and writes none");
    return FAB_OK;
}

enum fab_status fp_options_parse(int argc, char **argv, struct fp_options *options_out,
                                 struct fab_err *err)
{
    const uint32_t plain = 1u << FP_H2D | 1u << FP_D2H | 1u << FP_D2D | 1u << FP_P2P |
                           1u << FP_LAUNCH | 1u << FP_LAUNCH_SYNC | 1u << FP_SYNC | 1u << FP_MEMCPY;
    struct fp_options options = {.warmup = 2,
                                 .repeats = 15,
                                 .duration_s = 0.3,
                                 .spread_max = 0.2,
                                 .limit_bytes = FP_SIZE_MAX};
    enum fab_status status = take_options(argc, argv, &options, err);

    if (status != FAB_OK)
        return status;
    options.is_report = optind < argc && strcmp(argv[optind], "report") == 0;
    status = take_files(argc, argv, &options, err);
    if (status != FAB_OK)
        return status;
    if (options.tests == 0)
        options.tests = plain;
    if (options.is_bidirectional)
        options.tests |= 1u << FP_BOTH | 1u << FP_P2P_BOTH;
    if (options.memories == 0)
        options.memories = (1u << FP_MEMORY_COUNT) - 2;
    if (options.calls == 0)
        options.calls = 1u << FP_CALL_SYNC | 1u << FP_CALL_ASYNC | 1u << FP_CALL_KERNEL;
    if (options.stream_count == 0)
        options.streams[options.stream_count++] = 1;
    *options_out = options;
    return FAB_OK;
}
