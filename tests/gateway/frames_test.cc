// gRPC-Web and Connect: what their generated clients send, byte by byte.
#include "gateway/fixture.h"

namespace gateway_test
{

std::string
frame(const std::string &message, char flags = 0)
{
    std::string head(1, flags);
    for (int shift = 24; shift >= 0; shift -= 8)
        head += static_cast<char>(message.size() >> shift);
    return head + message;
}

std::string
base64(const std::string &bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t n = 0;
        for (size_t j = 0; j < 3; j++)
            n = n << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0);
        for (size_t j = 0; j < 4; j++)
            out += i + j > bytes.size() ? '=' : digits[n >> (18 - 6 * j) & 63];
    }
    return out;
}

// Pieces of base64, each padded.
std::string
unbase64(const std::string &text)
{
    std::string out;
    for (size_t i = 0; i + 4 <= text.size(); i += 4) {
        uint32_t n = 0;
        size_t bytes = 3;
        for (size_t j = 0; j < 4; j++) {
            char c = text[i + j];
            bytes -= c == '=';
            n = n << 6 | static_cast<uint32_t>(c >= 'A' && c <= 'Z'   ? c - 'A'
                                               : c >= 'a' && c <= 'z' ? c - 'a' + 26
                                               : c >= '0' && c <= '9' ? c - '0' + 52
                                               : c == '+'             ? 62
                                               : c == '/'             ? 63
                                                                      : 0);
        }
        for (size_t j = 0; j < bytes; j++)
            out += static_cast<char>(n >> (16 - 8 * j));
    }
    return out;
}

struct Part {
    int flags;
    std::string payload;
};

std::vector<Part>
parts(const std::string &body)
{
    std::vector<Part> all;
    for (size_t at = 0; at + 5 <= body.size();) {
        size_t n = 0;
        for (size_t i = 1; i < 5; i++)
            n = n << 8 | static_cast<uint8_t>(body[at + i]);
        all.push_back({static_cast<uint8_t>(body[at]), body.substr(at + 5, n)});
        at += 5 + n;
    }
    return all;
}

class Frames : public GatewayTest
{
  protected:
    Response call(const std::string &method, const std::string &type, const std::string &body,
                  const std::string &headers = "")
    {
        return request("POST", "/luna.testing.Library/" + method,
                       "Content-Type: " + type + "\r\n" + headers, body);
    }
    Reply books(int n)
    {
        Reply r;
        r.messages.clear();
        for (int i = 0; i < n; i++)
            r.messages.push_back(
                wire("luna.testing.Book", "{\"name\":\"b" + std::to_string(i) + "\"}"));
        return r;
    }
};

TEST_F(Frames, OfGrpcWebCarryUnaryCalls)
{
    start();
    Reply r = books(1);
    r.trailers = {{"x-note", "n"}, {"x-raw-bin", "\xff"}};
    const std::string message = wire("luna.testing.GetBook", R"({"name":"x"})");
    for (const char *type : {"application/grpc-web", "application/grpc-web+proto",
                             "application/grpc-web-text", "application/grpc-web-text+proto"}) {
        reply(r);
        bool text = strstr(type, "text") != nullptr;
        auto answer = call("Get", type, text ? base64(frame(message)) : frame(message),
                           "X-Grpc-Web: 1\r\nGrpc-Timeout: 5S\r\nAccept-Encoding: gzip\r\n");
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(answer.header("Content-Type"),
                  text ? "application/grpc-web-text+proto" : "application/grpc-web+proto");
        auto all = parts(text ? unbase64(answer.body) : answer.body);
        ASSERT_EQ(all.size(), 2u) << type;
        EXPECT_EQ(all[0].flags, 0);
        EXPECT_EQ(all[0].payload, r.messages[0]);
        EXPECT_EQ(all[1].flags, 0x80);
        EXPECT_EQ(all[1].payload.rfind("grpc-status: 0\r\n", 0), 0u) << all[1].payload;
        EXPECT_NE(all[1].payload.find("x-note: n\r\n"), std::string::npos);
        EXPECT_NE(all[1].payload.find("x-raw-bin: /w==\r\n"), std::string::npos);
        EXPECT_EQ(upstream.calls().at(0).request, message);
    }
    reply(r); // text in two pieces, each padded
    auto pieces = call("Get", "application/grpc-web-text",
                       base64(frame(message).substr(0, 5)) + base64(message));
    EXPECT_EQ(parts(unbase64(pieces.body)).size(), 2u) << pieces.body;
}

