// Requests of many messages: JSON texts one by one, and bytes as they come; who waits for whom, and
// how they end before their body does.
#include "gateway/fixture.h"
#include "gateway/stream_server.h"

#include <google/protobuf/io/coded_stream.h>

namespace gateway_test
{

std::string
chunk(const std::string &bytes)
{
    char size[32];
    snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
    return size + bytes + "\r\n";
}

class Uploads : public GatewayTest
{
  protected:
    void begin(std::vector<std::string> settings = {})
    {
        gateway = std::make_unique<GatewayProcess>(streams.address(), std::move(settings));
        for (int i = 0; i < 2000 && get("/readyz").status != 200; i++)
            usleep(10000);
    }
    void plan_answer(const std::string &type, const std::string &text)
    {
        Plan p;
        p.answer = wire(type, text);
        streams.plan(p);
    }
    Response upload(const std::string &target, const std::string &type, const std::string &body,
                    const std::string &verb = "POST")
    {
        return request(verb, target, "Content-Type: " + type + "\r\n", body, 20);
    }
    std::vector<std::string> books()
    {
        std::vector<std::string> all;
        for (auto &m : streams.seen().messages)
            all.push_back(json("luna.testing.Book", m));
        return all;
    }
    static std::string head(const std::string &target, const std::string &type,
                            const std::string &more = "Transfer-Encoding: chunked\r\n")
    {
        return "POST " + target + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + type + "\r\n" + more +
               "\r\n";
    }
    size_t resident_bytes()
    {
        std::ifstream statm("/proc/" + std::to_string(gateway->pid) + "/statm");
        size_t pages = 0, resident = 0;
        statm >> pages >> resident;
        return resident * 4096;
    }

