/*
 * For the access matrix: two accounts with one of everything, made through the API, and requests
 * for any method whose ids point where a test wants.
 */
#ifndef LUNA_TESTS_RPC_ACCESS_WORLD_H
#define LUNA_TESTS_RPC_ACCESS_WORLD_H

#include <google/protobuf/text_format.h>

#include <chrono>
#include <map>
#include <set>

#include "contract/descriptors.h"
#include "core_client.h"
#include "support/luna_server.h"

/* Whose things a request names. */
enum class Ids { own, others, deleted, random };

inline const char *
name_of(Ids ids)
{
    static const char *const names[] = {"own", "another's", "deleted", "random"};
    return names[static_cast<int>(ids)];
}

/* What an account has, by the name of the field that names it. */
using Things = std::map<std::string, std::string>;

/* Fields that end with _id and name nothing that somebody could have. */
inline const std::set<std::string> kNoIds = {"event_id", "after_event_id"};

/* Fields that are another name of a thing. */
inline const std::map<std::string, std::string> kAliases = {{"ingress_space_id", "space_id"},
                                                            {"egress_space_id", "space_id"},
                                                            {"parent_id", "space_id"},
                                                            {"space_ids", "space_id"}};

/*
 * What a method needs besides its ids to succeed, as protobuf text; $x is a name not used yet. A
 * method that is not here is called with its ids and whatever its rules require.
 */
inline const std::map<std::string, std::string> kHints = {
    {"Kalman.Filter", "results: [1, 2] observation_variance: 1 level_variance: 1"},
    {"Kalman.Smooth", "results: [1, 2, 3] model {%level}"},
    {"Kalman.Forecast", "results: [1, 2, 3] horizon: 1 model {%level}"},
    {"Kalman.Simulate", "results: [1, 2, 3] draws: 1 model {%level}"},
    {"Kalman.Fit",
     "results: [1, 2, 3, 4, 5, 4, 3, 2] model {structural {trend: TREND_LOCAL_LEVEL}}"},
    {"Kalman.Select",
     "results: [1, 2, 3, 4, 5, 4, 3, 2] models {structural {trend: TREND_LOCAL_LEVEL}}"},
    {"Kalman.Diagnose", "results: [1, 2, 4, 3, 5, 6, 4, 3, 2, 3, 4, 6] model {%level}"},
    {"Kalman.FilterBatch", "series {results: [1, 2]} model {%level}"},
    {"Kalman.FilterBatchStream", "series {results: [1, 2]} model {%level}"},
    {"Kalman.FilterStream", "model {%level}"},
    {"Kalman.CreateFilter", "filter_id: '$x' model {%level}"},
    {"Kalman.Append", "observations {sequence: 1 values: 1}"},
    {"Kalman.AppendAll", "observations {sequence: 1 values: 1}"},
    {"Kalman.AppendStream", "observations {sequence: 1 values: 1}"},
    {"Counts.CreateSpace", "name: '$x'"},
    {"Counts.CreateDoorway", "name: '$x'"},
    {"Counts.CreateDpu", "dpu_id: $n"},
    {"Counts.DeleteSpace", "force: true"},
    {"Counts.DeleteDoorway", "force: true"},
    {"Counts.DeleteDpu", "force: true"},
    {"Counts.MoveDpu", ""},
    {"Counts.CreateAssignment", "starts_at {seconds: 86400} ends_at {seconds: 172800}"},
    {"Counts.UpdateAssignment", "starts_at {seconds: 946684800}"},
    {"Counts.ImportReadings", "file {content_type: 'text/csv' data: 'dpu_id,timestamp,direction'}"},
    {"Counts.CreateReading", "timestamp {seconds: 1700000000} direction: 1 event_id: '$x'"},
    {"Counts.CalibrateSpace", "at {seconds: 1700000000} count: 1"},
    {"Quota.CreateAccount", "account_name: '$x'"},
    {"Quota.DeleteAccount", "force: true"},
    {"Quota.CreatePlan", "plan {plan_name: '$x' quota_limit: 1000000}"},
    {"Quota.UpdateApiKey", "api_key {name: '$x'}"},
    {"Quota.UpdatePlan", "plan {plan_name: '$x' quota_limit: 1000000}"},
    {"Limiter.Reserve", "request_id: '$x' cost: 1"},
    {"Limiter.Commit", "actual: 1"},
    {"Limiter.CreateLimitRule", "rule {domain: '$x' entries {key: 'k'} rate {units: 1}}"},
    {"RateLimit.ShouldRateLimit", "domain: '$x' descriptors {entries {key: 'k' value: 'v'}}"},
};

