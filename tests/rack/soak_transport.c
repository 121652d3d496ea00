/* SPDX-License-Identifier: Apache-2.0
 * Random life on two real rails; a minute of it is a test, more is by hand:
 *
 *   RACK_RATE=1gbit tests/rack/rack.sh run 2 build/dev/tests/rack_soak [SECONDS [SEED]]
 *
 * Transfers of random sizes in both directions, posts and echoes, while links are cut and come back
 * and peers are killed in the middle. Every transfer is checked byte by byte, every post is counted
 * once and in order. A line each ten seconds; exit status 0 if nothing was lost, repeated or
 * corrupted, no session ended but by a kill and no peer but by us.
 *
 * A peer that is killed is condemned as its agent would do it (silence alone is no evidence).
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "perf/xp-peer.h"
#include "tests/rack/rack_link.h"

enum { FLIGHTS = 6, RAILS = 2, MIB = 1 << 20, SECONDS_STANDARD = 600, ECHO_MAX = 20000 };

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

struct flight {
    bool busy;
    uint8_t *bytes;
    struct ucx_flight ucx;
};

static struct {
    struct ucx_peer peer;
    struct ucx_link link;
    struct flight flights[FLIGHTS];
    uint64_t random, next_id, start_ns, posts /* to this peer */;
    uint64_t up_at_ns[RAILS]; /* when a cut link comes back; 0: it is there */
    uint64_t next_cut_ns, next_kill_ns, next_line_ns;
    uint64_t transfers, bytes, all_posts, echoes, cuts, kills, silences, downs;
    unsigned defects;
} soak;

static char netns[64];

static uint64_t now_ns(void)
{
    return fab_clock_now_ns(fab_clock_real());
}

static uint64_t pick(uint64_t below)
{
    soak.random = soak.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (soak.random >> 33) % below;
}

FAB_PRINTF(1, 2) static void defect(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    (void)printf("DEFECT at %.1f s: ", (double)(now_ns() - soak.start_ns) / 1e9);
    (void)vprintf(format, values);
    (void)printf("\n");
    va_end(values);
    soak.defects++;
}

/* ---------------------------------------------------------------- sessions */

static bool open_session(void)
{
    struct ucx_place here = {.devices = {"rail0", "rail1"}, .spin_us = 20}, there = here;
    struct fab_err err = {0};

    there.netns = netns;
    soak.posts = 0;
    if (!ucx_peer_start(&soak.peer, &there)) {
        defect("no peer");
        return false;
    }
    if (!ucx_link_open(&soak.link, &soak.peer, &here, &err)) {
        defect("no connection: %s", err.text);
        return false;
    }
    return true;
}

static void count_events(void)
{
    soak.silences += soak.link.silents;
    soak.downs += soak.link.rail_downs;
}

/* Rightly done, or, once the session is lost, ended as such. */
static void end_flight(struct flight *flight, bool lost)
{
    bool done = ucx_bulk_wait(&flight->ucx);

    if (!lost && !done)
        defect("transfer %" PRIu64 " of %" PRIu64 " bytes", flight->ucx.args.id,
               flight->ucx.args.size_bytes);
    if (done) {
        soak.transfers++;
        soak.bytes += flight->ucx.args.size_bytes;
    }
    free(flight->bytes);
    flight->busy = false;
}

static void check_posts(void)
{
    struct xp_reply reply = {0};
    enum fab_status status;

    do
        (void)!xp_wait_room(soak.link.conn, 0, UINT64_MAX);
    while ((status = xp_call(soak.link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply)) ==
           FAB_ERR_AGAIN);
    if (status != FAB_OK)
        defect("a call: status %d", status);
    else if ((uint64_t)reply.result != soak.posts)
        defect("%d posts arrived once and in order, %" PRIu64 " were sent", reply.result,
               soak.posts);
}

