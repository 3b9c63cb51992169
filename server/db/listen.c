/*
 * Notifications: one connection of the reactor, opened by the first db_listen. LISTEN takes no
 * parameters, so that the channel's name is quoted into the text.
 */
#include "db/listen.h"

#include <stdlib.h>

#include "db/db.sql.h"

/* Postgres's NAMEDATALEN - 1. */
#define MAX_CHANNEL 63

struct db_listener {
    struct list link; /* in pool->listeners */
    struct pool *pool;
    db_listen_fn fn;
    void *arg;
    bool gone;       /* db_unlisten was called from within a callback */
    bool subscribed; /* on the present connection */
    char channel[MAX_CHANNEL + 1];
};

static struct conn *
listen_conn(struct pool *p)
{
    struct list *ready = &p->groups[GROUP_LISTEN].conns[CONN_READY];

    return list_empty(ready) ? NULL : container_of(ready->next, struct conn, link);
}

static bool
send_command(struct conn *c, const struct db_stmt *verb, const char *channel)
{
    char sql[32 + 2 * MAX_CHANNEL];
    size_t n = (size_t)snprintf(sql, sizeof(sql), "%s \"", verb->sql);

    for (const char *s = channel; *s; s++) {
        if (*s == '"')
            sql[n++] = '"';
        sql[n++] = *s;
    }
    sql[n++] = '"';
    sql[n] = '\0';
    if (PQsendQueryParams(c->pq, sql, 0, NULL, NULL, NULL, NULL, 1) != 1) {
        conn_break(c, FATE_LOST, PQerrorMessage(c->pq));
        return false;
    }
    conn_push_flight(c, FLIGHT_COMMAND);
    conn_sync(c);
    return c->pq != NULL;
}

static void
listener_free(struct db_listener *l)
{
    struct pool *p = l->pool;

    free(l);
    pool_unref(p);
}

/* Calls those of `channel`; with NULL, once each after every subscription. A listener may leave,
 * and others with it, while it is called: those that are marked gone are freed behind the loop. */
static void
call_all(struct pool *p, const char *channel, const char *payload)
{
    pool_ref(p);
    p->calling_listeners++;
    list_foreach (n, &p->listeners) {
        struct db_listener *l = container_of(n, struct db_listener, link);
        if (l->gone || (channel ? strcmp(l->channel, channel) != 0 : l->subscribed))
            continue;
        l->subscribed = true;
        l->fn(l->arg, payload);
    }
    p->calling_listeners--;
    list_foreach_safe (n, next, &p->listeners) {
        struct db_listener *l = container_of(n, struct db_listener, link);
        if (l->gone && p->calling_listeners == 0) {
            list_remove(&l->link);
            listener_free(l);
        }
    }
    pool_unref(p);
}

void
listen_subscribed(struct pool *p, struct conn *c)
{
    if (c->pq && conn_in_flight(c) == 0)
        call_all(p, NULL, NULL);
}

void
listen_ready(struct conn *c)
{
    list_foreach (n, &c->pool->listeners) {
        struct db_listener *l = container_of(n, struct db_listener, link);
        l->subscribed = false;
        if (c->pq && !l->gone)
            (void)send_command(c, &sql_db_listen, l->channel);
    }
}

void
listen_notify(struct pool *p, const char *channel, const char *payload)
{
    pool_count(p, COUNT_NOTIFICATIONS);
    call_all(p, channel, payload);
}

struct db_listener *
db_listen(struct reactor *r, const char *channel, db_listen_fn fn, void *arg)
{
    struct pool *p = pool_of(r);
    struct group *g;
    struct db_listener *l = calloc(1, sizeof(*l));

    ASSERT(p && l && strlen(channel) <= MAX_CHANNEL);
    l->pool = p;
    l->fn = fn;
    l->arg = arg;
    snprintf(l->channel, sizeof(l->channel), "%s", channel);
    pool_ref(p);
    list_push(&p->listeners, &l->link);
    g = &p->groups[GROUP_LISTEN];
    if (g->total == 0)
        conn_start(conn_new(p, g));
    else if (listen_conn(p))
        (void)send_command(listen_conn(p), &sql_db_listen, channel);
    pool_wants_janitor(p);
    return l;
}

/* True while another listener wants the channel. */
static bool
is_wanted(struct pool *p, const char *channel)
{
    list_foreach (n, &p->listeners) {
        struct db_listener *l = container_of(n, struct db_listener, link);
        if (!l->gone && strcmp(l->channel, channel) == 0)
            return true;
    }
    return false;
}

void
db_unlisten(struct db_listener *l)
{
    struct pool *p;
    struct conn *c;

    if (!l)
        return;
    p = l->pool;
    c = p->closing ? NULL : listen_conn(p);
    l->gone = true;
    if (c && !is_wanted(p, l->channel))
        (void)send_command(c, &sql_db_unlisten, l->channel);
    if (p->calling_listeners > 0)
        return;
    list_remove(&l->link);
    listener_free(l);
}
