/* Durable filters, seen from outside: the whole server on a real PostgreSQL and Redis. */
#include <atomic>
#include <thread>

#include "kalman_support.h"
#include "support/stores.h"

namespace
{

/* One server for the tests that do not break it. */
struct Shared {
    luna_server server{pg(), redis(), "kalman"};
    std::string key = server.create_account("owner"), other = server.create_account("other");
    Shared()
    {
        server.start();
    }
};

Shared &
shared()
{
    static Shared s;
    return s;
}

std::string
filter_request(const char *id)
{
    Luna__V1__GetFilterRequest r = LUNA__V1__GET_FILTER_REQUEST__INIT;
    r.filter_id = const_cast<char *>(id); /* Reset, Delete and Watch have the same fields */
    return pack(&r.base);
}

/* Appends in pieces, now and then with an empty cache. */
void
append_all(Kalman &k, const std::string &id, const std::vector<Observation> &history,
           std::mt19937_64 &rnd)
{
    for (size_t i = 0; i < history.size();) {
        size_t n = std::min<size_t>(rnd() % 3 ? 1 : 1 + rnd() % 5, history.size() - i);
        auto from = history.begin() + static_cast<long>(i);
        Outcome o = k.append(id, {from, from + static_cast<long>(n)});
        ASSERT_EQ(o.code, 0) << o.message;
        i += n;
        if (rnd() % 24 == 0)
            flush_redis(redis());
    }
}

} // namespace

TEST(DurableFilter, HundredsOfHistoriesInAnyOrderGiveTheBytesOfFilter)
{
    Kalman k(shared().server.target(), shared().key);
    for (unsigned seed = 0; seed < 300 && !::testing::Test::HasFailure(); seed++) {
        SCOPED_TRACE(seed);
        std::mt19937_64 rnd(seed);
        TestModel m(static_cast<TestModel::Kind>(seed % 4));
        std::string id = "history-" + std::to_string(seed);
        auto history = random_history(rnd, 2 + rnd() % 14, m.series());
        ASSERT_EQ(k.create(id, m).code, 0);
        append_all(k, id, history, rnd);
        auto f = k.get(id);
        ASSERT_TRUE(f);
        EXPECT_EQ(f->filter->observation_count, static_cast<int64_t>(history.size()));
        EXPECT_EQ(bytes_of(f->filter->estimate), k.batch(m, history));
    }
}

TEST(DurableFilter, LongLogsHaveCheckpoints)
{
    Kalman k(shared().server.target(), shared().key);
    std::mt19937_64 rnd(5);
    TestModel m(TestModel::SEASONAL);
    auto history = random_history(rnd, 2600, 1);
    std::sort(history.begin(), history.end());
    std::vector<Observation> late(history.begin() + 700, history.begin() + 703);
    std::vector<Observation> rest = history;
    rest.erase(rest.begin() + 700, rest.begin() + 703);
    ASSERT_EQ(k.create("long", m).code, 0);
    for (size_t i = 0; i < rest.size(); i += 100) {
        auto from = rest.begin() + static_cast<long>(i);
        size_t n = std::min<size_t>(100, rest.size() - i);
        ASSERT_EQ(k.append("long", {from, from + static_cast<long>(n)}).code, 0);
    }
    for (const Observation &o : late)
        ASSERT_EQ(k.append("long", {o}).code, 0);
    EXPECT_EQ(bytes_of(k.get("long")->filter->estimate), k.batch(m, history));
    flush_redis(redis());
    EXPECT_EQ(bytes_of(k.get("long")->filter->estimate), k.batch(m, history));
    /* Several of them, and none is of the log without the late ones. */
    EXPECT_EQ(pg().value("kalman", "SELECT count(*) FROM kalman_checkpoint c JOIN kalman_filter f "
                                   "USING (filter_key) WHERE f.filter_id = 'long'"),
              "5");
}

