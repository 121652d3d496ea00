/* SPDX-License-Identifier: Apache-2.0
 * session/ses_gpus.c - a session of some GPUs of a system: what FABRIC_GPUS says, and what of it is
 * there.
 *
 * Numbers are those of `compose show`, whatever order CUDA counts in: who starts a job knows them
 * before any driver was asked. The session has no other GPU, and no worker on a node without one.
 */
#include <stdlib.h>
#include <string.h>

#include "session/ses_broker.h"
#include "session/ses_int.h"

static bool is_digit(char character)
{
    return character >= '0' && character <= '9';
}

/* One number, and what stands behind it. */
static bool read_number(const char **text, uint64_t *gpus)
{
    char *end;
    unsigned long number;

    if (!is_digit((*text)[0])) /* strtoul() would take a sign */
        return false;
    number = strtoul(*text, &end, 10);
    if (number >= SES_VGPUS_MAX || *gpus >> number & 1)
        return false;
    *gpus |= UINT64_C(1) << number;
    *text = end;
    return true;
}

enum fab_status ses_gpus_read(const char *text, uint64_t *gpus_out, struct fab_err *err)
{
    const char *at = text;
    uint64_t gpus = 0;
    bool is_good = true;

    while (at && at[0] && is_good) {
        is_good = read_number(&at, &gpus);
        if (is_good && at[0] == ',' && at[1])
            at++;
        else if (at[0])
            is_good = false;
    }
    if (!is_good)
        return fab_err_set(err, FAB_ERR_INVALID,
                           "FABRIC_GPUS=%.60s: it takes different numbers of GPUs of the system, "
                           "below %d, as in 0,3",
                           text, SES_VGPUS_MAX);
    *gpus_out = gpus;
    return FAB_OK;
}

enum fab_status ses_peer_gpus(const struct ses_peer *peer, uint32_t count, uint64_t *gpus_out,
                              struct fab_err *err)
{
    const uint64_t all = count < SES_VGPUS_MAX ? (UINT64_C(1) << count) - 1 : UINT64_MAX;

    if (peer->gpus & ~all)
        return fab_err_set(err, FAB_ERR_NOT_FOUND,
                           "FABRIC_GPUS names GPU %d: the system has %u on this host",
                           __builtin_ctzll(peer->gpus & ~all), count);
    *gpus_out = peer->gpus ? peer->gpus : all;
    return FAB_OK;
}
