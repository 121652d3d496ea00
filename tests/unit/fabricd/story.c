/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/story.c - a store in a folder of its own, and steps as lines of words.
 */
#include "tests/unit/fabricd/story.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabricd/ledger.h"

enum { FTW_OPEN_MAX = 8 };

char story_folder[64];
char story_store[96];

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

void story_end(void)
{
    if (story_folder[0])
        (void)nftw(story_folder, remove_one, FTW_OPEN_MAX, FTW_DEPTH | FTW_PHYS);
    story_folder[0] = '\0';
}

bool story_begin(void)
{
    story_end();
    (void)snprintf(story_folder, sizeof(story_folder), "/tmp/test-fabricd-XXXXXX");
    if (!mkdtemp(story_folder)) {
        story_folder[0] = '\0';
        return false;
    }
    (void)snprintf(story_store, sizeof(story_store), "sqlite:%s/state", story_folder);
    return true;
}

int story_words(const char *line, char text[STORY_LINE_BYTES], char *words[STORY_WORDS_MAX])
{
    char *rest = NULL;
    int count = 0;

    (void)snprintf(text, STORY_LINE_BYTES, "%s", line);
    for (char *word = strtok_r(text, " ", &rest); word && count < STORY_WORDS_MAX;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    return count;
}

enum fab_status story_report(struct ledger *ledger, char **words, int count, uint64_t now_ms,
                             struct fab_err *err)
{
    struct ledger_gpu_report gpus[STORY_WORDS_MAX];

    for (int i = 3; i < count; i++) {
        char *equals = strchr(words[i], '=');

        if (equals)
            *equals = '\0';
        gpus[i - 3] =
            (struct ledger_gpu_report){.uuid = words[i],
                                       .name = "K80",
                                       .index = (uint32_t)(i - 3),
                                       .fence = equals ? strtoull(equals + 1, NULL, 10) : 0};
    }
    return ledger_node_report(ledger, words[1], words[2], gpus, (uint32_t)(count - 3), now_ms, err);
}
