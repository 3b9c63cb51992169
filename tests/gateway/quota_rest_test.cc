// What a metered call has cost and what is left, over REST, through the real server and gateway.
#include "gateway/stack.h"

namespace gateway_test
{

namespace
{
const char kFilter[] = R"({"results": [1, 2, 3], "observation_variance": 1, "level_variance": 1})";

// The limits' header fields of an answer, one a line.
std::string
limits(const Response &r)
{
    std::string all;
    for (const char *name : {"RateLimit-Policy", "RateLimit", "X-RateLimit-Limit",
                             "X-RateLimit-Remaining", "X-RateLimit-Reset", "Luna-Cost"})
        all += std::string(name) + ": " + r.header(name) + "\n";
    return all;
}
} // namespace

/* A server that is brief leaves out what can be told from the rest; HTTP callers see it all. */
TEST(QuotaRest, BriefServersAnswerTheSame)
{
    std::string seen[2], failed[2];
    for (int brief = 0; brief < 2; brief++) {
        Stack stack(brief ? "brief" : "wordy",
                    {{"LUNA_QUOTA_OLDER_METADATA", brief ? "false" : "true"}});
        Response r = stack.request("POST", "/api/v1/kalman:filter", kFilter);
        EXPECT_EQ(r.status, 200) << r.body;
        seen[brief] = limits(r);
        r = stack.request("POST", "/api/v1/kalman:filter", R"({"results": [1]})");
        EXPECT_EQ(r.status, 422) << r.body;
        failed[brief] = limits(r);
        EXPECT_EQ(stack.request("GET", "/api/v1/health").header("Luna-Cost"), "");
    }
    EXPECT_EQ(seen[0], "RateLimit-Policy: \"quota\";q=1000000000000\n"
                       "RateLimit: \"quota\";r=999999999999\n"
                       "X-RateLimit-Limit: 1000000000000\n"
                       "X-RateLimit-Remaining: 999999999999\nX-RateLimit-Reset: 0\n"
                       "Luna-Cost: 1\n");
    EXPECT_EQ(seen[1], seen[0]);
    EXPECT_EQ(failed[1], failed[0]);
}

} // namespace gateway_test
