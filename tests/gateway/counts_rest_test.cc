// Spaces, doorways and DPUs over REST: PATCH changes what its body names, PUT replaces, through the
// real server and gateway.
#include "gateway/stack.h"

namespace gateway_test
{

namespace
{

class CountsRest : public testing::Test
{
  protected:
    static void SetUpTestSuite()
    {
        stack = new Stack("rest");
    }
    static void TearDownTestSuite()
    {
        delete stack;
        stack = nullptr;
    }
    static Response ask(const std::string &method, const std::string &path,
                        const std::string &body = "")
    {
        return stack->request(method, "/api/v1" + path, body);
    }
    // Makes one; its path.
    static std::string make(const std::string &family, const std::string &body)
    {
        Response r = ask("POST", "/" + family + "/", body);
        EXPECT_EQ(r.status, 200) << r.body;
        size_t at = r.body.find(':') + 1;
        return "/" + family + "/" + r.body.substr(at, r.body.find(',') - at);
    }
    // Answered, and got again: the same, and it holds `expected` behind its id.
    static void expect(const std::string &method, const std::string &path, const std::string &body,
                       const std::string &expected)
    {
        Response r = ask(method, path, body);
        EXPECT_EQ(r.status, 200) << method << path << body << r.body;
        EXPECT_EQ(core_of(r.body), expected) << method << path << body;
        EXPECT_EQ(ask("GET", path).body, r.body);
    }
    // What lies between the id and the times.
    static std::string core_of(const std::string &body)
    {
        size_t from = body.find(',');
        size_t to = body.find(",\"created_at\"");
        return from < to && to != std::string::npos ? body.substr(from + 1, to - from - 1) : body;
    }
    static std::string id_of(const std::string &path)
    {
        return path.substr(path.rfind('/') + 1);
    }
    static Stack *stack;
};

Stack *CountsRest::stack;

} // namespace

TEST_F(CountsRest, Spaces)
{
    const std::string house = make("spaces", R"({"name":"house"})");
    const std::string in = R"("parent_id":)" + id_of(house);
    const std::string space =
        make("spaces", R"({"name":"A","capacity":30,)" + in + R"(,"time_zone":"Europe/Berlin"})");
    expect("PATCH", space, R"({"capacity":25})",
           R"("name":"A","capacity":25,)" + in + R"(,"time_zone":"Europe/Berlin")");
    expect("PATCH", space, R"({"name":"B","time_zone":"UTC"})",
           R"("name":"B","capacity":25,)" + in + R"(,"time_zone":"UTC")");
    expect("PATCH", space, R"({"capacity":0,"parent_id":0})",
           R"("name":"B","capacity":0,"parent_id":0,"time_zone":"UTC")");
    expect("PATCH", space, "{}", R"("name":"B","capacity":0,"parent_id":0,"time_zone":"UTC")");

    expect("PUT", space, R"({"name":"C","capacity":7,)" + in + R"(,"time_zone":"Europe/Berlin"})",
           R"("name":"C","capacity":7,)" + in + R"(,"time_zone":"Europe/Berlin")");
    expect("PUT", space, R"({"name":"D"})",
           R"("name":"D","capacity":0,"parent_id":0,"time_zone":"UTC")");
    // Without what it must have it replaces nothing.
    Response r = ask("PUT", space, R"({"capacity":9})");
    EXPECT_EQ(r.status, 422) << r.body;
    EXPECT_NE(r.body.find("\"field\":\"name\""), std::string::npos) << r.body;
    EXPECT_EQ(ask("PUT", space).status, 422) << "an empty body names nothing";
    EXPECT_EQ(core_of(ask("GET", space).body),
              R"("name":"D","capacity":0,"parent_id":0,"time_zone":"UTC")");
}

TEST_F(CountsRest, MasksAreTakenFromTheBodyAndTheQuery)
{
    const std::string space = make("spaces", R"({"name":"A","capacity":30})");
    // Named and not given: as in a new one.
    expect("PATCH", space, R"({"name":"B","update_mask":"name,capacity"})",
           R"("name":"B","capacity":0,"parent_id":0,"time_zone":"UTC")");
    // A PUT that has a mask keeps what it does not name.
    expect("PUT", space, R"({"name":"C","capacity":5,"update_mask":"capacity"})",
           R"("name":"B","capacity":5,"parent_id":0,"time_zone":"UTC")");
    EXPECT_EQ(ask("PATCH", space, R"({"name":"D","update_mask":"nobody"})").status, 422);
    EXPECT_EQ(ask("PATCH", space, R"({"name":"D","etag":"0"})").status / 100, 4);
    EXPECT_EQ(core_of(ask("GET", space).body),
              R"("name":"B","capacity":5,"parent_id":0,"time_zone":"UTC")");
}

TEST_F(CountsRest, Doorways)
{
    const std::string a = id_of(make("spaces", R"({"name":"A"})"));
    const std::string b = id_of(make("spaces", R"({"name":"B"})"));
    const std::string into_a = R"("ingress_space_id":)" + a;
    const std::string into_b = R"("ingress_space_id":)" + b;
    const std::string from_b = R"("egress_space_id":)" + b;
    const std::string outside = R"("egress_space_id":0)";
    const std::string door = make("doorways", R"({"name":"d",)" + into_a + "," + from_b + "}");
    expect("PATCH", door, R"({"name":"e"})", R"("name":"e",)" + into_a + "," + from_b);
    expect("PATCH", door, "{" + outside + "}", R"("name":"e",)" + into_a + "," + outside);
    expect("PATCH", door, "{" + from_b + "}", R"("name":"e",)" + into_a + "," + from_b);
    expect("PUT", door, R"({"name":"f",)" + into_b + "}",
           R"("name":"f",)" + into_b + "," + outside);
    Response r = ask("PUT", door, R"({"name":"g"})");
    EXPECT_EQ(r.status, 422);
    EXPECT_NE(r.body.find("\"field\":\"ingress_space_id\""), std::string::npos) << r.body;
    EXPECT_EQ(ask("PATCH", door, R"({"ingress_space_id":0})").status, 422);
    EXPECT_EQ(ask("PATCH", door, "{" + from_b + "}").status, 422) << "it would lead to itself";
    EXPECT_EQ(core_of(ask("GET", door).body), R"("name":"f",)" + into_b + "," + outside);
}

TEST_F(CountsRest, Dpus)
{
    const std::string dpu = make("dpus", R"({"dpu_id":283,"name":"n","serial":"s"})");
    EXPECT_EQ(dpu, "/dpus/283");
    expect("PATCH", dpu, R"({"serial":"t"})", R"("name":"n","serial":"t")");
    expect("PUT", dpu, R"({"name":"m","serial":"u"})", R"("name":"m","serial":"u")");
    expect("PUT", dpu, R"({"serial":"v"})", R"("name":"","serial":"v")");
    expect("PUT", dpu, "{}", R"("name":"","serial":"")");
    EXPECT_EQ(ask("PUT", "/dpus/999", R"({"serial":"v"})").status, 404);
}

} // namespace gateway_test
