/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_mpi_env.c - compose mpi-env: what mpirun needs to run a job on a system's hosts.
 *
 * Four files in one folder, which all hosts must see under the same name:
 *   hostfile   a slot for each GPU
 *   rankfile   each rank on CPUs near the rails of its GPU; used only if asked for
 *   rank       starts a rank: its GPUs, its host's rails, our libraries
 *   env        settings of Open MPI, for the shell that starts mpirun
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compose/commands.h"
#include "compose/place.h"

static int run(struct cli *cli, int argc, char **argv);

enum {
    KEY_DIR = CLI_KEY_OWN,
    KEY_NETWORK,
    NETWORKS_MAX = 8,
    /* A host that is gone is noticed after 10 + 3 x 5 s, and mpirun ends the job. */
    ALIVE_AFTER_S = 10,
    ALIVE_EVERY_S = 5,
    ALIVE_TRIES = 3
};

static const struct argp_option options[] = {
    {"dir", KEY_DIR, "FOLDER", 0, "Where to write (default: mpi-NAME here)", 0},
    {"network", KEY_NETWORK, "ucx|tcp", 0,
     "How ranks talk (default: ucx where this host has the rails' HCAs, else tcp)", 0},
    {0},
};

const struct cli_command cmd_mpi_env = {
    .name = "mpi-env",
    .arguments = "NAME [--dir FOLDER]",
    .help = "Write what mpirun needs to run on a system",
    .more = "FOLDER gets hostfile, rankfile, rank and env; all hosts must see it under the same "
            "name, as they must see the program. Then: . FOLDER/env && mpirun ./program",
    .options = options,
    .words = CLI_WORDS_SYSTEM,
    .run = run,
};

struct arguments {
    const char *name, *dir, *network;
};

struct job {
    struct cli *cli;
    const char *name;
    char *dir;
    bool is_ucx, has_rankfile;
    const json_t *hosts;  /* of the system */
    const json_t *things; /* of the model */
    char *networks[NETWORKS_MAX];
    size_t network_count;
    json_t *settings; /* for env */
};

struct rail_list {
    FILE *stream;
    size_t count;
};

/* ---- the model --------------------------------------------------------------------------------
 */

static const json_t *thing_of(const struct job *job, const char *name)
{
    for (size_t i = 0; i < json_array_size(job->things); i++) {
        const json_t *thing = json_array_get(job->things, i);

        if (strcmp(compose_text_at(thing, "name", ""), name) == 0)
            return thing;
    }
    return NULL;
}

/* "0-11,24-35", of the NUMA node that holds the thing; NULL where nobody knows. */
static const char *cpus_near(const struct job *job, const char *name)
{
    const json_t *thing = thing_of(job, name);

    while (thing && strcmp(compose_text_at(thing, "kind", ""), "numa") != 0)
        thing = thing_of(job, compose_text_at(thing, "parent", ""));
    return thing ? compose_text_at(thing, "cpus", NULL) : NULL;
}

/* "mlx4_0:1" of "r730-1/mlx4_0:1". */
static const char *without_machine(const char *name)
{
    const char *slash = strchr(name, '/');

    return slash ? slash + 1 : name;
}

/* Calls `take` with each port of the host that is a rail of its GPUs, once. */
static void each_rail(struct job *job, const json_t *host,
                      void (*take)(struct job *job, const char *port, void *user), void *user)
{
    const json_t *gpus = compose_array_at(host, "Gpus");
    json_t *seen = cli_pack("{}");

    for (size_t i = 0; i < json_array_size(gpus); i++) {
        const json_t *rails = compose_array_at(json_array_get(gpus, i), "Rails");

        for (size_t k = 0; k < json_array_size(rails); k++) {
            const char *port = compose_text_at(json_array_get(rails, k), "Local", "");

            if (!port[0] || json_object_get(seen, port))
                continue;
            if (json_object_set_new(seen, port, json_true()) == 0)
                take(job, port, user);
        }
    }
    json_decref(seen);
}