TEST(DurableFilter, NumbersOfSequenceAreUsedOnce)
{
    Kalman k(shared().server.target(), shared().key);
    TestModel m(TestModel::LEVEL);
    ASSERT_EQ(k.create("sequence", m).code, 0);
    std::vector<Observation> three = {{5, 1, {10}}, {6, 2, {NAN}}, {7, 3, {12}}};
    ASSERT_EQ(k.append("sequence", three).code, 0);
    /* The same again changes nothing. */
    Outcome o = k.append("sequence", three);
    ASSERT_EQ(o.code, 0) << o.message;
    auto r = unpack<Luna__V1__AppendResponse>(o.body, luna__v1__append_response__descriptor);
    EXPECT_EQ(r->position, 3);
    EXPECT_EQ(r->duplicates, 3);
    EXPECT_EQ(bytes_of(r->estimate), bytes_of(k.get("sequence")->filter->estimate));
    /* Another observation under a used number: nothing is stored, not even the new one. */
    o = k.append("sequence", {{8, 4, {13}}, {6, 2, {11}}});
    EXPECT_EQ(o.code, 3);
    EXPECT_EQ(why(o), "BAD_FIELD observations[1].sequence");
    o = k.append("sequence", {{6, 2.5, {NAN}}});
    EXPECT_EQ(why(o), "BAD_FIELD observations[0].sequence");
    o = k.append("sequence", {{9, 4, {13}}, {9, 5, {13}}});
    EXPECT_EQ(why(o), "BAD_FIELD observations[1].sequence");
    EXPECT_EQ(k.get("sequence")->filter->observation_count, 3);
    /* Without a number: the next one. */
    ASSERT_EQ(k.append("sequence", {{0, 4, {13}}, {0, 5, {14}}}).code, 0);
    EXPECT_EQ(k.append("sequence", {{8, 4, {13}}, {9, 5, {14}}}).code, 0);
    EXPECT_EQ(k.get("sequence")->filter->observation_count, 5);
}

TEST(DurableFilter, BadInputStoresNothing)
{
    Kalman k(shared().server.target(), shared().key);
    TestModel m(TestModel::PAIR), unknown(TestModel::LEVEL), times(TestModel::MOTION);
    EXPECT_EQ(why(k.create("no space", m)), "BAD_FIELD filter_id");
    EXPECT_EQ(why(k.create("-first", m)), "BAD_FIELD filter_id");
    EXPECT_EQ(why(k.create(std::string(64, 'a'), m)), "BAD_FIELD filter_id");
    unknown.structural.level_variance = nullptr;
    EXPECT_EQ(why(k.create("bad", unknown)), "BAD_FIELD model.level_variance");
    double one = 1;
    times.motion.times = &one;
    times.motion.n_times = 1;
    EXPECT_EQ(why(k.create("bad", times)), "BAD_FIELD model.motion.times");
    m.free.n_t = 8;
    double twice[8] = {1, 0, 0, 1, 1, 0, 0, 1};
    m.free.t = twice;
    EXPECT_EQ(why(k.create("bad", m)), "BAD_FIELD model.free.t");
    m.free.n_t = 4;
    m.free.q[1] = 9;
    EXPECT_EQ(why(k.create("bad", m)), "BAD_FIELD model.free.q");
    m.free.q[1] = 0.5;
    EXPECT_EQ(k.get_raw("bad").code, 5);
    ASSERT_EQ(k.create("good", m).code, 0);
    EXPECT_EQ(why(k.create("good", m)), "ALREADY_EXISTS_ERROR");
    EXPECT_EQ(why(k.append("good", {})), "BAD_FIELD observations");
    EXPECT_EQ(why(k.append("good", {{1, 0, {1, 2}}, {2, 1, {1}}})),
              "BAD_FIELD observations[1].values");
    EXPECT_EQ(why(k.append("good", {{1, 0, {1, INFINITY}}})),
              "BAD_FIELD observations[0].values[1]");
    EXPECT_EQ(why(k.append("good", {{1, NAN, {1, 2}}})), "BAD_FIELD observations[0].time");
    EXPECT_EQ(why(k.append("good", {{-1, 0, {1, 2}}})), "BAD_FIELD observations[0].sequence");
    EXPECT_EQ(why(k.append("good", std::vector<Observation>(10001, {0, 1, {1, 2}}))),
              "BAD_FIELD observations");
    EXPECT_EQ(why(k.append("", {{1, 0, {1, 2}}})), "BAD_FIELD filter_id");
    EXPECT_EQ(why(k.append("nobody", {{1, 0, {1, 2}}})), "FILTER_NOT_FOUND");
    EXPECT_EQ(k.get("good")->filter->observation_count, 0);
    /* A state beyond doubles. */
    TestModel far(TestModel::MOTION);
    ASSERT_EQ(k.create("far", far).code, 0);
    EXPECT_EQ(why(k.append("far", {{1, -1e300, {1}}, {2, 1e300, {2}}, {3, 1.1e300, {2}}})),
              "NO_RESULT");
    EXPECT_EQ(k.get("far")->filter->observation_count, 0);
}

