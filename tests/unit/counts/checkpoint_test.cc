/* Checkpoints are filled beside writers: what none of them may miss. */
#include "support/counts_domain.h"

extern "C" {
#include "counts/counts_private.h"
}

namespace
{

/* A writer or announcer of its own, on a connection of its own. */
class session
{
  public:
    explicit session(const std::string &database) : c(PQconnectdb(pg().url(database).c_str()))
    {
        exec("SET luna.account = '1'");
    }
    ~session()
    {
        PQfinish(c);
    }
    session(const session &) = delete;
    session &operator=(const session &) = delete;

    void exec(const std::string &sql)
    {
        PGresult *res = PQexec(c, sql.c_str());
        EXPECT_TRUE(PQresultStatus(res) == PGRES_TUPLES_OK ||
                    PQresultStatus(res) == PGRES_COMMAND_OK)
            << PQerrorMessage(c) << sql;
        PQclear(res);
    }

  private:
    PGconn *c;
};

/* The writer begins after the announcer and looks before the announcement is there, so its
 * transaction has a later id than the announcer's and has not seen it: it is waited for. */
TEST_F(counts, a_writer_that_is_younger_than_the_announcer_is_waited_for)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        session announcer(database);
        session writer(database);
        announcer.exec("BEGIN; INSERT INTO counts_checkpoint (account_id, dpu_id, upto) "
                       "VALUES (1, 283, '2026-03-01T13:00:00Z')");
        writer.exec("BEGIN; SELECT luna_counts_take(1, '{1}', '{283}', '{2026-03-01T12:00:00Z}', "
                    "'{1}', '{late}')");
        announcer.exec("COMMIT");
        ctx->deadline = clock_now() + MSEC(300);
        EXPECT_EQ(counts_wait_for_others(ctx), DEADLINE_EXCEEDED);
        fail_clear(ctx);
        ctx->deadline = clock_now() + SEC(20);
        writer.exec("COMMIT");
        EXPECT_EQ(counts_wait_for_others(ctx), OK) << ctx->error.message;
        session filler(database);
        filler.exec("SELECT luna_counts_fill(1, '{283}', '{2026-03-01T13:00:00Z}')");
        EXPECT_EQ(current(ctx, a), 1);
    });
}

} // namespace
