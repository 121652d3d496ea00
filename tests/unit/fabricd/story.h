/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/story.h - what the tests of the daemon's parts share: a store in a folder of
 * its own, and steps as lines of words. One story at a time in a process.
 */
#ifndef TESTS_UNIT_FABRICD_STORY_H
#define TESTS_UNIT_FABRICD_STORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;
struct ledger;

enum { STORY_WORDS_MAX = 12, STORY_LINE_BYTES = 128 };

/* An empty folder, and the name of a store in it; false: the machine refuses. The folder before
 * goes. */
bool story_begin(void);
void story_end(void);
extern char story_folder[64];
extern char story_store[96]; /* for store_open() */

/* Cuts a copy of the line into words; returns how many. */
int story_words(const char *line, char text[STORY_LINE_BYTES], char *words[STORY_WORDS_MAX]);

/* "VERB NODE BOOT [GPU | GPU=FENCE]...": the node's report. */
FAB_NODISCARD enum fab_status story_report(struct ledger *ledger, char **words, int count,
                                           uint64_t now_ms, struct fab_err *err);

#endif /* TESTS_UNIT_FABRICD_STORY_H */