TEST(DurableFilter, OfAnotherAccountIsNotFound)
{
    Kalman mine(shared().server.target(), shared().key);
    Kalman other(shared().server.target(), shared().other);
    TestModel m(TestModel::LEVEL);
    ASSERT_EQ(mine.create("private", m).code, 0);
    ASSERT_EQ(mine.append("private", {{1, 1, {1}}}).code, 0);
    EXPECT_EQ(why(other.get_raw("private")), "FILTER_NOT_FOUND");
    EXPECT_EQ(why(other.append("private", {{2, 2, {2}}})), "FILTER_NOT_FOUND");
    for (const char *method : {"ResetFilter", "DeleteFilter"})
        EXPECT_EQ(why(unary(other.ch, Kalman::path(method), filter_request("private"), other.md)),
                  "FILTER_NOT_FOUND");
    Call watch(other.ch, Kalman::path("WatchFilter"), other.md);
    ASSERT_TRUE(watch.send(filter_request("private")));
    watch.half_close();
    EXPECT_FALSE(watch.recv().has_value());
    EXPECT_EQ(why(watch.finish()), "FILTER_NOT_FOUND");
    /* Under the account's number as well, and both may use the name. */
    Luna__V1__GetFilterRequest r = LUNA__V1__GET_FILTER_REQUEST__INIT;
    char id[] = "private";
    r.filter_id = id;
    r.account_id = mine.get("private")->filter->account_id;
    EXPECT_EQ(why(other.call("GetFilter", &r.base)), "ACCOUNT_NOT_FOUND");
    ASSERT_EQ(other.create("private", m).code, 0);
    EXPECT_EQ(other.get("private")->filter->observation_count, 0);
    EXPECT_EQ(mine.get("private")->filter->observation_count, 1);
}

TEST(DurableFilter, IsListedResetAndDeleted)
{
    luna_server server(shared().server, {});
    server.start();
    std::string key = server.create_account("lister");
    Kalman k(server.target(), key);
    TestModel m(TestModel::LEVEL);
    for (int i = 0; i < 5; i++)
        ASSERT_EQ(k.create("f" + std::to_string(i), m).code, 0);
    ASSERT_EQ(k.append("f3", {{1, 1, {5}}}).code, 0);
    std::string names, token;
    int pages = 0;
    do {
        Luna__V1__ListFiltersRequest r = LUNA__V1__LIST_FILTERS_REQUEST__INIT;
        r.page_size = 2;
        r.page_token = token.data();
        Outcome o = k.call("ListFilters", &r.base);
        ASSERT_EQ(o.code, 0) << o.message;
        auto list = unpack<Luna__V1__ListFiltersResponse>(
            o.body, luna__v1__list_filters_response__descriptor);
        for (size_t i = 0; i < list->n_filters; i++)
            names += list->filters[i]->filter_id +
                     std::to_string(list->filters[i]->observation_count) + " ";
        token = list->next_page_token;
        pages++;
    } while (!token.empty());
    EXPECT_EQ(names, "f00 f10 f20 f31 f40 ");
    EXPECT_EQ(pages, 3);
    Outcome o = unary(k.ch, Kalman::path("ResetFilter"), filter_request("f3"), k.md);
    ASSERT_EQ(o.code, 0) << o.message;
    EXPECT_EQ(k.get("f3")->filter->observation_count, 0);
    EXPECT_EQ(k.get("f3")->filter->estimate->n_states, 0u);
    /* Its numbers are free again. */
    ASSERT_EQ(k.append("f3", {{1, 7, {6}}}).code, 0);
    EXPECT_EQ(bytes_of(k.get("f3")->filter->estimate), k.batch(m, {{1, 7, {6}}}));
    ASSERT_EQ(unary(k.ch, Kalman::path("DeleteFilter"), filter_request("f3"), k.md).code, 0);
    EXPECT_EQ(why(k.get_raw("f3")), "FILTER_NOT_FOUND");
    EXPECT_EQ(why(k.append("f3", {{2, 8, {6}}})), "FILTER_NOT_FOUND");
    /* A new one of the same name begins anew. */
    ASSERT_EQ(k.create("f3", m).code, 0);
    EXPECT_EQ(k.get("f3")->filter->observation_count, 0);
}

