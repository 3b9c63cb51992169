// KalmanService's streams over WebSocket, as a browser has them: the real server behind the real
// gateway.
#include "gateway/stack.h"
#include "gateway/websocket_client.h"

namespace gateway_test
{

namespace
{

const std::string level =
    R"({"structural":{"observation_variance":15099,"level_variance":1469.1}})";

class KalmanSockets : public testing::Test
{
  protected:
    static Stack &stack()
    {
        static Stack s("sockets");
        return s;
    }
    // A browser sets no headers: the key is a subprotocol.
    static std::string proof()
    {
        return "Sec-WebSocket-Protocol: luna.json, luna.auth." + stack().key + "\r\n";
    }
    static WebSocket open(const std::string &target)
    {
        return WebSocket(stack().gateway->port, target, proof());
    }
    static Response request(const std::string &method, const std::string &target,
                            const std::string &body = "")
    {
        return stack().request(method, target, body);
    }
    static void create(const std::string &id)
    {
        Response r = request("POST", "/api/v1/kalman/filters",
                             R"({"filter_id":")" + id + R"(","model":)" + level + "}");
        ASSERT_EQ(r.status, 200) << r.body;
    }
    static std::string observation(int sequence, double value)
    {
        return R"({"sequence":)" + std::to_string(sequence) + R"(,"time":)" +
               std::to_string(1870 + sequence) + R"(,"values":[)" + std::to_string(value) + "]}";
    }
    // The estimate within a message.
    static std::string estimate(const std::string &message)
    {
        size_t at = message.find("\"estimate\":");
        return at == std::string::npos ? "none: " + message
                                       : message.substr(at, message.rfind('}') - at);
    }
    static void expect_end(WebSocket &ws)
    {
        Frame f = ws.next();
        EXPECT_EQ(f.opcode, CLOSE) << f.payload;
        EXPECT_EQ(f.close_code(), 1000);
    }
    static void expect_failure(WebSocket &ws, const char *field)
    {
        Frame f = ws.next();
        EXPECT_NE(f.payload.find(R"({"error":{"code":3,"status":"INVALID_ARGUMENT")"),
                  std::string::npos)
            << f.payload;
        EXPECT_NE(f.payload.find(std::string("\"field\":\"") + field + "\""), std::string::npos)
            << f.payload;
        EXPECT_EQ(ws.next().close_code(), 4003);
    }
};

} // namespace

TEST_F(KalmanSockets, FilterStreamAnswersEachValue)
{
    WebSocket ws = open("/api/v1/kalman:filterStream");
    ASSERT_EQ(ws.answer.status, 101) << ws.answer.body;
    EXPECT_EQ(ws.answer.header("Sec-WebSocket-Protocol"), "luna.json");
    ws.text(R"({"model":)" + level + R"(,"values":[1120]})");
    EXPECT_NE(ws.next().payload.find(R"("signal":[1120],"signal_variances":[15099])"),
              std::string::npos);
    ws.text(R"({"values":[1160]})");
    EXPECT_NE(ws.next().payload.find(R"("signal":[1140.927839934822])"), std::string::npos);
    ws.text(R"({"values":["NaN"]})"); // missing: the prediction stands
    EXPECT_NE(ws.next().payload.find(R"("signal":[1140.927839934822])"), std::string::npos);
    ws.text("");
    expect_end(ws);

    WebSocket two = open("/api/v1/kalman:filterStream");
    two.text(R"({"model":)" + level + R"(,"values":[1120,7]})");
    expect_failure(two, "values");
}

TEST_F(KalmanSockets, FilterBatchStreamAnswersEachMessage)
{
    WebSocket ws = open("/api/v1/kalman:filterBatchStream");
    ws.text(R"({"model":)" + level +
            R"(,"series":[{"results":[1120,1160,963]},{"results":[1120,"NaN",963]}]})");
    EXPECT_NE(ws.next().payload.find("\"progress\""), std::string::npos);
    std::string first = ws.next().payload;
    EXPECT_NE(first.find(R"("last_states":[1072.7985295274439])"), std::string::npos) << first;
    ws.text(R"({"series":[{"results":[963]}]})");
    EXPECT_NE(ws.next().payload.find("\"progress\""), std::string::npos);
    std::string second = ws.next().payload;
    EXPECT_NE(second.find(R"("first":2)"), std::string::npos) << second;
    EXPECT_NE(second.find(R"("last_states":[963])"), std::string::npos) << second;
    ws.text("");
    expect_end(ws);
}

TEST_F(KalmanSockets, AppendStreamInAnyOrderIsTheStreamInOrder)
{
    const double nile[] = {1120, 1160, 963, 1210, 1160};
    create("socket");
    WebSocket ordered = open("/api/v1/kalman:filterStream");
    std::string batch;
    for (int i = 0; i < 5; i++) {
        ordered.text("{" + (i ? "" : "\"model\":" + level + ",") + R"("time":)" +
                     std::to_string(1871 + i) + R"(,"values":[)" + std::to_string(nile[i]) + "]}");
        batch = ordered.next().payload;
    }
    WebSocket ws = open("/api/v1/kalman/filters:appendStream");
    std::string last;
    for (int sequence : {4, 1, 5, 3, 2}) {
        ws.text("{" + std::string(last.empty() ? R"("filter_id":"socket",)" : "") +
                R"("observations":[)" + observation(sequence, nile[sequence - 1]) + "]}");
        last = ws.next().payload;
        EXPECT_NE(last.find("\"acknowledged_sequence\":" + std::to_string(sequence)),
                  std::string::npos)
            << last;
    }
    EXPECT_EQ(estimate(last), estimate(batch));
    // The same again is a duplicate; the same number for another value is refused.
    ws.text(R"({"observations":[)" + observation(2, 1160) + "]}");
    EXPECT_NE(ws.next().payload.find("\"duplicates\":1"), std::string::npos);
    ws.text(R"({"observations":[)" + observation(2, 7) + "]}");
    expect_failure(ws, "observations[0].sequence");
    std::string kept = request("GET", "/api/v1/kalman/filters/socket").body;
    EXPECT_NE(kept.find(R"("observation_count":5)"), std::string::npos) << kept;
}

TEST_F(KalmanSockets, AppendAllIsSeenByWhoWatches)
{
    create("watched");
    WebSocket watch = open("/api/v1/kalman/filters/watched:watch");
    EXPECT_NE(watch.next().payload.find("\"position\":0"), std::string::npos);
    WebSocket all = open("/api/v1/kalman/filters:appendAll");
    all.text(R"({"filter_id":"watched","observations":[)" + observation(1, 1120) + "]}");
    all.text(R"({"observations":[)" + observation(2, 1160) + "," + observation(3, 963) + "]}");
    all.text("");
    std::string answer = all.next().payload;
    EXPECT_NE(answer.find(R"("appended":3)"), std::string::npos) << answer;
    EXPECT_NE(answer.find(R"("messages":2)"), std::string::npos) << answer;
    expect_end(all);
    std::string seen;
    for (int i = 0; i < 3 && seen.find("\"position\":3") == std::string::npos; i++)
        seen = watch.next().payload;
    EXPECT_EQ(estimate(seen), estimate(answer));
}

TEST_F(KalmanSockets, LongQuestionsTellHowFarTheyAre)
{
    const std::string values =
        R"({"request":{"results":[1120,1160,963,1210,1160,1160,813],"model":)";
    for (const char *method : {"SmoothStream", "ForecastStream", "DiagnoseStream", "FitStream"}) {
        SCOPED_TRACE(method);
        WebSocket ws = open(std::string("/luna.v1.KalmanService/") + method);
        ws.text(values + R"({"structural":{}})" +
                (strcmp(method, "ForecastStream") == 0 ? R"(,"horizon":1}})" : "}}"));
        Frame f = ws.next();
        EXPECT_NE(f.payload.find("{\"progress\":"), std::string::npos) << f.payload;
        while (f.opcode == TEXT && f.payload.find("\"progress\"") != std::string::npos)
            f = ws.next();
        EXPECT_EQ(f.payload.rfind("{\"result\":", 0), 0u) << f.payload;
        expect_end(ws);
    }
}

TEST_F(KalmanSockets, NobodyWithoutAKey)
{
    for (const char *target : {"/api/v1/kalman:filterStream", "/api/v1/kalman:filterBatchStream",
                               "/api/v1/kalman/filters:appendStream"}) {
        WebSocket ws(stack().gateway->port, target, "Sec-WebSocket-Protocol: luna.json\r\n");
        if (ws.answer.status == 101) { // opened before the server was asked
            ws.text("{}");
            EXPECT_NE(ws.next().payload.find("UNAUTHENTICATED"), std::string::npos) << target;
            EXPECT_EQ(ws.next().close_code(), 4016) << target;
        } else {
            EXPECT_EQ(ws.answer.status, 401) << target;
        }
    }
}

} // namespace gateway_test