static void set_links_up(void)
{
    for (unsigned rail = 0; rail < RAILS; rail++) {
        if (soak.up_at_ns[rail] && !rack_set_link(rail, 2, true))
            defect("rail %u stays cut", rail);
        soak.up_at_ns[rail] = 0;
    }
}

static bool peer_is_there(void)
{
    siginfo_t death = {0};

    if (waitid(P_PID, (id_t)soak.peer.pid, &death, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        death.si_pid == 0)
        return true;
    defect("the peer ended by itself: %s %d", death.si_code == CLD_EXITED ? "exit" : "signal",
           death.si_status);
    return false;
}

/* In the middle of whatever is going on. */
static void kill_peer(void)
{
    (void)peer_is_there();
    ucx_peer_kill(&soak.peer);
    xp_conn_condemn(soak.link.conn, FAB_ERR_PEER_LOST, "killed");
    for (size_t i = 0; i < FLIGHTS; i++) {
        if (soak.flights[i].busy)
            end_flight(&soak.flights[i], true);
    }
    count_events();
    ucx_link_close(&soak.link);
    set_links_up();
    soak.kills++;
}

static void end_session(void)
{
    int status;

    set_links_up();
    (void)peer_is_there();
    for (size_t i = 0; i < FLIGHTS; i++) {
        if (soak.flights[i].busy)
            end_flight(&soak.flights[i], false);
    }
    check_posts();
    count_events();
    ucx_link_close(&soak.link);
    status = ucx_peer_stop(&soak.peer);
    if (status != 0)
        defect("the peer ended with %d", status);
}

/* ---------------------------------------------------------------- one thing after the other */

static void start_flight(void)
{
    struct ucx_bulk_args args = {.id = ++soak.next_id, .seed = soak.next_id * 17 + 1};

    args.size_bytes = 1 + pick(UINT64_C(1) << (6 + pick(19))); /* up to 16 MiB */
    for (size_t i = 0; i < FLIGHTS; i++) {
        struct flight *flight = &soak.flights[i];

        if (flight->busy)
            continue;
        flight->bytes = calloc(1, args.size_bytes);
        if (!flight->bytes)
            return;
        flight->busy = true;
        ucx_bulk_start(&flight->ucx, &soak.link, pick(2) == 0, flight->bytes, &args);
        return;
    }
}

static void post_some(void)
{
    for (uint64_t i = pick(300); i > 0; i--) {
        struct iovec part = {.iov_base = &soak.posts, .iov_len = sizeof(soak.posts)};
        enum fab_status status = xp_post(soak.link.conn, UCX_OP_NOTHING, &part, 1, NULL);

        if (status == FAB_ERR_AGAIN)
            return;
        if (status != FAB_OK) {
            defect("a post: status %d", status);
            return;
        }
        soak.posts++;
        soak.all_posts++;
    }
}

static void echo(void)
{
    static uint8_t out[ECHO_MAX], in[ECHO_MAX];
    struct iovec part = {.iov_base = out, .iov_len = pick(ECHO_MAX)};
    struct xp_reply reply = {0};
    enum fab_status status;

    ucx_fill(out, part.iov_len, ++soak.echoes);
    status = xp_call(soak.link.conn, UCX_OP_ECHO, &part, 1, in, sizeof(in), &reply);
    if (status == FAB_ERR_AGAIN)
        return; /* posts have used up the window, and no rail takes them there */
    if (status != FAB_OK)
        defect("an echo: status %d", status);
    else if (reply.size_bytes != part.iov_len || memcmp(in, out, part.iov_len) != 0)
        defect("an echo of %zu bytes came back wrong", part.iov_len);
}

static void cut_and_mend(uint64_t at_ns)
{
    for (unsigned rail = 0; rail < RAILS; rail++) {
        if (soak.up_at_ns[rail] && at_ns >= soak.up_at_ns[rail]) {
            if (!rack_set_link(rail, 2, true))
                defect("rail %u stays cut", rail);
            soak.up_at_ns[rail] = 0;
        }
    }
    if (at_ns >= soak.next_cut_ns) {
        unsigned rail = (unsigned)pick(RAILS);

        soak.next_cut_ns = at_ns + (2000 + pick(8000)) * NS_PER_MS;
        if (soak.up_at_ns[rail])
            return;
        if (!rack_set_link(rail, 2, false))
            defect("rail %u cannot be cut", rail);
        soak.up_at_ns[rail] = at_ns + (50 + pick(4000)) * NS_PER_MS;
        soak.cuts++;
    }
}

static void say(const char *what)
{
    (void)printf("%s %.0f s: %" PRIu64 " transfers %" PRIu64 " MB, %" PRIu64 " posts, %" PRIu64
                 " echoes; %" PRIu64 " cuts, %" PRIu64 " kills, %" PRIu64 " rails lost, %" PRIu64
                 " silences; %u defects\n",
                 what, (double)(now_ns() - soak.start_ns) / 1e9, soak.transfers,
                 soak.bytes / 1000000, soak.all_posts, soak.echoes, soak.cuts, soak.kills,
                 soak.downs + soak.link.rail_downs, soak.silences + soak.link.silents,
                 soak.defects);
}

/* False: this session is over, and not by us. */
static bool one_step(uint64_t at_ns)
{
    for (size_t i = 0; i < FLIGHTS; i++) {
        int halves = 0;

        if (soak.flights[i].busy && sem_getvalue(&soak.flights[i].ucx.done, &halves) == 0 &&
            halves == 2)
            end_flight(&soak.flights[i], soak.link.losts > 0);
    }
    if (!peer_is_there())
        return false;
    if (soak.link.losts > 0) {
        defect("the session ended: status %d", soak.link.lost_status);
        return false;
    }
    switch (pick(8)) {
    case 0:
        post_some();
        break;
    case 1:
        /* It blocks as long as no rail is there. */
        if (!soak.up_at_ns[0] || !soak.up_at_ns[1])
            echo();
        break;
    case 2:
    case 3:
        start_flight();
        break;
    default:
        (void)sched_yield();
        break;
    }
    cut_and_mend(at_ns);
    return true;
}

static void live(uint64_t end_ns)
{
    uint64_t at_ns;
    bool open = open_session();

    while (open && (at_ns = now_ns()) < end_ns) {
        if (at_ns >= soak.next_line_ns) {
            say("after");
            soak.next_line_ns += 10 * NS_PER_S;
        }
        if (at_ns < soak.next_kill_ns && one_step(at_ns))
            continue;
        soak.next_kill_ns = at_ns + (10 + pick(30)) * NS_PER_S;
        kill_peer();
        open = open_session();
    }
    if (open)
        end_session();
}

int main(int argc, char **argv)
{
    unsigned long seconds = argc > 1 ? strtoul(argv[1], NULL, 10) : SECONDS_STANDARD;
    const char *run = getenv("RACK_RUN"), *reason = ucx_why_not();

    if (!run || reason) {
        (void)fprintf(stderr, "%s\n", reason ? reason : "start me by tests/rack/rack.sh run 2");
        return 77;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)snprintf(netns, sizeof(netns), "%s/2.net", run);
    soak.start_ns = now_ns();
    soak.random = argc > 2 ? strtoull(argv[2], NULL, 10) : soak.start_ns;
    (void)printf("seed %" PRIu64 "\n", soak.random);
    soak.next_cut_ns = soak.start_ns + 2 * NS_PER_S;
    soak.next_kill_ns = soak.start_ns + 20 * NS_PER_S;
    soak.next_line_ns = soak.start_ns + 10 * NS_PER_S;
    live(soak.start_ns + seconds * NS_PER_S);
    soak.link = (struct ucx_link){0};
    say("in all");
    return soak.defects == 0 ? 0 : 1;
}
