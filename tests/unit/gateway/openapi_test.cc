// The OpenAPI document: paths, schemas and limits as the descriptors have them, and the examples.
#include <gtest/gtest.h>

#include <google/protobuf/struct.pb.h>

extern "C" {
#include "gateway/openapi.h"
#include "gateway/web/embedded.h"
#include "luna/descriptors.h"
}

#include "unit/gateway/codec.h"

namespace
{

using google::protobuf::Value;

// A place in a JSON tree; what is not there is null.
class Json
{
  public:
    explicit Json(const Value *v) : v_(v)
    {
    }
    Json operator[](const std::string &key) const
    {
        static const Value none;
        if (v_->kind_case() != Value::kStructValue)
            return Json(&none);
        auto it = v_->struct_value().fields().find(key);
        return Json(it == v_->struct_value().fields().end() ? &none : &it->second);
    }
    Json operator[](int i) const
    {
        static const Value none;
        return Json(i < size() ? &v_->list_value().values(i) : &none);
    }
    int size() const
    {
        return v_->kind_case() == Value::kListValue     ? v_->list_value().values_size()
               : v_->kind_case() == Value::kStructValue ? v_->struct_value().fields_size()
                                                        : 0;
    }
    bool has(const std::string &key) const
    {
        return v_->kind_case() == Value::kStructValue && v_->struct_value().fields().contains(key);
    }
    std::string text() const
    {
        std::string out;
        if (v_->kind_case() == Value::kStringValue)
            return v_->string_value();
        if (v_->kind_case() != Value::KIND_NOT_SET)
            google::protobuf::util::MessageToJsonString(*v_, &out);
        return out;
    }
    Json parameter(const std::string &name) const
    {
        static const Value none;
        for (int i = 0; i < (*this)["parameters"].size(); i++)
            if ((*this)["parameters"][i]["name"].text() == name)
                return (*this)["parameters"][i];
        return Json(&none);
    }

  private:
    const Value *v_;
};

struct Document {
    Document(const std::string &set, const char *package, const std::string &examples = "")
    {
        char err[512] = "";
        struct schema s;
        struct route_table routes;
        if (!schema_load(&s, codec::to_str(set), err, sizeof(err)) ||
            !route_table_init(&routes, &s, err, sizeof(err)))
            std::abort();
        struct openapi_options options = {codec::to_str(set), codec::to_str(examples), package,
                                          "1.2.3", JSON_EMIT_PRIMITIVE};
        struct openapi *o = openapi_new(&s, &routes, &options, err, sizeof(err));
        error = err;
        if (o) {
            text.assign(openapi_json(o).p, openapi_json(o).n);
            parsed = google::protobuf::util::JsonStringToMessage(text, &tree).ok();
        }
        openapi_free(o);
        route_table_fini(&routes);
        schema_fini(&s);
    }
    Json json() const
    {
        return Json(&tree);
    }
    Json operation(const std::string &path, const std::string &verb) const
    {
        return json()["paths"][path][verb];
    }
    Json schema(const std::string &name) const
    {
        return json()["components"]["schemas"][name];
    }
    Json property(const std::string &name, const std::string &field) const
    {
        return schema(name)["properties"][field];
    }

    std::string text, error;
    Value tree;
    bool parsed = false;
};

const Document &
docs()
{
    static const Document d(
        codec::read_file(DOCS), "luna.testing.docs",
        R"({"luna.testing.docs.DocsService.Find": [{"name": "one", "summary": "S",
                             "request": {"tenant": "me", "filter": {"at_least": 7}, "by_name": "n"},
                             "response": {"count": 1}, "parameters": {"parent_1": "x"}}]})");
    return d;
}

const char find_request[] = "luna.testing.docs.FindRequest";

std::string
served_set()
{
    return {reinterpret_cast<const char *>(luna_descriptor_set_with_source),
            luna_descriptor_set_with_source_size};
}

std::string
served_examples()
{
    return {reinterpret_cast<const char *>(web_examples_json), web_examples_json_size};
}

TEST(OpenApi, IsJsonAndAlwaysTheSame)
{
    ASSERT_TRUE(docs().parsed) << docs().text.substr(0, 2000);
    EXPECT_EQ(docs().json()["openapi"].text(), "3.1.0");
    EXPECT_EQ(docs().json()["info"]["version"].text(), "1.2.3");
    Document a(served_set(), "luna.v1", served_examples());
    Document b(served_set(), "luna.v1", served_examples());
    ASSERT_TRUE(a.parsed) << a.error;
    EXPECT_EQ(a.text, b.text);
}

