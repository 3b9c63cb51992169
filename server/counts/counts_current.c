/*
 * Current counts, remembered.
 *
 * A reactor remembers the counts it was asked for, each account's as of one snapshot, with the
 * parts they are the sum of. Before it answers it asks PostgreSQL what was committed since
 * (counts_pulse: usually nothing or one row, whatever the number of spaces, doors and readings) and
 * adds that up; what cannot be added up it forgets and reads anew. So an answer is never older than
 * its question, also when another server has stored the reading.
 *
 * Callers share a flight: of each account one is in the air at most, and one takes callers on
 * meanwhile.
 */
#include <stdlib.h>

#include "counts/counts.sql.h"
#include "counts/counts_private.h"

#define SPACE_BUCKETS 1024 /* powers of two */
#define PART_BUCKETS  8192
#define MAX_PULSES    64     /* more since the last time: all is read anew */
#define MAX_LEARNED   64     /* spaces in one statement */
#define MAX_OF_SPACE  4096   /* parts of a space that is remembered */
#define MAX_PARTS     500000 /* and spaces: beyond, all is forgotten */

/* Which transactions somebody has seen. */
struct snapshot {
    size_t refs;
    int64_t xmin; /* all before it */
    int64_t xmax; /* none from it on */
    size_t n;
    int64_t running[]; /* and none of these */
};

struct account {
    struct list link;
    int64_t account_id;
    struct list spaces;
    struct snapshot *upto; /* NULL: nothing is remembered */
};

/* A space and its current count. */
struct space {
    struct list link; /* in its bucket */
    struct list of_account;
    int64_t account_id;
    int64_t space_id;
    struct counts_value value;
    struct snapshot *as_of; /* NULL: as the account */
    bool stale;
    size_t n_parts;
    struct part *parts;
};

/* The readings of a DPU from when to when (exclusive), and with which sign. */
struct part {
    struct list link; /* in the bucket of its DPU */
    struct space *space;
    struct counts_part is;
};

struct counts_memory {
    struct list accounts;
    struct list spaces[SPACE_BUCKETS];
    struct list parts[PART_BUCKETS];
    size_t n_parts; /* and spaces */
    struct list flights;
};

/* ---- snapshots ------------------------------------------------------------------------------- */

/* "xmin:xmax:xip,xip"; NULL: it is not one. */
static struct snapshot *
snapshot_new(const char *text)
{
    struct str rest = str_of(text);
    struct snapshot *s = calloc(1, sizeof(*s) + rest.n * sizeof(s->running[0]));
    ASSERT(s);
    s->refs = 1;
    if (!str_to_i64(str_cut(&rest, ':'), &s->xmin) || !str_to_i64(str_cut(&rest, ':'), &s->xmax)) {
        free(s);
        return NULL;
    }
    while (rest.n > 0 && str_to_i64(str_cut(&rest, ','), &s->running[s->n]))
        s->n++;
    return s;
}

static void
snapshot_unref(struct snapshot *s)
{
    if (s && --s->refs == 0)
        free(s);
}

static bool
snapshot_sees(const struct snapshot *s, int64_t xid)
{
    if (xid < s->xmin || xid >= s->xmax)
        return xid < s->xmin;
    for (size_t i = 0; i < s->n; i++)
        if (s->running[i] == xid)
            return false;
    return true;
}

/* ---- what is remembered ---------------------------------------------------------------------- */

static size_t
mix(int64_t a, int64_t b)
{
    const uint64_t h = (uint64_t)a * 0x9e3779b97f4a7c15u ^ ((uint64_t)b + 1) * 0xc2b2ae3d27d4eb4fu;
    return (size_t)(h ^ h >> 29);
}

static struct account *
find_account(struct counts_memory *m, int64_t account_id)
{
    list_foreach (it, &m->accounts) {
        struct account *a = container_of(it, struct account, link);
        if (a->account_id != account_id)
            continue;
        list_remove(&a->link); /* it will soon be asked for again */
        list_push_front(&m->accounts, &a->link);
        return a;
    }
    struct account *a = calloc(1, sizeof(*a));
    ASSERT(a);
    a->account_id = account_id;
    list_init(&a->spaces);
    list_push_front(&m->accounts, &a->link);
    return a;
}

static struct space *
find_space(struct counts_memory *m, int64_t account_id, int64_t space_id)
{
    list_foreach (it, &m->spaces[mix(account_id, space_id) % SPACE_BUCKETS]) {
        struct space *s = container_of(it, struct space, link);
        if (s->space_id == space_id && s->account_id == account_id)
            return s;
    }
    return NULL;
}

static void
forget_space(struct counts_memory *m, struct space *s)
{
    for (size_t i = 0; i < s->n_parts; i++)
        list_remove(&s->parts[i].link);
    m->n_parts -= s->n_parts + 1;
    list_remove(&s->link);
    list_remove(&s->of_account);
    snapshot_unref(s->as_of);
    free(s->parts);
    free(s);
}

