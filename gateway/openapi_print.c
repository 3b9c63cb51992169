/* luna-openapi: writes the OpenAPI document of the built-in services to standard output. */
#include "luna/descriptors.h"
#include <stdio.h>

#include "gateway/openapi.h"
#include "gateway/web/embedded.h"

static int
print(const struct schema *s, struct str set)
{
    char err[512];
    struct route_table routes;
    struct openapi_options options = {
        .descriptor_set = set,
        .examples = {(const char *)web_examples_json, web_examples_json_size},
        .package = "luna.v1",
        .version = LUNA_VERSION,
    };
    int code = 1;
    if (!route_table_init(&routes, s, err, sizeof(err))) {
        fprintf(stderr, "luna-openapi: %s\n", err);
        return 1;
    }
    struct openapi *o = openapi_new(s, &routes, &options, err, sizeof(err));
    if (!o) {
        fprintf(stderr, "luna-openapi: %s\n", err);
    } else {
        struct str json = openapi_json(o);
        bool written = fwrite(json.p, 1, json.n, stdout) == json.n && fflush(stdout) == 0;
        code = written ? 0 : 1;
    }
    openapi_free(o);
    route_table_fini(&routes);
    return code;
}

int
main(void)
{
    char err[512];
    struct schema s;
    struct str set = {(const char *)luna_descriptor_set_with_source,
                      luna_descriptor_set_with_source_size};
    if (!schema_load(&s, set, err, sizeof(err))) {
        fprintf(stderr, "luna-openapi: %s\n", err);
        return 1;
    }
    int code = print(&s, set);
    schema_fini(&s);
    return code;
}
