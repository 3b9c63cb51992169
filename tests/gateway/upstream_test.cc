// The gateway's own HTTP/2 client, in front of servers that do wrong, go away or want certificates.
#include <fstream>

#include "gateway/fixture.h"
#include "gateway/raw_server.h"

namespace gateway_test
{

class Upstream : public GatewayTest
{
  protected:
    void start_at(const std::string &address, std::vector<std::string> settings = {})
    {
        settings.push_back("--threads=1"); // connections are counted
        gateway = std::make_unique<GatewayProcess>(address, std::move(settings));
        wait_ready();
    }
    void wait_ready()
    {
        for (int i = 0; i < 1000 && get("/readyz").status != 200; i++)
            usleep(10000);
    }
};

std::string
book(uint32_t stream)
{
    return frame(HEADERS, END_HEADERS, stream, good_head()) +
           frame(DATA, 0, stream,
                 message("\x0a\x01"
                         "a")) +
           frame(HEADERS, END_HEADERS | END_STREAM, stream, field("grpc-status", "0"));
}

TEST_F(Upstream, ReadsAnswersInAnyPieces)
{
    RawServer server([](int, uint32_t s) {
        std::string m = message("\x0a\x01"
                                "a"),
                    all = frame(HEADERS, END_HEADERS, s, good_head());
        for (char c : m)
            all += frame(DATA, 0, s, std::string(1, c));
        return all + frame(DATA, 0, s, "") +
               frame(HEADERS, END_HEADERS | END_STREAM, s, field("grpc-status", "0"));
    });
    start_at(server.address);
    for (int i = 0; i < 3; i++) {
        auto r = get("/v1/book/x");
        EXPECT_EQ(r.status, 200);
        EXPECT_NE(r.body.find("\"name\":\"a\""), std::string::npos) << r.body;
    }
    EXPECT_EQ(server.connections, 1);
}

TEST_F(Upstream, AnswersWhatServersDoWrong)
{
    const struct {
        const char *what;
        std::function<std::string(uint32_t)> say;
        int status;
    } table[] = {
        {"a compressed message",
         [](uint32_t s) {
             return frame(HEADERS, END_HEADERS, s, good_head()) +
                    frame(DATA, 0, s, message("zzz", 1));
         },
         500},
        {"half a message",
         [](uint32_t s) {
             return frame(HEADERS, END_HEADERS, s, good_head()) +
                    frame(DATA, 0, s,
                          message("\x0a\x01"
                                  "a")
                              .substr(0, 6)) +
                    frame(HEADERS, END_HEADERS | END_STREAM, s, field("grpc-status", "0"));
         },
         500},
        {"two messages",
         [](uint32_t s) {
             return frame(HEADERS, END_HEADERS, s, good_head()) +
                    frame(DATA, 0, s, message("") + message("")) +
                    frame(HEADERS, END_HEADERS | END_STREAM, s, field("grpc-status", "0"));
         },
         500},
        {"no status",
         [](uint32_t s) {
             return frame(HEADERS, END_HEADERS, s, good_head()) +
                    frame(DATA, END_STREAM, s, message(""));
         },
         500},
        {"a status that is none",
         [](uint32_t s) {
             return frame(HEADERS, END_HEADERS | END_STREAM, s,
                          good_head() + field("grpc-status", "99"));
         },
         500},
        {"a reset", [](uint32_t s) { return frame(RST_STREAM, 0, s, u32(2)); }, 500},
        {"a web page",
         [](uint32_t s) {
             return frame(HEADERS, END_HEADERS, s,
                          field(":status", "502") + field("content-type", "text/html")) +
                    frame(DATA, END_STREAM, s, "<p>bad gateway</p>");
         },
         503},
        {"its message, percent-encoded",
         [](uint32_t s) {
             return frame(HEADERS, END_HEADERS | END_STREAM, s,
                          good_head() + field("grpc-status", "5") +
                              field("grpc-message", "nothing %C3%A4t %zz 100%"));
         },
         404},
        {"nothing more", [](uint32_t) { return std::string(); }, 503},
    };
    std::atomic<int> row{0};
    RawServer server([&](int, uint32_t s) { return row < 0 ? book(s) : table[row].say(s); });
    start_at(server.address);
    for (size_t i = 0; i < std::size(table); i++) {
        row = static_cast<int>(i);
        auto r = get("/v1/book/x");
        EXPECT_EQ(r.status, table[i].status) << table[i].what << ": " << r.body;
        if (table[i].status == 404) {
            EXPECT_NE(r.body.find("nothing \xc3\xa4t %zz 100%"), std::string::npos) << r.body;
        }
        row = -1;
        wait_ready();
        EXPECT_EQ(get("/v1/book/x").status, 200) << "after " << table[i].what;
    }
}

TEST_F(Upstream, BoundsMetadataOfAnswers)
{
    RawServer server([](int n, uint32_t s) {
        if (n > 0)
            return book(s);
        std::string head = good_head();
        for (int i = 0; i < 10; i++)
            head += field("x-" + std::to_string(i), std::string(1500, 'v'));
        // Again and again the same: informational heads until it is too much.
        std::string all;
        for (int i = 0; i < 8; i++)
            all += frame(HEADERS, END_HEADERS, s,
                         field(":status", "103") + head.substr(head.find("x-") - 2));
        return all + book(s);
    });
    start_at(server.address);
    EXPECT_GE(get("/v1/book/x").status, 400);
    wait_ready();
    EXPECT_EQ(get("/v1/book/x").status, 200);
}

// What a server refused to look at is asked again, also of methods that are not idempotent.
TEST_F(Upstream, AsksAgainWhatWasRefused)
{
    RawServer server([](int n, uint32_t s) {
        if (n == 0) // REFUSED_STREAM
            return frame(RST_STREAM, 0, s, u32(7));
        if (n == 2) // a goodbye that leaves the call out
            return frame(GOAWAY, 0, 0, u32(0) + u32(0));
        return book(s);
    });
    start_at(server.address);
    EXPECT_EQ(get("/v1/book/x").status, 200);
    EXPECT_EQ(server.calls, 2);
    EXPECT_EQ(get("/v1/book/x").status, 200);
    EXPECT_EQ(server.calls, 4);
    EXPECT_EQ(server.connections, 2);
}

TEST_F(Upstream, GivesUpWhatIsAlwaysRefused)
{
    RawServer server([](int, uint32_t s) { return frame(RST_STREAM, 0, s, u32(7)); });
    start_at(server.address);
    EXPECT_EQ(get("/v1/book/x").status, 503);
    EXPECT_LE(server.calls, 8);
}

// Servers that say goodbye, one after the other, while calls go on: none is lost.
TEST_F(Upstream, LosesNoCallWhenServersDrain)
{
    Reply a;
    a.messages = {wire("luna.testing.Book", R"({"name":"a"})")};
    a.delay = std::chrono::milliseconds(2);
    int port = GatewayProcess::free_port();
    std::string other = "127.0.0.1:" + std::to_string(port);
    auto second = std::make_unique<UpstreamServer>(other);
    reply(a);
    second->handle([a](const Call &) { return a; });
    start_at(upstream.address() + "," + other);
    std::atomic<bool> stop{false};
    std::atomic<int> good{0}, bad{0};
    std::vector<std::thread> clients;
    for (int t = 0; t < 4; t++) {
        clients.emplace_back([&] {
            Connection c(gateway->port);
            while (!stop) {
                c.send("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n");
                auto r = c.receive(false, 30);
                // gRPC's C++ server cancels what arrives while it shuts down, and says so: 499.
                good += r.status == 200;
                bad += r.status != 200 && r.status != 499;
            }
        });
    }
    for (int round = 0; round < 3; round++) {
        int before = good;
        for (int i = 0; i < 2000 && good < before + 50; i++)
            usleep(10000);
        second->patience = std::chrono::seconds(30); // for calls that run
        second.reset();                              // GOAWAY
        before = good;
        for (int i = 0; i < 2000 && good < before + 50; i++)
            usleep(10000);
        second = std::make_unique<UpstreamServer>(other);
        second->handle([a](const Call &) { return a; });
    }
    stop = true;
    for (auto &c : clients)
        c.join();
    EXPECT_EQ(bad, 0);
    EXPECT_GT(good, 200);
}

// ---- TLS to the server ----

class Authority
{
  public:
    Authority()
    {
        char folder[] = "/tmp/luna-mtls-XXXXXX";
        path = mkdtemp(folder);
        std::string in = "cd " + path + " && ";
        std::string key = " -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 ";
        made = system((in + "openssl req -x509" + key +
                       "-subj /CN=luna-ca -keyout ca.key -out ca.pem 2>/dev/null && "
                       "for who in localhost client; do "
                       "openssl req" +
                       key +
                       "-subj /CN=$who -keyout $who.key -out $who.csr "
                       "2>/dev/null && printf 'subjectAltName=DNS:%s' $who > $who.ext && "
                       "openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial "
                       "-days 2 -extfile $who.ext -out $who.pem 2>/dev/null; done")
                          .c_str()) == 0;
    }
    ~Authority()
    {
        int r = system(("rm -rf " + path).c_str());
        (void)r;
    }
    std::string read(const std::string &name) const
    {
        std::ifstream f(path + "/" + name);
        return std::string(std::istreambuf_iterator<char>(f), {});
    }
    std::string path;
    bool made;
};

TEST_F(Upstream, SpeaksTlsWithCertificatesOfBothSides)
{
    Authority ca;
    ASSERT_TRUE(ca.made);
    grpc::SslServerCredentialsOptions o(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    o.pem_root_certs = ca.read("ca.pem");
    o.pem_key_cert_pairs.push_back({ca.read("localhost.key"), ca.read("localhost.pem")});
    UpstreamServer server("127.0.0.1:0", true, grpc::SslServerCredentials(o));
    Reply a;
    a.messages = {wire("luna.testing.Book", R"({"name":"secret"})")};
    server.handle([a](const Call &) { return a; });
    std::string port = server.address().substr(server.address().find(':'));
    std::string trust = "--upstream-ca=" + ca.path + "/ca.pem";
    std::vector<std::string> show = {trust, "--upstream-certificate=" + ca.path + "/client.pem",
                                     "--upstream-key=" + ca.path + "/client.key"};
    start_at("localhost" + port, show);
    auto r = get("/v1/book/x");
    EXPECT_EQ(r.status, 200);
    EXPECT_NE(r.body.find("secret"), std::string::npos);
    // Without a certificate of ours, by a name that is not the server's, and without TLS.
    gateway = std::make_unique<GatewayProcess>("localhost" + port, std::vector<std::string>{trust});
    EXPECT_EQ(get("/v1/book/x").status, 503);
    gateway = std::make_unique<GatewayProcess>("127.0.0.1" + port, show);
    EXPECT_EQ(get("/v1/book/x").status, 503);
    gateway = std::make_unique<GatewayProcess>("localhost" + port, std::vector<std::string>{});
    EXPECT_EQ(get("/v1/book/x").status, 503);
}

} // namespace gateway_test