static const json_t *host_named(const struct job *job, const char *name)
{
    for (size_t i = 0; i < json_array_size(job->hosts); i++)
        if (strcmp(compose_text_at(json_array_get(job->hosts, i), "Name", ""), name) == 0)
            return json_array_get(job->hosts, i);
    return NULL;
}

/* ---- networks ---------------------------------------------------------------------------------
 */

/* "10.77.0.0/24": the same on every host, which names of interfaces are not. */
static char *network_of(const struct ifaddrs *address)
{
    const struct sockaddr_in *own = (const void *)address->ifa_addr;
    const struct sockaddr_in *mask = (const void *)address->ifa_netmask;
    struct in_addr network = {own->sin_addr.s_addr & mask->sin_addr.s_addr};
    char text[INET_ADDRSTRLEN];

    if (!inet_ntop(AF_INET, &network, text, sizeof(text)))
        return NULL;
    return cli_text("%s/%d", text, __builtin_popcount(mask->sin_addr.s_addr));
}

static void add_network(struct job *job, char *network)
{
    for (size_t i = 0; network && i < job->network_count; i++)
        if (strcmp(job->networks[i], network) == 0)
            network = NULL;
    if (network && job->network_count < NETWORKS_MAX)
        job->networks[job->network_count++] = network;
}

/* The networks of the interfaces for which `is_wanted` holds. */
static void add_networks(struct job *job,
                         bool (*is_wanted)(const struct ifaddrs *address, const char *wanted),
                         const char *wanted)
{
    struct ifaddrs *all, *at;

    if (getifaddrs(&all) != 0)
        return;
    for (at = all; at; at = at->ifa_next)
        if (at->ifa_addr && at->ifa_addr->sa_family == AF_INET && at->ifa_netmask &&
            is_wanted(at, wanted))
            add_network(job, network_of(at));
    freeifaddrs(all);
}

static bool has_name(const struct ifaddrs *address, const char *wanted)
{
    return strcmp(address->ifa_name, wanted) == 0;
}

static bool has_address(const struct ifaddrs *address, const char *wanted)
{
    const struct sockaddr_in *own = (const void *)address->ifa_addr;
    char text[INET_ADDRSTRLEN];

    return inet_ntop(AF_INET, &own->sin_addr, text, sizeof(text)) && strcmp(text, wanted) == 0;
}

static void add_rail_network(struct job *job, const char *port, void *user)
{
    const json_t *thing = thing_of(job, port);
    const char *netdev = thing ? compose_text_at(thing, "netdev", "") : "";

    (void)user;
    if (netdev[0])
        add_networks(job, has_name, netdev);
}

/* Those of this host's rails; where rails have no IP interface, the one that daemons use. */
static void find_networks(struct job *job, const char *this_host)
{
    json_t *machine;
    char *address;

    each_rail(job, host_named(job, this_host), add_rail_network, NULL);
    if (job->network_count > 0)
        return;
    machine = cli_get_named(job->cli, "/redfish/v1/Systems", this_host);
    address = cli_text("%s", compose_text_at(machine, "Oem.Fabric.Address", ""));
    *strchrnul(address, ':') = '\0';
    add_networks(job, has_address, address);
    if (job->network_count == 0)
        cli_exit(
            cli_fail(job->cli,
                     "%s has no network on its rails, and none with its daemon's address '%s': "
                     "ranks could not talk to each other",
                     this_host, address));
}

static void see_hca(struct job *job, const char *port, void *user)
{
    char *path = cli_text("/sys/class/infiniband/%s", without_machine(port));
    bool *has_all = user;

    (void)job;
    *strchrnul(path, ':') = '\0';
    *has_all = *has_all && access(path, F_OK) == 0;
    free(path);
}

static bool has_hcas(struct job *job, const char *this_host)
{
    const json_t *host = host_named(job, this_host);
    bool has_all = json_array_size(compose_array_at(host, "Gpus[0].Rails")) > 0;

    each_rail(job, host, see_hca, &has_all);
    return has_all;
}

