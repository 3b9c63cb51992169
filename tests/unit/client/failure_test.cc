/* How calls fail: status details, retries, cancellation, servers that misbehave. */
#include <atomic>
#include <cstdlib>
#include <thread>

#include "unit/client/fixture.h"

extern "C" {
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
}

namespace
{

using clock_type = std::chrono::steady_clock;

std::string
pack(const ProtobufCMessage *m)
{
    std::string out(protobuf_c_message_get_packed_size(m), '\0');
    protobuf_c_message_pack(m, reinterpret_cast<uint8_t *>(out.data()));
    return out;
}

/* A google.rpc.Status with the given details. */
std::string
details(const std::vector<const ProtobufCMessage *> &messages)
{
    std::vector<std::string> urls, values;
    for (auto *m : messages) {
        urls.push_back(std::string("type.googleapis.com/") + m->descriptor->name);
        values.push_back(pack(m));
    }
    std::vector<Google__Protobuf__Any> any(messages.size());
    std::vector<Google__Protobuf__Any *> pointers;
    for (size_t i = 0; i < any.size(); i++) {
        google__protobuf__any__init(&any[i]);
        any[i].type_url = urls[i].data();
        any[i].value = {values[i].size(), reinterpret_cast<uint8_t *>(values[i].data())};
        pointers.push_back(&any[i]);
    }
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    status.n_details = pointers.size();
    status.details = pointers.data();
    return pack(&status.base);
}

std::string
retry_details(int64_t ms)
{
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    delay.seconds = ms / 1000;
    delay.nanos = static_cast<int32_t>(ms % 1000 * 1000000);
    Google__Rpc__RetryInfo info = GOOGLE__RPC__RETRY_INFO__INIT;
    info.retry_delay = &delay;
    return details({&info.base});
}

/* Fails the first `times` calls with `code` and answers the others. */
struct Flaky {
    Flaky(int times_, int code_, std::string details_ = "")
        : times(times_), code(code_), detail(std::move(details_))
    {
    }
    void operator()(script_call *c)
    {
        if (seen++ < times)
            script_finish(c, code, "not now", detail.empty() ? nullptr : detail.data(),
                          detail.size());
        else
            echo(c);
    }
    std::atomic<int> seen{0};
    int times;
    int code;
    std::string detail;
};

TEST(Failure, DetailsAreUnpacked)
{
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    info.reason = const_cast<char *>("BAD_FIELD");
    info.domain = const_cast<char *>("luna");
    Google__Rpc__BadRequest__FieldViolation v[2];
    Google__Rpc__BadRequest__FieldViolation *vs[2] = {&v[0], &v[1]};
    google__rpc__bad_request__field_violation__init(&v[0]);
    google__rpc__bad_request__field_violation__init(&v[1]);
    v[0].field = const_cast<char *>("results[3]");
    v[0].description = const_cast<char *>("is not finite");
    v[1].field = const_cast<char *>("level_variance");
    v[1].description = const_cast<char *>("is negative");
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    bad.n_field_violations = 2;
    bad.field_violations = vs;
    Google__Rpc__QuotaFailure__Violation q = GOOGLE__RPC__QUOTA_FAILURE__VIOLATION__INIT;
    Google__Rpc__QuotaFailure__Violation *qs[] = {&q};
    q.subject = const_cast<char *>("account:42");
    q.description = const_cast<char *>("500 of 500 units");
    Google__Rpc__QuotaFailure quota = GOOGLE__RPC__QUOTA_FAILURE__INIT;
    quota.n_violations = 1;
    quota.violations = qs;
    std::string bytes = details({&info.base, &bad.base, &quota.base});
    Server server([&](script_call *c) {
        script_finish(c, 3, "results[3] is not finite", bytes.data(), bytes.size());
    });
    Channel channel(server.target());
    Call call(channel, "");
    EXPECT_EQ(call.code, LUNA_INVALID_ARGUMENT);
    EXPECT_EQ(luna_reply_code(call.reply), LUNA_INVALID_ARGUMENT);
    EXPECT_STREQ(luna_reply_reason(call.reply), "BAD_FIELD");
    EXPECT_STREQ(luna_reply_domain(call.reply), "luna");
    EXPECT_STREQ(luna_reply_message(call.reply), "results[3] is not finite");
    EXPECT_STREQ(luna_reply_text(call.reply),
                 "INVALID_ARGUMENT (BAD_FIELD): results[3] is not finite");
    const char *name, *text;
    ASSERT_TRUE(luna_reply_field(call.reply, 1, &name, &text));
    EXPECT_STREQ(name, "level_variance");
    EXPECT_STREQ(text, "is negative");
    EXPECT_FALSE(luna_reply_field(call.reply, 2, &name, &text));
    ASSERT_TRUE(luna_reply_quota(call.reply, 0, &name, &text));
    EXPECT_STREQ(name, "account:42");
    EXPECT_STREQ(text, "500 of 500 units");
    EXPECT_FALSE(luna_reply_quota(call.reply, 1, &name, &text));
}

TEST(Failure, BrokenDetailsAreNoDetails)
{
    std::string bytes = "\x1a\xff\xff\xff\xff\x0f garbage";
    Server server([&](script_call *c) { script_finish(c, 5, "gone", bytes.data(), bytes.size()); });
    Channel channel(server.target());
    Call call(channel, "");
    EXPECT_EQ(call.code, LUNA_NOT_FOUND);
    EXPECT_STREQ(luna_reply_reason(call.reply), "");
    EXPECT_STREQ(luna_reply_text(call.reply), "NOT_FOUND: gone");
}

TEST(Failure, StatusesThatDoNotExistAreUnknown)
{
    Server server([](script_call *c) { script_finish(c, 999, "?", nullptr, 0); });
    Channel channel(server.target());
    EXPECT_EQ(Call(channel, "").code, LUNA_UNKNOWN);
}

TEST(Failure, ResponsesThatAreNoMessages)
{
    Server garbage([](script_call *c) {
        script_send(c, "\xff\xff\xff", 3);
        script_finish(c, 0, "", nullptr, 0);
    });
    Channel channel(garbage.target());
    Call call(channel, "");
    EXPECT_EQ(call.code, LUNA_INTERNAL);
    EXPECT_STREQ(luna_reply_message(call.reply),
                 "the response is not a valid grpc.testing.SimpleResponse");
    Server silent([](script_call *c) { script_finish(c, 0, "", nullptr, 0); });
    Channel other(silent.target());
    Call none(other, "");
    EXPECT_NE(none.code, LUNA_OK);
}

TEST(Retry, OnlyIdempotentMethods)
{
    Flaky twice(2, LUNA_UNAVAILABLE);
    Server server(std::ref(twice));
    Channel channel(server.target());
    Call once(channel, "a");
    EXPECT_EQ(once.code, LUNA_UNAVAILABLE);
    EXPECT_EQ(luna_reply_attempts(once.reply), 1u);
    EXPECT_EQ(twice.seen, 1);
    Call again(channel, "b", nullptr, true);
    EXPECT_EQ(again.code, LUNA_OK) << luna_reply_text(again.reply);
    EXPECT_EQ(again.text, "b");
    EXPECT_EQ(luna_reply_attempts(again.reply), 2u);
}

TEST(Retry, StopsAtMaxAttempts)
{
    Flaky always(1000, LUNA_UNAVAILABLE);
    Server server(std::ref(always));
    Channel channel(server.target());
    Call call(channel, "", nullptr, true);
    EXPECT_EQ(call.code, LUNA_UNAVAILABLE);
    EXPECT_EQ(luna_reply_attempts(call.reply), 4u);
    luna_call_options options = {};
    options.max_attempts = 2;
    Call two(channel, "", &options, true);
    EXPECT_EQ(luna_reply_attempts(two.reply), 2u);
    EXPECT_EQ(always.seen, 6);
}

TEST(Retry, OnlyWhatMayPass)
{
    for (int code : {3, 4, 5, 8, 10, 13}) {
        Flaky once(1, code);
        Server server(std::ref(once));
        Channel channel(server.target());
        Call call(channel, "", nullptr, true);
        EXPECT_EQ(call.code, code);
        EXPECT_EQ(luna_reply_attempts(call.reply), 1u);
    }
}

TEST(Retry, WaitsAsLongAsTheServerSays)
{
    Flaky once(1, LUNA_RESOURCE_EXHAUSTED, retry_details(150));
    Server server(std::ref(once));
    Channel channel(server.target());
    auto start = clock_type::now();
    Call call(channel, "", nullptr, true);
    EXPECT_EQ(call.code, LUNA_OK);
    EXPECT_EQ(luna_reply_attempts(call.reply), 2u);
    EXPECT_GE(elapsed_ms(start), 150);
}

TEST(Retry, NotWhenTheDeadlineWouldPass)
{
    Flaky once(1, LUNA_UNAVAILABLE, retry_details(60000));
    Server server(std::ref(once));
    Channel channel(server.target());
    auto start = clock_type::now();
    Call call(channel, "", nullptr, true);
    EXPECT_EQ(call.code, LUNA_UNAVAILABLE);
    EXPECT_EQ(luna_reply_retry_after_ms(call.reply), 60000);
    EXPECT_LT(elapsed_ms(start), 10000);
}

TEST(Cancel, EndsACallFromAnotherThread)
{
    std::atomic<bool> arrived{false}, cancelled{false};
    luna_cancel *token = luna_cancel_new();
    {
        Server server([&](script_call *c) {
            arrived = true;
            cancelled = script_wait_cancelled(c);
        });
        Channel channel(server.target());
        luna_call_options options = {};
        options.cancel = token;
        std::thread other([&] {
            while (!arrived)
                std::this_thread::yield();
            luna_cancel_now(token);
        });
        Call call(channel, "", &options, true);
        other.join();
        EXPECT_EQ(call.code, LUNA_CANCELLED);
        EXPECT_EQ(luna_reply_attempts(call.reply), 1u);
        Call later(channel, "", &options);
        EXPECT_EQ(later.code, LUNA_CANCELLED);
    }
    EXPECT_TRUE(cancelled);
    luna_cancel_free(token);
}

TEST(Cancel, EndsTheWaitForARetry)
{
    Flaky always(1000, LUNA_UNAVAILABLE, retry_details(20000));
    luna_cancel *token = luna_cancel_new();
    {
        Server server(std::ref(always));
        Channel channel(server.target());
        luna_call_options options = {};
        options.cancel = token;
        std::thread other([&] {
            while (always.seen == 0)
                std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            luna_cancel_now(token);
        });
        auto start = clock_type::now();
        Call call(channel, "", &options, true);
        other.join();
        EXPECT_EQ(call.code, LUNA_CANCELLED);
        EXPECT_LT(elapsed_ms(start), 10000);
    }
    luna_cancel_free(token);
}

TEST(Failure, EveryCodeHasAName)
{
    EXPECT_STREQ(luna_code_name(LUNA_OK), "OK");
    EXPECT_STREQ(luna_code_name(LUNA_INVALID_ARGUMENT), "INVALID_ARGUMENT");
    EXPECT_STREQ(luna_code_name(LUNA_UNAUTHENTICATED), "UNAUTHENTICATED");
    EXPECT_STREQ(luna_code_name(LUNA_END), "END");
    EXPECT_STREQ(luna_code_name(static_cast<luna_code>(17)), "UNKNOWN");
}

} // namespace
