/* The domain and the handler of Filter, on a reactor with a compute pool. */
#include <cfloat>
#include <cstring>
#include <gtest/gtest.h>

#include "on_fiber.h"
#include "series.h"

extern "C" {
#include "kalman/kalman.h"
#include "luna/v1/kalman.pb-c.h"
}

namespace
{

kalman_filter_request
request(const std::vector<double> &y)
{
    kalman_filter_request r = {};
    r.values = y.data();
    r.n = y.size();
    return r;
}

kalman_filter_request
with_variances(const std::vector<double> &y, double h, double q)
{
    kalman_filter_request r = request(y);
    r.observation_variance = {true, h};
    r.level_variance = {true, q};
    return r;
}

/* Expects `req` to fail with BAD_FIELD on exactly these fields. */
void
expect_bad(const kalman_filter_request &req, const std::vector<std::string> &fields,
           const std::string &message = "")
{
    on_fiber([&](struct ctx *ctx) {
        kalman_filter_result res = {};
        EXPECT_EQ(kalman_filter(ctx, &req, &res), INVALID_ARGUMENT);
        EXPECT_EQ(ctx->error.reason, REASON_BAD_FIELD);
        std::vector<std::string> found;
        for (auto *f = ctx->error.fields; f; f = f->next)
            found.push_back(f->field);
        EXPECT_EQ(found, fields);
        if (!message.empty()) {
            EXPECT_EQ(ctx->error.message, message);
        }
        EXPECT_EQ(res.levels, nullptr);
    });
}

void
expect_no_result(const kalman_filter_request &req)
{
    on_fiber([&](struct ctx *ctx) {
        kalman_filter_result res = {};
        EXPECT_EQ(kalman_filter(ctx, &req, &res), INVALID_ARGUMENT);
        EXPECT_EQ(ctx->error.reason, REASON_NO_RESULT);
    });
}

void
expect_ok(const kalman_filter_request &req,
          const std::function<void(const kalman_filter_result &)> &look)
{
    on_fiber([&](struct ctx *ctx) {
        kalman_filter_result res = {};
        ASSERT_EQ(kalman_filter(ctx, &req, &res), OK) << ctx->error.message;
        look(res);
    });
}

TEST(KalmanFilter, Nile)
{
    std::vector<double> y = nile();
    kalman_filter_request req = with_variances(y, 15099, 1469.1);
    req.want_log_likelihood = req.want_variances = req.want_innovations = true;
    expect_ok(req, [&](const kalman_filter_result &r) {
        EXPECT_NEAR(r.log_likelihood, -633.4645636489, 5e-11);
        EXPECT_NEAR(r.levels[99], 798.3702926083641, 1e-12);
        EXPECT_EQ(r.variances[0], 15099);
        EXPECT_EQ(r.innovations[0], 0);
        EXPECT_EQ(r.innovation_variances[0], INFINITY);
        EXPECT_EQ(r.observation_variance, 15099);
        EXPECT_EQ(r.level_variance, 1469.1);
        EXPECT_FALSE(r.estimated);
    });
    req.omit_diffuse_constant = true;
    expect_ok(req, [&](const kalman_filter_result &r) {
        EXPECT_NEAR(r.log_likelihood, -632.5456251157, 5e-11);
    });
    expect_ok(request(y), [&](const kalman_filter_result &r) {
        EXPECT_TRUE(r.estimated);
        EXPECT_NEAR(r.observation_variance, 15098.518324, 1e-6);
        EXPECT_NEAR(r.level_variance, 1469.176360, 1e-6);
        EXPECT_EQ(r.variances, nullptr);
        EXPECT_EQ(r.innovations, nullptr);
    });
}

TEST(KalmanFilter, BadFields)
{
    std::vector<double> y = {1, 2, 3}, none;
    expect_bad(request(none), {"results"}, "results holds no value");
    std::vector<double> infinite = {1, 2, 3, -INFINITY};
    expect_bad(with_variances(infinite, 1, 1), {"results[3]"}, "results[3] is not finite");
    expect_bad(request(infinite), {"results[3]"}, "results[3] is not finite");
    expect_bad(with_variances(y, -1, NAN), {"observation_variance", "level_variance"},
               "observation_variance is negative");
    expect_bad(with_variances(y, INFINITY, -1e-300), {"observation_variance", "level_variance"});
    kalman_filter_request initial = with_variances(y, 1, 1);
    initial.initial_given = true;
    initial.initial_mean = NAN;
    initial.initial_variance = -2;
    expect_bad(initial, {"initial_state.mean", "initial_state.variance"});
    kalman_filter_request many = request(y);
    many.n = KALMAN_MAX_VALUES + 1;
    expect_bad(many, {"results"}, "results holds 10000001 values; at most 10000000");
}

TEST(KalmanFilter, TooFewValuesToEstimate)
{
    std::vector<double> y = {1, NAN, 2}, one = {1}, missing = {NAN, NAN};
    expect_bad(request(y), {"results"},
               "results holds 2 values that are not missing; estimating needs 3");
    expect_bad(request(one), {"results"});
    expect_bad(request(missing), {"results"});
    kalman_filter_request half = request(one);
    half.observation_variance = {true, 1};
    expect_bad(half, {"results"},
               "results holds 1 values that are not missing; estimating needs 2");
}

TEST(KalmanFilter, OneValue)
{
    std::vector<double> y = {42};
    expect_ok(with_variances(y, 1, 1),
              [](const kalman_filter_result &r) { EXPECT_EQ(r.levels[0], 42); });
}

TEST(KalmanFilter, MissingValues)
{
    std::vector<double> y = {NAN, NAN, 5, NAN};
    kalman_filter_request req = with_variances(y, 2, 3);
    req.want_variances = req.want_innovations = true;
    expect_ok(req, [](const kalman_filter_result &r) {
        for (int t = 0; t < 4; t++)
            EXPECT_EQ(r.levels[t], 5);
        EXPECT_EQ(r.variances[0], INFINITY);
        EXPECT_EQ(r.variances[1], INFINITY);
        EXPECT_EQ(r.variances[2], 2);
        EXPECT_EQ(r.variances[3], 5);
        EXPECT_EQ(r.innovation_variances[2], INFINITY);
        EXPECT_EQ(r.innovation_variances[3], 7);
    });
    std::vector<double> all = {NAN, NAN};
    expect_no_result(with_variances(all, 1, 1));
    kalman_filter_request known = with_variances(all, 1, 1);
    known.initial_given = true;
    known.initial_mean = 9;
    known.want_log_likelihood = true;
    expect_ok(known, [](const kalman_filter_result &r) {
        EXPECT_EQ(r.levels[0], 9);
        EXPECT_EQ(r.levels[1], 9);
        EXPECT_EQ(r.log_likelihood, 0);
    });
}

TEST(KalmanFilter, AllEqual)
{
    std::vector<double> y(200, 0.1);
    kalman_filter_request req = request(y);
    req.want_variances = req.want_innovations = true;
    expect_ok(req, [](const kalman_filter_result &r) {
        EXPECT_TRUE(r.estimated);
        EXPECT_EQ(r.observation_variance, 0);
        EXPECT_EQ(r.level_variance, 0);
        for (int t = 0; t < 200; t++) {
            EXPECT_EQ(r.levels[t], 0.1);
            EXPECT_EQ(r.variances[t], 0);
            EXPECT_EQ(r.innovations[t], 0);
        }
    });
}

TEST(KalmanFilter, EndsOfTheRange)
{
    std::vector<double> huge = {1e308, -1e308, 1e308, -1e308, 5e307};
    expect_no_result(request(huge)); /* the variances are near 1e616 */
    expect_ok(with_variances(huge, 1, 1), [](const kalman_filter_result &r) {
        for (int t = 0; t < 5; t++)
            EXPECT_TRUE(std::isfinite(r.levels[t]));
    });
    kalman_filter_request innovations = with_variances(huge, 1, 1);
    innovations.want_innovations = true;
    expect_no_result(innovations); /* 2e308 */
    kalman_filter_request likelihood = with_variances(huge, 1, 1);
    likelihood.want_log_likelihood = true;
    expect_no_result(likelihood);
    std::vector<double> y = {1, 2, NAN, 4};
    kalman_filter_request variances = with_variances(y, 1e308, 1.5e308);
    expect_ok(variances, [](const kalman_filter_result &) {});
    variances.want_variances = true;
    expect_no_result(variances); /* at the missing value: about 2.3e308 */
    std::vector<double> denormal = {5e-324, 1e-323, 1.5e-323, 5e-324};
    kalman_filter_request tiny = request(denormal);
    tiny.want_log_likelihood = true;
    expect_ok(tiny, [](const kalman_filter_result &r) {
        EXPECT_TRUE(r.estimated);
        EXPECT_TRUE(std::isfinite(r.log_likelihood));
        EXPECT_GT(r.log_likelihood, 1000);
        for (int t = 0; t < 4; t++)
            EXPECT_TRUE(r.levels[t] >= 5e-324 && r.levels[t] <= 1.5e-323);
    });
}

TEST(KalmanFilter, LongSeriesRunInThePool)
{
    Random rnd(1);
    std::vector<double> y(300000);
    for (double &x : y)
        x = rnd.normal();
    on_fiber([&](struct ctx *ctx) {
        kalman_filter_result small = {}, large = {};
        kalman_filter_request req = with_variances(y, 1, 0.1);
        req.n = 1000;
        EXPECT_EQ(kalman_filter(ctx, &req, &small), OK);
        EXPECT_EQ(probe_pool_done(), 0u);
        req.n = y.size();
        EXPECT_EQ(kalman_filter(ctx, &req, &large), OK);
        EXPECT_EQ(memcmp(small.levels, large.levels, 1000 * sizeof(double)), 0);
        y[299999] = INFINITY;
        EXPECT_EQ(kalman_filter(ctx, &req, &large), INVALID_ARGUMENT);
        EXPECT_STREQ(ctx->error.message, "results[299999] is not finite");
    });
}

TEST(KalmanFilter, TenMillionValues)
{
    std::vector<double> y(KALMAN_MAX_VALUES);
    Random rnd(2);
    for (double &x : y)
        x = rnd.uniform();
    kalman_filter_request req = with_variances(y, 1, 0.01);
    req.want_log_likelihood = true;
    expect_ok(req, [](const kalman_filter_result &r) {
        EXPECT_TRUE(std::isfinite(r.log_likelihood));
        for (int t = 0; t < KALMAN_MAX_VALUES; t++)
            ASSERT_TRUE(r.levels[t] >= 0 && r.levels[t] <= 1);
    });
}

TEST(KalmanFilter, CancellationStopsTheComputation)
{
    std::vector<double> y(KALMAN_MAX_VALUES);
    Random rnd(3);
    for (double &x : y)
        x = rnd.uniform();
    kalman_filter_request req = request(y); /* estimating would take seconds */
    on_fiber([&](struct ctx *ctx) {
        kalman_filter_result res = {};
        nsec_t begin = clock_now();
        probe_cancel_later(ctx, MSEC(50));
        EXPECT_EQ(kalman_filter(ctx, &req, &res), CANCELLED);
        EXPECT_LT(clock_now() - begin, MSEC(1000));
    });
    on_fiber([&](struct ctx *ctx) {
        kalman_filter_result res = {};
        ctx->deadline = clock_now() + MSEC(50);
        EXPECT_EQ(kalman_filter(ctx, &req, &res), DEADLINE_EXCEEDED);
        EXPECT_LT(clock_now(), ctx->deadline + MSEC(1000));
    });
}

/* ---- the handler --------------------------------------------------------------------------------
 */

struct Call {
    Luna__V1__FilterRequest req;
    Luna__V1__FilterResponse resp;
    error err;
    std::vector<double> y = nile();

