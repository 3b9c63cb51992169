#include <stdlib.h>

#include "plugin.h"

struct stub {
    const Method *method;
    struct name name;
    struct name request;
    struct name response;
    bool in;  /* the caller streams */
    bool out; /* the server streams */
};

static struct stub
stub_of(const File *file, const Service *service, const Method *method)
{
    return (struct stub){
        .method = method,
        .name = name_stub(file, service, method),
        .request = name_type(method->input_type),
        .response = name_type(method->output_type),
        .in = method->client_streaming != 0,
        .out = method->server_streaming != 0,
    };
}

/* One blocking call: unary. */
static void
declare_unary(FILE *out, const struct stub *s, const char *end)
{
    fprintf(out,
            "enum luna_code\n"
            "%s(struct luna_channel *channel, const struct luna_call_options *options,\n"
            "    const %s *request, struct luna_reply **ret_reply, const %s **ret_response)%s\n",
            s->name.s, s->request.s, s->response.s, end);
}

static void
declare_open(FILE *out, const struct stub *s, const char *end)
{
    fprintf(out,
            "struct luna_stream *\n"
            "%s(struct luna_channel *channel, const struct luna_call_options *options",
            s->name.s);
    if (!s->in)
        fprintf(out, ",\n    const %s *request", s->request.s);
    fprintf(out, ")%s\n", end);
}

static void
declare_helpers(FILE *out, const struct stub *s)
{
    if (s->in)
        fprintf(out, "enum luna_code %s_send(struct luna_stream *stream, const %s *request);\n",
                s->name.s, s->request.s);
    if (s->out)
        fprintf(out,
                "enum luna_code %s_recv(struct luna_stream *stream, const %s **ret_response);\n",
                s->name.s, s->response.s);
    else
        fprintf(out,
                "enum luna_code %s_finish(struct luna_stream *stream, struct luna_reply "
                "**ret_reply,\n    const %s **ret_response);\n",
                s->name.s, s->response.s);
}

static void
declare(FILE *out, const File *file, size_t s, size_t m)
{
    struct stub stub = stub_of(file, file->service[s], file->service[s]->method[m]);
    fprintf(out, "\n/* %s.%s */\nextern const struct luna_method %s_method;\n",
            file->service[s]->name, stub.method->name, stub.name.s);
    write_comment(out, file, s, m);
    if (!stub.in && !stub.out) {
        declare_unary(out, &stub, ";");
        return;
    }
    declare_open(out, &stub, ";");
    declare_helpers(out, &stub);
}

void
write_client_header(FILE *out, const File *file)
{
    struct name stem = name_stem(file->name), guard = name_guard(stem.s, "_CLIENT_H");
    fprintf(
        out,
        "/*\n"
        " * Made by protoc-gen-luna from %s. See luna/client.h for what is common to all calls:\n"
        " * errors, ownership, threads, streams.\n"
        " */\n"
        "#ifndef %s\n"
        "#define %s\n"
        "\n"
        "#include \"luna/client.h\"\n"
        "#include \"%s.pb-c.h\"\n"
        "\n"
        "#ifdef __cplusplus\n"
        "extern \"C\" {\n"
        "#endif\n",
        file->name, guard.s, guard.s, stem.s);
    for (size_t s = 0; s < file->n_service; s++)
        for (size_t m = 0; m < file->service[s]->n_method; m++)
            declare(out, file, s, m);
    fputs("\n"
          "#ifdef __cplusplus\n"
          "}\n"
          "#endif\n"
          "\n"
          "#endif\n",
          out);
}

static void
define_row(FILE *out, const File *file, const Service *service, const struct stub *s)
{
    struct policy p;
    if (!policy_read(file, service, s->method, &p, stderr))
        exit(1); /* file_check has passed it */
    struct name full = name_full(file, service);
    struct name request = name_descriptor(s->method->input_type);
    struct name response = name_descriptor(s->method->output_type);
    fprintf(out,
            "\nconst struct luna_method %s_method = {\n"
            "    .path = \"/%s/%s\",\n"
            "    .request = &%s,\n"
            "    .response = &%s,\n"
            "    .client_streams = %d,\n"
            "    .server_streams = %d,\n"
            "    .idempotent = %d,\n"
            "};\n",
            s->name.s, full.s, s->method->name, request.s, response.s, s->in, s->out, p.idempotent);
}

static void
define_unary(FILE *out, const struct stub *s)
{
    fputc('\n', out);
    declare_unary(out, s, "");
    fprintf(out,
            "{\n"
            "    const ProtobufCMessage *m;\n"
            "    enum luna_code code = luna_call_unary(channel, options, &%s_method,\n"
            "        (const ProtobufCMessage *)(const void *)request, ret_reply, &m);\n"
            "    *ret_response = (const %s *)(const void *)m;\n"
            "    return code;\n"
            "}\n",
            s->name.s, s->response.s);
}

static void
define_open(FILE *out, const struct stub *s)
{
    fputc('\n', out);
    declare_open(out, s, "");
    fprintf(out, "{\n    return luna_stream_open(channel, options, &%s_method, %s);\n}\n",
            s->name.s, s->in ? "NULL" : "(const ProtobufCMessage *)(const void *)request");
}

static void
define_helpers(FILE *out, const struct stub *s)
{
    if (s->in)
        fprintf(out,
                "\nenum luna_code\n"
                "%s_send(struct luna_stream *stream, const %s *request)\n"
                "{\n"
                "    return luna_stream_send(stream, (const ProtobufCMessage *)(const void "
                "*)request);\n"
                "}\n",
                s->name.s, s->request.s);
    fprintf(out,
            "\nenum luna_code\n"
            "%s_%s(struct luna_stream *stream%s, const %s **ret_response)\n"
            "{\n"
            "    const ProtobufCMessage *m;\n"
            "    enum luna_code code = luna_stream_%s(stream, %s&m);\n"
            "    *ret_response = (const %s *)(const void *)m;\n"
            "    return code;\n"
            "}\n",
            s->name.s, s->out ? "recv" : "finish", s->out ? "" : ", struct luna_reply **ret_reply",
            s->response.s, s->out ? "recv" : "finish_with", s->out ? "" : "ret_reply, ",
            s->response.s);
}

static void
define(FILE *out, const File *file, const Service *service, const Method *method)
{
    struct stub stub = stub_of(file, service, method);
    define_row(out, file, service, &stub);
    if (!stub.in && !stub.out) {
        define_unary(out, &stub);
        return;
    }
    define_open(out, &stub);
    define_helpers(out, &stub);
}

void
write_client_source(FILE *out, const File *file)
{
    struct name stem = name_stem(file->name);
    fprintf(out, "/* Made by protoc-gen-luna from %s. */\n#include \"%s.client.h\"\n", file->name,
            stem.s);
    for (size_t s = 0; s < file->n_service; s++)
        for (size_t m = 0; m < file->service[s]->n_method; m++)
            define(out, file, file->service[s], file->service[s]->method[m]);
}
