/*
 * Random histories against a brute-force oracle, on the statements that the service uses: readings
 * late, shuffled, repeated and cut into batches at will, DPUs moved and assignments corrected
 * afterwards, checkpoints announced and filled in between. A hundred histories share a database at
 * a time, so that their readings share transactions. LUNA_ORACLE_HISTORIES says how many: 10 000
 * without.
 */
#include "support/pg_db_test.h"

#include <map>
#include <random>
#include <sstream>

extern "C" {
#include "counts/counts.h"
}

namespace
{

constexpr int kTogether = 500; /* histories in one database at a time */

struct reading {
    int dpu;
    int at;  /* seconds behind the origin */
    int dir; /* 1 or -1 */
    std::string event;
};

struct assignment {
    int id;
    int dpu;
    int door;
    int from; /* inclusive */
    int to;   /* exclusive */
};

/* One floor plan: door 0 leads from outside into A, door 1 from B into A. */
struct history {
    int a, b;      /* spaces */
    int doors[2];  /* their ids */
    int first_dpu; /* and the next one */
    std::vector<assignment> assignments;
    std::vector<reading> readings; /* the set that counts */
};

class session
{
  public:
    explicit session(const std::string &url) : c_(PQconnectdb(url.c_str()))
    {
    }
    ~session()
    {
        PQfinish(c_);
    }

    std::vector<std::vector<std::string>> rows(const std::string &sql)
    {
        PGresult *res = PQexec(c_, sql.c_str());
        std::vector<std::vector<std::string>> out;
        EXPECT_TRUE(PQresultStatus(res) == PGRES_TUPLES_OK ||
                    PQresultStatus(res) == PGRES_COMMAND_OK)
            << PQerrorMessage(c_) << sql.substr(0, 300);
        for (int i = 0; i < PQntuples(res); i++) {
            out.emplace_back();
            for (int k = 0; k < PQnfields(res); k++)
                out.back().push_back(PQgetvalue(res, i, k));
        }
        PQclear(res);
        return out;
    }

    long number(const std::string &sql)
    {
        return std::stol(rows(sql).at(0).at(0));
    }

  private:
    PGconn *c_;
};

template <typename T, typename F>
std::string
array(const std::vector<T> &v, F text)
{
    std::string out = "{";
    for (size_t i = 0; i < v.size(); i++)
        out += (i ? "," : "") + text(v[i]);
    return "'" + out + "}'";
}

std::string
time_text(int s)
{
    char text[40];
    snprintf(text, sizeof(text), "2026-03-01T%02d:%02d:%02dZ", s / 3600, s / 60 % 60, s % 60);
    return text;
}

class oracle : public testing::Test
{
  protected:
    void SetUp() override
    {
        static int n;
        database_ = migrated_database(pg(), "oracle" + std::to_string(n++));
        owner_ = std::make_unique<session>(pg().url(database_));
        owner_->rows("INSERT INTO account (account_name) VALUES ('one')");
        app_ = std::make_unique<session>(pg().url(database_, "luna_app"));
        app_->rows(
            "SET luna.account = '1'; SET luna.role = 'member'; SET synchronous_commit = off");
    }

    int pick(int n)
    {
        return static_cast<int>(random_() % static_cast<unsigned>(n));
    }

    void make_plans(int n)
    {
        histories_.assign(static_cast<size_t>(n), {});
        const long space = app_->number(
            "WITH s AS (INSERT INTO counts_space (account_id, name) SELECT 1, 'x' FROM "
            "generate_series(1, " +
            std::to_string(2 * n) +
            ") RETURNING space_id), w AS (INSERT INTO counts_within SELECT 1, space_id, space_id "
            "FROM s) SELECT min(space_id) FROM s");
        const long door = app_->number(
            "WITH d AS (INSERT INTO counts_doorway (account_id, name, ingress_space_id, "
            "egress_space_id) SELECT 1, 'd', " +
            std::to_string(space) + " + 2 * (g / 2), CASE WHEN g % 2 = 1 THEN " +
            std::to_string(space) + " + 2 * (g / 2) + 1 END FROM generate_series(0, " +
            std::to_string(2 * n - 1) + ") g RETURNING doorway_id) SELECT min(doorway_id) FROM d");
        for (int i = 0; i < n; i++) {
            history &h = histories_[static_cast<size_t>(i)];
            h.a = static_cast<int>(space) + 2 * i;
            h.b = h.a + 1;
            h.doors[0] = static_cast<int>(door) + 2 * i;
            h.doors[1] = h.doors[0] + 1;
            h.first_dpu = next_dpu_;
            next_dpu_ += 2;
        }
        app_->rows("INSERT INTO counts_dpu (account_id, dpu_id) SELECT 1, generate_series(" +
                   std::to_string(histories_.front().first_dpu) + ", " +
                   std::to_string(next_dpu_ - 1) + ")");
    }

