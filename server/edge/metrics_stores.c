#include <inttypes.h>
#include <stdlib.h>

#include "cache/redis.h"
#include "db/db.h"
#include "edge/metrics_private.h"

void
metrics_render_rows(struct buf *out, const struct metrics_row *rows, size_t row_count,
                    const void *stats, size_t stats_size, size_t reactor_count)
{
    for (size_t i = 0; i < row_count; i++) {
        metrics_family(out, rows[i].name, rows[i].type, rows[i].help);
        for (size_t r = 0; r < reactor_count; r++) {
            const char *p = (const char *)stats + r * stats_size + rows[i].offset;
            uint64_t value;
            memcpy(&value, p, sizeof(value));
            buf_printf(out, "%s{reactor=\"%zu\"} %" PRIu64 "\n", rows[i].name, r, value);
        }
    }
}

#define DB(member) offsetof(struct db_stats, member)

static const struct metrics_row db_rows[] = {
    {"luna_db_in_flight", "gauge", "Statements sent to Postgres and not answered.", DB(in_flight)},
    {"luna_db_queued", "gauge", "Statements that wait for a connection.", DB(queued)},
    {"luna_db_statements_total", "counter", "Statements.", DB(statements)},
    {"luna_db_failures_total", "counter", "Statements that failed, for any reason.", DB(failures)},
    {"luna_db_syncs_total", "counter", "Syncs: round trips of the pipelines.", DB(syncs)},
    {"luna_db_flushes_total", "counter", "Writes to the pipelines' sockets.", DB(flushes)},
    {"luna_db_identities_total", "counter", "set_config statements sent before others.",
     DB(identities)},
    {"luna_db_connects_total", "counter", "Connections that became ready.", DB(connects)},
    {"luna_db_connect_failures_total", "counter", "Attempts to connect that failed.",
     DB(connect_failures)},
    {"luna_db_lost_total", "counter", "Connections that broke while ready.", DB(lost)},
    {"luna_db_retried_reads_total", "counter", "Reads sent again.", DB(retried_reads)},
    {"luna_db_retried_transactions_total", "counter", "Transactions done again after a conflict.",
     DB(retried_transactions)},
    {"luna_db_detached_total", "counter", "Callers that left before their answer.", DB(detached)},
    {"luna_db_timeouts_total", "counter", "Connections closed because they did not answer.",
     DB(timeouts)},
    {"luna_db_refused_total", "counter", "Statements refused: the queue was full.", DB(refused)},
    {"luna_db_gathered_rows_total", "counter", "Rows written in gathered batches.",
     DB(gathered_rows)},
    {"luna_db_gathered_batches_total", "counter", "Gathered batches.", DB(gathered_batches)},
    {"luna_db_notifications_total", "counter", "Notifications received.", DB(notifications)},
};

static void
render_db_connections(struct buf *out, const struct db_stats *stats, size_t n)
{
    static const struct {
        const char *state;
        size_t offset;
    } states[] = {{"ready", DB(connections_ready)},
                  {"leased", DB(connections_leased)},
                  {"connecting", DB(connections_connecting)},
                  {"waiting", DB(connections_waiting)}};
    metrics_family(out, "luna_db_connections", "gauge", "Connections to Postgres, by state.");
    for (size_t r = 0; r < n; r++) {
        for (size_t i = 0; i < ARRAY_LEN(states); i++) {
            uint64_t value;
            memcpy(&value, (const char *)&stats[r] + states[i].offset, sizeof(value));
            buf_printf(out, "luna_db_connections{reactor=\"%zu\",state=\"%s\"} %" PRIu64 "\n", r,
                       states[i].state, value);
        }
    }
}

