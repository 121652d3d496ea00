/* SPDX-License-Identifier: Apache-2.0
 * Fuzzes every message of the attach protocol: the first byte chooses, the rest is its body. What
 * becomes a grant must become the same message again.
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "session/ses_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void grant(const struct ses_packet *packet)
{
    static struct ses_grant_message message;
    static struct ses_grant made, again;
    uint32_t numbers[SES_VGPUS_MAX], numbers_again[SES_VGPUS_MAX];
    static struct ses_packet second;
    struct sesm_parts parts;

    if (ses_grant_get(packet, &made, numbers, NULL) != FAB_OK)
        return;
    ses_grant_put(&made, numbers, &message, &parts);
    second.size_bytes = 0;
    for (size_t i = 0; i < parts.count; i++) {
        memcpy((uint8_t *)second.body + second.size_bytes, parts.part[i].iov_base,
               parts.part[i].iov_len);
        second.size_bytes += parts.part[i].iov_len;
    }
    fab_assert(ses_grant_get(&second, &again, numbers_again, NULL) == FAB_OK);
    fab_assert(memcmp(&made, &again, sizeof(made)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static struct ses_packet packet;
    const struct sesm_row *row;
    static struct ses_link link;
    uint32_t worker, layout;

    if (size_bytes < 1 || size_bytes - 1 > sizeof(packet.body))
        return 0;
    packet.op = data[0];
    packet.size_bytes = size_bytes - 1;
    memcpy(packet.body, data + 1, packet.size_bytes);
    row = sesm_row_find(packet.op);
    if (!row || !row->check(packet.body, packet.size_bytes))
        return 0;
    if (packet.op == SESM_GRANT)
        grant(&packet);
    if (packet.op == SESM_LINK && ses_link_get(&packet, &link, &worker, &layout, NULL) == FAB_OK)
        fab_assert(link.session_id != 0);
    if (packet.op == SESM_REFUSE)
        fab_assert(ses_refused(&packet, NULL) != FAB_OK);
    return 0;
}
