// The edge: content codings, who is calling, caching, requests made again, TLS, and the next
// version.
#include <brotli/decode.h>
#include <zlib.h>

#include <fstream>
#include <set>

#include "gateway/fixture.h"

namespace gateway_test
{

class Edge : public GatewayTest
{
  protected:
    // The metadata of the one call that a request with these headers makes.
    Call call_with(const std::string &headers)
    {
        reply_book("{}");
        EXPECT_EQ(get("/v1/book/x", headers).status, 200) << headers;
        return upstream.calls().at(0);
    }
};

std::string
gzip(const std::string &text)
{
    z_stream z = {};
    std::string out(text.size() / 500 + text.size() % 500 + 1024, 0);
    deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
    z.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(text.data()));
    z.avail_in = static_cast<uInt>(text.size());
    z.next_out = reinterpret_cast<Bytef *>(&out[0]);
    z.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
}

TEST_F(Edge, PacksWithBrotliOrGzipAsTheClientLikes)
{
    start();
    reply_book("{\"title\":\"" + std::string(5000, 'a') + "\"}");
    std::string plain = get("/v1/book/x").body;
    const struct {
        const char *accept;
        const char *coding;
    } table[] = {
        {"br", "br"},
        {"gzip, deflate, br", "br"},
        {"gzip;q=1, br;q=0.5", "gzip"},
        {"br;q=0, gzip", "gzip"},
        {"*", "br"},
        {"*;q=0", ""},
        {"identity", ""},
        {"gzip;q=0", ""},
        {"br;q=nonsense", ""},
    };
    for (auto &row : table) {
        auto r = get("/v1/book/x", std::string("Accept-Encoding: ") + row.accept + "\r\n");
        EXPECT_EQ(r.header("Content-Encoding"), row.coding) << row.accept;
        EXPECT_NE(r.header("Vary").find("Accept-Encoding"), std::string::npos);
        if (*row.coding == 0) {
            EXPECT_EQ(r.body, plain) << row.accept;
        } else {
            EXPECT_LT(r.body.size(), 500u) << row.accept;
        }
        if (std::string(row.coding) == "br") {
            std::string text(plain.size(), 0);
            size_t n = text.size();
            EXPECT_EQ(BrotliDecoderDecompress(r.body.size(),
                                              reinterpret_cast<const uint8_t *>(r.body.data()), &n,
                                              reinterpret_cast<uint8_t *>(&text[0])),
                      BROTLI_DECODER_RESULT_SUCCESS);
            EXPECT_EQ(text, plain);
        }
    }
}

TEST_F(Edge, ReadsPackedBodiesAndNoBombs)
{
    start({"--max-body=64KiB"});
    reply(Reply());
    std::string body = R"({"name":"packed"})", packed = gzip(body);
    std::string coding = "Content-Encoding: gzip\r\n";
    EXPECT_EQ(post("/v1/search:run", packed, coding).status, 200);
    EXPECT_EQ(json("luna.testing.Everything", upstream.calls().at(0).request).find("\"packed\"") !=
                  std::string::npos,
              true);
    // 64 KiB exactly, one byte more, and 20 MiB out of 20 KiB.
    EXPECT_EQ(
        post("/v1/search:run", gzip(body + std::string((64 << 10) - body.size(), ' ')), coding)
            .status,
        200);
    EXPECT_EQ(
        post("/v1/search:run", gzip(body + std::string((64 << 10) - body.size() + 1, ' ')), coding)
            .status,
        413);
    EXPECT_EQ(post("/v1/search:run", gzip(std::string(20 << 20, ' ')), coding).status, 413);
    EXPECT_EQ(post("/v1/search:run", packed.substr(0, packed.size() - 4), coding).status, 400);
    EXPECT_EQ(post("/v1/search:run", packed + "x", coding).status, 400);
    EXPECT_EQ(post("/v1/search:run", "{}", coding).status, 400);
    auto r = post("/v1/search:run", body, "Content-Encoding: zstd\r\n");
    EXPECT_EQ(r.status, 415);
    EXPECT_EQ(r.header("Accept-Encoding"), "gzip, identity");
}

