/* What each reactor remembers, and checks that several files need. */
#include "counts/counts.h"

#include <inttypes.h>
#include <stdlib.h>

#include "counts/counts.sql.h"
#include "counts/counts_private.h"

/* ---- the reactor's memory -------------------------------------------------------------------- */

void
counts_attach(struct reactor *r)
{
    struct counts_reactor *c = calloc(1, sizeof(*c));
    ASSERT(c);
    const struct db_gather_options opt = {.stmt = &sql_counts_ingest};
    c->reactor = r;
    c->ingest = db_gather_new(r, &opt);
    list_init(&c->watchers);
    reactor_set_slot(r, SLOT_COUNTS, c);
    counts_memory_init(c);
    counts_prune_init(c);
    counts_tally_init(c);
    counts_tell_init(c);
    counts_watch_init(c);
    counts_retention_init(c);
}

void
counts_detach(struct reactor *r)
{
    struct counts_reactor *c = counts_of(r);
    if (!c)
        return;
    counts_retention_fini(c);
    counts_watch_fini(c);
    counts_tell_fini(c);
    counts_tally_fini(c);
    counts_prune_fini(c);
    counts_memory_fini(c);
    db_gather_free(c->ingest);
    reactor_set_slot(r, SLOT_COUNTS, NULL);
    free(c);
}

struct counts_reactor *
counts_of(const struct reactor *r)
{
    return reactor_slot(r, SLOT_COUNTS);
}

/* ---- checks ---------------------------------------------------------------------------------- */

enum status
counts_check_text(struct ctx *ctx, const char *field, const char *text, size_t least, size_t most)
{
    struct str s = str_of(text);
    if (!str_utf8_valid(s))
        return fail_field(ctx, field, "is not UTF-8");
    size_t characters = 0;
    for (size_t i = 0; i < s.n; i++)
        characters += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    if (characters < least || characters > most)
        return fail_field(ctx, field, "must have %zu to %zu characters", least, most);
    return OK;
}

enum status
counts_check_zone(struct ctx *ctx, const char *field, const char *zone)
{
    struct db_bool_value row;
    enum status st = counts_check_text(ctx, field, zone, 1, 100);
    if (st != OK)
        return st;
    st = db_one(ctx, &sql_counts_check_zone, DB_ARGS(db_text(zone)), REASON_INTERNAL_ERROR, &row);
    if (st == OK || ctx->error.reason != REASON_BAD_FIELD)
        return st;
    fail_clear(ctx);
    return fail_field(ctx, field, "is not a name of the IANA time zone database");
}

enum status
counts_check_dpu(struct ctx *ctx, int64_t dpu_id)
{
    if (dpu_id < 1 || dpu_id > INT32_MAX)
        return fail_field(ctx, "dpu_id", "must be from 1 to %d", INT32_MAX);
    return OK;
}

const char *
counts_etag(struct arena *a, usec_t updated_at)
{
    return arena_printf(a, "%" PRIx64, (uint64_t)updated_at);
}

enum status
counts_etag_parse(struct ctx *ctx, const char *etag, usec_t *ret)
{
    uint64_t n = 0;
    struct str s = str_of(etag);
    bool good = s.n <= 15;
    for (size_t i = 0; good && i < s.n; i++) {
        int digit = str_hex_digit(s.p[i]);
        good = digit >= 0;
        n = n << 4 | (uint64_t)(digit & 15);
    }
    if (!good || (s.n > 0 && n == 0))
        return fail_field(ctx, "etag", "is not one that was read");
    *ret = (usec_t)n;
    return OK;
}
