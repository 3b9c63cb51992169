// google.api.http, rule by rule: which method a request line reaches and what message it makes.
#include <gtest/gtest.h>

#include <algorithm>

extern "C" {
#include "gateway/route.h"
}

#include <google/protobuf/descriptor.pb.h>

#include "unit/gateway/codec.h"

namespace
{

class Routes
{
  public:
    explicit Routes(const std::string &set) : codec(set)
    {
        char err[512];
        if (!route_table_init(&table, codec.schema(), err, sizeof(err))) {
            std::fprintf(stderr, "routes: %s\n", err);
            std::abort();
        }
    }
    ~Routes()
    {
        route_table_fini(&table);
    }
    Routes(const Routes &) = delete;
    Routes &operator=(const Routes &) = delete;

    codec::Codec codec;
    struct route_table table;
};

const Routes &
routes()
{
    static const Routes r(codec::read_file(ROUTES));
    return r;
}

struct Answer {
    enum route_result result;
    std::string reached; // template of the binding
    std::string json;    // the request message
    std::string allow;
    struct json_error error = {};
    bool bound = false;
};

Answer
request(const std::string &verb, const std::string &target, const std::string &body = "")
{
    Answer a;
    struct route_match m;
    size_t question = target.find('?');
    std::string path = target.substr(0, question);
    std::string query = question == std::string::npos ? "" : target.substr(question + 1);
    a.result = route_find(&routes().table, codec::to_str(verb), codec::to_str(path), &m);
    a.allow = m.allow_text;
    if (a.result != ROUTE_FOUND)
        return a;
    a.reached = m.binding->pattern;
    struct route_input in = {codec::to_str(query), codec::to_str(body)};
    auto wire = routes().codec.with_buffer(
        1 << 20, [&](struct arena *s, struct buf *out, struct json_error *e) {
            return route_bind(&routes().table, &m, &in, s, out, e);
        });
    a.bound = wire.ok;
    a.error = wire.error;
    if (!wire.ok)
        return a;
    codec::Oracle oracle(codec::read_file(ROUTES));
    auto message = oracle.make(m.binding->method->input->full_name);
    if (!message->ParseFromString(wire.out))
        return a;
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    EXPECT_TRUE(google::protobuf::util::MessageToJsonString(*message, &a.json, options).ok());
    return a;
}

struct Case {
    const char *verb, *target, *body, *reached, *json;
};

class RouteBinds : public testing::TestWithParam<Case>
{
};

TEST_P(RouteBinds, TheMessage)
{
    const Case &c = GetParam();
    auto a = request(c.verb, c.target, c.body);
    ASSERT_EQ(a.result, ROUTE_FOUND) << c.verb << " " << c.target;
    EXPECT_EQ(a.reached, c.reached) << c.target;
    ASSERT_TRUE(a.bound) << c.target << ": " << a.error.path << " " << a.error.text;
    EXPECT_EQ(a.json, c.json) << c.target;
}

const char all_post[] = "/v1/search/{id}";

INSTANTIATE_TEST_SUITE_P(
    Route, RouteBinds,
    testing::Values(
        // variables
        Case{"GET", "/v1/shelves/1/books/2", "", "/v1/{name=shelves/*/books/*}",
             R"({"name":"shelves/1/books/2"})"},
        Case{"GET", "/v1/shelves/a%2Fb/books/%20", "", "/v1/{name=shelves/*/books/*}",
             R"({"name":"shelves/a%2Fb/books/ "})"},
        Case{"GET", "/v1/book/a%2Fb%20c", "", "/v1/book/{name}", R"({"name":"a/b c"})"},
        Case{"GET", "/v1/book/a+b", "", "/v1/book/{name}", R"({"name":"a+b"})"},
        Case{"GET", "/v1/book/%C3%A9", "", "/v1/book/{name}", "{\"name\":\"\xc3\xa9\"}"},
        Case{"GET", "/v1/book/a:b", "", "/v1/book/{name}", R"({"name":"a:b"})"},
        Case{"GET", "/v1/book/special", "", "/v1/book/special", "{}"},
        Case{"GET", "/v1/%62ook/special", "", "/v1/book/special", "{}"},
        Case{"GET", "/v1/book/special2", "", "/v1/book/{name}", R"({"name":"special2"})"},
        Case{"GET", "/v1/book/x/", "", "/v1/book/{name}", R"({"name":"x"})"},
        Case{"GET", "/v1/files/a/b/c", "", "/v1/files/{name=**}", R"({"name":"a/b/c"})"},
        Case{"GET", "/v1/files", "", "/v1/files/{name=**}", "{}"},
        Case{"GET", "/v1/files/a//b", "", "/v1/files/{name=**}", R"({"name":"a//b"})"},
        Case{"GET", "/v1/files/a%2fb/%41", "", "/v1/files/{name=**}", R"({"name":"a%2fb/A"})"},
        Case{"GET", "/v1/files/a/b:stat", "", "/v1/files/{name=**}:stat", R"({"name":"a/b"})"},
        Case{"GET", "/v1/files/a:stat/b", "", "/v1/files/{name=**}", R"({"name":"a:stat/b"})"},
        Case{"GET", "/v1/files/a:b:stat", "", "/v1/files/{name=**}:stat", R"({"name":"a:b"})"},
        Case{"GET", "/v1/times/2018-02-25T00:00:00Z/COLOR_BLUE", "",
             "/v1/times/{all.a_time}/{all.a_color}",
             R"({"all":{"a_color":"COLOR_BLUE","a_time":"2018-02-25T00:00:00Z"}})"},
        Case{"GET", "/v1/maybe/0", "", "/v1/maybe/{all.maybe_int32}",
             R"({"all":{"maybe_int32":0}})"},
        Case{"GET", "/v1/maybe/7?all.maybe_bool=false&all.maybe_string=", "",
             "/v1/maybe/{all.maybe_int32}",
             R"({"all":{"maybe_int32":7,"maybe_string":"","maybe_bool":false}})"},
        Case{"HEAD", "/v1/book/x", "", "/v1/book/{name}", R"({"name":"x"})"},
        Case{"GET", "/", "", "/", "{}"}, Case{"GET", "/v1/range", "", "/v1/range/", "{}"},
        Case{"GET", "/v1/range/", "", "/v1/range/", "{}"},
        Case{"PURGE", "/v1/search", "", "/v1/search", "{}"},
        Case{"GET", "/v1/anything", "", "/v1/anything", "{}"},
        Case{"BREW", "/v1/anything", "", "/v1/anything", "{}"},
        // bodies
        Case{"POST", "/v1/search:run", R"({"name":"x"})", "/v1/search:run", R"({"name":"x"})"},
        Case{"POST", "/v1/search:run", "", "/v1/search:run", "{}"},
        Case{"POST", "/v1/search/7", R"({"an_int32":3})", all_post,
             R"({"all":{"an_int32":3},"id":"7"})"},
        Case{"POST", "/v1/search/7", "", all_post, R"({"id":"7"})"},
        Case{"POST", "/v1/search/7?name=n", "{}", all_post, R"({"all":{},"name":"n","id":"7"})"},
        Case{"POST", "/v1/search/7/empty?all.an_int32=4", "{}", "/v1/search/{id}/empty",
             R"({"all":{"an_int32":4},"id":"7"})"},
        Case{"DELETE", "/v1/shelves/1/books/2", "ignored", "/v1/{book.name=shelves/*/books/*}",
             R"({"book":{"name":"shelves/1/books/2"}})"},
        // the path wins over the body
        Case{"PUT", "/v1/shelves/1/books/2", R"({"name":"other","title":"t"})",
             "/v1/{book.name=shelves/*/books/*}",
             R"({"book":{"name":"shelves/1/books/2","title":"t"}})"},
        // field masks
        Case{
            "PATCH", "/v1/shelves/1/books/2", R"({"title":"t","nested":{"nested":{"a":1}}})",
            "/v1/{book.name=shelves/*/books/*}",
            R"({"book":{"name":"shelves/1/books/2","title":"t","nested":{"nested":{"a":1}}},"update_mask":"title,nested.nested.a"})"},
        Case{
            "PATCH", "/v1/shelves/1/books/2?update_mask=title", R"({"title":"t","nested":{}})",
            "/v1/{book.name=shelves/*/books/*}",
            R"({"book":{"name":"shelves/1/books/2","title":"t","nested":{}},"update_mask":"title"})"},
        Case{"PATCH", "/v1/shelves/1/books/2?updateMask=*&allowMissing=true", "{}",
             "/v1/{book.name=shelves/*/books/*}",
             R"({"book":{"name":"shelves/1/books/2"},"update_mask":"*","allow_missing":true})"},
        Case{"PATCH", "/v1/shelves/1/books/2", "", "/v1/{book.name=shelves/*/books/*}",
             R"({"book":{"name":"shelves/1/books/2"}})"},
        // queries
        Case{"GET", "/v1/search?name=a+b%2Bc%26&id=5", "", "/v1/search",
             R"({"name":"a b+c&","id":"5"})"},
        Case{"GET", "/v1/search?all.a_nested.nested.a=3&all.aNested.a=4", "", "/v1/search",
             R"({"all":{"a_nested":{"a":4,"nested":{"a":3}}}})"},
        Case{"GET", "/v1/search?all.doubles=1&all.doubles=2.5&all.strings=x", "", "/v1/search",
             R"({"all":{"doubles":[1,2.5],"strings":["x"]}})"},
        Case{"GET", "/v1/search?all.string_string[a.b]=c&all.int32Int32[7]=8", "", "/v1/search",
             R"({"all":{"string_string":{"a.b":"c"},"int32_int32":{"7":8}}})"},
        Case{
            "GET",
            "/v1/search?all.a_color=7&all.a_time=2018-02-25&all.a_duration=1.5s&all.a_mask=a,b", "",
            "/v1/search",
            R"({"all":{"a_color":"COLOR_BLUE","a_time":"2018-02-25T00:00:00Z","a_duration":"1.500s","a_mask":"a,b"}})"},
        Case{"GET", "/v1/search?all.wrapped_int64=9&all.maybe_bool=0&all.some_bytes=-_-_", "",
             "/v1/search",
             R"({"all":{"some_bytes":"+/+/","maybe_bool":false,"wrapped_int64":"9"}})"},
        Case{"GET", "/v1/search?all.a_struct=%7B%22a%22:1%7D&all.choice_string=", "", "/v1/search",
             R"({"all":{"a_struct":{"a":1},"choice_string":""}})"},
        Case{"GET",
             "/v1/search?all.a_double=NaN&all.a_float=-Infinity&all.an_int64=-9007199254740993", "",
             "/v1/search",
             R"({"all":{"a_double":"NaN","a_float":"-Infinity","an_int64":"-9007199254740993"}})"},
        Case{"GET", "/v1/search?all.colors=COLOR_RED&all.colors=7&all.times=2018-02-25T00:00:00Z",
             "", "/v1/search",
             R"({"all":{"colors":["COLOR_RED","COLOR_BLUE"],"times":["2018-02-25T00:00:00Z"]}})"},
        Case{"GET", "/v1/search?all.string_color[a]=COLOR_RED&all.string_time[b]=2018-02-25", "",
             "/v1/search",
             R"({"all":{"string_color":{"a":"COLOR_RED"},)"
             R"("string_time":{"b":"2018-02-25T00:00:00Z"}}})"},
        Case{"GET",
             "/v1/search?all.wrapped_bool=true&all.wrapped_string=&all.wrapped_double=1.5&"
             "all.a_null=NULL_VALUE",
             "", "/v1/search",
             R"({"all":{"wrapped_double":1.5,"wrapped_bool":true,"wrapped_string":""}})"},
        Case{"GET", "/v1/search?&&name&", "", "/v1/search", "{}"},
        Case{"GET", "/v1/search?name==x=", "", "/v1/search", R"({"name":"=x="})"},
        // every method has a path of its own
        Case{"POST", "/luna.testing.Library/Get", R"({"name":"x"})", "/luna.testing.Library/Get",
             R"({"name":"x"})"},
        Case{"POST", "/luna.testing.Library/Bare", "", "/luna.testing.Library/Bare", "{}"}));

struct Refusal {
    const char *verb, *target, *body, *path, *text;
};

class RouteRefuses : public testing::TestWithParam<Refusal>
{
};

TEST_P(RouteRefuses, NamingTheParameter)
{
    const Refusal &c = GetParam();
    auto a = request(c.verb, c.target, c.body);
    ASSERT_EQ(a.result, ROUTE_FOUND) << c.target;
    ASSERT_FALSE(a.bound) << c.target << " " << a.json;
    EXPECT_EQ(a.error.failure, JSON_FIELD);
    EXPECT_STREQ(a.error.path, c.path) << c.target;
    EXPECT_NE(std::string(a.error.text).find(c.text), std::string::npos) << a.error.text;
}

INSTANTIATE_TEST_SUITE_P(
    Route, RouteRefuses,
    testing::Values(
        Refusal{"GET", "/v1/search?nope=1", "", "nope", "not a parameter"},
        Refusal{"GET", "/v1/search?all.nope=1", "", "all.nope", "not a parameter"},
        Refusal{"GET", "/v1/search?name.x=1", "", "name.x", "not a parameter"},
        Refusal{"GET", "/v1/search?a%0a%ff=1", "", "a??", "not a parameter"},
        Refusal{"GET", "/v1/search?id=x", "", "id", "integer"},
        Refusal{"GET", "/v1/search?id=1&id=2", "", "id", "given twice"},
        Refusal{"GET", "/v1/search?all.anInt32=1&all.an_int32=2", "", "all.an_int32",
                "given twice"},
        Refusal{"GET", "/v1/search?all.choice_int32=1&all.choice_string=x", "", "all.choice_string",
                "given twice"},
        Refusal{"GET", "/v1/search?all=1", "", "all", "is a message"},
        Refusal{"GET", "/v1/search?books=1", "", "books", "is a message"},
        Refusal{"GET", "/v1/search?books.name=1", "", "books.name", "not a parameter"},
        Refusal{"GET", "/v1/search?all.string_nested[c].a=1", "", "all.string_nested[c].a",
                "not a parameter"},
        Refusal{"GET", "/v1/search?all.string_string=1", "", "all.string_string", "needs a key"},
        Refusal{"GET", "/v1/search?name[x]=1", "", "name[x]", "not a parameter"},
        Refusal{"GET", "/v1/search?all.a_time=yesterday", "", "all.a_time", "must be a time"},
        Refusal{"GET", "/v1/search?all.a_struct=%7B", "", "all.a_struct", "expected"},
        Refusal{"GET", "/v1/search?name=%zz", "", "name", "percent"},
        Refusal{"GET", "/v1/search?name=%ff", "", "name", "UTF-8"},
        Refusal{"GET", "/v1/book/x?name=y", "", "name", "from the path or the body"},
        Refusal{"GET", "/v1/book/%ff", "", "name", "UTF-8"},
        Refusal{"POST", "/v1/search:run?name=x", "{}", "name", "from the path or the body"},
        Refusal{"POST", "/v1/search/7?all.an_int32=1", "{}", "all.an_int32",
                "from the path or the body"},
        Refusal{"POST", "/v1/search/x", "{}", "id", "integer"},
        Refusal{"POST", "/v1/search/7", R"({"nope":1})", "all.nope", "is not a field"},
        Refusal{"POST", "/v1/search/7/empty", R"({"a":1})", "body", "is not taken"}));

TEST(Route, TellsNotFoundFromWrongVerbAndBadPath)
{
    EXPECT_EQ(request("GET", "/v2/search").result, ROUTE_NOT_FOUND);
    EXPECT_EQ(request("GET", "/v1/shelves/1/books").result, ROUTE_NOT_FOUND);
    EXPECT_EQ(request("GET", "/v1/shelves//books/2").result, ROUTE_NOT_FOUND);
    EXPECT_EQ(request("GET", "/v1/book/").result, ROUTE_NOT_FOUND);
    EXPECT_EQ(request("GET", "//").result, ROUTE_NOT_FOUND);
    EXPECT_EQ(request("GET", "v1/search").result, ROUTE_NOT_FOUND);
    EXPECT_EQ(request("GET", "").result, ROUTE_NOT_FOUND);
    EXPECT_EQ(request("GET", "/v1/search:nope").result, ROUTE_NOT_FOUND);
    EXPECT_EQ(request("GET", "/v1/book/%4").result, ROUTE_BAD_PATH);
    EXPECT_EQ(request("GET", "/v1/book/%xy").result, ROUTE_BAD_PATH);
    EXPECT_EQ(request("GET", "/" + std::string(5000, '/')).result, ROUTE_NOT_FOUND);

    auto a = request("POST", "/v1/search");
    EXPECT_EQ(a.result, ROUTE_WRONG_VERB);
    EXPECT_EQ(a.allow, "GET, HEAD, OPTIONS");
    a = request("GET", "/v1/search/7");
    EXPECT_EQ(a.result, ROUTE_WRONG_VERB);
    EXPECT_EQ(a.allow, "POST, OPTIONS");
    a = request("POST", "/v1/shelves/1/books/2");
    EXPECT_EQ(a.allow, "GET, HEAD, PUT, DELETE, PATCH, OPTIONS");
    a = request("GET", "/luna.testing.Library/Get");
    EXPECT_EQ(a.allow, "POST, OPTIONS");
    a = request("HEAD", "/v1/search:run");
    EXPECT_EQ(a.result, ROUTE_WRONG_VERB);
}

TEST(Route, KnowsSpellingAndResponseBody)
{
    struct route_match m;
    std::string verb = "GET", path = "/v1/camel";
    ASSERT_EQ(route_find(&routes().table, codec::to_str(verb), codec::to_str(path), &m),
              ROUTE_FOUND);
    EXPECT_EQ(m.binding->names, JSON_NAMES_CAMEL);
    path = "/v1/search";
    ASSERT_EQ(route_find(&routes().table, codec::to_str(verb), codec::to_str(path), &m),
              ROUTE_FOUND);
    EXPECT_EQ(m.binding->names, JSON_NAMES_PROTO);
    ASSERT_NE(m.binding->response_body, nullptr);
    EXPECT_STREQ(m.binding->response_body->name.p, "books");
}

// The set with another rule on Library.Bare.
std::string
with_rule(const std::string &rule)
{
    google::protobuf::FileDescriptorSet set;
    EXPECT_TRUE(set.ParseFromString(codec::read_file(ROUTES)));
    for (auto &file : *set.mutable_file()) {
        if (file.name() != "routes.proto")
            continue;
        auto &methods = *file.mutable_service(0)->mutable_method();
        auto method = std::find_if(methods.begin(), methods.end(),
                                   [](const auto &m) { return m.name() == "Bare"; });
        EXPECT_NE(method, methods.end());
        method->set_input_type(".luna.testing.Everything");
        method->mutable_options()
            ->GetReflection()
            ->MutableUnknownFields(method->mutable_options())
            ->AddLengthDelimited(72295728, rule);
    }
    return set.SerializeAsString();
}

std::string
field(int number, const std::string &value)
{
    return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(value.size()) +
           value;
}

TEST(Route, RefusesBadRulesAtStart)
{
    const struct {
        std::string rule;
        const char *text;
    } table[] = {
        {field(2, "/v1/search"), "is also a route of /luna.testing.Library/Search"},
        {field(2, "/v1/book/{id}"), "is also a route of /luna.testing.Library/Get"},
        {field(4, "/luna.testing.Library/Get"), "is also a route of"},
        {field(2, "v1"), "does not start with /"},
        {field(2, "/v1//x"), "a segment is empty"},
        {field(2, "/v1/{"), "not named by a field path"},
        {field(2, "/v1/{id"), "does not end with }"},
        {field(2, "/v1/{1a}"), "not named by a field path"},
        {field(2, "/v1/{id={name}}"), "a segment is empty"},
        {field(2, "/v1/**/x"), "** must be the last segment"},
        {field(2, "/v1/x:"), "verb is not one word"},
        {field(2, "/v1/x:a/b"), "verb is not one word"},
        {field(2, "/v1/x{id}"), "a / is missing"},
        {field(2, "/v1/{nope}"), "has no field nope"},
        {field(2, "/v1/{all.nope}"), "has no field all.nope"},
        {field(2, "/v1/{all}"), "cannot take from the path all"},
        {field(2, "/v1/{books}"), "cannot take from the path books"},
        {field(2, "/v1/{all.doubles}"), "cannot take from the path"},
        {field(2, "/v1/{all.string_string}"), "cannot take from the path"},
        {field(2, "/v1/{id}/{id}"), "takes twice from the path id"},
        {field(4, "/v1/y") + field(7, "nope"), "has no body field nope"},
        {field(4, "/v1/y") + field(12, "nope"), "has no response_body field nope"},
        {field(7, "*"), "a rule has no path"},
        {field(2, "/v1/y") + field(11, field(2, "/v1/z") + field(11, field(2, "/v1/w"))),
         "additional"},
    };
    for (const auto &row : table) {
        codec::Codec c(with_rule(row.rule));
        struct route_table t;
        char err[512] = "";
        EXPECT_FALSE(route_table_init(&t, c.schema(), err, sizeof(err))) << row.rule;
        EXPECT_NE(std::string(err).find(row.text), std::string::npos) << err;
        EXPECT_NE(std::string(err).find("/luna.testing.Library/Bare"), std::string::npos) << err;
    }
    codec::Codec good(with_rule(field(2, "/v1/{id}/{name=x/**}:go")));
    struct route_table t;
    char err[512];
    ASSERT_TRUE(route_table_init(&t, good.schema(), err, sizeof(err))) << err;
    route_table_fini(&t);
}

} // namespace