    /* One DPU hangs over some doors, one after another, with gaps. */
    void assign_at_random(history &h, int dpu)
    {
        int t = pick(3) == 0 ? 0 : pick(20);
        while (t < 60 && pick(5) != 0) {
            const int to = t + 1 + pick(40);
            h.assignments.push_back({next_assignment_++, dpu, h.doors[pick(2)], t, to});
            t = to + (pick(2) ? 0 : pick(10));
        }
    }

    void put_assignments(const std::vector<assignment> &all)
    {
        if (all.empty())
            return;
        std::string sql = "INSERT INTO counts_assignment (account_id, assignment_id, dpu_id, "
                          "doorway_id, starts_at, ends_at) VALUES ";
        for (size_t i = 0; i < all.size(); i++)
            sql += (i ? ",(1," : "(1,") + std::to_string(all[i].id) + "," +
                   std::to_string(all[i].dpu) + "," + std::to_string(all[i].door) + ",'" +
                   time_text(all[i].from) + "','" + time_text(all[i].to) + "')";
        app_->rows(sql);
    }

    /* Corrects some assignments: shortens, takes back, or hangs them over the other door. */
    void correct_some()
    {
        std::string gone;
        std::vector<assignment> anew;
        for (history &h : histories_) {
            if (h.assignments.empty() || pick(3) != 0)
                continue;
            const size_t i = static_cast<size_t>(pick(static_cast<int>(h.assignments.size())));
            assignment &a = h.assignments[i];
            gone += (gone.empty() ? "" : ",") + std::to_string(a.id);
            switch (pick(3)) {
            case 0:
                h.assignments.erase(h.assignments.begin() + static_cast<long>(i));
                continue;
            case 1:
                a.door = a.door == h.doors[0] ? h.doors[1] : h.doors[0];
                break;
            default:
                a.to = a.from + 1 + pick(a.to - a.from);
                break;
            }
            a.id = next_assignment_++;
            anew.push_back(a);
        }
        if (!gone.empty())
            app_->rows("UPDATE counts_assignment SET superseded_at = clock_timestamp() WHERE "
                       "account_id = 1 AND assignment_id IN (" +
                       gone + ")");
        put_assignments(anew);
    }

    /* Sends readings in one call; tells what was refused. */
    size_t ingest(const std::vector<reading> &all, int dedupe)
    {
        auto number = [](int n) { return std::to_string(n); };
        auto rows = app_->rows(
            "SELECT ord, outcome FROM luna_counts_ingest(1, " +
            array(all, [&](const reading &) { return number(dedupe); }) + ", " +
            array(all, [&](const reading &r) { return number(r.dpu); }) + ", " +
            array(all, [&](const reading &r) { return "\"" + time_text(r.at) + "\""; }) + ", " +
            array(all, [&](const reading &r) { return number(r.dir); }) + ", " +
            array(all, [&](const reading &r) { return r.event.empty() ? "NULL" : r.event; }) + ")");
        return rows.size();
    }

    void announce()
    {
        std::string dpus;
        std::string since;
        for (const history &h : histories_)
            for (int d = 0; d < 2; d++) {
                dpus += (dpus.empty() ? "" : ",") + std::to_string(h.first_dpu + d);
                since += (since.empty() ? "\"" : ",\"") + time_text(pick(60)) + "\"";
            }
        announced_ =
            app_->rows("SELECT dpu_id, upto FROM luna_counts_announce(1, '{" + dpus + "}', '{" +
                       since + "}', " + std::to_string(3 + pick(4)) + ") ORDER BY 1, 2");
    }

    void fill()
    {
        if (announced_.empty())
            return;
        app_->rows("SELECT luna_counts_fill(1, " +
                   array(announced_, [](const auto &r) { return r[0]; }) + ", " +
                   array(announced_, [](const auto &r) { return "\"" + r[1] + "\""; }) + ")");
        announced_.clear();
    }

    /* What brute force says. */
    static long expected(const history &h, int space, int t)
    {
        long n = 0;
        for (const reading &r : h.readings)
            for (const assignment &a : h.assignments)
                if (a.dpu == r.dpu && r.at <= t && a.from <= r.at && r.at < a.to) {
                    const int into = h.a; /* both doors lead into A */
                    const int out_of = a.door == h.doors[1] ? h.b : 0;
                    n += space == into ? r.dir : space == out_of ? -r.dir : 0;
                }
        return n;
    }

    void check()
    {
        std::vector<int> spaces;
        std::vector<int> times;
        std::string want;
        std::string got;
        for (const history &h : histories_)
            for (int space : {h.a, h.b})
                for (int t : {pick(70), 1000}) {
                    spaces.push_back(space);
                    times.push_back(t);
                    want += std::to_string(space) + "@" + std::to_string(t) + "=" +
                            std::to_string(expected(h, space, t)) + "\n";
                }
        auto rows = app_->rows(
            "SELECT c.count FROM unnest(" + array(spaces, [](int s) { return std::to_string(s); }) +
            "::bigint[], " + array(times, [](int t) { return "\"" + time_text(t) + "\""; }) +
            "::timestamptz[]) WITH ORDINALITY q(space, t, ord) CROSS JOIN LATERAL "
            "luna_counts_at(1, q.space, q.t) c ORDER BY q.ord");
        for (size_t i = 0; i < rows.size(); i++)
            got += std::to_string(spaces[i]) + "@" + std::to_string(times[i]) + "=" + rows[i][0] +
                   "\n";
        ASSERT_EQ(got, want);
    }

