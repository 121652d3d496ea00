/* SPDX-License-Identifier: Apache-2.0
 * session/ses_int.h - packets of the attach protocol, for the files of this folder.
 */
#ifndef SESSION_SES_INT_H
#define SESSION_SES_INT_H

#include <sys/types.h>

#include "generated/cuda-api/sesm.h"
#include "session/ses.h"

enum {
    SES_PACKET_MAX_BYTES = 16384, /* the largest message is a grant or a link */
    SES_WAIT_FOREVER = -1,
    SES_WAIT_NOT = 0,
    SES_ANSWER_MS = 10000, /* the other end has so long for its next message */
};

struct ses_packet {
    uint32_t op; /* enum sesm_op */
    size_t size_bytes;
    uint64_t body[SES_PACKET_MAX_BYTES / 8];
};

/* Sends one packet; never blocks for long: packets are few and the socket's buffer holds them.
 * FAB_ERR_PEER_LOST, FAB_ERR_IO. */
FAB_NODISCARD enum fab_status ses_send(int fd, uint32_t op, const struct sesm_parts *parts,
                                       struct fab_err *err);

/* The same with a descriptor, which stays the caller's; -1: none. */
FAB_NODISCARD enum fab_status ses_send_descriptor(int fd, uint32_t op,
                                                  const struct sesm_parts *parts, int passed,
                                                  struct fab_err *err);

/* The next packet. FAB_ERR_TIMEOUT after timeout_ms, FAB_ERR_PEER_LOST at the end of the stream,
 * FAB_ERR_PROTOCOL for what is no packet, FAB_ERR_VERSION for another protocol's. */
FAB_NODISCARD enum fab_status ses_receive(int fd, int timeout_ms, struct ses_packet *packet,
                                          struct fab_err *err);

/* The same; *passed_out is the descriptor that came along (the caller's, also after a failure), or
 * -1. Without a place for it a packet that brings one is refused. */
FAB_NODISCARD enum fab_status ses_receive_descriptor(int fd, int timeout_ms,
                                                     struct ses_packet *packet, int *passed_out,
                                                     struct fab_err *err);

/* The same, of one kind; a refusal becomes its own status and text. */
FAB_NODISCARD enum fab_status ses_expect(int fd, uint32_t op, struct ses_packet *packet,
                                         struct fab_err *err);

/* When a send found the other end gone (status FAB_ERR_PEER_LOST): the refusal that it may have
 * left, else the same status. */
FAB_NODISCARD enum fab_status ses_last_words(int fd, enum fab_status status, struct fab_err *err);

/* Sends `why` as a refusal; failures of that are nobody's business. */
void ses_refuse(int fd, enum fab_status status, const char *text);
/* What a refusal says. */
enum fab_status ses_refused(const struct ses_packet *packet, struct fab_err *err);

/* The descriptor whose number stands in the environment, out of it so that no child takes it for
 * its own, and CLOEXEC. FAB_ERR_NOT_FOUND: the variable is not set. */
FAB_NODISCARD enum fab_status ses_inherit(const char *variable, int *fd_out, struct fab_err *err);

/* A socket that listens at `path`, made with `mode`; replaces one that nobody listens at.
 * FAB_ERR_BUSY: somebody does. */
FAB_NODISCARD enum fab_status ses_listen(const char *path, mode_t mode, int *fd_out,
                                         struct fab_err *err);

/* The GPUs that a text like "0,3" names, a bit each; 0 for NULL and "". FAB_ERR_INVALID. */
FAB_NODISCARD enum fab_status ses_gpus_read(const char *text, uint64_t *gpus_out,
                                            struct fab_err *err);

/* ---- messages to structs and back (ses_convert.c) -------------------------------------------- */

struct ses_grant_message {
    struct sesm_grant message;
    struct sesm_rail rails[SES_RAILS_MAX];
    struct sesm_vgpu vgpus[SES_VGPUS_MAX];
    struct sesm_name workers[SES_WORKERS_MAX];
};

/* A grant for a client (index NULL: counts up), or a worker's prepare. Points into `out`. */
void ses_grant_put(const struct ses_grant *grant, const uint32_t *vgpu_index,
                   struct ses_grant_message *out, struct sesm_parts *parts);
/* FAB_ERR_PROTOCOL. */
FAB_NODISCARD enum fab_status ses_grant_get(const struct ses_packet *packet,
                                            struct ses_grant *grant, uint32_t *vgpu_index,
                                            struct fab_err *err);

void ses_link_put(const struct ses_link *link, uint32_t worker, uint32_t row,
                  struct sesm_link *message, struct sesm_parts *parts);
FAB_NODISCARD enum fab_status ses_link_get(const struct ses_packet *packet, struct ses_link *link,
                                           uint32_t *worker_out, uint32_t *row_out,
                                           struct fab_err *err);

/* An event of `fd`, if there is one: shared by both ends. A refusal is SES_EVENT_REVOKED, the end
 * of the stream SES_EVENT_BROKER_GONE (once: *is_over). */
void ses_event_take(int fd, bool *is_over, struct ses_event *event_out);

#endif /* SESSION_SES_INT_H */