/* ---- files ------------------------------------------------------------------------------------
 */

static FILE *open_file(const struct job *job, const char *name, mode_t mode)
{
    char *path = cli_text("%s/%s", job->dir, name);
    FILE *stream = fopen(path, "w");

    if (!stream || fchmod(fileno(stream), mode) != 0)
        cli_exit(cli_fail(job->cli, "%s cannot be written: %s", path, strerror(errno)));
    free(path);
    return stream;
}

static void close_file(const struct job *job, FILE *stream)
{
    int failed = ferror(stream);

    failed |= fclose(stream);
    if (failed)
        cli_exit(cli_fail(job->cli, "the files in %s cannot be written", job->dir));
}

static void write_hostfile(const struct job *job)
{
    FILE *stream = open_file(job, "hostfile", 0644);

    for (size_t i = 0; i < json_array_size(job->hosts); i++) {
        const json_t *host = json_array_get(job->hosts, i);

        fprintf(stream, "%s slots=%zu\n", compose_text_at(host, "Name", ""),
                json_array_size(compose_array_at(host, "Gpus")));
    }
    close_file(job, stream);
}

/* Ranks in the order of the hostfile, one for each GPU; by the numbers that the operating system
 * gives CPUs (rmaps_rank_file_physical). False: the CPUs near a GPU's rails are not known. */
static bool print_rank(const struct job *job, FILE *stream, size_t rank, const char *host,
                       const json_t *gpu)
{
    const char *cpus = cpus_near(job, compose_text_at(gpu, "Rails[0].Local", ""));

    if (!cpus || !cpus[0])
        return false;
    fprintf(stream, "rank %zu=%s slot=%s\n", rank, host, cpus);
    return true;
}

static void write_rankfile(struct job *job)
{
    FILE *stream = open_file(job, "rankfile", 0644);
    size_t rank = 0;

    job->has_rankfile = true;
    for (size_t i = 0; i < json_array_size(job->hosts); i++) {
        const json_t *host = json_array_get(job->hosts, i), *gpus = compose_array_at(host, "Gpus");

        for (size_t k = 0; k < json_array_size(gpus) && job->has_rankfile; k++, rank++)
            job->has_rankfile = print_rank(job, stream, rank, compose_text_at(host, "Name", ""),
                                           json_array_get(gpus, k));
    }
    close_file(job, stream);
    if (!job->has_rankfile) {
        char *path = cli_text("%s/rankfile", job->dir);

        (void)unlink(path);
        free(path);
        fprintf(stderr, "compose: no rankfile: which CPUs are near the rails is not known\n");
    }
}

static void print_rail(struct job *job, const char *port, void *user)
{
    struct rail_list *list = user;

    (void)job;
    fprintf(list->stream, "%s%s", list->count++ ? "," : "", without_machine(port));
}

static void print_host_case(struct job *job, FILE *stream, const json_t *host)
{
    const char *name = compose_text_at(host, "Name", "");
    struct rail_list list = {.stream = stream};

    place_print_quoted(stream, name);
    fprintf(stream, " | ");
    place_print_quoted(stream, name);
    fprintf(stream, ".*) gpus=%zu", json_array_size(compose_array_at(host, "Gpus")));
    if (job->is_ucx) {
        fprintf(stream, " UCX_NET_DEVICES='");
        each_rail(job, host, print_rail, &list);
        fprintf(stream, "'");
    }
    fprintf(stream, " ;;\n");
}