static void
forget_account(struct counts_memory *m, struct account *a)
{
    list_foreach_safe (it, next, &a->spaces)
        forget_space(m, container_of(it, struct space, of_account));
    snapshot_unref(a->upto);
    a->upto = NULL;
}

static void
forget_all(struct counts_memory *m)
{
    list_foreach_safe (it, next, &m->accounts) {
        struct account *a = container_of(it, struct account, link);
        forget_account(m, a);
        list_remove(&a->link);
        free(a);
    }
}

/* `parts` are those of all the spaces that were learned. */
static void
remember_space(struct counts_memory *m, int64_t account_id, const struct counts_learned *row,
               struct snapshot *as_of, const struct counts_part *parts, size_t n_parts)
{
    struct space *s = find_space(m, account_id, row->space_id);
    if (s)
        forget_space(m, s);
    s = calloc(1, sizeof(*s));
    ASSERT(s);
    s->account_id = account_id;
    s->space_id = row->space_id;
    s->value = (struct counts_value){.count = row->count,
                                     .entrances = row->entrances,
                                     .exits = row->exits,
                                     .capacity = row->capacity};
    s->as_of = as_of;
    as_of->refs++;
    list_push(&m->spaces[mix(account_id, s->space_id) % SPACE_BUCKETS], &s->link);
    list_push(&find_account(m, account_id)->spaces, &s->of_account);
    size_t n = 0;
    m->n_parts++;
    for (size_t i = 0; i < n_parts; i++)
        n += parts[i].space_id == s->space_id;
    s->stale = n > MAX_OF_SPACE;
    if (s->stale || n == 0)
        return;
    s->parts = calloc(n, sizeof(*s->parts));
    ASSERT(s->parts);
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].space_id != s->space_id)
            continue;
        struct part *p = &s->parts[s->n_parts++];
        p->space = s;
        p->is = parts[i];
        list_push(&m->parts[mix(account_id, p->is.dpu_id) % PART_BUCKETS], &p->link);
    }
    m->n_parts += n;
}

/* ---- what was committed since ---------------------------------------------------------------- */

static void
add_readings(struct space *s, const struct counts_part *p, int64_t n, int64_t net)
{
    s->value.count += p->sign * net;
    s->value.entrances += (n + p->sign * net) / 2;
    s->value.exits += (n - p->sign * net) / 2;
}

static void
apply_dpu(struct counts_memory *m, const struct account *a, const struct counts_pulse *pulse,
          size_t i)
{
    const int32_t dpu = pulse->dpus.int4s[i];
    list_foreach (it, &m->parts[mix(a->account_id, dpu) % PART_BUCKETS]) {
        const struct part *p = container_of(it, struct part, link);
        struct space *s = p->space;
        if (p->is.dpu_id != dpu || s->account_id != a->account_id ||
            (s->as_of && snapshot_sees(s->as_of, pulse->xid)))
            continue;
        if (pulse->last_at < p->is.starts_at || pulse->first_at >= p->is.ends_at)
            continue;
        if (pulse->first_at >= p->is.starts_at && pulse->last_at < p->is.ends_at)
            add_readings(s, &p->is, pulse->ns.int2s[i], pulse->nets.int2s[i]);
        else
            s->stale = true; /* some are of the part, and some are not */
    }
}

static void
apply_pulse(struct counts_memory *m, struct account *a, const struct counts_pulse *pulse)
{
    for (size_t i = 0; i < pulse->dpus.n; i++)
        apply_dpu(m, a, pulse, i);
    if (pulse->has_first_at)
        return;
    list_foreach_safe (it, next, &a->spaces) {
        struct space *s = container_of(it, struct space, of_account);
        if (!s->as_of || !snapshot_sees(s->as_of, pulse->xid))
            forget_space(m, s);
    }
}

static bool
can_apply(const struct account *a, const struct counts_pulse *rows, size_t n)
{
    if (n > MAX_PULSES || rows[0].floor > a->upto->xmin)
        return false;
    for (size_t i = 0; i < n; i++)
        if (rows[i].ns.n != rows[i].dpus.n || rows[i].nets.n != rows[i].dpus.n)
            return false;
    return true;
}

