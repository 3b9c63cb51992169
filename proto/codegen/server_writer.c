#include <stdlib.h>

#include "plugin.h"

/* Everything about one method that the text needs. */
struct row {
    const Method *method;
    struct name handler;
    struct name request;
    struct name response;
    bool in;  /* the caller streams */
    bool out; /* the handler streams */
};

static struct row
row_of(const File *file, const Service *service, const Method *method)
{
    return (struct row){
        .method = method,
        .handler = name_handler(file, service, method),
        .request = name_type(method->input_type),
        .response = name_type(method->output_type),
        .in = method->client_streaming != 0,
        .out = method->server_streaming != 0,
    };
}

static const char *
kind_text(const struct row *r)
{
    if (r->in)
        return r->out ? "RPC_BIDI" : "RPC_CLIENT_STREAM";
    return r->out ? "RPC_SERVER_STREAM" : "RPC_UNARY";
}

/* The member of struct rpc_method's union. */
static const char *
member_text(const struct row *r)
{
    if (r->in)
        return r->out ? "bidi" : "client_stream";
    return r->out ? "server_stream" : "unary";
}

static void
write_prototype(FILE *out, const struct row *r)
{
    fprintf(out, "static enum status %s(struct call *call", r->handler.s);
    if (!r->in)
        fprintf(out, ", const %s *req", r->request.s);
    if (r->in || r->out)
        fprintf(out, ", struct stream *%s", r->in && r->out ? "stream" : r->in ? "in" : "out");
    if (!r->out)
        fprintf(out, ", %s *resp", r->response.s);
    fputs(");\n", out);
}

static void
write_stream_helpers(FILE *out, const struct row *r)
{
    if (r->in) {
        fprintf(out,
                "/* The next message; END after the last. See stream_recv. Suspends: may. */\n"
                "static inline WARN_UNUSED enum status\n"
                "%s_recv(struct stream *s, %s **ret_req)\n"
                "{\n"
                "    ProtobufCMessage *m;\n"
                "    enum status st = stream_recv(s, &m);\n"
                "    if (st == OK)\n"
                "        *ret_req = (%s *)(void *)m;\n"
                "    return st;\n"
                "}\n",
                r->handler.s, r->request.s, r->request.s);
    }
    if (r->out) {
        fprintf(out,
                "/* See stream_send. Suspends: may. */\n"
                "static inline WARN_UNUSED enum status\n"
                "%s_send(struct stream *s, const %s *resp)\n"
                "{\n"
                "    return stream_send(s, (const ProtobufCMessage *)(const void *)resp);\n"
                "}\n",
                r->handler.s, r->response.s);
    }
}

static void
write_thunk(FILE *out, const struct row *r)
{
    fprintf(out, "static enum status\n%s_thunk_(struct call *call", r->handler.s);
    if (!r->in)
        fputs(", const ProtobufCMessage *req", out);
    if (r->in || r->out)
        fputs(", struct stream *stream", out);
    if (!r->out)
        fputs(", ProtobufCMessage *resp", out);
    fprintf(out, ")\n{\n    return %s(call", r->handler.s);
    if (!r->in)
        fprintf(out, ", (const %s *)(const void *)req", r->request.s);
    if (r->in || r->out)
        fputs(", stream", out);
    if (!r->out)
        fprintf(out, ", (%s *)(void *)resp", r->response.s);
    fputs(");\n}\n", out);
}

static void
write_method(FILE *out, const File *file, size_t s, size_t m)
{
    const Service *service = file->service[s];
    struct row r = row_of(file, service, service->method[m]);
    fputc('\n', out);
    write_comment(out, file, s, m);
    write_prototype(out, &r);
    write_stream_helpers(out, &r);
    write_thunk(out, &r);
}

static const char *
bool_text(bool b)
{
    return b ? "true" : "false";
}

static void
write_policy(FILE *out, const File *file, const Service *service, const Method *method)
{
    struct policy p;
    if (!policy_read(file, service, method, &p, stderr))
        exit(1); /* file_check has passed it */
    fprintf(out,
            "        .policy = {\n"
            "            .access = %s,\n"
            "            .cost = INT64_C(%lld),\n"
            "            .cost_measured = %s,\n"
            "            .deadline = MSEC(%lld),\n"
            "            .idempotent = %s,\n"
            "            .fail_open = %s,\n"
            "            .scope = \"%s\",\n"
            "            .cache_seconds = %d,\n"
            "            .keys = %s,\n"
            "        },\n",
            p.access, p.cost, bool_text(p.cost_measured), p.deadline_ms, bool_text(p.idempotent),
            bool_text(p.fail_open), p.scope.s, p.cache_seconds, p.keys);
}

static void
write_table_row(FILE *out, const File *file, const Service *service, size_t m)
{
    struct row r = row_of(file, service, service->method[m]);
    struct name full = name_full(file, service), var = name_service(file, service);
    struct name request = name_descriptor(r.method->input_type);
    struct name response = name_descriptor(r.method->output_type);
    fprintf(out,
            "    {\n"
            "        .name = \"%s\",\n"
            "        .path = \"/%s/%s\",\n"
            "        .kind = %s,\n"
            "        .request = &%s,\n"
            "        .response = &%s,\n"
            "        .rules = %s,\n",
            r.method->name, full.s, r.method->name, kind_text(&r), request.s, response.s,
            rules_name(r.method->input_type).s);
    write_policy(out, file, service, r.method);
    fprintf(out,
            "        .counters = &%s_counters[%zu],\n"
            "        .%s = %s_thunk_,\n"
            "    },\n",
            var.s, m, member_text(&r), r.handler.s);
}

static void
write_service(FILE *out, const File *file, size_t s)
{
    const Service *service = file->service[s];
    struct name full = name_full(file, service), var = name_service(file, service);
    if (service->n_method == 0) {
        fprintf(out, "\nconst struct rpc_service %s = {\"%s\", NULL, 0};\n", var.s, full.s);
        return;
    }
    for (size_t m = 0; m < service->n_method; m++)
        write_method(out, file, s, m);
    fprintf(out,
            "\nstatic struct rpc_counters %s_counters[%zu];\n"
            "static const struct rpc_method %s_methods[] = {\n",
            var.s, service->n_method, var.s);
    for (size_t m = 0; m < service->n_method; m++)
        write_table_row(out, file, service, m);
    fprintf(out,
            "};\n"
            "extern const struct rpc_service %s;\n"
            "const struct rpc_service %s = {\"%s\", %s_methods, %zu};\n",
            var.s, var.s, full.s, var.s, service->n_method);
}

void
write_rpc_header(FILE *out, const File *file)
{
    struct name stem = name_stem(file->name), guard = name_guard(stem.s, "_RPC_H");
    fprintf(
        out,
        "/* Made by protoc-gen-luna from %s. */\n"
        "#ifndef %s\n"
        "#define %s\n"
        "/*\n"
        " * Included by exactly one file, which must define every handler declared here: a method\n"
        " * without a handler does not link.\n"
        " */\n"
        "#include \"%s.pb-c.h\"\n"
        "#include \"rpc/rpc.h\"\n",
        file->name, guard.s, guard.s, stem.s);
    write_rules(out, file);
    for (size_t s = 0; s < file->n_service; s++)
        write_service(out, file, s);
    fputs("\n#endif\n", out);
}
