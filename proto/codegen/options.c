#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "luna/v1/options.pb-c.h"
#include "plugin.h"

#define METHOD_OPTION_NUMBER 50801 /* (luna.v1.method) in luna/v1/options.proto */

bool
file_is_luna(const File *file)
{
    return file->package &&
           (strcmp(file->package, "luna") == 0 || strncmp(file->package, "luna.", 5) == 0);
}

/* Where the payload of a length-delimited unknown field begins: behind its length. */
static size_t
payload_offset(const ProtobufCMessageUnknownField *field)
{
    size_t i = 0;
    while (i < field->len && (field->data[i] & 0x80) != 0)
        i++;
    return i < field->len ? i + 1 : i;
}

/* protobuf-c does not know extensions: they are unknown fields of the options. */
uint8_t *
option_bytes(const ProtobufCMessage *options, unsigned number, size_t *ret_len)
{
    size_t total = 0;
    bool found = false;
    for (unsigned i = 0; i < options->n_unknown_fields; i++)
        total += options->unknown_fields[i].len;
    uint8_t *bytes = calloc(1, total + 1);
    if (!bytes)
        abort();
    total = 0;
    for (unsigned i = 0; i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &options->unknown_fields[i];
        if (field->tag != number || field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            continue;
        size_t skip = payload_offset(field);
        memcpy(bytes + total, field->data + skip, field->len - skip);
        total += field->len - skip;
        found = true;
    }
    *ret_len = total;
    if (found)
        return bytes;
    free(bytes);
    return NULL;
}

static Luna__V1__MethodPolicy *
method_option(const Method *method)
{
    size_t len;
    uint8_t *bytes =
        method->options ? option_bytes(&method->options->base, METHOD_OPTION_NUMBER, &len) : NULL;
    Luna__V1__MethodPolicy *option =
        bytes ? luna__v1__method_policy__unpack(NULL, len, bytes) : NULL;
    free(bytes);
    return option;
}

static bool
complain(FILE *err, const File *file, const Service *service, const Method *method,
         const char *what)
{
    fprintf(err, "%s: %s.%s: %s\n", file->name, service->name, method->name, what);
    return false;
}

static bool
scope_is_valid(const char *scope)
{
    return *scope != '\0' &&
           strspn(scope, "abcdefghijklmnopqrstuvwxyz0123456789_.") == strlen(scope);
}

static const char *
access_text(Luna__V1__Access access)
{
    switch (access) {
    case LUNA__V1__ACCESS__ACCESS_PUBLIC:
        return "RPC_PUBLIC";
    case LUNA__V1__ACCESS__ACCESS_DEVICE:
        return "RPC_DEVICE";
    case LUNA__V1__ACCESS__ACCESS_MEMBER:
        return "RPC_MEMBER";
    case LUNA__V1__ACCESS__ACCESS_ADMIN:
        return "RPC_ADMIN";
    default:
        return NULL;
    }
}

/* options.proto: the default of IdempotencyKeys. */
static const char *
keys_text(const Method *method, Luna__V1__IdempotencyKeys keys, bool idempotent)
{
    if (method->client_streaming || method->server_streaming)
        return idempotent ? "RPC_KEYS_IGNORED" : "RPC_KEYS_REFUSED";
    if (idempotent)
        return "RPC_KEYS_IGNORED";
    return keys == LUNA__V1__IDEMPOTENCY_KEYS__IDEMPOTENCY_KEYS_TRANSACTION ? "RPC_KEYS_TRANSACTION"
                                                                            : "RPC_KEYS_CLAIM";
}

/* options.proto: the service's name in lower case without "Service", and .read or .write. */
static void
scope_default(const Service *service, struct policy *p)
{
    struct name short_name = name_service_short(service);
    name_printf(&p->scope, "%s.%s", short_name.s, p->idempotent ? "read" : "write");
}

static bool
policy_check(const File *file, const Service *service, const Method *method, const struct policy *p,
             FILE *err)
{
    if (!p->access && file_is_luna(file))
        return complain(err, file, service, method,
                        "has no access: add option (luna.v1.method) = {access: ACCESS_...}");
    if (p->cost < 0)
        return complain(err, file, service, method, "cost is negative");
    if (p->deadline_ms < 0)
        return complain(err, file, service, method, "deadline_ms is negative");
    if (p->cache_seconds < 0)
        return complain(err, file, service, method, "cache_seconds is negative");
    if (p->cache_seconds > 0 && (p->cost > 0 || p->cost_measured) && file_is_luna(file))
        return complain(err, file, service, method,
                        "has cache_seconds and a cost: what a cache answers is not charged");
    if (p->cache_public && strcmp(p->access ? p->access : "", "RPC_PUBLIC") != 0)
        return complain(err, file, service, method,
                        "has CACHE_SCOPE_PUBLIC and an access other than ACCESS_PUBLIC");
    if (!scope_is_valid(p->scope.s))
        return complain(err, file, service, method, "scope has characters other than a-z 0-9 _ .");
    return true;
}

bool
policy_read(const File *file, const Service *service, const Method *method,
            struct policy *ret_policy, FILE *err)
{
    Luna__V1__MethodPolicy *option = method_option(method);
    struct policy p = {0};
    Luna__V1__IdempotencyKeys keys = LUNA__V1__IDEMPOTENCY_KEYS__IDEMPOTENCY_KEYS_UNSPECIFIED;
    if (option) {
        keys = option->idempotency_keys;
        p.access = access_text(option->access);
        p.cost = option->cost;
        p.cost_measured = option->cost_measured != 0;
        p.deadline_ms = option->deadline_ms;
        p.idempotent = option->idempotent != 0;
        p.fail_open =
            option->when_limiter_away == LUNA__V1__WHEN_LIMITER_AWAY__WHEN_LIMITER_AWAY_OPEN;
        p.cache_seconds = option->cache_seconds;
        p.cache_public = option->cache_scope == LUNA__V1__CACHE_SCOPE__CACHE_SCOPE_PUBLIC;
        name_printf(&p.scope, "%s", option->scope);
        luna__v1__method_policy__free_unpacked(option, NULL);
    }
    if (p.scope.s[0] == '\0')
        scope_default(service, &p);
    p.keys = file_is_luna(file) ? keys_text(method, keys, p.idempotent) : "RPC_KEYS_IGNORED";
    if (!policy_check(file, service, method, &p, err))
        return false;
    if (keys != LUNA__V1__IDEMPOTENCY_KEYS__IDEMPOTENCY_KEYS_UNSPECIFIED &&
        (p.idempotent || method->client_streaming || method->server_streaming))
        return complain(err, file, service, method,
                        "idempotency_keys are for unary methods that are not idempotent");
    if (keys == LUNA__V1__IDEMPOTENCY_KEYS__IDEMPOTENCY_KEYS_TRANSACTION && p.cost_measured)
        return complain(err, file, service, method,
                        "measures its cost, which does not belong into its transaction");
    if (!p.access)
        p.access = "RPC_PUBLIC";
    *ret_policy = p;
    return true;
}

/* True when handler `name` is also what `other` or one of its stream helpers is called. */
static bool
clashes_with(const char *name, const Method *other, const char *handler)
{
    size_t n = strlen(handler);
    if (strncmp(name, handler, n) != 0)
        return false;
    return name[n] == '\0' || (other->client_streaming && strcmp(name + n, "_recv") == 0) ||
           (other->server_streaming && strcmp(name + n, "_send") == 0);
}

static bool
names_are_usable(const File *file, const Service *service, const Method *method, FILE *err)
{
    struct name name = name_handler(file, service, method), snake = name_snake(method->name);
    if (name_is_keyword(snake.s))
        return complain(err, file, service, method, "is a keyword of C: rename it");
    for (size_t s = 0; s < file->n_service; s++) {
        for (size_t m = 0; m < file->service[s]->n_method; m++) {
            const Method *other = file->service[s]->method[m];
            struct name handler = name_handler(file, file->service[s], other);
            if (other != method && clashes_with(name.s, other, handler.s))
                return complain(err, file, service, method,
                                "its C name clashes with another method's: rename one");
        }
    }
    return true;
}

bool
file_check(const File *file, FILE *err)
{
    bool ok = rules_check_file(file, err);
    for (size_t s = 0; s < file->n_service; s++) {
        const Service *service = file->service[s];
        for (size_t m = 0; m < service->n_method; m++) {
            struct policy p;
            ok = policy_read(file, service, service->method[m], &p, err) && ok;
            ok = names_are_usable(file, service, service->method[m], err) && ok;
        }
    }
    return ok;
}
