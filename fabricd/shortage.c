/* SPDX-License-Identifier: Apache-2.0
 * fabricd/shortage.c - see shortage.h. Nodes that are away stand by name, the GPUs of others are
 * counted.
 */
#include "fabricd/shortage.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "fabricd/ledger.h"

static const char rest[] = ", ...";
enum { REASON_BYTES = LEDGER_NAME_BYTES + 32 };

/* Whole reasons only, and room for the rest is kept. */
static void FAB_PRINTF(3, 4) add(char *list, size_t list_bytes, const char *format, ...)
{
    const size_t used = strlen(list);
    char text[REASON_BYTES];
    va_list values;

    va_start(values, format);
    (void)vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    if (used >= sizeof(rest) && strcmp(list + used - sizeof(rest) + 1, rest) == 0)
        return;
    if (used + strlen(text) + 2 * sizeof(rest) < list_bytes)
        (void)snprintf(list + used, list_bytes - used, "%s%s", used ? ", " : "", text);
    else
        (void)snprintf(list + used, list_bytes - used, "%s", used ? rest : "...");
}

void shortage_list(const struct ledger *ledger, char *text, size_t text_bytes)
{
    static const struct {
        const char *one, *many;
    } words[] = {[LEDGER_RESERVED] = {"is reserved", "are reserved"},
                 [LEDGER_COMPOSING] = {"is being composed", "are being composed"},
                 [LEDGER_COMPOSED] = {"is in use", "are in use"},
                 [LEDGER_RELEASING] = {"is being released", "are being released"},
                 [LEDGER_FAILED] = {"has failed", "have failed"},
                 [LEDGER_LOST] = {"is lost", "are lost"},
                 [LEDGER_DRAINED] = {"is drained", "are drained"}};
    unsigned counts[FAB_ARRAY_LEN(words)] = {0};

    text[0] = '\0';
    for (size_t i = 0; i < ledger_node_count(ledger); i++) {
        const struct ledger_node *node = ledger_node(ledger, i);
        const bool is_away = node->is_lost || node->is_drained;

        if (node->gpu_count > 0 && is_away)
            add(text, text_bytes, "%s is %s", node->name, node->is_lost ? "lost" : "drained");
        for (uint32_t k = 0; !is_away && k < node->gpu_count; k++)
            counts[ledger_gpu_state(node->gpus[k])]++;
    }
    for (size_t i = LEDGER_RESERVED; i < FAB_ARRAY_LEN(words); i++)
        if (counts[i] > 0)
            add(text, text_bytes, "%u %s", counts[i],
                counts[i] == 1 ? words[i].one : words[i].many);
}
