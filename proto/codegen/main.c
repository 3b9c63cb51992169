#include <stdlib.h>
#include <string.h>

#include "plugin.h"

typedef Google__Protobuf__Compiler__CodeGeneratorRequest Request;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse Response;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse__File OutFile;

#define REQUEST_MAX_BYTES ((size_t)256 << 20)

static void *
checked(void *p)
{
    if (!p) {
        fputs("protoc-gen-luna: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

static uint8_t *
read_all(FILE *in, size_t *ret_len)
{
    size_t len = 0, cap = 1 << 16;
    uint8_t *bytes = checked(malloc(cap));
    for (;;) {
        size_t n = fread(bytes + len, 1, cap - len, in);
        len += n;
        if (n == 0)
            break;
        if (len < cap)
            continue;
        if (cap >= REQUEST_MAX_BYTES) {
            fputs("protoc-gen-luna: the request is too large\n", stderr);
            exit(1);
        }
        cap *= 2;
        bytes = checked(realloc(bytes, cap));
    }
    *ret_len = len;
    return bytes;
}

static const File *
find_file(const Request *req, const char *name)
{
    for (size_t i = 0; i < req->n_proto_file; i++)
        if (strcmp(req->proto_file[i]->name, name) == 0)
            return req->proto_file[i];
    return NULL;
}

static void
add_output(Response *resp, const File *file, const char *suffix,
           void (*write)(FILE *, const File *))
{
    OutFile *out = checked(calloc(1, sizeof(*out)));
    google__protobuf__compiler__code_generator_response__file__init(out);
    struct name stem = name_stem(file->name), path;
    name_printf(&path, "%s%s", stem.s, suffix);
    out->name = checked(strdup(path.s));

    size_t len;
    FILE *text = checked(open_memstream(&out->content, &len));
    write(text, file);
    if (fclose(text) != 0)
        checked(NULL);

    resp->file = checked(realloc(resp->file, (resp->n_file + 1) * sizeof(OutFile *)));
    resp->file[resp->n_file++] = out;
}

static void
generate(const Request *req, Response *resp)
{
    size_t len;
    FILE *err = checked(open_memstream(&resp->error, &len));
    bool ok = true;
    rules_init(req->proto_file, req->n_proto_file);
    for (size_t i = 0; i < req->n_file_to_generate; i++) {
        const File *file = find_file(req, req->file_to_generate[i]);
        if (!file || !file_check(file, err)) {
            ok = false;
            continue;
        }
        add_output(resp, file, ".rpc.h", write_rpc_header);
        add_output(resp, file, ".client.h", write_client_header);
        add_output(resp, file, ".client.c", write_client_source);
    }
    if (fclose(err) != 0)
        checked(NULL);
    if (ok) {
        free(resp->error);
        resp->error = NULL;
    }
}

int
main(void)
{
    size_t len;
    uint8_t *bytes = read_all(stdin, &len);
    Request *req = google__protobuf__compiler__code_generator_request__unpack(NULL, len, bytes);
    free(bytes);
    if (!req) {
        fputs("protoc-gen-luna: is run by protoc (--luna_out), which sends it a request\n", stderr);
        return 1;
    }

    Response *resp = checked(malloc(sizeof(*resp)));
    google__protobuf__compiler__code_generator_response__init(resp);
    resp->has_supported_features = true;
    resp->supported_features =
        GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__FEATURE__FEATURE_PROTO3_OPTIONAL;
    generate(req, resp);

    len = google__protobuf__compiler__code_generator_response__get_packed_size(resp);
    bytes = checked(malloc(len + 1));
    google__protobuf__compiler__code_generator_response__pack(resp, bytes);
    bool written = fwrite(bytes, 1, len, stdout) == len && fflush(stdout) == 0;
    free(bytes);
    google__protobuf__compiler__code_generator_response__free_unpacked(resp, NULL);
    google__protobuf__compiler__code_generator_request__free_unpacked(req, NULL);
    return written ? 0 : 1;
}