class World
{
  public:
    World(const pg_server &pg, const redis_server &redis)
        : server(pg, redis, "access", {{"LUNA_AUTH_FAILURES", "1000000"}}), factory_(&pool())
    {
        admin = server.create_account("root", true);
        member = server.create_account("mine");
        other = server.create_account("theirs");
        const std::string gone = server.create_account("gone");
        server.start();
        channel = std::make_unique<Channel>(server.target());
        account_ = {{"root", "1"}, {"mine", "2"}, {"theirs", "3"}, {"gone", "4"}};
        theirs = make("theirs", other);
        deleted = make("gone", gone);
        call("Quota", "DeleteAccount", admin, "account_id: 4 force: true");
        call("Quota", "DeletePlan", admin, "plan_id: " + deleted["plan_id"]);
    }

    /* One of everything for an account, not used yet. */
    Things make(const std::string &account, const std::string &key)
    {
        Things t;
        t["account_id"] = account_[account];
        std::string of = "account_id: " + t["account_id"];
        t["key_id"] = get(call("Quota", "CreateApiKey", admin, of), "api_key.key_id");
        t["plan_id"] =
            get(call("Quota", "CreatePlan", admin, "plan {plan_name: '$x' quota_limit: 1000000}"),
                "plan.plan_id");
        t["filter_id"] =
            get(call("Kalman", "CreateFilter", key, "model {%level}"), "filter.filter_id");
        t["request_id"] = get(call("Limiter", "Reserve", key, "request_id: '$x' cost: 1"),
                              "reservation.request_id");
        t["rule_id"] = get(call("Limiter", "CreateLimitRule", key,
                                "rule {domain: '$x' entries {key: 'k'} rate {units: 1}}"),
                           "rule.rule_id");
        t["space_id"] =
            get(call("Counts", "CreateSpace", key, "name: 'of " + account + "'"), "space.space_id");
        t["doorway_id"] = get(
            call("Counts", "CreateDoorway", key, "name: 'door' ingress_space_id: " + t["space_id"]),
            "doorway.doorway_id");
        t["dpu_id"] = get(call("Counts", "CreateDpu", key, "dpu_id: $n"), "dpu.dpu_id");
        t["assignment_id"] = get(call("Counts", "CreateAssignment", key,
                                      "dpu_id: " + t["dpu_id"] + " doorway_id: " + t["doorway_id"] +
                                          " starts_at {seconds: 946684800}"),
                                 "assignment.assignment_id");
        call("Counts", "CreateReading", key,
             "dpu_id: " + t["dpu_id"] + " timestamp {seconds: 1700000000} direction: 1");
        t["reading_id"] =
            get(call("Counts", "ListReadings", key, "filter: 'dpu_id = " + t["dpu_id"] + "'"),
                "readings.reading_id");
        return t;
    }

    /* Nobody's. */
    static Things random()
    {
        return {{"account_id", "987654321"},
                {"key_id", "987654321"},
                {"plan_id", "987654321"},
                {"filter_id", "f47ac10b-58cc-4372-a567-0e02b2c3d479"},
                {"request_id", "nobodys"},
                {"rule_id", "987654321"},
                {"space_id", "987654321"},
                {"doorway_id", "987654321"},
                {"dpu_id", "987654321"},
                {"assignment_id", "987654321"},
                {"reading_id", "987654321-1700000000000000-1"}};
    }

    /* A request of `m` whose ids name `things`. */
    std::string request(const pb::MethodDescriptor *m, const Things &things)
    {
        std::unique_ptr<pb::Message> req(factory_.GetPrototype(m->input_type())->New());
        std::string name = short_name(m);
        auto hint = kHints.find(name);
        if (hint != kHints.end()) {
            read(fill(hint->second), req.get());
        } else if (name.size() > 6 && name.substr(name.size() - 6) == "Stream" &&
                   kHints.count(name.substr(0, name.size() - 6)) == 1 && wrapped_request(m)) {
            /* The same request, answered in parts. */
            read("request {" + fill(kHints.at(name.substr(0, name.size() - 6))) + "}", req.get());
        }
        std::set<std::string> kinds;
        const pb::FieldDescriptor *wrapped = wrapped_request(m);
        pb::Message *body =
            wrapped ? req->GetReflection()->MutableMessage(req.get(), wrapped) : req.get();
        for (int i = 0; i < body->GetDescriptor()->field_count(); i++)
            set_id(m, body->GetDescriptor()->field(i), things, &kinds, body);
        return req->SerializeAsString();
    }

    /* "Quota.GetAccount" */
    static std::string short_name(const pb::MethodDescriptor *m)
    {
        std::string service = m->service()->name();
        return service.substr(0, service.rfind("Service")) + "." + m->name();
    }

    /* The ids in the request of `m`, and what they name. Plans belong to nobody. */
    static Things ids_of(const pb::MethodDescriptor *m)
    {
        Things out;
        const pb::Descriptor *type =
            wrapped_request(m) ? wrapped_request(m)->message_type() : m->input_type();
        for (int i = 0; i < type->field_count(); i++) {
            const pb::FieldDescriptor *f = type->field(i);
            if (!id_name(m, f).empty() && id_name(m, f) != "plan_id")
                out[f->name()] = id_name(m, f);
        }
        return out;
    }