/* The account as of now. */
static enum status
catch_up(struct ctx *ctx, struct counts_memory *m, int64_t account_id)
{
    struct counts_pulse *rows;
    size_t n = 0;
    struct account *a = find_account(m, account_id);
    const int64_t since = a->upto ? a->upto->xmin : INT64_MAX;
    enum status st =
        db_many(ctx, &sql_counts_pulses, DB_ARGS(db_int8(account_id), db_int8(since)), &rows, &n);
    if (st != OK)
        return st;
    a = find_account(m, account_id);
    struct snapshot *now = n > 0 ? snapshot_new(rows[0].snapshot) : NULL;
    if (!now)
        return fail_plain(ctx, INTERNAL_ERROR);
    if (!a->upto || !can_apply(a, rows, n))
        forget_account(m, a);
    for (size_t i = 0; i < n && a->upto; i++)
        if (rows[i].has_xid && !snapshot_sees(a->upto, rows[i].xid))
            apply_pulse(m, a, &rows[i]);
    list_foreach (it, &a->spaces) {
        struct space *s = container_of(it, struct space, of_account);
        snapshot_unref(s->as_of);
        s->as_of = NULL;
    }
    snapshot_unref(a->upto);
    a->upto = now;
    return OK;
}

static enum status
read_spaces(struct ctx *ctx, const int64_t *ids, size_t n, struct counts_learned **ret,
            size_t *ret_n)
{
    return db_many(ctx, &sql_counts_of_spaces,
                   DB_ARGS(db_int8(ctx->who.account_id), db_int8_array(ids, n)), ret, ret_n);
}

/* Reads spaces that are not remembered: some of those at `ids`. Their parts are read after their
 * counts: when they change between, that is committed since. */
static enum status
learn(struct ctx *ctx, struct counts_memory *m, const int64_t *ids, size_t n)
{
    const int64_t account = ctx->who.account_id;
    const struct db_args args = DB_ARGS(db_int8(account), db_int8_array(ids, n));
    struct counts_learned *rows;
    struct counts_part *parts;
    size_t n_rows = 0;
    size_t n_parts = 0;
    const struct db_item items[] = {
        DB_ITEM_MANY(&sql_counts_of_spaces, args, &rows, &n_rows),
        DB_ITEM_MANY(&sql_counts_parts, args, &parts, &n_parts),
    };
    enum status st = db_batch(ctx, items, ARRAY_LEN(items));
    if (st != OK || n_rows == 0)
        return st;
    struct snapshot *as_of = snapshot_new(rows[0].snapshot);
    if (!as_of)
        return fail_plain(ctx, INTERNAL_ERROR);
    for (size_t i = 0; i < n_rows; i++)
        remember_space(m, account, &rows[i], as_of, parts, n_parts);
    snapshot_unref(as_of);
    return OK;
}

/* ---- flights --------------------------------------------------------------------------------- */

/* A space that somebody asks for. */
struct seat {
    int64_t space_id;
    bool found;
    struct counts_value value;
};

struct flight {
    struct list link; /* in the memory's flights, until it lands */
    int64_t account_id;
    size_t callers; /* who hold on to it, the first included */
    struct cond landed;
    bool airborne;
    bool done;
    enum reason failed;
    struct seat *seats;
    size_t n_seats;
    size_t room;
};

static struct flight *
find_flight(struct counts_memory *m, int64_t account_id, bool airborne)
{
    list_foreach (it, &m->flights) {
        struct flight *f = container_of(it, struct flight, link);
        if (f->account_id == account_id && f->airborne == airborne)
            return f;
    }
    return NULL;
}

static void
leave_flight(struct flight *f)
{
    if (--f->callers > 0)
        return;
    free(f->seats);
    free(f);
}

/* Returns the first of the seats. */
static size_t
take_seats(struct flight *f, const int64_t *spaces, size_t n)
{
    const size_t first = f->n_seats;
    if (first + n > f->room) {
        f->room = (first + n) * 2;
        f->seats = realloc(f->seats, f->room * sizeof(*f->seats));
        ASSERT(f->seats);
    }
    for (size_t i = 0; i < n; i++)
        f->seats[first + i] = (struct seat){.space_id = spaces[i]};
    f->n_seats += n;
    return first;
}

static enum status
wait_landed(struct ctx *ctx, struct flight *f)
{
    enum status st = OK;
    f->callers++;
    while (!f->done && st == OK)
        st = cond_wait(&f->landed, ctx);
    return st;
}

/* Others get aboard while the flight before is in the air, or until the end of this turn. */
static enum status
board(struct ctx *ctx, struct counts_memory *m, const struct flight *f)
{
    struct flight *before = find_flight(m, f->account_id, true);
    if (!before)
        return fiber_yield(ctx);
    enum status st = wait_landed(ctx, before);
    leave_flight(before);
    return st;
}