TEST_F(Edge, BelievesForwardedHeadersOfTrustedProxies)
{
    start();
    EXPECT_EQ(call_with("").header("x-forwarded-for"), "127.0.0.1");
    EXPECT_EQ(call_with("").header("x-forwarded-proto"), "http");
    EXPECT_EQ(call_with("").header("x-forwarded-host"), "x");
    auto c = call_with("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n"
                       "X-Forwarded-Host: api.example.com\r\n");
    EXPECT_EQ(c.header("x-forwarded-for"), "9.9.9.9, 127.0.0.1");
    EXPECT_EQ(c.header("x-forwarded-proto"), "https");
    EXPECT_EQ(c.header("x-forwarded-host"), "api.example.com");
    c = call_with(
        "Forwarded: for=\"[2001:db8::17]:4711\";proto=https;host=a.b, for=192.0.2.43:80\r\n");
    EXPECT_EQ(c.header("x-forwarded-for"), "2001:db8::17, 192.0.2.43, 127.0.0.1");
    EXPECT_EQ(c.header("x-forwarded-proto"), "https");
    EXPECT_EQ(c.header("x-forwarded-host"), "a.b");
    EXPECT_EQ(call_with("X-Forwarded-Proto: gopher\r\n").header("x-forwarded-proto"), "http");
}

TEST_F(Edge, BelievesNobodyElse)
{
    start({"--trusted-proxies=10.0.0.0/8"});
    auto c = call_with("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n"
                       "X-Forwarded-Host: evil\r\nForwarded: for=8.8.8.8\r\n");
    EXPECT_EQ(c.header("x-forwarded-for"), "127.0.0.1");
    EXPECT_EQ(c.header("x-forwarded-proto"), "http");
    EXPECT_EQ(c.header("x-forwarded-host"), "x");
}

TEST_F(Edge, ContinuesTracesAndStartsThem)
{
    start();
    std::string parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    EXPECT_EQ(call_with("traceparent: " + parent + "\r\n").header("traceparent"), parent);
    for (const char *bad :
         {"", "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n",
          "traceparent: 00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01\r\n",
          "traceparent: 00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
          "traceparent: garbage\r\n"}) {
        std::string made = call_with(bad).header("traceparent");
        ASSERT_EQ(made.size(), 55u) << bad;
        EXPECT_EQ(made.substr(0, 3) + made.substr(35, 1) + made.substr(52), "00---00") << made;
        EXPECT_EQ(made.find("00000000000000"), std::string::npos) << made;
        EXPECT_NE(made, call_with(bad).header("traceparent"));
    }
}

TEST_F(Edge, MarksAnswersThatMayBeKept)
{
    start();
    reply_book(R"({"name":"a"})");
    auto r = get("/v1/lookup/a");
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.header("Cache-Control"), "private, max-age=60");
    std::string etag = r.header("ETag");
    ASSERT_GT(etag.size(), 4u);
    auto same = get("/v1/lookup/a", "If-None-Match: \"other\", " + etag + "\r\n");
    EXPECT_EQ(same.status, 304);
    EXPECT_EQ(same.body, "");
    EXPECT_EQ(same.header("ETag"), etag);
    EXPECT_EQ(get("/v1/lookup/a", "If-None-Match: \"other\"\r\n").status, 200);
    auto head = request("HEAD", "/v1/lookup/a");
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.header("ETag"), etag);
    reply_book(R"({"name":"b"})");
    EXPECT_NE(get("/v1/lookup/a").header("ETag"), etag);
    EXPECT_EQ(get("/v1/book/x").header("Cache-Control"), "no-store");
    EXPECT_EQ(get("/v1/book/x").header("ETag"), "");
    EXPECT_EQ(call_with("If-Match: \"v1\"\r\n").header("if-match"), "\"v1\"");
}

// ---- requests made again ----

TEST_F(Edge, MakesIdempotentCallsAgainWhenNoServerWasReached)
{
    int port = GatewayProcess::free_port();
    std::string address = "127.0.0.1:" + std::to_string(port);
    auto server = std::make_unique<UpstreamServer>(address);
    gateway = std::make_unique<GatewayProcess>(address, std::vector<std::string>{});
    for (int i = 0; i < 2000 && get("/v1/lookup/x").status != 200; i++)
        usleep(10000);
    int failed = 0;
    for (int round = 0; round < 3; round++) {
        server.reset();
        std::thread starter([&] {
            usleep(150000);
            server = std::make_unique<UpstreamServer>(address);
        });
        // Asked while nobody listens, answered by the one that comes.
        int status = get("/v1/lookup/x").status;
        failed += status != 200;
        starter.join();
        for (int i = 0; i < 2000 && get("/v1/lookup/x").status != 200; i++)
            usleep(10000);
    }
    EXPECT_LT(failed, 3) << "of three, on a machine that may be slow";
}