TEST(DurableFilter, StreamsAcknowledgeWhatIsCommitted)
{
    Kalman k(shared().server.target(), shared().key);
    TestModel m(TestModel::LEVEL);
    std::mt19937_64 rnd(9);
    auto history = random_history(rnd, 40, 1);
    ASSERT_EQ(k.create("stream", m).code, 0);
    Call bidi(k.ch, Kalman::path("AppendStream"), k.md);
    char id[] = "stream", empty[] = "";
    for (size_t i = 0; i < 30; i++) {
        Luna__V1__AppendStreamRequest r = LUNA__V1__APPEND_STREAM_REQUEST__INIT;
        Observations o({history[i]});
        r.filter_id = i ? empty : id;
        r.observations = o.data();
        r.n_observations = o.size();
        ASSERT_TRUE(bidi.send(pack(&r.base)));
        auto bytes = bidi.recv();
        ASSERT_TRUE(bytes.has_value());
        auto a = unpack<Luna__V1__AppendStreamResponse>(
            *bytes, luna__v1__append_stream_response__descriptor);
        EXPECT_EQ(a->acknowledged_sequence, history[i].sequence);
        EXPECT_EQ(a->position, static_cast<int64_t>(i + 1));
        EXPECT_EQ(bytes_of(a->estimate),
                  k.batch(m, {history.begin(), history.begin() + static_cast<long>(i) + 1}));
    }
    /* A message that fails ends it, those before stay. */
    Luna__V1__AppendStreamRequest bad = LUNA__V1__APPEND_STREAM_REQUEST__INIT;
    Observations reused({{history[0].sequence, 1e6, {1}}});
    bad.filter_id = empty;
    bad.observations = reused.data();
    bad.n_observations = 1;
    ASSERT_TRUE(bidi.send(pack(&bad.base)));
    EXPECT_FALSE(bidi.recv().has_value());
    EXPECT_EQ(why(bidi.finish()), "BAD_FIELD observations[0].sequence");
    EXPECT_EQ(k.get("stream")->filter->observation_count, 30);
    Call up(k.ch, Kalman::path("AppendAll"), k.md);
    for (size_t i = 25; i < 40; i += 5) {
        Luna__V1__AppendAllRequest r = LUNA__V1__APPEND_ALL_REQUEST__INIT;
        auto from = history.begin() + static_cast<long>(i);
        Observations o({from, from + 5});
        r.filter_id = id;
        r.observations = o.data();
        r.n_observations = o.size();
        ASSERT_TRUE(up.send(pack(&r.base)));
    }
    up.half_close();
    auto bytes = up.recv();
    ASSERT_TRUE(bytes.has_value()) << up.finish().message;
    auto all =
        unpack<Luna__V1__AppendAllResponse>(*bytes, luna__v1__append_all_response__descriptor);
    EXPECT_EQ(all->appended, 10);
    EXPECT_EQ(all->duplicates, 5);
    EXPECT_EQ(all->messages, 3);
    EXPECT_EQ(bytes_of(all->estimate), k.batch(m, history));
}

