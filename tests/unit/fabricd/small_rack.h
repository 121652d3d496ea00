/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/small_rack.h - a manager with its API and a rack of made machines: r730-1 and
 * two c4130 with four GPUs each, one switch; of two rails each the second has no cable. Agents
 * answer at once, or when they are told to.
 *
 * GPUs are "c4130-1.0" .. "c4130-2.3". One rack at a time in a process.
 */
#ifndef TESTS_UNIT_FABRICD_SMALL_RACK_H
#define TESTS_UNIT_FABRICD_SMALL_RACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct ledger;
struct rack;

/* The last answer of a request; `count` answers came in all. */
struct small_answer {
    uint64_t id; /* of the request; a later one takes its place */
    unsigned count, status;
    char type[64], location[256], adhoc[64], allow[64], token[64];
    char *body; /* of all answers together; never NULL */
    bool is_more;
};

enum { SMALL_RACK_REQUESTS_MAX = 16, SMALL_ROW_PARTS_MAX = 6 };

extern struct small_rack {
    struct api *api;
    struct ledger *ledger;
    struct rack *rack;
    uint64_t now_ms;
    bool is_held; /* agents do not answer */
    /* Requests come from the network with these; NULL: from r730-1. */
    const char *token, *name;
    struct small_answer answers[SMALL_RACK_REQUESTS_MAX]; /* by request */
    unsigned request_count;
} small_rack;

bool small_rack_begin(void); /* a fresh one */
void small_rack_end(void);   /* also without a beginning */

/* Sends a request as a user of r730-1; returns its place in answers[]. Its answers before go when
 * the places are full. */
unsigned small_rack_ask(const char *method, const char *path, uint32_t uid, const char *body);
/* Agents do what they were told meanwhile, and answer. */
void small_rack_agents(void);
/* The asker of a request goes away. */
void small_rack_leave(unsigned request);
/* A node is not reachable any more. */
void small_rack_lose(const char *node);
/* A node reports programs of a system. */
void small_rack_programs(const char *node, const char *system, uint32_t uid, const char *command);

/* One request and its answer, which comes in the call. */
struct small_row {
    const char *label, *method, *path;
    uint32_t uid;
    const char *body;
    unsigned status;
    const char *has[SMALL_ROW_PARTS_MAX]; /* parts of the body */
    const char *hasnt;
};
/* Also checks that an answer of JSON is JSON, and what the ledger must be. */
void small_rack_run(const struct small_row *rows, size_t count);

#endif /* TESTS_UNIT_FABRICD_SMALL_RACK_H */