    StreamServer streams;
};

TEST_F(Uploads, OfLinesAreMessages)
{
    begin();
    const std::vector<std::string> expected = {R"({"name":"a","title":"A"})",
                                               R"({"name":"b","title":"B"})"};
    const struct {
        const char *type, *body;
    } table[] = {
        {"application/x-ndjson",
         "{\"name\":\"a\",\"title\":\"A\"}\n{\"name\":\"b\",\"title\":\"B\"}\n"},
        {"application/x-ndjson; charset=utf-8",
         "\r\n{\"name\":\"a\",\"title\":\"A\"}\r\n\r\n {\"name\":\"b\",\"title\":\"B\"} "},
        {"application/json", "[{\"name\":\"a\",\"title\":\"A\"},{\"name\":\"b\",\"title\":\"B\"}]"},
        {"application/json",
         " [ {\"name\":\"a\",\n \"title\":\"A\"} ,\n{\"name\":\"b\",\"title\":\"B\"} ] \n"},
        {"application/json", "{\"name\":\"a\",\n\"title\":\"A\"} {\"name\":\"b\",\"title\":\"B\"}"},
    };
    for (auto &row : table) {
        plan_answer("luna.testing.Everything", R"({"id":7})");
        auto r = upload("/v1/books:add", row.type, row.body);
        EXPECT_EQ(r.status, 200) << row.body << r.body;
        EXPECT_NE(r.body.find("\"id\":7"), std::string::npos) << r.body;
        EXPECT_EQ(books(), expected) << row.body;
        EXPECT_TRUE(streams.wait([](const Seen &s) { return s.ended; }));
    }
}

TEST_F(Uploads, TakePathAndFieldsToTheirPlaces)
{
    begin();
    plan_answer("luna.testing.Everything", "{}");
    auto r = upload("/v1/shelves/s1/books:add", "application/x-ndjson",
                    "{\"title\":\"A\"}\n{\"title\":\"B\"}\n");
    EXPECT_EQ(r.status, 200) << r.body;
    EXPECT_EQ(books(), (std::vector<std::string>{R"({"name":"s1","title":"A"})",
                                                 R"({"name":"","title":"B"})"}));
    plan_answer("luna.testing.Everything", "{}");
    EXPECT_EQ(upload("/v1/shelves/s1/books:add", "application/x-ndjson", "\n").status, 200);
    EXPECT_EQ(books(), (std::vector<std::string>{R"({"name":"s1","title":""})"}))
        << "the path is said even when the body says nothing";
    plan_answer("luna.testing.Everything", "{}");
    EXPECT_EQ(upload("/v1/books:add", "application/json", "[]").status, 200);
    EXPECT_TRUE(streams.seen().messages.empty());
    plan_answer("luna.testing.Everything", "{}");
    EXPECT_EQ(upload("/v1/nested:add", "application/json", "{}").status, 200);
    EXPECT_EQ(streams.seen().messages.size(), 1u);
    EXPECT_EQ(upload("/v1/books:add?nope=1", "application/json", "[]").status, 422);
    EXPECT_EQ(upload("/v1/books:add", "text/csv", "a,b").status, 415);
}

TEST_F(Uploads, NameTheLineOfAMistake)
{
    begin();
    const struct {
        const char *type, *body;
        int status;
        const char *text;
    } table[] = {
        {"application/x-ndjson", "{\"name\":\"a\"}\n\n{\"nmae\":\"b\"}\n", 422, "line 3"},
        {"application/x-ndjson", "{\"name\":\"a\"}\n{\"name\":\n", 400, "line 2"},
        {"application/x-ndjson", "{\"name\":\"a\"}\n{\"name\":7}", 422, "line 2"},
        {"application/json", "[{\"name\":\"a\"},{\"name\":7}]", 422, "element 2"},
        {"application/json", "[{\"name\":\"a\"},]", 400, "missing"},
        {"application/json", "[{\"name\":\"a\"}", 400, "not closed"},
        {"application/json", "[{\"name\":\"a\"}] 1", 400, "follows"},
        {"application/json", "[}]", 400, "bracket"},
        {"application/json", "{\"name\":\"a\"", 400, "line 1"},
    };
    for (auto &row : table) {
        plan_answer("luna.testing.Everything", "{}");
        auto r = upload("/v1/books:add", row.type, row.body);
        EXPECT_EQ(r.status, row.status) << row.body << r.body;
        EXPECT_NE(r.body.find(row.text), std::string::npos) << row.body << r.body;
        EXPECT_TRUE(streams.wait([](const Seen &s) { return s.done || s.method.empty(); }));
        EXPECT_FALSE(streams.seen().ended) << "half a stream must not look whole";
    }
}

TEST_F(Uploads, AreNotKept)
{
    begin();
    Plan p;
    p.paused = true;
    p.answer = wire("luna.testing.Everything", R"({"id":1})");
    streams.plan(p);
    std::string line = "{\"title\":\"" + std::string(10000, 'a') + "\"}\n";
    const size_t lines = 6000;
    Connection c(gateway->port);
    std::thread writer([&] {
        c.send(head("/v1/books:add", "application/x-ndjson"));
        for (size_t i = 0; i < lines; i++)
            c.send(chunk(line));
        c.send("0\r\n\r\n");
    });
    usleep(700000);
    size_t before = resident_bytes();
    streams.go_on();
    auto r = c.receive(false, 20);
    writer.join();
    EXPECT_EQ(r.status, 200) << r.body;
    EXPECT_EQ(streams.seen().messages.size(), lines);
#if defined(__has_feature)
    const size_t instrumentation = __has_feature(address_sanitizer) ? 60u << 20 : 0;
#else
    const size_t instrumentation = 0;
#endif
    EXPECT_LT(before, (40u << 20) + instrumentation) << "60 MB must not be kept";
    EXPECT_LT(resident_bytes(), (50u << 20) + 5 * instrumentation); // what was freed is kept aside
}

TEST_F(Uploads, OfBytesAreExact)
{
    begin();
    std::string all;
    for (int i = 0; i < 3000000; i++)
        all += static_cast<char>(i * 7 + i / 256);
    plan_answer("luna.testing.Book", R"({"name":"done"})");
    auto r = upload("/v1/put", "text/csv; charset=latin1", all, "PUT");
    EXPECT_EQ(r.status, 200) << r.body;
    std::string got, types_seen;
    auto seen = streams.seen();
    for (auto &m : seen.messages) {
        google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t *>(m.data()),
                                                  static_cast<int>(m.size()));
        while (uint32_t tag = in.ReadTag()) {
            uint32_t n = 0;
            std::string field;
            ASSERT_TRUE(in.ReadVarint32(&n) && in.ReadString(&field, static_cast<int>(n)));
            (tag >> 3 == 1 ? types_seen : got) += field;
        }
    }
    EXPECT_EQ(types_seen, "text/csv; charset=latin1") << "in the first message alone";
    EXPECT_TRUE(got == all) << got.size();
    EXPECT_GT(seen.messages.size(), 100u);
}

TEST_F(Uploads, OfBytesNameTheirPath)
{
    begin();
    for (const char *target : {"/v1/parcels/p1", "/v1/whole/p1"}) {
        plan_answer("luna.testing.Book", R"({"name":"done"})");
        EXPECT_EQ(upload(target, "image/png", std::string("\x89PNG\0\n", 6)).status, 200);
        ASSERT_EQ(streams.seen().messages.size(), 1u);
        EXPECT_EQ(
            json("luna.testing.Parcel", streams.seen().messages[0]),
            R"({"name":"p1","file":{"content_type":"image/png","data":"iVBORwAK","extensions":[]}})");
        plan_answer("luna.testing.Book", R"({"name":"done"})");
        EXPECT_EQ(upload(target, "image/png", "").status, 200);
        ASSERT_EQ(streams.seen().messages.size(), 1u) << "an empty file is one, too";
    }
}

