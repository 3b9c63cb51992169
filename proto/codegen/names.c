#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

void
name_printf(struct name *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(out->s, sizeof(out->s), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(out->s)) {
        fprintf(stderr, "protoc-gen-luna: a name has more than %d bytes: %.80s...\n",
                NAME_MAX_BYTES - 1, out->s);
        exit(1);
    }
}

static void
name_push(struct name *out, size_t *len, int c)
{
    if (*len + 1 >= sizeof(out->s)) {
        fprintf(stderr, "protoc-gen-luna: a name has more than %d bytes: %.80s...\n",
                NAME_MAX_BYTES - 1, out->s);
        exit(1);
    }
    out->s[(*len)++] = (char)c;
    out->s[*len] = '\0';
}

static bool
is_upper(char c)
{
    return isupper((unsigned char)c) != 0;
}

struct name
name_snake(const char *camel)
{
    struct name out = {""};
    size_t len = 0;
    for (size_t i = 0; camel[i] != '\0'; i++) {
        bool word = i > 0 && is_upper(camel[i]) && camel[i - 1] != '_' &&
                    (!is_upper(camel[i - 1]) || islower((unsigned char)camel[i + 1]));
        if (word)
            name_push(&out, &len, '_');
        name_push(&out, &len, tolower((unsigned char)camel[i]));
    }
    return out;
}

/* As protobuf-c's generator does it (protoc-c/c_helpers.cc: ToCamel and FullNameToC). */
struct name
name_type(const char *full_name)
{
    struct name out = {""};
    size_t len = 0;
    bool upper = true;
    for (const char *p = full_name + (*full_name == '.'); *p != '\0'; p++) {
        if (*p == '.') {
            name_push(&out, &len, '_');
            name_push(&out, &len, '_');
            upper = true;
        } else if (*p == '_') {
            upper = true;
        } else {
            name_push(&out, &len, upper ? toupper((unsigned char)*p) : *p);
            upper = false;
        }
    }
    return out;
}

/* protoc-c/c_helpers.cc: CamelToLower and FullNameToLower. */
struct name
name_descriptor(const char *full_name)
{
    struct name out = {""};
    size_t len = 0;
    bool was_upper = true;
    for (const char *p = full_name + (*full_name == '.'); *p != '\0'; p++) {
        if (*p == '.') {
            name_push(&out, &len, '_');
            name_push(&out, &len, '_');
            was_upper = true;
            continue;
        }
        if (is_upper(*p) && !was_upper)
            name_push(&out, &len, '_');
        name_push(&out, &len, tolower((unsigned char)*p));
        was_upper = is_upper(*p);
    }
    for (const char *p = "__descriptor"; *p != '\0'; p++)
        name_push(&out, &len, *p);
    return out;
}

struct name
name_stem(const char *path)
{
    struct name out;
    name_printf(&out, "%s", path);
    char *dot = strrchr(out.s, '.');
    if (dot && strcmp(dot, ".proto") == 0)
        *dot = '\0';
    return out;
}

struct name
name_guard(const char *stem, const char *suffix)
{
    struct name out;
    name_printf(&out, "%s%s", stem, suffix);
    for (char *p = out.s; *p != '\0'; p++)
        *p = isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
    return out;
}

struct name
name_full(const File *file, const Service *service)
{
    struct name out;
    if (file->package && *file->package)
        name_printf(&out, "%s.%s", file->package, service->name);
    else
        name_printf(&out, "%s", service->name);
    return out;
}

/* "grpc.health.v1" -> "grpc_health_v1_"; nothing for luna.v1 and files without a package. */
static struct name
package_prefix(const File *file)
{
    struct name out = {""};
    if (!file->package || !*file->package || strcmp(file->package, "luna.v1") == 0)
        return out;
    name_printf(&out, "%s_", file->package);
    for (char *p = out.s; *p != '\0'; p++)
        if (*p == '.')
            *p = '_';
    return out;
}

struct name
name_service(const File *file, const Service *service)
{
    struct name prefix = package_prefix(file), snake = name_snake(service->name), out;
    name_printf(&out, "%s%s", prefix.s, snake.s);
    return out;
}

struct name
name_service_short(const Service *service)
{
    struct name out = name_snake(service->name);
    char *end = strstr(out.s, "_service");
    if (end && end[strlen("_service")] == '\0')
        *end = '\0';
    return out;
}

static bool
method_of_another_service(const File *file, const Service *service, const char *snake)
{
    for (size_t i = 0; i < file->n_service; i++) {
        const Service *other = file->service[i];
        for (size_t k = 0; other != service && k < other->n_method; k++) {
            struct name name = name_snake(other->method[k]->name);
            if (strcmp(name.s, snake) == 0)
                return true;
        }
    }
    return false;
}

struct name
name_handler(const File *file, const Service *service, const Method *method)
{
    struct name snake = name_snake(method->name), out;
    if (method_of_another_service(file, service, snake.s)) {
        struct name prefix = name_snake(service->name);
        name_printf(&out, "%s_%s", prefix.s, snake.s);
    } else {
        name_printf(&out, "%s%s", name_is_reserved(snake.s) ? "handle_" : "", snake.s);
    }
    return out;
}

struct name
name_stub(const File *file, const Service *service, const Method *method)
{
    struct name prefix = package_prefix(file), short_name = name_service_short(service);
    struct name snake = name_snake(method->name), out;
    const char *luna = strncmp(prefix.s, "luna_", 5) == 0 ? "" : "luna_";
    name_printf(&out, "%s%s%s_%s", luna, prefix.s, short_name.s, snake.s);
    return out;
}
