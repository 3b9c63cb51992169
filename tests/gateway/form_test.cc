// Forms with a file, as browsers send them, to methods that take bytes.
#include "gateway/fixture.h"
#include "gateway/stream_server.h"

#include <google/protobuf/io/coded_stream.h>

namespace gateway_test
{

class Forms : public GatewayTest
{
  protected:
    void begin(std::vector<std::string> settings = {})
    {
        gateway = std::make_unique<GatewayProcess>(streams.address(), std::move(settings));
        for (int i = 0; i < 2000 && get("/readyz").status != 200; i++)
            usleep(10000);
    }
    static std::string part(const std::string &disposition, const std::string &value,
                            const std::string &headers = "")
    {
        return "--b0und\r\nContent-Disposition: form-data; " + disposition + "\r\n" + headers +
               "\r\n" + value + "\r\n";
    }
    static std::string file(const std::string &bytes,
                            const std::string &headers = "Content-Type: image/png\r\n")
    {
        return part("name=\"file\"; filename=\"a.png\"", bytes, headers);
    }
    Response send(const std::string &target, const std::string &body,
                  const std::string &type = "multipart/form-data; boundary=b0und")
    {
        Plan p;
        p.answer = wire("luna.testing.Book", R"({"name":"done"})");
        streams.plan(p);
        return request("POST", target, "Content-Type: " + type + "\r\n", body, 20);
    }
    // The fields of all messages of the one call, joined: parcel.name, file.content_type,
    // file.data.
    void take_apart()
    {
        name = type = data = "";
        for (auto &m : streams.seen().messages) {
            std::string inner;
            for (auto &[number, bytes] : fields(m))
                (number == 1 ? name : inner) += bytes;
            for (auto &[number, bytes] : fields(inner))
                (number == 1 ? type : data) += bytes;
        }
    }
    static std::vector<std::pair<uint32_t, std::string>> fields(const std::string &m)
    {
        std::vector<std::pair<uint32_t, std::string>> all;
        google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t *>(m.data()),
                                                  static_cast<int>(m.size()));
        while (uint32_t tag = in.ReadTag()) {
            uint32_t n = 0;
            std::string bytes;
            EXPECT_TRUE(in.ReadVarint32(&n) && in.ReadString(&bytes, static_cast<int>(n)));
            all.emplace_back(tag >> 3, bytes);
        }
        return all;
    }

    StreamServer streams;
    std::string name, type, data;
    const std::string end = "--b0und--\r\n";
};

TEST_F(Forms, GiveTheirFileByteExact)
{
    begin();
    std::string all;
    for (int i = 0; i < 1000000; i++)
        all += static_cast<char>(i * 7 + i / 256);
    all += "\r\n--b0un\r\n--b0uncd\r\n\r\n--\r"; // nearly its end
    for (const std::string &bytes :
         {all, std::string("\0\r\n", 3), std::string("\n"), std::string()})
        for (const char *target : {"/v1/parcels/p1", "/v1/whole/p1"}) {
            auto r = send(target, file(bytes) + end);
            EXPECT_EQ(r.status, 200) << target << bytes.size() << r.body;
            take_apart();
            EXPECT_EQ(name, "p1");
            EXPECT_EQ(type, "image/png");
            EXPECT_TRUE(data == bytes) << target << " " << data.size() << " of " << bytes.size();
        }
}

TEST_F(Forms, AreNotKept)
{
    begin({"--max-upload=100MiB"});
    Plan p;
    p.answer = wire("luna.testing.Book", "{}");
    p.paused = true;
    streams.plan(p);
    std::string body = file(std::string(60 << 20, 'x')) + end;
    Connection c(gateway->port);
    std::thread writer([&] {
        c.send("POST /v1/parcels/p1 HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; "
               "boundary=b0und\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body);
    });
    usleep(700000);
    std::ifstream statm("/proc/" + std::to_string(gateway->pid) + "/statm");
    size_t pages = 0, resident = 0;
    statm >> pages >> resident;
    streams.go_on();
    EXPECT_EQ(c.receive(false, 20).status, 200);
    writer.join();
    take_apart();
    EXPECT_EQ(data.size(), 60u << 20);
#if defined(__has_feature)
    const size_t instrumentation = __has_feature(address_sanitizer) ? 60u << 20 : 0;
#else
    const size_t instrumentation = 0;
#endif
    EXPECT_LT(resident * 4096, (40u << 20) + instrumentation);
}

TEST_F(Forms, GiveFieldsInFrontAsParameters)
{
    begin();
    for (const char *target : {"/v1/parcels", "/v1/whole"}) {
        auto r = send(target, part("name=\"name\"", "a & b=c\r\n%41+\xc3\xa4") + file("f") + end);
        EXPECT_EQ(r.status, 200) << target << r.body;
        take_apart();
        EXPECT_EQ(name, "a & b=c\r\n%41+\xc3\xa4");
        EXPECT_EQ(data, "f");
        auto twice =
            send(std::string(target) + "?name=y", part("name=\"name\"", "x") + file("f") + end);
        EXPECT_EQ(twice.status, 422) << twice.body;
        auto unknown = send(target, part("name=\"no&pe\"", "x") + file("f") + end);
        EXPECT_EQ(unknown.status, 422);
        EXPECT_NE(unknown.body.find(R"("field":"no&pe")"), std::string::npos) << unknown.body;
        auto empty = send(target, part("name=\"name\"", "") + file("f") + end);
        EXPECT_EQ(empty.status, 200) << target << empty.body;
        auto large = send(target, part("name=\"name\"", std::string(30000, 'x')) + file("f") + end);
        EXPECT_EQ(large.status, 413) << target << large.body;
    }
}

TEST_F(Forms, ThatAreWrongAreRefused)
{
    begin();
    const std::pair<std::string, int> table[] = {
        {file("f"), 400},                                       // cut
        {"--b0und\r\nContent-Disposition: form-data; na", 400}, // cut
        {end, 400},                                             // holds no file
        {file("f") + file("g") + end, 422},                     // two
        {file("f") + part("name=\"later\"", "x") + end, 422},   // behind the file
        {file("Zg==", "Content-Transfer-Encoding: base64\r\n") + end, 422},
        {file("f", "Content-Transfer-Encoding: binary\r\n") + end, 200},
        {file("f", "") + end, 200},
        {file("f") + end + "epilogue", 400}, // which no browser sends
    };
    for (const char *target : {"/v1/parcels/p1", "/v1/whole/p1"})
        for (auto &[body, status] : table)
            EXPECT_EQ(send(target, body).status, status) << target << "\n" << body;
    for (const char *target : {"/v1/parcels/p1", "/v1/whole/p1"})
        EXPECT_EQ(send(target, file("f") + end, "multipart/form-data").status, 400) << target;
    EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(Forms, AreNotForMethodsOfJson)
{
    begin();
    for (const char *target : {"/v1/search:run", "/v1/books:add"}) {
        auto r = send(target, file("f") + end);
        EXPECT_EQ(r.status, 415) << target;
        EXPECT_NE(r.body.find("not multipart/form-data"), std::string::npos) << r.body;
    }
}

TEST_F(Forms, AreTheBodyWhenTheyAreNotTakenApart)
{
    begin({"--forms=false"});
    EXPECT_EQ(send("/v1/parcels/p1", file("f") + end).status, 200);
    take_apart();
    EXPECT_EQ(data, file("f") + end);
    EXPECT_EQ(type, "multipart/form-data; boundary=b0und");
}

} // namespace gateway_test
