/* Path templates (google/api/http.proto): "/v1/{name=shelves/..}/books:verb". */
#ifndef LUNA_GATEWAY_ROUTE_TEMPLATE_H
#define LUNA_GATEWAY_ROUTE_TEMPLATE_H

#include "gateway/route.h"

enum segment_kind { SEGMENT_LITERAL, SEGMENT_ONE, SEGMENT_MANY };

struct template_segment {
    enum segment_kind kind;
    struct str literal;
};

struct template_variable {
    struct str path; /* "book.name" */
    unsigned first;
    unsigned count;
    bool open;
};

#define TEMPLATE_VARIABLES_MAX 16

struct path_template {
    struct template_segment segments[ROUTE_SEGMENTS_MAX];
    unsigned segment_count;
    struct template_variable variables[TEMPLATE_VARIABLES_MAX];
    unsigned variable_count;
    struct str verb; /* p == NULL: none */
};

/* Takes a template apart; the result borrows from `text`. NULL, or what is wrong with it. */
const char *template_parse(struct str text, struct path_template *ret);

/* Decodes percent escapes; those of reserved characters stay when `keep_reserved`, and "+" becomes
 * a space when `plus`. False: an escape is none. */
bool percent_decode(struct str text, bool keep_reserved, bool plus, struct arena *a,
                    struct str *ret);

#endif