TEST_F(Frames, OfGrpcWebCarryStreams)
{
    start();
    reply(books(3));
    for (bool text : {false, true}) {
        auto answer =
            call("Watch", text ? "application/grpc-web-text" : "application/grpc-web+proto",
                 text ? base64(frame("")) : frame(""));
        auto all = parts(text ? unbase64(answer.body) : answer.body);
        ASSERT_EQ(all.size(), 4u);
        for (int i = 0; i < 3; i++)
            EXPECT_EQ(json("luna.testing.Book", all[static_cast<size_t>(i)].payload),
                      "{\"name\":\"b" + std::to_string(i) + "\",\"title\":\"\"}");
        EXPECT_EQ(all[3].flags, 0x80);
        EXPECT_EQ(all[3].payload, "grpc-status: 0\r\n");
    }
    Reply broken = books(1);
    broken.code_at_end = grpc::StatusCode::DATA_LOSS;
    broken.text = "50 % is gone\n";
    reply(broken);
    auto all = parts(call("Watch", "application/grpc-web", frame("")).body);
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[1].payload.rfind("grpc-status: 15\r\ngrpc-message: 50 %25 is gone%0A\r\n", 0), 0u)
        << all[1].payload;
    Reply none = books(0);
    reply(none);
    EXPECT_EQ(parts(call("Watch", "application/grpc-web", frame("")).body).size(), 1u);
}

TEST_F(Frames, OfGrpcWebSayWhatIsWrong)
{
    start({"--cors-origins=https://app.example.com", "--max-body=10KiB"});
    Reply r;
    r.code = grpc::StatusCode::NOT_FOUND;
    r.text = "no book";
    r.details = "details";
    reply(r);
    auto answer =
        call("Get", "application/grpc-web", frame(""), "Origin: https://app.example.com\r\n");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.header("Access-Control-Allow-Origin"), "https://app.example.com");
    EXPECT_NE(answer.header("Access-Control-Expose-Headers").find("Grpc-Status"),
              std::string::npos);
    auto all = parts(answer.body);
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].flags, 0x80);
    EXPECT_NE(all[0].payload.find("grpc-status: 5\r\ngrpc-message: no book\r\n"),
              std::string::npos);
    EXPECT_NE(all[0].payload.find("grpc-status-details-bin: ZGV0YWlscw==\r\n"), std::string::npos)
        << all[0].payload;
    EXPECT_NE(parts(call("Watch", "application/grpc-web", frame("")).body)
                  .at(0)
                  .payload.find("grpc-status: 5"),
              std::string::npos);
    const struct {
        const char *type;
        std::string body, expected;
    } table[] = {
        {"application/grpc-web", "", "grpc-status: 3"},
        {"application/grpc-web", "\0\0", "grpc-status: 3"},
        {"application/grpc-web", frame("abc").substr(0, 6), "grpc-status: 3"},
        {"application/grpc-web", frame("") + frame(""), "grpc-status: 3"},
        {"application/grpc-web", frame("", 1), "grpc-status: 12"},
        {"application/grpc-web-text", "!!!!", "grpc-status: 3"},
        {"application/grpc-web", frame(std::string(11 << 10, 'x')), "grpc-status: 8"},
    };
    for (auto &row : table) {
        auto bad = call("Get", row.type, row.body);
        auto end = parts(strstr(row.type, "text") ? unbase64(bad.body) : bad.body);
        ASSERT_EQ(end.size(), 1u) << row.expected << bad.body;
        EXPECT_NE(end[0].payload.find(row.expected), std::string::npos) << end[0].payload;
    }
    auto upload = request("POST", "/luna.testing.Uploads/Add",
                          "Content-Type: application/grpc-web\r\n", frame(""));
    EXPECT_NE(parts(upload.body).at(0).payload.find("grpc-status: 12"), std::string::npos);
    EXPECT_EQ(request("POST", "/v1/search:run", "Content-Type: application/grpc-web\r\n", frame(""))
                  .status,
              415)
        << "only by the method's own name";
}