    Call()
    {
        luna__v1__filter_request__init(&req);
        luna__v1__filter_response__init(&resp);
        req.results = y.data();
        req.n_results = y.size();
        set_variances(15099, 1469.1);
    }
    void set_variances(double h, double q)
    {
        req.observation_variance_presence_case =
            LUNA__V1__FILTER_REQUEST__OBSERVATION_VARIANCE_PRESENCE_OBSERVATION_VARIANCE;
        req.observation_variance = h;
        req.level_variance_presence_case =
            LUNA__V1__FILTER_REQUEST__LEVEL_VARIANCE_PRESENCE_LEVEL_VARIANCE;
        req.level_variance = q;
    }
    enum status run(struct ctx *ctx)
    {
        return probe_unary(ctx, "Filter", &req.base, &resp.base, &err);
    }
};

TEST(KalmanHandler, AnswersWhatWasAskedFor)
{
    on_fiber([](struct ctx *ctx) {
        Call plain;
        ASSERT_EQ(plain.run(ctx), OK);
        EXPECT_EQ(plain.resp.n_processed_results, 100u);
        EXPECT_NEAR(plain.resp.processed_results[99], 798.3702926083641, 1e-12);
        EXPECT_EQ(plain.resp.n_input_data, 100u);
        EXPECT_EQ(plain.resp.input_data[99], 740);
        EXPECT_EQ(plain.resp.n_filtered_variances, 0u);
        EXPECT_EQ(plain.resp.n_innovations, 0u);
        EXPECT_EQ(plain.resp.n_innovation_variances, 0u);
        EXPECT_EQ(plain.resp.log_likelihood_presence_case, 0);
        EXPECT_EQ(plain.resp.observation_variance, 15099);
        EXPECT_FALSE(plain.resp.estimated);

        Call all;
        all.req.include_variances = all.req.include_innovations = true;
        all.req.include_log_likelihood = true;
        all.req.account_id = 7;
        all.req.likelihood_convention =
            LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_OMIT_DIFFUSE_CONSTANT;
        ASSERT_EQ(all.run(ctx), OK);
        EXPECT_EQ(all.resp.n_filtered_variances, 100u);
        EXPECT_EQ(all.resp.n_innovations, 100u);
        EXPECT_EQ(all.resp.n_innovation_variances, 100u);
        EXPECT_NEAR(all.resp.log_likelihood, -632.5456251157, 5e-11);
        /* It can be packed. */
        std::vector<uint8_t> bytes(protobuf_c_message_get_packed_size(&all.resp.base));
        EXPECT_EQ(protobuf_c_message_pack(&all.resp.base, bytes.data()), bytes.size());
    });
}

TEST(KalmanHandler, KnownStart)
{
    on_fiber([](struct ctx *ctx) {
        Call c;
        Luna__V1__InitialState start = LUNA__V1__INITIAL_STATE__INIT;
        start.mean = 1000;
        c.req.initial_state = &start;
        ASSERT_EQ(c.run(ctx), OK);
        EXPECT_EQ(c.resp.processed_results[0], 1000);
    });
}

TEST(KalmanHandler, AccountOfSomebodyElse)
{
    on_fiber([](struct ctx *ctx) {
        Call other;
        other.req.account_id = 8;
        EXPECT_EQ(other.run(ctx), NOT_FOUND);
        EXPECT_EQ(other.err.reason, REASON_ACCOUNT_NOT_FOUND);
        other.req.account_id = -1;
        EXPECT_EQ(other.run(ctx), NOT_FOUND);
        ctx->who.role = ROLE_ADMIN;
        other.req.account_id = 8;
        EXPECT_EQ(other.run(ctx), OK);
    });
}

TEST(KalmanHandler, UnknownConvention)
{
    on_fiber([](struct ctx *ctx) {
        Call c;
        c.req.likelihood_convention = static_cast<Luna__V1__LikelihoodConvention>(99);
        EXPECT_EQ(c.run(ctx), INVALID_ARGUMENT);
        EXPECT_STREQ(c.err.fields->field, "likelihood_convention");
    });
}

} // namespace
