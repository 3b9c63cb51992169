#include <gtest/gtest.h>

#include <cmath>

extern "C" {
#include "edge/request_text.h"
#include "luna/v1/kalman.pb-c.h"
#include "luna/v1/quota.pb-c.h"
}

static std::string
text(const ProtobufCMessage *m)
{
    struct buf b;
    buf_init(&b, REQUEST_TEXT_MAX);
    request_text_put(&b, m);
    EXPECT_FALSE(b.overflow);
    std::string s(b.data ? b.data : "", b.len);
    buf_fini(&b);
    return s;
}

TEST(request_text, what_is_set)
{
    Luna__V1__FilterRequest r = LUNA__V1__FILTER_REQUEST__INIT;
    EXPECT_EQ(text(&r.base), "");
    double values[6] = {1, 2.5, NAN, -0.1, 5, 6};
    r.account_id = 7;
    r.results = values;
    r.n_results = 6;
    Luna__V1__InitialState start = LUNA__V1__INITIAL_STATE__INIT;
    start.mean = 1;
    r.initial_state = &start;
    r.include_variances = true;
    r.likelihood_convention =
        LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_OMIT_DIFFUSE_CONSTANT;
    r.level_variance_presence_case =
        LUNA__V1__FILTER_REQUEST__LEVEL_VARIANCE_PRESENCE_LEVEL_VARIANCE;
    EXPECT_EQ(
        text(&r.base),
        "account_id:7 results:[6: 1,2.5,nan,-0.1,...] level_variance:0 initial_state:{mean:1} "
        "include_variances:true "
        "likelihood_convention:LIKELIHOOD_CONVENTION_OMIT_DIFFUSE_CONSTANT");
    r = LUNA__V1__FILTER_REQUEST__INIT;
    r.results = values;
    r.n_results = 2;
    EXPECT_EQ(text(&r.base), "results:[2: 1,2.5]");
    r.likelihood_convention = static_cast<Luna__V1__LikelihoodConvention>(99);
    EXPECT_EQ(text(&r.base), "results:[2: 1,2.5] likelihood_convention:99");
}

TEST(request_text, strings_are_escaped_and_cut)
{
    Luna__V1__Account a = LUNA__V1__ACCOUNT__INIT;
    std::string name = "a\"\n\x01";
    a.account_name = name.data();
    EXPECT_EQ(text(&a.base), "account_name:\"a\\\"\\n\\u0001\"");
    name = std::string(63, 'x') + "\xc3\xa4" + std::string(100, 'y');
    a.account_name = name.data();
    EXPECT_EQ(text(&a.base), "account_name:\"" + std::string(63, 'x') + "\"...");
    name = std::string(200, '\x01');
    a.account_name = name.data();
    EXPECT_LE(text(&a.base).size(), static_cast<size_t>(REQUEST_TEXT_MAX));
}

TEST(request_text, never_longer_than_allowed)
{
    std::string name(64, '\x01'); /* 6 bytes each when escaped */
    Luna__V1__Account a = LUNA__V1__ACCOUNT__INIT;
    a.account_name = name.data();
    Luna__V1__GetAccountResponse r = LUNA__V1__GET_ACCOUNT_RESPONSE__INIT;
    r.account = &a;
    a.account_id = INT64_MIN;
    a.quota_limit = INT64_MIN;
    a.quota_used = INT64_MIN;
    Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    t.seconds = INT64_MIN;
    t.nanos = INT32_MIN;
    a.created_at = &t;
    a.updated_at = &t;
    std::string s = text(&r.base);
    EXPECT_LE(s.size(), static_cast<size_t>(REQUEST_TEXT_MAX));
    EXPECT_EQ(s.substr(s.size() - 3), "...");
}

TEST(request_text, secrets)
{
    for (const char *name : {"key", "api_key", "secret", "client_secret", "token", "page_token",
                             "password", "Password", "credentials", "authorization"})
        EXPECT_TRUE(request_text_is_secret(name)) << name;
    for (const char *name : {"key_id", "account_name", "keys_count", "tokens", "monkey", ""})
        EXPECT_FALSE(request_text_is_secret(name)) << name;
}