/* One family over all statements, each summed over the reactors. */
static void
render_statements(struct buf *out, const struct metrics_sources *src, const char *name,
                  const char *help, size_t offset, double scale)
{
    metrics_family(out, name, "counter", help);
    const struct db_stmt *stmt;
    for (size_t id = 0; (stmt = db_stmt_by_id(src->db, id)); id++) {
        uint64_t sum = 0;
        for (size_t r = 0; r < src->reactor_count; r++) {
            struct db_stmt_stats s;
            uint64_t value;
            db_stmt_stats_read(src->reactors[r], stmt, &s);
            memcpy(&value, (const char *)&s + offset, sizeof(value));
            sum += value;
        }
        if (sum == 0) /* a statement appears with its first call */
            continue;
        buf_printf(out, "%s{statement=\"%s\"} %.15g\n", name, stmt->name, (double)sum * scale);
    }
}

void
metrics_render_db(struct buf *out, const struct metrics_sources *src)
{
    struct db_stats *stats = calloc(src->reactor_count, sizeof(*stats));
    ASSERT(stats || src->reactor_count == 0);
    for (size_t r = 0; r < src->reactor_count; r++)
        db_stats_read(src->reactors[r], &stats[r]);
    render_db_connections(out, stats, src->reactor_count);
    metrics_render_rows(out, db_rows, ARRAY_LEN(db_rows), stats, sizeof(*stats),
                        src->reactor_count);
    free(stats);
    render_statements(out, src, "luna_db_statement_calls_total", "Calls of a named statement.",
                      offsetof(struct db_stmt_stats, calls), 1.0);
    render_statements(out, src, "luna_db_statement_failures_total", "Those that failed.",
                      offsetof(struct db_stmt_stats, failures), 1.0);
    render_statements(out, src, "luna_db_statement_rows_total", "Rows they returned or changed.",
                      offsetof(struct db_stmt_stats, rows), 1.0);
    render_statements(out, src, "luna_db_statement_seconds_total",
                      "Time from the call of a statement to its answer.",
                      offsetof(struct db_stmt_stats, total_ns), 1e-9);
}

#define REDIS(member) offsetof(struct redis_numbers, member)

static const struct metrics_row redis_rows[] = {
    {"luna_redis_ready", "gauge", "1: connected.", REDIS(ready)},
    {"luna_redis_in_flight", "gauge", "Commands sent and not answered.", REDIS(in_flight)},
    {"luna_redis_commands_total", "counter", "Commands sent.", REDIS(commands)},
    {"luna_redis_replies_total", "counter", "Replies received.", REDIS(replies)},
    {"luna_redis_error_replies_total", "counter", "Replies that were errors.",
     REDIS(error_replies)},
    {"luna_redis_writes_total", "counter", "Writes to the socket; commands of a turn share one.",
     REDIS(writes)},
    {"luna_redis_bytes_out_total", "counter", "Bytes sent.", REDIS(bytes_out)},
    {"luna_redis_bytes_in_total", "counter", "Bytes received.", REDIS(bytes_in)},
    {"luna_redis_connects_total", "counter", "Handshakes completed.", REDIS(connects)},
    {"luna_redis_connect_failures_total", "counter", "Attempts to connect that failed.",
     REDIS(connect_failures)},
    {"luna_redis_disconnects_total", "counter", "Connections that broke while ready.",
     REDIS(disconnects)},
    {"luna_redis_timeouts_total", "counter", "Answers that did not come in time.", REDIS(timeouts)},
    {"luna_redis_refused_total", "counter", "Commands refused at once: Redis was away.",
     REDIS(refused)},
    {"luna_redis_detached_total", "counter", "Callers that left before their answer.",
     REDIS(detached)},
    {"luna_redis_script_reloads_total", "counter", "Scripts sent again after NOSCRIPT.",
     REDIS(script_reloads)},
    {"luna_redis_messages_total", "counter", "Messages of subscriptions.", REDIS(messages)},
};

void
metrics_render_redis(struct buf *out, const struct metrics_sources *src)
{
    struct redis_numbers *numbers = calloc(src->reactor_count, sizeof(*numbers));
    ASSERT(numbers || src->reactor_count == 0);
    for (size_t r = 0; r < src->reactor_count; r++)
        if (src->redis[r])
            redis_numbers(src->redis[r], &numbers[r]);
    metrics_render_rows(out, redis_rows, ARRAY_LEN(redis_rows), numbers, sizeof(*numbers),
                        src->reactor_count);
    free(numbers);
}