    /* Derived data rebuilt from the readings is what was kept up to date. */
    void check_rebuilt()
    {
        EXPECT_EQ(app_->number("SELECT count(*) FROM counts_checkpoint c WHERE filled AND (n, net) "
                               "IS DISTINCT FROM (SELECT ROW(count(*), coalesce(sum(sign(tag)), "
                               "0)::bigint) FROM counts_reading r WHERE r.account_id = 1 AND "
                               "r.dpu_id = c.dpu_id AND r.at <= c.upto)"),
                  0);
    }

    void run_round(int n);

    std::string database_;
    std::unique_ptr<session> owner_;
    std::unique_ptr<session> app_;
    std::mt19937 random_{20260301};
    std::vector<history> histories_;
    std::vector<std::vector<std::string>> announced_;
    int next_dpu_ = 1;
    int next_assignment_ = 1000000;
};

void
oracle::run_round(int n)
{
    std::vector<assignment> first;
    std::vector<reading> all;
    make_plans(n);
    for (history &h : histories_) {
        for (int d = 0; d < 2; d++)
            assign_at_random(h, h.first_dpu + d);
        first.insert(first.end(), h.assignments.begin(), h.assignments.end());
        const int count = pick(24);
        for (int i = 0; i < count; i++) {
            reading r = {h.first_dpu + pick(2), pick(70), pick(3) ? 1 : -1, ""};
            /* Each reading has an event id, so that a repeated delivery is known for one. */
            r.event = "e" + std::to_string(i);
            h.readings.push_back(r);
            for (int copies = pick(4) == 0 ? 2 : 1; copies > 0; copies--)
                all.push_back(r);
        }
    }
    put_assignments(first);
    std::shuffle(all.begin(), all.end(), random_);
    size_t refused = 0;
    for (size_t at = 0; at < all.size();) {
        const size_t some = std::min(all.size() - at, static_cast<size_t>(1 + pick(3000)));
        switch (pick(6)) {
        case 0:
            announce();
            break;
        case 1:
            fill();
            break;
        default:
            break;
        }
        refused += ingest(
            {all.begin() + static_cast<long>(at), all.begin() + static_cast<long>(at + some)}, 1);
        at += some;
    }
    size_t wanted = 0;
    for (const history &h : histories_)
        wanted += h.readings.size();
    EXPECT_EQ(all.size() - refused, wanted);
    check();
    correct_some();
    announce();
    check();
    fill();
    check();
}

TEST_F(oracle, random_histories)
{
    const char *given = getenv("LUNA_ORACLE_HISTORIES");
    const int total = given ? std::stoi(given) : 10000;
    for (int done = 0; done < total && !HasFatalFailure(); done += kTogether) {
        SCOPED_TRACE("histories from " + std::to_string(done));
        run_round(std::min(kTogether, total - done));
        if (HasFailure())
            break;
        if (done % 2000 == 0)
            owner_->rows("ANALYZE");
    }
    check_rebuilt();
    /* All of it made anew: the same answers. */
    for (std::vector<std::vector<std::string>> rows = {{"0", "0"}}; !rows.empty();)
        rows = owner_->rows("SELECT account_id, dpu_id FROM luna_counts_rebuild(" + rows.back()[0] +
                            ", " + rows.back()[1] + ", 3)");
    EXPECT_GT(app_->number("SELECT count(*) FROM counts_checkpoint WHERE filled"), 0);
    check_rebuilt();
    check();
}

/* Order, batches and retries do not matter: the answers are the same bytes. */
TEST_F(oracle, modes_of_dedupe)
{
    make_plans(1);
    const history h = histories_[0];
    put_assignments({{next_assignment_++, h.first_dpu, h.doors[0], 0, 100}});
    const reading plain = {h.first_dpu, 5, 1, ""};
    const reading named = {h.first_dpu, 5, 1, "x"};
    auto count = [&] {
        return app_->number("SELECT count FROM luna_counts_at(1, " + std::to_string(h.a) +
                            ", 'infinity')");
    };
    EXPECT_EQ(ingest({plain, plain, plain}, 0), 0u);
    EXPECT_EQ(count(), 3);
    EXPECT_EQ(ingest({plain, {h.first_dpu, 6, 1, ""}, {h.first_dpu, 6, 1, ""}}, 2), 2u);
    EXPECT_EQ(count(), 4);
    EXPECT_EQ(ingest({named, named}, 1), 1u);
    EXPECT_EQ(ingest({named, {h.first_dpu, 5, 1, "y"}, {h.first_dpu, 5, -1, "x"}}, 1), 1u);
    EXPECT_EQ(count(), 5);
    EXPECT_EQ(ingest({plain, {h.first_dpu + 100, 5, 1, ""}}, 0), 1u);
    EXPECT_EQ(count(), 6);
}

} // namespace