    Outcome call(const std::string &service, const std::string &method, const std::string &key,
                 const std::string &text)
    {
        const pb::MethodDescriptor *m =
            pool().FindMethodByName("luna.v1." + service + "Service." + method);
        std::unique_ptr<pb::Message> req(factory_.GetPrototype(m->input_type())->New());
        read(fill(text), req.get());
        Outcome o = unary(*channel, "/luna.v1." + service + "Service/" + method,
                          req->SerializeAsString(), {{"x-api-key", key}});
        if (o.code != 0)
            throw std::runtime_error(method + ": " + o.message + "\n" + server.log());
        answer_.reset(factory_.GetPrototype(m->output_type())->New());
        answer_->ParseFromString(o.body);
        return o;
    }

    /* A field of the last answer: "space.space_id"; of lists the first item. */
    std::string get(const Outcome &, const std::string &path) const
    {
        const pb::Message *m = answer_.get();
        std::string rest = path;
        for (size_t dot; (dot = rest.find('.')) != std::string::npos; rest = rest.substr(dot + 1))
            m = part(*m, m->GetDescriptor()->FindFieldByName(rest.substr(0, dot)));
        const pb::FieldDescriptor *f = m->GetDescriptor()->FindFieldByName(rest);
        if (!f)
            throw std::runtime_error("no field " + path);
        return f->cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING
                   ? m->GetReflection()->GetString(*m, f)
                   : std::to_string(m->GetReflection()->GetInt64(*m, f));
    }

    luna_server server;
    std::unique_ptr<Channel> channel;
    std::string admin, member, other;
    Things theirs, deleted;

  private:
    static const pb::Message *part(const pb::Message &m, const pb::FieldDescriptor *f)
    {
        return f->is_repeated() ? &m.GetReflection()->GetRepeatedMessage(m, f, 0)
                                : &m.GetReflection()->GetMessage(m, f);
    }

    /* The field that holds another method's request; nullptr: none. */
    static const pb::FieldDescriptor *wrapped_request(const pb::MethodDescriptor *m)
    {
        const pb::FieldDescriptor *f = m->input_type()->FindFieldByName("request");
        return f && f->message_type() ? f : nullptr;
    }

    /* The thing that a field names; "": none. */
    static std::string id_name(const pb::MethodDescriptor *m, const pb::FieldDescriptor *f)
    {
        const std::string &name = f->name();
        auto alias = kAliases.find(name);
        if (alias != kAliases.end())
            return alias->second;
        bool is_id = name.size() > 3 && name.compare(name.size() - 3, 3, "_id") == 0;
        /* What a creation names is new, and a request_id elsewhere is an idempotency key. */
        bool named = m->name() == "Create" + named_thing(name) || m->name() == "Reserve";
        bool reservation = name == "request_id" && m->service()->name() != "LimiterService";
        return is_id && !named && !reservation && kNoIds.count(name) == 0 ? name : "";
    }

    /* "dpu_id" -> "Dpu" */
    static std::string named_thing(const std::string &field)
    {
        std::string out = field.substr(0, field.size() - 3);
        if (!out.empty())
            out[0] = static_cast<char>(toupper(out[0]));
        return out;
    }

    /* A field with an entry of its own gets that; of two of one kind only the first is set, for the
     * same thing twice has its own rules. */
    void set_id(const pb::MethodDescriptor *m, const pb::FieldDescriptor *f, const Things &things,
                std::set<std::string> *kinds, pb::Message *req)
    {
        const std::string kind = id_name(m, f);
        if (kind.empty())
            return;
        auto thing = things.find(f->name());
        bool again = !kinds->insert(kind).second;
        if (thing == things.end() && again)
            return;
        if (thing == things.end())
            thing = things.find(kind);
        if (thing == things.end())
            throw std::runtime_error(m->full_name() + ": " + kind +
                                     " is an id that World::make does not know");
        const std::string quoted = f->cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING
                                       ? "'" + thing->second + "'"
                                       : thing->second;
        pb::TextFormat::MergeFromString(f->name() + ": " + quoted, req);
    }

    /* $x: a new name, $n: a new number, %level: a model. */
    std::string fill(std::string text)
    {
        auto put = [&](const std::string &what, const std::string &with) {
            for (size_t at; (at = text.find(what)) != std::string::npos;)
                text.replace(at, what.size(), with);
        };
        next_++;
        put("$x", "new-" + std::to_string(next_));
        put("$n", std::to_string(1000 + next_));
        put("%level", "structural {trend: TREND_LOCAL_LEVEL observation_variance {value: 1} "
                      "level_variance {value: 1}}");
        return text;
    }

    static void read(const std::string &text, pb::Message *m)
    {
        if (!pb::TextFormat::ParseFromString(text, m))
            throw std::runtime_error("not a " + m->GetTypeName() + ": " + text);
    }

    pb::DynamicMessageFactory factory_;
    std::unique_ptr<pb::Message> answer_;
    std::map<std::string, std::string> account_;
    int64_t next_ = 0;
};

#endif
