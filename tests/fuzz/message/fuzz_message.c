/* SPDX-License-Identifier: Apache-2.0
 * Fuzzes messages between daemons. What is accepted can be written, and is then the same message
 * again; what is refused leaves an empty one and a sentence.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "fabricd/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

enum { MOST_BYTES = 1 << 24 };

static void write_again(const struct message *message)
{
    static struct message again;
    char *text = NULL, *second = NULL;
    size_t bytes = 0, second_bytes = 0;

    fab_assert(message_check(message, NULL) == FAB_OK);
    fab_assert(message_write(message, MOST_BYTES, &text, &bytes, NULL) == FAB_OK);
    fab_assert(message_read(text, bytes, &again, NULL) == FAB_OK);
    fab_assert(again.kind == message->kind);
    fab_assert(message_write(&again, MOST_BYTES, &second, &second_bytes, NULL) == FAB_OK);
    fab_assert(bytes == second_bytes && memcmp(text, second, bytes) == 0);
    message_clear(&again);
    free(text);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static struct message message;
    struct fab_err err = {0};

    if (message_read((const char *)data, size_bytes, &message, &err) == FAB_OK) {
        write_again(&message);
        message_clear(&message);
    } else {
        fab_assert(message.kind == MESSAGE_PING && err.text[0] != '\0');
    }
    return 0;
}
