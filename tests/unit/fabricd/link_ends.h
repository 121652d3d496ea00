/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/link_ends.h - an end of a link that remembers what it was told, and a loop
 * whose rounds and whose time the test makes.
 */
#ifndef TESTS_UNIT_FABRICD_LINK_ENDS_H
#define TESTS_UNIT_FABRICD_LINK_ENDS_H

#include "base/err.h"
#include "fabricd/link.h"
#include "fabricd/loop.h"
#include "fabricd/message.h"

struct end {
    struct link *link; /* NULL: closed */
    unsigned ups, downs, messages, packets;
    char peer[80];
    enum message_kind kind; /* of the last message */
    uint64_t number;        /* the id or channel in it */
    char reason[LEDGER_REASON_BYTES];
    uint32_t channel;
    size_t packet_bytes;
    unsigned char packet_first;
    struct fab_err why;
    bool keeps;                    /* does not close when it goes down */
    void (*then)(struct end *end); /* after each message; may be NULL */
    bool is_wrong;                 /* a call that may not come */
};

extern const struct link_ops end_ops; /* user: the end */
/* Of a listener; user: an end that takes the next link. */
extern const struct link_ops end_taking_ops;

extern struct loop *end_loop;
extern uint64_t end_now_ns; /* the test's time */

void ends_init(void); /* a loop */
void ends_fini(void);

/* Rounds of the loop with what is there; nothing is waited for. */
void ends_rounds(unsigned count);
/* Rounds until `done` says so, waiting for events. */
void ends_until(bool (*done)(void));
/* Rounds until that number has come, or the end of the link. */
void ends_until_number(struct end *end, uint64_t number);
/* The test's time goes on, with a turn at least every half second of it, which nobody notices. */
void ends_pass(uint64_t ns);

void end_pair(struct end *a, struct end *b); /* over a socket pair, both up */
int end_raw(struct end *a);                  /* the other end's socket; nothing was exchanged */
void end_close(struct end *end);
void end_send_number(struct end *end, uint64_t number); /* a message that carries it */

#endif /* TESTS_UNIT_FABRICD_LINK_ENDS_H */