TEST_F(Edge, DoesNotRepeatWhatAServerHasAnswered)
{
    start();
    Reply down;
    down.code = grpc::StatusCode::UNAVAILABLE;
    down.text = "storage is away";
    down.trailers = {{"x-seen", "1"}};
    reply(down);
    EXPECT_EQ(get("/v1/lookup/x").status, 503);
    EXPECT_EQ(upstream.calls().size(), 1u);
    EXPECT_EQ(get("/v1/book/x").status, 503);
    EXPECT_EQ(upstream.calls().size(), 2u);
}

TEST_F(Edge, GoesRoundSeveralServersAndPastTheDeadOne)
{
    auto second = std::make_unique<UpstreamServer>();
    Reply a, b;
    a.messages = {wire("luna.testing.Book", R"({"name":"first"})")};
    b.messages = {wire("luna.testing.Book", R"({"name":"second"})")};
    reply(a);
    second->handle([b](const Call &) { return b; });
    gateway = std::make_unique<GatewayProcess>(upstream.address() + "," + second->address(),
                                               std::vector<std::string>{});
    std::set<std::string> seen;
    for (int i = 0; i < 2000 && seen.size() < 2; i++) {
        auto r = get("/v1/lookup/x");
        if (r.status == 200)
            seen.insert(r.body);
        else
            usleep(10000);
    }
    EXPECT_EQ(seen.size(), 2u);
    second.reset();
    int good = 0;
    for (int i = 0; i < 50; i++)
        good += get("/v1/lookup/x").status == 200;
    EXPECT_EQ(good, 50);
}

TEST_F(Edge, PassesByServersThatDoNotServe)
{
    UpstreamServer ill("127.0.0.1:0", /*healthy=*/false);
    Reply a, b;
    a.messages = {wire("luna.testing.Book", R"({"name":"well"})")};
    b.messages = {wire("luna.testing.Book", R"({"name":"ill"})")};
    reply(a);
    ill.handle([b](const Call &) { return b; });
    gateway = std::make_unique<GatewayProcess>(upstream.address() + "," + ill.address(),
                                               std::vector<std::string>{});
    for (int i = 0; i < 2000 && get("/v1/book/x").status != 200; i++)
        usleep(10000);
    for (int i = 0; i < 30; i++)
        EXPECT_NE(get("/v1/book/x").body.find("well"), std::string::npos);
    EXPECT_TRUE(ill.calls().empty());
}

// ---- TLS, and the next version ----

class Certificate
{
  public:
    Certificate()
    {
        char folder[] = "/tmp/luna-tls-XXXXXX";
        path = mkdtemp(folder);
        std::string command =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
            "/CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " +
            path + "/key.pem -out " + path + "/cert.pem 2>/dev/null";
        made = system(command.c_str()) == 0;
    }
    ~Certificate()
    {
        for (const char *name : {"/key.pem", "/cert.pem"})
            unlink((path + name).c_str());
        rmdir(path.c_str());
    }
    std::string text(const char *name) const
    {
        std::ifstream in(path + name);
        return std::string(std::istreambuf_iterator<char>(in), {});
    }
    std::string path;
    bool made;
};

std::string
s_client(int port, const std::string &options)
{
    std::string out,
        command = "printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: "
                  "close\\r\\n\\r\\n' | timeout 20 openssl s_client -ign_eof -connect "
                  "127.0.0.1:" +
                  std::to_string(port) + " " + options + " 2>&1";
    FILE *p = popen(command.c_str(), "r");
    char line[1024];
    while (fgets(line, sizeof(line), p))
        out += line;
    pclose(p);
    return out;
}

TEST_F(Edge, FindsTheServersOfAName)
{
    reply_book(R"({"name":"x"})");
    gateway =
        std::make_unique<GatewayProcess>(upstream.address("localhost"), std::vector<std::string>{});
    int status = 0;
    for (int i = 0; i < 2000 && status != 200; i++) {
        status = get("/v1/book/x").status;
        usleep(10000);
    }
    EXPECT_EQ(status, 200);
}

