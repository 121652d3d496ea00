/* SPDX-License-Identifier: Apache-2.0
 * base/list.h - an intrusive list: the links stand inside the objects.
 *
 * A list is a ring with its head as the one node without an object. A node that is on
 * no list points to itself, so removing it twice does nothing. Thread: the owner's.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct fab_list {
    struct fab_list *next, *previous;
};

/* The object around a node: fab_list_object(node, struct event, link). */
#define fab_list_object(node, type, member)                                                        \
    ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Over all nodes; `at` may be removed (and freed) in the body, other nodes may not. */
#define FAB_LIST_EACH(at, after, head)                                                             \
    for (struct fab_list *at = (head)->next, *after = at->next; at != (head);                      \
         at = after, after = at->next)

static inline void fab_list_init(struct fab_list *head_or_node)
{
    head_or_node->next = head_or_node;
    head_or_node->previous = head_or_node;
}

static inline bool fab_list_is_empty(const struct fab_list *head_or_node)
{
    return head_or_node->next == head_or_node;
}

/* Behind `place`: at the front if that is the head. */
static inline void fab_list_insert(struct fab_list *place, struct fab_list *node)
{
    node->next = place->next;
    node->previous = place;
    place->next->previous = node;
    place->next = node;
}

static inline void fab_list_append(struct fab_list *head, struct fab_list *node)
{
    fab_list_insert(head->previous, node);
}

static inline void fab_list_remove(struct fab_list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    fab_list_init(node);
}

/* Takes the first node off; NULL if there is none. */
static inline struct fab_list *fab_list_take(struct fab_list *head)
{
    struct fab_list *node = head->next;

    fab_list_remove(node);
    return node == head ? NULL : node;
}

#endif /* BASE_LIST_H */
