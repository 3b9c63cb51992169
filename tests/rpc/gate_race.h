/* Two servers on one database and one Redis, that race for the quota of one account. */
#ifndef LUNA_TESTS_RPC_GATE_RACE_H
#define LUNA_TESTS_RPC_GATE_RACE_H

#include <atomic>
#include <thread>

#include "gate_support.h"
#include "support/stores.h"

struct Tally {
    std::atomic<int64_t> yes{0};
    std::atomic<int64_t> no{0};
    std::atomic<int64_t> failed{0};

    /* What a call of Check came to. */
    void note(const Outcome &o)
    {
        int a = admitted(o);
        (a == 1 ? yes : a == 0 ? no : failed)++;
    }
};

/* Two servers on one database and one Redis, an account, channels to both. */
class race : public testing::Test
{
  protected:
    void open(const std::string &name, redis_server *r, luna_server::settings extra = {},
              size_t channels = 16)
    {
        database = name;
        extra.insert({"LUNA_QUOTA_FLUSH_INTERVAL", "50ms"});
        extra.insert({"LOG_LEVEL", "WARNING"});
        one = std::make_unique<luna_server>(pg(), *r, name, extra);
        key = one->create_account("racer");
        two = std::make_unique<luna_server>(*one, luna_server::settings{});
        one->start();
        two->start();
        for (size_t i = 0; i < channels; i++)
            lines.push_back(std::make_unique<Channel>((i % 2 ? *two : *one).target()));
    }

    void TearDown() override
    {
        lines.clear();
    }

    /* Each channel asks `times` times for `cost`, all at once. */
    void storm(int times, int64_t cost, Tally &t, const std::function<void()> &meanwhile = {})
    {
        std::vector<std::thread> threads;
        std::string request = check_request(cost);
        for (auto &line : lines) {
            threads.emplace_back([&, line = line.get()] {
                for (int i = 0; i < times; i++) {
                    t.note(unary(*line, kCheck, request, bearer(key), 20000));
                }
            });
        }
        if (meanwhile)
            meanwhile();
        for (std::thread &th : threads)
            th.join();
    }

    int64_t number(const std::string &text)
    {
        return std::stoll("0" + pg().value(database, text));
    }

    int64_t used()
    {
        return number("SELECT quota_used FROM account WHERE account_id = 1");
    }

    void set_limit(int64_t limit)
    {
        pg().exec(database, "UPDATE account SET quota_limit = " + std::to_string(limit));
    }

    /* Everything that was granted has come back or arrived. */
    bool quiet()
    {
        return number("SELECT count(*) FROM quota_epoch WHERE granted <> settled OR lost") == 0;
    }

    std::string log()
    {
        return one->log() + two->log() +
               pg().value(database, "SELECT json_agg(e)::text FROM quota_epoch e");
    }

    std::string database;
    std::string key;
    std::unique_ptr<luna_server> one;
    std::unique_ptr<luna_server> two;
    std::vector<std::unique_ptr<Channel>> lines;
};

#endif