TEST_F(Edge, SpeaksTlsToTheServerAndToNobodyElse)
{
    Certificate c, other;
    ASSERT_TRUE(c.made && other.made);
    grpc::SslServerCredentialsOptions options;
    options.pem_key_cert_pairs = {{c.text("/key.pem"), c.text("/cert.pem")}};
    UpstreamServer secret("127.0.0.1:0", true, grpc::SslServerCredentials(options));
    Reply r;
    r.messages = {wire("luna.testing.Book", R"({"name":"x"})")};
    secret.handle([r](const Call &) { return r; });
    for (const Certificate *trusted : {&c, &other}) {
        gateway = std::make_unique<GatewayProcess>(
            secret.address("localhost"),
            std::vector<std::string>{"--upstream-ca=" + trusted->path + "/cert.pem"});
        int status = 0;
        for (int i = 0; i < (trusted == &c ? 2000 : 30) && status != 200; i++) {
            status = get("/v1/book/x").status;
            usleep(10000);
        }
        EXPECT_EQ(status, trusted == &c ? 200 : 503);
    }
}

TEST_F(Edge, SpeaksTls)
{
    Certificate c;
    ASSERT_TRUE(c.made);
    gateway = std::make_unique<GatewayProcess>(
        upstream.address(), std::vector<std::string>{"--tls-certificate=" + c.path + "/cert.pem",
                                                     "--tls-key=" + c.path + "/key.pem"});
    std::string trust = "-verify_return_error -CAfile " + c.path + "/cert.pem";
    auto out = s_client(gateway->port, trust + " -alpn h2,http/1.1");
    EXPECT_NE(out.find("HTTP/1.1 200"), std::string::npos) << out;
    EXPECT_NE(out.find("ALPN protocol: http/1.1"), std::string::npos) << out;
    EXPECT_NE(out.find("TLSv1.3"), std::string::npos) << out;
    EXPECT_EQ(s_client(gateway->port, "-tls1_1 -cipher ALL:@SECLEVEL=0").find("HTTP/1.1 200"),
              std::string::npos);
    // Who speaks no TLS is refused, and others go on.
    EXPECT_EQ(get("/healthz").status, 0);
    EXPECT_NE(s_client(gateway->port, trust).find("HTTP/1.1 200"), std::string::npos);
}

// Listening sockets on the port.
int
listeners(int port)
{
    std::ifstream f("/proc/net/tcp");
    std::string line;
    char wanted[32];
    std::snprintf(wanted, sizeof(wanted), "0100007F:%04X 00000000:0000 0A", port);
    int n = 0;
    while (std::getline(f, line))
        n += line.find(wanted) != std::string::npos;
    return n;
}

TEST_F(Edge, HandsOverToTheNextVersionWithoutAFailure)
{
    start();
    reply_book(R"({"name":"a"})");
    std::atomic<bool> stop{false};
    std::atomic<int> good{0}, failed{0};
    std::vector<std::thread> clients;
    int port = gateway->port;
    for (int t = 0; t < 4; t++) {
        clients.emplace_back([&] {
            while (!stop) {
                Connection c(port);
                // A few requests on each connection, until the gateway says that it closes it.
                for (int i = 0; i < 5 && !stop; i++) {
                    c.send("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n");
                    auto r = c.receive(false, 20);
                    (r.status == 200 ? good : failed)++;
                    if (r.status != 200 || r.header("Connection") == "close")
                        break;
                }
            }
        });
    }
    for (int round = 0; round < 2; round++) {
        auto next =
            std::make_unique<GatewayProcess>(upstream.address(), std::vector<std::string>{}, port);
        for (int i = 0; i < 2000 && listeners(port) < 2; i++)
            usleep(10000);
        ASSERT_EQ(listeners(port), 2);
        EXPECT_EQ(gateway->stop(), 0);
        EXPECT_EQ(listeners(port), 1);
        gateway = std::move(next);
        int before = good;
        for (int i = 0; i < 2000 && good < before + 20; i++)
            usleep(10000);
    }
    stop = true;
    for (auto &c : clients)
        c.join();
    EXPECT_EQ(failed.load(), 0);
    EXPECT_GT(good.load(), 40);
}

} // namespace gateway_test
