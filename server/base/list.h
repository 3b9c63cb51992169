/* Intrusive doubly linked list. A head is a struct list that points at itself when empty. */
#ifndef LUNA_BASE_LIST_H
#define LUNA_BASE_LIST_H

#include "base/defs.h"

struct list {
    struct list *prev;
    struct list *next;
};

static inline void
list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline bool
list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void
list_insert_(struct list *node, struct list *prev, struct list *next)
{
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}

/* Appends `node`, which is in no list. */
static inline void
list_push(struct list *head, struct list *node)
{
    list_insert_(node, head->prev, head);
}

static inline void
list_push_front(struct list *head, struct list *node)
{
    list_insert_(node, head, head->next);
}

/* Takes `node` out and leaves it self-linked: removing twice is harmless. */
static inline void
list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, taken out; NULL when empty. */
static inline struct list *
list_pop(struct list *head)
{
    struct list *n = head->next;
    if (n == head)
        return NULL;
    list_remove(n);
    return n;
}

/* Moves all of `src` to the end of `dst`; `src` is empty afterwards. */
static inline void
list_splice(struct list *dst, struct list *src)
{
    if (list_empty(src))
        return;
    src->next->prev = dst->prev;
    dst->prev->next = src->next;
    src->prev->next = dst;
    dst->prev = src->prev;
    list_init(src);
}

#define list_foreach(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_foreach_safe(it, tmp, head) \
    for (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)

#endif