TEST(OpenApi, HasTheServicesOfThePackageAlone)
{
    Document d(served_set(), "luna.v1");
    std::string tags = d.json()["tags"].text();
    EXPECT_NE(tags.find("KalmanService"), std::string::npos);
    EXPECT_EQ(tags.find("Reflection"), std::string::npos);
    EXPECT_EQ(d.text.find("grpc.health"), std::string::npos);
    EXPECT_EQ(docs().json()["tags"].size(), 2);
    EXPECT_EQ(docs().json()["tags"][0]["description"].text(), "The tag's text.");
}

TEST(OpenApi, EachBindingIsAnOperationWithAnIdOfItsOwn)
{
    EXPECT_EQ(docs().operation("/docs/{tenant}/things", "get")["operationId"].text(),
              "DocsService_Find");
    EXPECT_EQ(docs().operation("/docs/{tenant}/things:find", "post")["operationId"].text(),
              "DocsService_Find_2");
    EXPECT_EQ(docs().operation("/luna.testing.docs.DocsService/Find", "post")["operationId"].text(),
              "DocsService_Find_rpc");
    EXPECT_EQ(docs().operation("/luna.testing.docs.DocsService/Open", "post")["operationId"].text(),
              "DocsService_Open");
    EXPECT_EQ(docs().operation("/docs/things", "x-purge")["operationId"].text(),
              "DocsService_Find_5");
}

TEST(OpenApi, TwoNamesOfOnePathAreOnePath)
{
    // OpenAPI holds {tenant} and {other} for the same path: the first name stays.
    EXPECT_FALSE(docs().json()["paths"].has("/docs/{other}/things"));
    Json put = docs().operation("/docs/{tenant}/things", "put");
    EXPECT_EQ(put["operationId"].text(), "DocsService_Find_4");
    EXPECT_EQ(put["parameters"][0]["name"].text(), "tenant");
    EXPECT_EQ(put["parameters"][0]["description"].text(), "Path.");
}

TEST(OpenApi, WildcardsOfOneVariableAreParametersOfTheirOwn)
{
    Json op = docs().operation("/docs/a/{parent_1}/b/{parent_2}/things", "post");
    EXPECT_EQ(op.parameter("parent_2")["in"].text(), "path");
    EXPECT_EQ(op.parameter("parent_1")["required"].text(), "true");
    EXPECT_NE(op.parameter("parent_1")["description"].text().find("a/*/b/*"), std::string::npos);
    EXPECT_TRUE(docs().json()["paths"].has("/docs/watch/{tenant}"));
}

TEST(OpenApi, WhatIsNeitherInPathNorBodyIsInTheQuery)
{
    Json get = docs().operation("/docs/{tenant}/things", "get");
    EXPECT_EQ(get.parameter("tenant")["in"].text(), "path");
    EXPECT_EQ(get.parameter("filter.at_least")["in"].text(), "query");
    EXPECT_EQ(get.parameter("filter.at_least")["example"].text(), "7");
    EXPECT_EQ(get.parameter("filter.inner.at_least")["schema"]["format"].text(), "int32");
    EXPECT_EQ(get.parameter("ids")["schema"]["type"].text(), "array");
    EXPECT_EQ(get.parameter("ids")["schema"]["items"]["type"].text(), "integer");
    EXPECT_EQ(get.parameter("labels")["style"].text(), "deepObject");
    EXPECT_EQ(get.parameter("all.a_struct")["schema"]["contentMediaType"].text(),
              "application/json");
    EXPECT_EQ(get.parameter("all.nesteds").text(), "");
    EXPECT_FALSE(get.has("requestBody"));
    Json body = docs().operation("/docs/a/{parent_1}/b/{parent_2}/things", "post");
    EXPECT_EQ(body.parameter("filter.at_least").text(), "");
    EXPECT_EQ(body.parameter("tenant")["in"].text(), "query");
    EXPECT_EQ(body.parameter("tenant")["required"].text(), "true");
}