/* mpirun's "fork agent": it gets the program and its arguments. */
static void write_rank(struct job *job)
{
    FILE *stream = open_file(job, "rank", 0755);
    char compose[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", compose, sizeof(compose) - 1);

    if (length <= 0)
        cli_exit(cli_fail(job->cli, "the path of compose is not known: %s", strerror(errno)));
    compose[length] = '\0';
    fprintf(stream, "#!/bin/sh\n"
                    "# Written by 'compose mpi-env': mpirun starts each rank by this.\n"
                    "local=${OMPI_COMM_WORLD_LOCAL_RANK:?this is started by mpirun of Open MPI}\n"
                    "ranks=${OMPI_COMM_WORLD_LOCAL_SIZE:?this is started by mpirun of Open MPI}\n"
                    "case $(uname -n) in\n");
    for (size_t i = 0; i < json_array_size(job->hosts); i++)
        print_host_case(job, stream, json_array_get(job->hosts, i));
    fprintf(stream, "*) echo \"$0: $(uname -n) is no host of this system\" >&2; exit 1 ;;\nesac\n");
    if (job->is_ucx) /* Remote device memory is no memory of this host's GPUs. */
        fprintf(stream, "export UCX_NET_DEVICES UCX_TLS=^cuda\n");
    fprintf(stream, "# Its share of the host's GPUs; with more ranks than GPUs they share one.\n"
                    "first=$((local * gpus / ranks)) end=$(((local + 1) * gpus / ranks))\n"
                    "# It attaches to these only; there they are CUDA's devices from 0 up.\n"
                    "FABRIC_GPUS=$first CUDA_VISIBLE_DEVICES=0 own=1\n"
                    "while [ $((first + own)) -lt \"$end\" ]; do\n"
                    "    FABRIC_GPUS=$FABRIC_GPUS,$((first + own))\n"
                    "    CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES,$own\n"
                    "    own=$((own + 1))\n"
                    "done\n"
                    "export FABRIC_GPUS CUDA_VISIBLE_DEVICES\n"
                    "exec ");
    place_print_quoted(stream, compose);
    fprintf(stream, " run");
    if (job->cli->options.api) {
        fprintf(stream, " --socket ");
        place_print_quoted(stream, job->cli->options.api);
    }
    fprintf(stream, " -s ");
    place_print_quoted(stream, job->name);
    fprintf(stream, " -- \"$@\"\n");
    close_file(job, stream);
}

/* ---- settings ---------------------------------------------------------------------------------
 */

/* Takes the value. */
static void set(struct job *job, const char *name, char *value)
{
    char *variable = cli_text("OMPI_MCA_%s", name);

    if (json_object_set_new(job->settings, variable, json_string(value)) != 0)
        cli_exit(CLI_FAILED);
    free(variable);
    free(value);
}

static char *all_networks(const struct job *job)
{
    char *text = cli_text("%s", job->networks[0]);

    for (size_t i = 1; i < job->network_count; i++) {
        char *longer = cli_text("%s,%s", text, job->networks[i]);

        free(text);
        text = longer;
    }
    return text;
}

static void make_settings(struct job *job, const char *this_host)
{
    const size_t ranks = json_array_size(compose_array_at(host_named(job, this_host), "Gpus"));

    job->settings = cli_pack("{}");
    set(job, "orte_default_hostfile", cli_text("%s/hostfile", job->dir));
    set(job, "orte_fork_agent", cli_text("%s/rank", job->dir));
    set(job, "rmaps_rank_file_physical", cli_text("1"));
    set(job, "hwloc_base_binding_policy", cli_text("none"));
    set(job, "oob_tcp_if_include", cli_text("%s", job->networks[0]));
    set(job, "oob_tcp_keepalive_time", cli_text("%d", ALIVE_AFTER_S));
    set(job, "oob_tcp_keepalive_intvl", cli_text("%d", ALIVE_EVERY_S));
    set(job, "oob_tcp_keepalive_probes", cli_text("%d", ALIVE_TRIES));
    set(job, "pml", cli_text("%s", job->is_ucx ? "ucx" : "ob1"));
    if (!job->is_ucx) {
        set(job, "btl", cli_text("self,vader,tcp"));
        set(job, "btl_tcp_if_include", all_networks(job));
    }
    if (sysconf(_SC_NPROCESSORS_ONLN) < (long)ranks) /* waiting ranks must not hold a CPU */
        set(job, "mpi_yield_when_idle", cli_text("1"));
}

static void write_env(const struct job *job)
{
    FILE *stream = open_file(job, "env", 0644);
    const char *name;
    json_t *value;

    fprintf(stream, "# Written by 'compose mpi-env'. Then: mpirun ./program\n");
    json_object_foreach(job->settings, name, value)
        place_print_export(stream, name, json_string_value(value));
    close_file(job, stream);
}

/* ---- the command ------------------------------------------------------------------------------
 */

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;

    switch (key) {
    case KEY_DIR:
        if (!text[0])
            cli_misuse(cli, "--dir takes a folder");
        arguments->dir = text;
        return true;
    case KEY_NETWORK:
        if (strcmp(text, "ucx") != 0 && strcmp(text, "tcp") != 0)
            cli_misuse(cli, "--network takes ucx or tcp, not '%s'", text);
        arguments->network = text;
        return true;
    case ARGP_KEY_ARG:
        if (arguments->name)
            return false;
        arguments->name = text;
        return true;
    default:
        return false;
    }
}

