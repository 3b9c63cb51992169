/* Connect's unary calls as GET, for methods without side effects: the message is a parameter. */
#include "gateway/connect_get.h"

#include "gateway/json_read.h"
#include "gateway/route_template.h"

/* google.protobuf.MethodOptions.idempotency_level, and NO_SIDE_EFFECTS. */
enum { OPTION_IDEMPOTENCY = 34, NO_SIDE_EFFECTS = 1 };

/* A method that is bound to a GET has none, either. */
static bool
is_safe(const struct exchange *x, const struct schema_method *m)
{
    const struct route_table *t = &x->gw->routes;
    if (schema_option_number(m->options, OPTION_IDEMPOTENCY) == NO_SIDE_EFFECTS)
        return true;
    for (size_t i = 0; i < t->binding_count; i++)
        if (t->bindings[i]->method == m && t->bindings[i]->verb == ROUTE_GET)
            return true;
    return false;
}

/* The value of a parameter, decoded; p == NULL: it is not there, or no value. */
static struct str
parameter(struct exchange *x, struct str name)
{
    struct str query = x->query, value = {0};
    while (query.p && query.n > 0) {
        struct str one = str_cut(&query, '&');
        struct str key = str_cut(&one, '=');
        if (!str_eq(key, name) || !one.p)
            continue;
        if (!percent_decode(one, false, true, &x->arena, &value))
            value = (struct str){0};
    }
    return value;
}

static bool
take_message(struct exchange *x)
{
    struct str message = parameter(x, STR("message"));
    struct str packing = parameter(x, STR("compression"));
    if (packing.n > 0 && !str_eq(packing, STR("identity"))) {
        answer_refuse(x, REASON_METHOD_NOT_FOUND, NULL, "compressed messages are not read");
    } else if (!message.p) {
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the parameter message is missing");
    } else if (!str_eq(parameter(x, STR("base64")), STR("1"))) {
        buf_put(&x->body, message.p, message.n);
    } else if (!json_base64_decode(message, &x->body)) {
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the parameter message is not base64");
    }
    x->query = STR("");
    return !x->refused;
}

bool
connect_get(struct exchange *x)
{
    struct route_match match; /* x->match says what the path does answer */
    struct str encoding = parameter(x, STR("encoding"));
    bool proto = str_eq(encoding, STR("proto"));
    if (strcmp(x->method, "GET") != 0 || (!proto && !str_eq(encoding, STR("json"))))
        return false;
    if (route_find(&x->gw->routes, STR("POST"), x->path, &match) != ROUTE_FOUND)
        return false;
    const struct schema_method *m = match.binding->method;
    if (!match.binding->automatic || m->client_streaming || m->server_streaming || !is_safe(x, m))
        return false;
    x->match = match;
    x->protocol = proto ? PROTOCOL_CONNECT_PROTO : PROTOCOL_CONNECT_JSON;
    take_message(x);
    return true;
}
