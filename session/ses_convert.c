/* SPDX-License-Identifier: Apache-2.0
 * session/ses_convert.c - the structs of ses.h from messages and back.
 */
#include <string.h>

#include "session/ses_int.h"

static void rails_put(const struct ses_node *node, struct sesm_rail *rails)
{
    for (uint32_t i = 0; i < node->rail_count; i++) {
        const struct ses_rail *rail = &node->rails[i];

        rails[i] = (struct sesm_rail){.wire = rail->wire, .numa_node = rail->numa_node};
        memcpy(rails[i].device, rail->device, sizeof(rails[i].device));
    }
}

void ses_grant_put(const struct ses_grant *grant, const uint32_t *vgpu_index,
                   struct ses_grant_message *out, struct sesm_parts *parts)
{
    out->message = (struct sesm_grant){.grace_ns = grant->settings.grace_ns,
                                       .sync = grant->settings.sync,
                                       .rails = out->rails,
                                       .rails_count = grant->node.rail_count,
                                       .vgpus = out->vgpus,
                                       .vgpus_count = grant->vgpu_count,
                                       .workers = out->workers,
                                       .workers_count = grant->worker_count};
    memcpy(out->message.node_id, grant->node.id, sizeof(out->message.node_id));
    memcpy(out->message.node_name, grant->node.name, sizeof(out->message.node_name));
    memcpy(out->message.system, grant->system, sizeof(out->message.system));
    rails_put(&grant->node, out->rails);
    for (uint32_t i = 0; i < grant->vgpu_count; i++) {
        const struct ses_vgpu *vgpu = &grant->vgpus[i];

        out->vgpus[i] = (struct sesm_vgpu){.index = vgpu_index ? vgpu_index[i] : i,
                                           .worker = vgpu->worker,
                                           .device = vgpu->device,
                                           .role = vgpu->role,
                                           .epoch = vgpu->epoch,
                                           .fence = vgpu->fence};
    }
    for (uint32_t i = 0; i < grant->worker_count; i++)
        memcpy(out->workers[i].text, grant->worker_nodes[i], sizeof(out->workers[i].text));
    sesm_put_grant(&out->message, parts);
}

/* A text field that ends inside. */
static bool text_get(const uint8_t *from, char *to, size_t size_bytes)
{
    memcpy(to, from, size_bytes);
    return memchr(to, 0, size_bytes) != NULL;
}

static bool rails_get(const struct sesm_grant *message, struct ses_node *node)
{
    node->rail_count = message->rails_count;
    for (uint32_t i = 0; i < message->rails_count; i++) {
        const struct sesm_rail *rail = &message->rails[i];

        if (rail->wire > SES_WIRE_SHM ||
            !text_get(rail->device, node->rails[i].device, SES_DEVICE_BYTES))
            return false;
        node->rails[i].wire = (enum ses_wire)rail->wire;
        node->rails[i].numa_node = rail->numa_node;
    }
    return true;
}

static bool vgpus_get(const struct sesm_grant *message, struct ses_grant *grant,
                      uint32_t *vgpu_index)
{
    grant->vgpu_count = message->vgpus_count;
    for (uint32_t i = 0; i < message->vgpus_count; i++) {
        const struct sesm_vgpu *vgpu = &message->vgpus[i];

        if (vgpu->worker >= message->workers_count || vgpu->index >= SES_VGPUS_MAX)
            return false;
        grant->vgpus[i] = (struct ses_vgpu){.worker = vgpu->worker,
                                            .device = vgpu->device,
                                            .role = vgpu->role,
                                            .epoch = vgpu->epoch,
                                            .fence = vgpu->fence};
        if (vgpu_index)
            vgpu_index[i] = vgpu->index;
    }
    return true;
}

enum fab_status ses_grant_get(const struct ses_packet *packet, struct ses_grant *grant,
                              uint32_t *vgpu_index, struct fab_err *err)
{
    struct sesm_grant message;
    bool good;

    *grant = (struct ses_grant){0};
    if (!sesm_get_grant(packet->body, packet->size_bytes, &message))
        return fab_err_set(err, FAB_ERR_PROTOCOL, "a grant that does not decode");
    memcpy(grant->node.id, message.node_id, sizeof(grant->node.id));
    grant->settings = (struct ses_settings){.grace_ns = message.grace_ns, .sync = message.sync};
    grant->worker_count = message.workers_count;
    good = text_get(message.node_name, grant->node.name, SES_NAME_BYTES) &&
           text_get(message.system, grant->system, SES_NAME_BYTES) &&
           rails_get(&message, &grant->node) && vgpus_get(&message, grant, vgpu_index);
    for (uint32_t i = 0; good && i < message.workers_count; i++)
        good = text_get(message.workers[i].text, grant->worker_nodes[i], SES_NAME_BYTES);
    return good ? FAB_OK : fab_err_set(err, FAB_ERR_PROTOCOL, "a grant that makes no sense");
}

void ses_link_put(const struct ses_link *link, uint32_t worker, uint32_t row,
                  struct sesm_link *message, struct sesm_parts *parts)
{
    _Static_assert(sizeof(struct sesm_pair) == sizeof(struct ses_pair), "the same bytes");
    *message = (struct sesm_link){.worker = worker,
                                  .row = row,
                                  .session = link->session_id,
                                  .pairs = (const struct sesm_pair *)(const void *)link->pairs,
                                  .pairs_count = link->pair_count,
                                  .address = link->address,
                                  .address_count = link->address_bytes};
    memcpy(message->key, link->key, sizeof(message->key));
    sesm_put_link(message, parts);
}

enum fab_status ses_link_get(const struct ses_packet *packet, struct ses_link *link,
                             uint32_t *worker_out, uint32_t *row_out, struct fab_err *err)
{
    struct sesm_link message;

    *link = (struct ses_link){0};
    if (!sesm_get_link(packet->body, packet->size_bytes, &message) || message.session == 0 ||
        message.address_count == 0)
        return fab_err_set(err, FAB_ERR_PROTOCOL, "a link that does not decode");
    link->session_id = message.session;
    memcpy(link->key, message.key, sizeof(link->key));
    memcpy(link->address, message.address, message.address_count);
    link->address_bytes = message.address_count;
    for (uint32_t i = 0; i < message.pairs_count; i++)
        link->pairs[i] = (struct ses_pair){message.pairs[i].local, message.pairs[i].peer};
    link->pair_count = message.pairs_count;
    *worker_out = message.worker;
    *row_out = message.row;
    return FAB_OK;
}