static int
compare_ids(const void *x, const void *y)
{
    const int64_t a = *(const int64_t *)x;
    const int64_t b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* Learns what is not remembered of what is asked for. */
static enum status
learn_missing(struct ctx *ctx, struct counts_memory *m, const struct flight *f)
{
    int64_t *ids = arena_new_n(ctx->arena, int64_t, f->n_seats + 1);
    size_t n = 0;
    size_t distinct = 0;
    for (size_t i = 0; i < f->n_seats; i++) {
        const struct space *s = find_space(m, f->account_id, f->seats[i].space_id);
        if (!s || s->stale)
            ids[n++] = f->seats[i].space_id;
    }
    qsort(ids, n, sizeof(*ids), compare_ids);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || ids[i] != ids[i - 1])
            ids[distinct++] = ids[i];
    enum status st = OK;
    for (size_t i = 0; i < distinct && st == OK; i += MAX_LEARNED)
        st = learn(ctx, m, ids + i, distinct - i < MAX_LEARNED ? distinct - i : MAX_LEARNED);
    return st;
}

static enum status
fly(struct ctx *ctx, struct counts_memory *m, struct flight *f)
{
    enum status st = catch_up(ctx, m, f->account_id);
    if (st == OK)
        st = learn_missing(ctx, m, f);
    for (size_t i = 0; i < f->n_seats && st == OK; i++) {
        struct seat *seat = &f->seats[i];
        const struct space *s = find_space(m, f->account_id, seat->space_id);
        seat->found = s != NULL;
        if (s)
            seat->value = s->value;
    }
    if (m->n_parts > MAX_PARTS)
        forget_all(m);
    return st;
}

static struct flight *
open_flight(struct counts_memory *m, int64_t account_id)
{
    struct flight *f = calloc(1, sizeof(*f));
    ASSERT(f);
    f->account_id = account_id;
    f->callers = 1;
    cond_init(&f->landed);
    list_push(&m->flights, &f->link);
    return f;
}

static void
copy_seats(const struct flight *f, size_t first, size_t n, struct counts_value *ret,
           bool *ret_found)
{
    for (size_t i = 0; i < n; i++) {
        ret[i] = f->seats[first + i].value;
        ret_found[i] = f->seats[first + i].found;
    }
}

/* The caller's own statement, when the flight failed for a reason of another caller's. */
static enum status
read_alone(struct ctx *ctx, const int64_t *spaces, size_t n, struct counts_value *ret,
           bool *ret_found)
{
    struct counts_learned *rows;
    size_t n_rows = 0;
    enum status st = read_spaces(ctx, spaces, n, &rows, &n_rows);
    for (size_t i = 0; i < n && st == OK; i++) {
        ret_found[i] = false;
        for (size_t j = 0; j < n_rows; j++)
            if (rows[j].space_id == spaces[i]) {
                ret_found[i] = true;
                ret[i] = (struct counts_value){.count = rows[j].count,
                                               .entrances = rows[j].entrances,
                                               .exits = rows[j].exits,
                                               .capacity = rows[j].capacity};
            }
    }
    return st;
}

enum status
counts_current_of(struct ctx *ctx, const int64_t *spaces, size_t n, struct counts_value *ret,
                  bool *ret_found)
{
    struct counts_memory *m = counts_of(ctx->reactor)->memory;
    struct flight *f = find_flight(m, ctx->who.account_id, false);
    enum status st;
    if (f) {
        const size_t first = take_seats(f, spaces, n);
        st = wait_landed(ctx, f);
        const bool landed = st == OK && f->failed == REASON_NONE;
        if (landed)
            copy_seats(f, first, n, ret, ret_found);
        leave_flight(f);
        return st != OK || landed ? st : read_alone(ctx, spaces, n, ret, ret_found);
    }
    f = open_flight(m, ctx->who.account_id);
    (void)take_seats(f, spaces, n);
    st = board(ctx, m, f);
    f->airborne = true;
    if (st == OK)
        st = fly(ctx, m, f);
    list_remove(&f->link);
    f->done = true;
    f->failed = st == OK ? REASON_NONE : ctx->error.reason;
    if (st == OK)
        copy_seats(f, 0, n, ret, ret_found);
    cond_broadcast(&f->landed);
    leave_flight(f);
    return st;
}

enum status
counts_current(struct ctx *ctx, int64_t space_id, struct counts_value *ret)
{
    bool found = false;
    enum status st = counts_current_of(ctx, &space_id, 1, ret, &found);
    return st == OK && !found ? fail_plain(ctx, SPACE_NOT_FOUND) : st;
}

/* ---- life ------------------------------------------------------------------------------------ */

void
counts_memory_init(struct counts_reactor *c)
{
    struct counts_memory *m = calloc(1, sizeof(*m));
    ASSERT(m);
    list_init(&m->accounts);
    list_init(&m->flights);
    for (size_t i = 0; i < SPACE_BUCKETS; i++)
        list_init(&m->spaces[i]);
    for (size_t i = 0; i < PART_BUCKETS; i++)
        list_init(&m->parts[i]);
    c->memory = m;
}

void
counts_memory_fini(struct counts_reactor *c)
{
    forget_all(c->memory);
    free(c->memory);
}