TEST(OpenApi, BodiesAreTheRequestLessWhatThePathHolds)
{
    Json whole = docs().operation("/luna.testing.docs.DocsService/Find", "post");
    EXPECT_EQ(whole["requestBody"]["content"]["application/json"]["schema"]["$ref"].text(),
              "#/components/schemas/luna.testing.docs.FindRequest");
    Json rest = docs().operation("/docs/{tenant}/things:find",
                                 "post")["requestBody"]["content"]["application/json"];
    EXPECT_EQ(rest["schema"]["title"].text(), "luna.testing.docs.FindRequest");
    EXPECT_FALSE(rest["schema"]["properties"].has("tenant"));
    EXPECT_FALSE(rest["schema"].has("required"));
    EXPECT_FALSE(rest["examples"]["one"]["value"].has("tenant"));
    EXPECT_EQ(rest["examples"]["one"]["value"]["by_name"].text(), "n");
    Json field = docs().operation("/docs/a/{parent_1}/b/{parent_2}/things", "post");
    EXPECT_EQ(field["requestBody"]["content"]["application/json"]["schema"]["$ref"].text(),
              "#/components/schemas/luna.testing.docs.Filter");
    EXPECT_EQ(field["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].text(),
              "#/components/schemas/luna.testing.AllTypes");
}

TEST(OpenApi, LimitsAreJsonSchemas)
{
    Json tenant = docs().property(find_request, "tenant");
    EXPECT_EQ(tenant["minLength"].text(), "2");
    EXPECT_EQ(tenant["maxLength"].text(), "9");
    EXPECT_EQ(tenant["pattern"].text(), "^[a-z_\\]\\-]*$");
    EXPECT_EQ(docs().schema(find_request)["required"].text(), "[\"tenant\"]");
    Json maybe = docs().property(find_request, "maybe");
    EXPECT_EQ(maybe["type"].text(), "number");
    EXPECT_EQ(maybe["minimum"].text(), "-1.5");
    EXPECT_EQ(maybe["maximum"].text(), "2");
    Json raw = docs().property(find_request, "raw");
    EXPECT_EQ(raw["contentEncoding"].text(), "base64");
    EXPECT_EQ(raw["minLength"].text(), "2"); // "AA"
    EXPECT_EQ(raw["maxLength"].text(), "8"); // "AAAAAA=="
    Json ids = docs().property(find_request, "ids");
    EXPECT_EQ(ids["maxItems"].text(), "3");
    EXPECT_EQ(ids["items"]["minimum"].text(), "1");
    EXPECT_EQ(docs().property(find_request, "other")["deprecated"].text(), "true");
}

TEST(OpenApi, TypesFollowTheJsonMapping)
{
    const char type[] = "luna.testing.AllTypes";
    auto of = [&](const char *field) { return docs().property(type, field); };
    EXPECT_EQ(of("a_double")["type"].text(), R"(["number","string"])");
    EXPECT_EQ(of("an_int64")["type"].text(), R"(["integer","string"])");
    EXPECT_EQ(of("an_int64")["format"].text(), "int64");
    EXPECT_EQ(of("a_uint64")["minimum"].text(), "0");
    EXPECT_EQ(of("a_uint32")["maximum"].text(), "4294967295");
    EXPECT_EQ(of("a_color")["$ref"].text(), "#/components/schemas/luna.testing.Color");
    EXPECT_EQ(of("a_time")["format"].text(), "date-time");
    EXPECT_EQ(of("a_duration")["type"].text(), "string");
    EXPECT_EQ(of("a_mask")["type"].text(), "string");
    EXPECT_EQ(of("a_struct")["type"].text(), "object");
    EXPECT_FALSE(of("a_value").has("type"));
    EXPECT_EQ(of("a_list")["type"].text(), "array");
    EXPECT_EQ(of("a_null")["type"].text(), "null");
    EXPECT_EQ(of("an_any")["required"].text(), R"(["@type"])");
    EXPECT_EQ(of("wrapped_int64")["type"].text(), R"(["integer","string","null"])");
    EXPECT_EQ(of("wrapped_bytes")["contentEncoding"].text(), "base64");
    EXPECT_EQ(of("a_nested")["$ref"].text(), "#/components/schemas/luna.testing.AllTypes.Nested");
    EXPECT_EQ(of("string_time")["additionalProperties"]["format"].text(), "date-time");
    EXPECT_EQ(of("int64_int64")["propertyNames"]["pattern"].text(), "^-?[0-9]+$");
    EXPECT_EQ(of("bool_bytes")["propertyNames"]["enum"].text(), R"(["false","true"])");
    EXPECT_EQ(of("times")["items"]["format"].text(), "date-time");
    EXPECT_TRUE(docs().schema(type)["properties"].has("its own \"name\"") ||
                docs().schema(type)["properties"].has("custom"));
    Json color = docs().schema("luna.testing.Color");
    EXPECT_EQ(color["enum"].size(), 4);
    EXPECT_NE(color["description"].text().find("- `COLOR_BLUE`: A gap."), std::string::npos);
}

TEST(OpenApi, OneofsExcludeEachOther)
{
    Json request = docs().schema(find_request);
    EXPECT_EQ(request["not"]["anyOf"].text(), R"([{"required":["by_name","by_time"]}])");
    EXPECT_EQ(request["x-luna-oneof"]["order"].text(), R"(["by_name","by_time"])");
    EXPECT_NE(request["description"].text().find("How to order."), std::string::npos);
    // One field alone: the comment of its oneof is its own.
    EXPECT_EQ(docs().property(find_request, "maybe")["description"].text(), "Perhaps.");
}

TEST(OpenApi, BothSpellingsWhereServicesDiffer)
{
    EXPECT_TRUE(docs().property("luna.testing.docs.Filter", "at_least").has("type"));
    EXPECT_TRUE(docs().property("luna.testing.docs.Filter.camelCase", "atLeast").has("type"));
    Json get = docs().operation("/camel/{tenant}", "get");
    EXPECT_EQ(get.parameter("filter.atLeast")["in"].text(), "query");
    EXPECT_EQ(get["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].text(),
              "#/components/schemas/luna.testing.docs.FindResponse.camelCase");
}

TEST(OpenApi, CommentsAreMarkdownAndSummaries)
{
    Json op = docs().operation("/docs/{tenant}/things", "get");
    EXPECT_EQ(op["summary"].text(), "Finds things <fast>");
    std::string text = op["description"].text();
    EXPECT_NE(text.find("Finds things &lt;fast>."), std::string::npos) << text;
    EXPECT_NE(text.find("with a \\* in it"), std::string::npos) << text;
    EXPECT_NE(text.find("\n    y = a * b\n"), std::string::npos) << text;
}

TEST(OpenApi, WhoMayCallAndWhatItCosts)
{
    Json find = docs().operation("/docs/{tenant}/things", "get");
    EXPECT_EQ(find["security"].text(), R"([{"bearer":[]},{"api_key":[]}])");
    EXPECT_EQ(find["x-luna-access"].text(), "member");
    EXPECT_EQ(find["x-luna-scope"].text(), "docs.read");
    EXPECT_EQ(find["x-luna-cost"].text(), "3");
    EXPECT_TRUE(find["responses"]["200"]["headers"].has("RateLimit"));
    EXPECT_FALSE(find["responses"]["200"]["headers"].has("ETag")); // it costs: it is not kept
    EXPECT_EQ(find.parameter("Idempotency-Key").text(), "");
    Json open = docs().operation("/luna.testing.docs.DocsService/Open", "post");
    EXPECT_EQ(open["security"].text(), "[]");
    EXPECT_FALSE(open["responses"].has("401"));
    EXPECT_EQ(open.parameter("Idempotency-Key")["in"].text(), "header");
    EXPECT_EQ(docs().operation("/docs/watch/{tenant}", "get")["x-luna-scope"].text(), "docs.write");
    EXPECT_EQ(docs().operation("/docs/watch/{tenant}", "get")["deprecated"].text(), "true");
}

TEST(OpenApi, AnswersThatAreKept)
{
    Json kept = docs().operation("/docs/kept", "get");
    EXPECT_EQ(kept["x-luna-cache-seconds"].text(), "9");
    EXPECT_EQ(kept["x-luna-cache-scope"].text(), "public");
    for (const char *code : {"200", "304"})
        for (const char *name : {"ETag", "Cache-Control", "Age", "Cache-Status"})
            EXPECT_TRUE(kept["responses"][code]["headers"].has(name)) << code << name;
    EXPECT_FALSE(kept["responses"]["304"].has("content"));
    Json other = docs().operation("/luna.testing.docs.DocsService/Kept", "post");
    EXPECT_FALSE(other["responses"].has("304"));
    EXPECT_EQ(other["x-luna-cache-seconds"].text(), "");
}

TEST(OpenApi, FailuresThatApply)
{
    Json get = docs().operation("/docs/{tenant}/things", "get")["responses"];
    for (const char *code :
         {"400", "401", "403", "404", "409", "422", "429", "431", "500", "501", "503", "504"})
        EXPECT_TRUE(get.has(code)) << code;
    EXPECT_FALSE(get.has("413")); // no body
    EXPECT_FALSE(get.has("412"));
    Json post = docs().operation("/docs/{tenant}/things:find", "post")["responses"];
    EXPECT_TRUE(post.has("413"));
    EXPECT_TRUE(post.has("415"));
    Json bad = docs().json()["components"]["responses"]["BadField"];
    Json example = bad["content"]["application/json"]["example"];
    EXPECT_EQ(example["status"].text(), "INVALID_ARGUMENT");
    EXPECT_EQ(example["details"][0]["reason"].text(), "BAD_FIELD");
    EXPECT_TRUE(
        docs().json()["components"]["responses"]["TooManyRequests"]["headers"].has("Retry-After"));
}

TEST(OpenApi, StreamsAndBytes)
{
    Json watch = docs().operation("/docs/watch/{tenant}", "get");
    EXPECT_TRUE(watch["responses"]["200"]["content"].has("application/x-ndjson"));
    EXPECT_TRUE(watch["responses"]["200"]["content"].has("text/event-stream"));
    EXPECT_EQ(watch["x-luna-streaming"].text(), "server");
    EXPECT_EQ(watch.parameter("Last-Event-ID")["in"].text(), "header");
    Json upload = docs().operation("/luna.testing.docs.DocsService/Upload", "post");
    EXPECT_TRUE(upload["requestBody"]["content"].has("application/x-ndjson"));
    Json download = docs().operation("/docs/download", "get");
    EXPECT_TRUE(download["responses"]["200"]["content"].has("*/*"));
}

TEST(OpenApi, AnswersPromiseWhatIsAlwaysWritten)
{
    EXPECT_EQ(docs().schema("luna.testing.docs.FindResponse")["required"].text(),
              R"(["count","filters"])");
    EXPECT_FALSE(docs().schema("luna.testing.docs.FindResponse").has("additionalProperties"));
    EXPECT_EQ(docs().schema(find_request)["additionalProperties"].text(), "false");
    EXPECT_FALSE(docs().schema("luna.testing.AllTypes").has("required")); // goes both ways
}

TEST(OpenApi, ExamplesThatAreBrokenAreRefused)
{
    for (const char *examples : {"{", "[]", R"({"x": {}})", R"({"x": [{"nmae": "a"}]})",
                                 R"({"x": [{"request": nul}]})", R"({"x": []} 1)"}) {
        Document d(served_set(), "luna.v1", examples);
        EXPECT_EQ(d.text, "") << examples;
        EXPECT_EQ(d.error.find("examples.json: byte "), 0u) << d.error;
    }
}

// Each example of examples.json is a request and an answer of a method that is there.
TEST(OpenApi, ExamplesAreMessages)
{
    codec::Codec c(served_set());
    Value tree;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(served_examples(), &tree).ok());
    for (const auto &[method, all] : tree.struct_value().fields()) {
        size_t dot = method.rfind('.');
        const struct schema_method *found = nullptr;
        for (size_t i = 0; i < c.schema()->service_count; i++)
            for (size_t j = 0; j < c.schema()->services[i]->method_count; j++)
                if (method.substr(0, dot) == c.schema()->services[i]->full_name &&
                    method.substr(dot + 1) == c.schema()->services[i]->methods[j].name)
                    found = &c.schema()->services[i]->methods[j];
        ASSERT_TRUE(found) << method;
        for (const Value &example : all.list_value().values()) {
            Json e(&example);
            auto request = c.to_wire(found->input->full_name, e["request"].text());
            EXPECT_TRUE(request.ok) << method << ": " << request.error.path << request.error.text;
            ASSERT_TRUE(e.has("response")) << method;
            auto response = c.to_wire(found->output->full_name, e["response"].text());
            EXPECT_TRUE(response.ok)
                << method << ": " << response.error.path << response.error.text;
        }
    }
}

} // namespace