TEST_F(Uploads, AreAnsweredEarlyWithTheTrueStatus)
{
    begin();
    Plan p;
    p.fail_after = 1;
    p.code = grpc::StatusCode::PERMISSION_DENIED;
    p.text = "not this shelf";
    streams.plan(p);
    Connection c(gateway->port);
    c.send(head("/v1/books:add", "application/x-ndjson"));
    c.send(chunk("{\"name\":\"a\"}\n")); // and nothing more: the answer comes all the same
    auto r = c.receive(false, 20);
    EXPECT_EQ(r.status, 403);
    EXPECT_EQ(r.header("Connection"), "close");
    EXPECT_NE(r.body.find("not this shelf"), std::string::npos);
    c.send(chunk("{\"name\":\"b\"}\n") + "0\r\n\r\n");
    EXPECT_TRUE(c.closes(10));
    // A mistake in a body without an end.
    plan_answer("luna.testing.Everything", "{}");
    Connection wrong(gateway->port);
    wrong.send(head("/v1/books:add", "application/x-ndjson"));
    wrong.send(chunk("{\"name\":\"a\"}\n"));
    EXPECT_TRUE(streams.wait([](const Seen &s) { return s.messages.size() == 1; }));
    wrong.send(chunk("{\"nmae\":\"a\"}\n"));
    EXPECT_EQ(wrong.receive(false, 20).status, 422);
    EXPECT_TRUE(streams.wait([](const Seen &s) { return s.cancelled; }));
    // The whole body is there before the server refuses it: the connection lives on.
    p.fail_after = 0;
    streams.plan(p);
    EXPECT_EQ(upload("/v1/books:add", "application/x-ndjson", "{\"name\":\"a\"}\n").status, 403);
    EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(Uploads, WaitForContinue)
{
    begin();
    Plan p;
    p.fail_after = 0;
    p.code = grpc::StatusCode::NOT_FOUND;
    p.text = "no such shelf";
    streams.plan(p);
    Connection c(gateway->port);
    c.send(head("/v1/books:add", "application/x-ndjson",
                "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"));
    ASSERT_TRUE(c.more(10));
    c.send(chunk("{}\n") + "0\r\n\r\n");
    EXPECT_EQ(c.receive(false, 20).status, 404);
}

TEST_F(Uploads, EndWhenTheClientLeaves)
{
    begin();
    plan_answer("luna.testing.Everything", "{}");
    {
        Connection c(gateway->port);
        c.send(head("/v1/books:add", "application/x-ndjson") + chunk("{\"name\":\"a\"}\n"));
        EXPECT_TRUE(streams.wait([](const Seen &s) { return s.messages.size() == 1; }));
    }
    EXPECT_TRUE(streams.wait([](const Seen &s) { return s.cancelled && s.done; }));
    EXPECT_FALSE(streams.seen().ended) << "a broken upload must not look whole";
    Plan p;
    p.paused = true;
    streams.plan(p);
    {
        Connection c(gateway->port);
        c.send(head("/v1/put", "text/plain", "Content-Length: 100000000\r\n").replace(0, 4, "PUT"));
        std::string block(300000, 'x'); // what fits into the buffers on the way
        c.send(block);
    }
    EXPECT_TRUE(streams.wait([](const Seen &s) { return s.cancelled; }));
    EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(Uploads, HaveLimits)
{
    begin({"--max-upload=100KiB", "--max-body=10KiB"});
    plan_answer("luna.testing.Book", "{}");
    EXPECT_EQ(upload("/v1/put", "a/b", std::string(100 << 10, 'x'), "PUT").status, 200);
    EXPECT_EQ(upload("/v1/put", "a/b", std::string(101 << 10, 'x'), "PUT").status, 413);
    EXPECT_EQ(upload("/v1/whole/x", "a/b", std::string(11 << 10, 'x')).status, 413);
    plan_answer("luna.testing.Book", "{}");
    Connection c(gateway->port);
    c.send(head("/v1/books:add", "application/x-ndjson"));
    c.send(chunk("\n{\"title\":\"" + std::string(11 << 10, 'x')));
    auto r = c.receive(false, 20);
    EXPECT_EQ(r.status, 413);
    EXPECT_NE(r.body.find("line 2"), std::string::npos) << r.body;
    plan_answer("luna.testing.Book", "{}");
    Connection endless(gateway->port);
    endless.send(head("/v1/books:add", "application/x-ndjson"));
    for (int i = 0; i < 11; i++)
        endless.send(chunk("{\"title\":\"" + std::string(9 << 10, 'x') + "\"}\n" +
                           std::string(1 << 10, '\n')));
    EXPECT_EQ(endless.receive(false, 20).status, 413);
}

TEST_F(Uploads, EndWhenTheGatewayStops)
{
    begin({"--drain-timeout=200ms"});
    plan_answer("luna.testing.Everything", "{}");
    Connection c(gateway->port);
    c.send(head("/v1/books:add", "application/x-ndjson") + chunk("{\"name\":\"a\"}\n"));
    EXPECT_TRUE(streams.wait([](const Seen &s) { return s.messages.size() == 1; }));
    EXPECT_EQ(gateway->stop(), 0);
    EXPECT_TRUE(streams.wait([](const Seen &s) { return s.cancelled; }));
}

} // namespace gateway_test