/* Absolute, because the other hosts' shells begin elsewhere. */
static char *make_folder(struct cli *cli, const struct arguments *arguments)
{
    char *folder =
        arguments->dir ? cli_text("%s", arguments->dir) : cli_text("mpi-%s", arguments->name);
    char here[PATH_MAX] = "", *path;

    if (folder[0] != '/' && !getcwd(here, sizeof(here)))
        cli_exit(cli_fail(cli, "the folder %s cannot be used: %s", folder, strerror(errno)));
    path = here[0] ? cli_text("%s/%s", here, folder) : cli_text("%s", folder);
    if (strchr(path, ' '))
        cli_exit(cli_fail(
            cli, "%s has a space in its name, and Open MPI ends its fork agent's name there",
            path));
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        cli_exit(cli_fail(cli, "the folder %s cannot be made: %s", path, strerror(errno)));
    free(folder);
    return path;
}

static int print_json(const struct job *job)
{
    json_t *hosts = cli_pack("[]"), *networks = cli_pack("[]");

    for (size_t i = 0; i < json_array_size(job->hosts); i++) {
        const json_t *host = json_array_get(job->hosts, i);

        cli_append(hosts, cli_pack("{ss sI}", "name", compose_text_at(host, "Name", ""), "slots",
                                   (json_int_t)json_array_size(compose_array_at(host, "Gpus"))));
    }
    for (size_t i = 0; i < job->network_count; i++)
        cli_append(networks, json_string(job->networks[i]));
    return cli_json(cli_pack("{ss ss so so sb so}", "dir", job->dir, "network",
                             job->is_ucx ? "ucx" : "tcp", "networks", networks, "hosts", hosts,
                             "rankfile", job->has_rankfile, "environment", job->settings));
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = {0};
    struct job job = {.cli = cli};
    const char *this_host;
    json_t *system, *model;

    (void)cli_parse(cli, argc, argv, take, &arguments);
    if (!arguments.name)
        cli_misuse(cli, "which system? 'compose list' shows their names");
    job.name = arguments.name;
    (void)place_attach_socket(cli); /* refuses what is far away */
    this_host = cli_this_node(cli);
    place_check_system(cli, job.name, this_host);
    system = cli_get_named(cli, "/redfish/v1/Systems", job.name);
    model = cli_get(cli, "/redfish/v1/Oem/Fabric/Topology?format=json");
    job.hosts = compose_array_at(system, "Oem.Fabric.Hosts");
    job.things = compose_array_at(model, "things");
    job.is_ucx =
        arguments.network ? strcmp(arguments.network, "ucx") == 0 : has_hcas(&job, this_host);
    find_networks(&job, this_host);
    job.dir = make_folder(cli, &arguments);
    write_hostfile(&job);
    write_rankfile(&job);
    write_rank(&job);
    make_settings(&job, this_host);
    write_env(&job);
    if (cli->is_json)
        return print_json(&job);
    fprintf(stderr, "now: . %s/env && mpirun ./program\n", job.dir);
    printf("%s\n", job.dir);
    return CLI_DONE;
}
