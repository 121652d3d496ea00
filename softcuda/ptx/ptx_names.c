/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_names.c - names in nested scopes: an inner one hides an outer one.
 *
 * One hash table for all scopes; a bucket holds the innermost name first, and the end of a scope
 * takes its names out again in reverse order.
 */
#include "softcuda/ptx/ptx_int.h"

#include <string.h>

enum { BUCKETS_FIRST = 64 };

static uint32_t hash_of(struct ptx_span span)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < span.bytes; i++)
        hash = (hash ^ (unsigned char)span.text[i]) * 16777619u;
    return hash;
}

struct ptx_name *ptx_names_find(const struct ptx_names *names, struct ptx_span span)
{
    uint32_t hash;

    if (!names->bucket_count)
        return NULL;
    hash = hash_of(span);
    for (struct ptx_name *n = names->buckets[hash & (names->bucket_count - 1)]; n; n = n->next) {
        if (n->hash == hash && n->span.bytes == span.bytes &&
            memcmp(n->span.text, span.text, span.bytes) == 0)
            return n;
    }
    return NULL;
}

static void link_name(struct ptx_names *names, struct ptx_name *name)
{
    struct ptx_name **bucket = &names->buckets[name->hash & (names->bucket_count - 1)];

    name->next = *bucket;
    *bucket = name;
}

/* Links all names again, oldest first, so that inner ones stay in front. */
static bool grow(struct ptx_names *names)
{
    uint32_t count = names->bucket_count ? names->bucket_count * 2 : BUCKETS_FIRST;
    struct ptx_name **order = names->order.items;
    struct ptx_name **buckets =
        fab_arena_alloc_array(names->arena, count, sizeof(struct ptx_name *));

    if (!buckets)
        return false;
    names->buckets = buckets;
    names->bucket_count = count;
    for (size_t i = 0; i < names->order.count; i++)
        link_name(names, order[i]);
    return true;
}

struct ptx_name *ptx_names_add(struct ptx_names *names, struct ptx_span span,
                               enum ptx_name_kind kind)
{
    struct ptx_name *name, **slot;

    if (names->order.count >= names->bucket_count && !grow(names))
        return NULL;
    name = fab_arena_alloc(names->arena, sizeof(*name));
    if (!name)
        return NULL;
    slot = ptx_list_add(&names->order, names->arena, sizeof(struct ptx_name *));
    if (!slot)
        return NULL;
    *slot = name;
    name->span = span;
    name->hash = hash_of(span);
    name->depth = names->depth;
    name->kind = kind;
    link_name(names, name);
    return name;
}

void ptx_names_enter(struct ptx_names *names)
{
    names->depth++;
}

void ptx_names_leave(struct ptx_names *names)
{
    struct ptx_name **order = names->order.items;

    while (names->order.count > 0) {
        struct ptx_name *name = order[names->order.count - 1];

        if (name->depth < names->depth)
            break;
        /* Newest first, so it is at the front of its bucket. */
        names->buckets[name->hash & (names->bucket_count - 1)] = name->next;
        names->order.count--;
    }
    names->depth--;
}