TEST_F(Frames, OfConnectCarryStreams)
{
    start();
    Reply r = books(2);
    r.trailers = {{"x-note", "n"}};
    reply(r);
    auto j = call("Watch", "application/connect+json", frame(R"({"name":"x"})"),
                  "Connect-Protocol-Version: 1\r\nConnect-Timeout-Ms: 5000\r\n");
    EXPECT_EQ(j.status, 200);
    EXPECT_EQ(j.header("Content-Type"), "application/connect+json");
    auto all = parts(j.body);
    ASSERT_EQ(all.size(), 3u) << j.body;
    EXPECT_EQ(all[1].payload, R"({"name":"b1","title":""})");
    EXPECT_EQ(all[2].flags, 2);
    EXPECT_EQ(all[2].payload, R"({"metadata":{"x-note":["n"]}})");
    EXPECT_EQ(json("luna.testing.GetBook", upstream.calls().at(0).request), R"({"name":"x"})");
    auto p = call("Watch", "application/connect+proto", frame(""));
    EXPECT_EQ(p.header("Content-Type"), "application/connect+proto");
    EXPECT_EQ(parts(p.body).at(1).payload, r.messages[1]);
    r.code_at_end = grpc::StatusCode::ABORTED;
    r.text = "changed";
    reply(r);
    auto broken = parts(call("Watch", "application/connect+json", frame("{}")).body);
    ASSERT_EQ(broken.size(), 3u);
    EXPECT_NE(broken[2].payload.find(R"("error":{"code":"aborted","message":"changed")"),
              std::string::npos)
        << broken[2].payload;
    auto bad = call("Watch", "application/connect+json", frame("{\"nmae\":1}"));
    EXPECT_EQ(bad.status, 200);
    EXPECT_NE(parts(bad.body).at(0).payload.find("invalid_argument"), std::string::npos);
}

TEST_F(Frames, ConnectAsksSafeMethodsWithGet)
{
    start();
    reply_book(R"({"name":"b"})");
    auto j = get(
        "/luna.testing.Library/Get?connect=v1&encoding=json&message=%7B%22name%22%3A%22x%22%7D");
    EXPECT_EQ(j.status, 200);
    EXPECT_EQ(j.body, R"({"name":"b","title":""})");
    EXPECT_EQ(json("luna.testing.GetBook", upstream.calls().at(0).request), R"({"name":"x"})");
    reply_book(R"({"name":"b"})");
    auto p = get("/luna.testing.Library/Get?encoding=proto&base64=1&message=CgF4");
    EXPECT_EQ(p.status, 200);
    EXPECT_EQ(p.header("Content-Type"), "application/proto");
    EXPECT_EQ(upstream.calls().at(0).request, "\x0a\x01x");
    auto missing = get("/luna.testing.Library/Get?encoding=json");
    EXPECT_EQ(missing.status, 400);
    EXPECT_NE(missing.body.find("\"code\":\"invalid_argument\""), std::string::npos);
    EXPECT_EQ(get("/luna.testing.Library/Get?encoding=proto&base64=1&message=%21").status, 400);
    EXPECT_EQ(get("/luna.testing.Library/Get?encoding=json&compression=gzip&message=%7B%7D").status,
              501);
    auto unsafe = get("/luna.testing.Library/Update?encoding=json&message=%7B%7D");
    EXPECT_EQ(unsafe.status, 405) << "it has side effects";
    EXPECT_EQ(unsafe.header("Allow"), get("/luna.testing.Library/Update").header("Allow"));
    EXPECT_NE(unsafe.header("Allow"), "");
    EXPECT_EQ(get("/luna.testing.Library/Get").status, 405);
}

TEST_F(Frames, ConnectCallsHaveItsErrorsAndDeadlines)
{
    start();
    Reply slow;
    slow.delay = std::chrono::milliseconds(20000);
    reply(slow);
    auto late = call("Get", "application/json", "{}",
                     "Connect-Protocol-Version: 1\r\nConnect-Timeout-Ms: 200\r\n");
    EXPECT_EQ(late.status, 504);
    EXPECT_EQ(late.body.rfind("{\"code\":\"deadline_exceeded\"", 0), 0u) << late.body;
    Reply r;
    r.code = grpc::StatusCode::CANCELLED;
    reply(r);
    auto cancelled =
        call("Get", "application/proto", wire("luna.testing.GetBook", "{}") + "\x0a\x01y");
    EXPECT_NE(cancelled.body.find("\"code\":\"canceled\""), std::string::npos);
}

} // namespace gateway_test