TEST(DurableFilter, IsWatched)
{
    Kalman k(shared().server.target(), shared().key);
    TestModel m(TestModel::LEVEL);
    ASSERT_EQ(k.create("watched", m).code, 0);
    Call watch(k.ch, Kalman::path("WatchFilter"), k.md, 60000);
    ASSERT_TRUE(watch.send(filter_request("watched")));
    watch.half_close();
    auto next = [&] {
        auto bytes = watch.recv();
        EXPECT_TRUE(bytes.has_value());
        auto w = unpack<Luna__V1__WatchFilterResponse>(bytes.value_or(""),
                                                       luna__v1__watch_filter_response__descriptor);
        return w->estimate->position;
    };
    EXPECT_EQ(next(), 0);
    for (int i = 1; i <= 5; i++) {
        ASSERT_EQ(k.append("watched", {{i, 1.0 * i, {100}}}).code, 0);
        EXPECT_EQ(next(), i);
    }
    ASSERT_EQ(unary(k.ch, Kalman::path("ResetFilter"), filter_request("watched"), k.md).code, 0);
    EXPECT_EQ(next(), 0);
    ASSERT_EQ(unary(k.ch, Kalman::path("DeleteFilter"), filter_request("watched"), k.md).code, 0);
    EXPECT_FALSE(watch.recv().has_value());
    EXPECT_EQ(why(watch.finish()), "FILTER_NOT_FOUND");
}

TEST(FilterStream, GivesTheBytesOfFilter)
{
    Kalman k(shared().server.target(), shared().key);
    for (auto kind : {TestModel::LEVEL, TestModel::SEASONAL, TestModel::MOTION, TestModel::PAIR}) {
        TestModel m(kind);
        std::mt19937_64 rnd(kind);
        auto history = random_history(rnd, 30, m.series());
        std::sort(history.begin(), history.end());
        Call s(k.ch, Kalman::path("FilterStream"), k.md);
        for (size_t i = 0; i < history.size(); i++) {
            Luna__V1__FilterStreamRequest r = LUNA__V1__FILTER_STREAM_REQUEST__INIT;
            r.model = i ? nullptr : &m.model;
            r.values = history[i].values.data();
            r.n_values = history[i].values.size();
            r.time = history[i].time;
            ASSERT_TRUE(s.send(pack(&r.base)));
            auto bytes = s.recv();
            ASSERT_TRUE(bytes.has_value()) << s.finish().message;
            auto e = unpack<Luna__V1__FilterStreamResponse>(
                *bytes, luna__v1__filter_stream_response__descriptor);
            auto so_far = std::vector<Observation>(history.begin(),
                                                   history.begin() + static_cast<long>(i) + 1);
            EXPECT_EQ(bytes_of(e->estimate), k.batch(m, so_far));
        }
        s.half_close();
        EXPECT_FALSE(s.recv().has_value());
        EXPECT_EQ(s.finish().code, 0);
    }
}

TEST(FilterStream, NamesWhatIsWrong)
{
    Kalman k(shared().server.target(), shared().key);
    TestModel m(TestModel::MOTION), pair(TestModel::PAIR);
    auto ask = [&](std::vector<Luna__V1__FilterStreamRequest> list) {
        Call s(k.ch, Kalman::path("FilterStream"), k.md);
        for (auto &r : list)
            s.send(pack(&r.base));
        s.half_close();
        while (s.recv().has_value()) {
        }
        return why(s.finish());
    };
    double x[2] = {1, 2}, infinite = INFINITY;
    Luna__V1__FilterStreamRequest r = LUNA__V1__FILTER_STREAM_REQUEST__INIT, next = r;
    next.values = r.values = x;
    next.n_values = r.n_values = 1;
    EXPECT_EQ(ask({r}), "BAD_FIELD model");
    r.model = &m.model;
    EXPECT_EQ(ask({r, r}), "BAD_FIELD model");
    next.time = -1;
    EXPECT_EQ(ask({r, next}), "BAD_FIELD time");
    next.n_values = 2;
    EXPECT_EQ(ask({r, next}), "BAD_FIELD values");
    next.values = &infinite;
    next.n_values = 1;
    EXPECT_EQ(ask({r, next}), "BAD_FIELD values[0]");
}
