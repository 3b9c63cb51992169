/* The texts of pages that are made at start. */
#ifndef LUNA_GATEWAY_WEB_HTML_H
#define LUNA_GATEWAY_WEB_HTML_H

#include "gateway/route.h"

/* Appends `text` so that it is text in HTML, also between quotes. */
void html_text(struct buf *out, struct str text);

/* Appends a proto comment as paragraphs; indented lines behind an empty one stay as they are. */
void html_comment(struct buf *out, struct str comment);

/* Appends `page` with each "@NAME@" replaced by its value, which is HTML already. */
struct html_slot {
    const char *name; /* "@VERSION@" */
    struct str value;
};
void html_fill(struct buf *out, struct str page, const struct html_slot *slots, size_t count);

/* Appends the service's entry on the start page. */
void html_service_card(struct buf *out, const struct schema_service *s);

/* ---- reference.c ---- */
/* Appends the page "/reference": all methods of `package` without scripts. `examples` is
 * examples.json. False: it is not of its form, and `err` says where. */
bool reference_write(struct buf *out, const struct schema *s, const struct route_table *routes,
                     struct str set, struct str examples, const char *package, char *err,
                     size_t err_size);

/* True when the service stands in the package itself. */
bool service_is_of(const struct schema_service *s, const char *package);

#endif
