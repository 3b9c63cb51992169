/* Request metadata and what is sent beside the messages. */
#include <ctype.h>
#include <grpc/support/alloc.h>
#include <stdlib.h>

#include "rpc/connections.h"
#include "rpc/internal.h"

static struct str
slice_str(const grpc_slice *s)
{
    return (struct str){(const char *)GRPC_SLICE_START_PTR(*s), GRPC_SLICE_LENGTH(*s)};
}

bool
call_metadata(const struct call *call, const char *key, struct str *ret)
{
    const grpc_metadata_array *md = &call_private(call)->metadata;
    size_t n = strlen(key);
    for (size_t i = 0; i < md->count; i++) {
        struct str k = slice_str(&md->metadata[i].key);
        if (k.n == n && memcmp(k.p, key, n) == 0) {
            *ret = slice_str(&md->metadata[i].value);
            return true;
        }
    }
    return false;
}

bool
call_metadata_at(const struct call *call, size_t n, struct str *ret_key, struct str *ret_value)
{
    const grpc_metadata_array *md = &call_private(call)->metadata;
    if (n >= md->count)
        return false;
    *ret_key = slice_str(&md->metadata[n].key);
    *ret_value = slice_str(&md->metadata[n].value);
    return true;
}

const char *
call_peer(struct call *call)
{
    struct rpc_call *c = call_private(call);
    if (!c->peer) {
        char *p = grpc_call_get_peer(c->core);
        c->peer = arena_strdup(&c->arena, p ? p : "unknown");
        gpr_free(p);
    }
    return c->peer;
}

uint64_t
call_connection(struct rpc_call *c)
{
    if (c->peer_name == 0) {
        const char *peer = call_peer(&c->pub);
        if (strncmp(peer, "ipv", 3) == 0)
            c->peer_name = connection_name(peer);
    }
    return c->peer_name;
}

static int
hex_digit(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    if (ch >= 'a' && ch <= 'f')
        return ch - 'a' + 10;
    return ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

static struct str
percent_decode(struct arena *a, struct str s)
{
    char *out = arena_alloc_raw(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int hi = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int lo = hi >= 0 ? hex_digit(s.p[i + 2]) : -1;
        if (lo >= 0) {
            out[n++] = (char)(hi * 16 + lo);
            i += 2;
        } else {
            out[n++] = s.p[i];
        }
    }
    out[n] = '\0';
    return (struct str){out, n};
}

/* "ipv4:1.2.3.4:5" and "ipv6:%5B::1%5D:5" without scheme, brackets and port. */
static const char *
address_of(struct arena *a, const char *peer)
{
    struct str s = str_of(peer);
    struct str scheme = str_cut(&s, ':');
    if (str_eq(scheme, STR("unix")) || str_eq(scheme, STR("unix-abstract")))
        return "unix";
    if (!s.p)
        return peer;
    s = percent_decode(a, s);
    if (s.n > 0 && s.p[0] == '[') {
        s.p++;
        s.n--;
        s = str_cut(&s, ']');
        s = str_cut(&s, '%'); /* the zone */
    } else {
        const char *colon = memrchr(s.p, ':', s.n);
        if (colon)
            s.n = (size_t)(colon - s.p);
    }
    return arena_strndup(a, s.p, s.n);
}

const char *
call_peer_address(struct call *call)
{
    struct rpc_call *c = call_private(call);
    if (!c->peer_address)
        c->peer_address = address_of(&c->arena, call_peer(call));
    return c->peer_address;
}

/* memcpy of at most 31 bytes without a call: a metered answer has twelve such texts. */
static void
copy_short(uint8_t *to, const char *from, size_t n)
{
    if (n >= 16) {
        memcpy(to, from, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = (uint8_t)from[i];
    }
}

/* A short text is held in the slice itself: core then writes it into the frame next to its
 * neighbours, and a longer one as a part of its own. */
static void
slice_set(grpc_slice *slice, struct str s)
{
    if (s.n > GRPC_SLICE_INLINED_SIZE) {
        *slice = grpc_slice_from_static_buffer(s.p, s.n);
        return;
    }
    slice->refcount = NULL;
    slice->data.inlined.length = (uint8_t)s.n;
    copy_short(slice->data.inlined.bytes, s.p, s.n);
}

void
metadata_add(struct arena *a, struct metadata_list *l, struct str key, struct str value)
{
    if (l->count == l->capacity) {
        size_t cap = l->capacity ? l->capacity * 2 : 8;
        struct metadata_pair *more = arena_alloc_raw(a, cap * sizeof(*more));
        if (l->count > 0)
            memcpy(more, l->items, l->count * sizeof(*more));
        l->items = more;
        l->capacity = cap;
    }
    l->items[l->count++] = (struct metadata_pair){key, value};
}

grpc_metadata *
metadata_for_core(struct metadata_out *out, const struct metadata_list *l)
{
    if (out->capacity < l->count) {
        out->capacity = l->capacity;
        out->items = reallocarray(out->items, out->capacity, sizeof(*out->items));
        ASSERT(out->items);
    }
    for (size_t i = 0; i < l->count; i++) {
        slice_set(&out->items[i].key, l->items[i].key);
        slice_set(&out->items[i].value, l->items[i].value);
    }
    return out->items;
}

/* Core refuses a whole batch for one illegal pair, so such a pair is left out here. */
static void
add_copy(struct rpc_call *c, struct metadata_list *l, const char *key, struct str value)
{
    struct str k = str_of(arena_strdup(&c->arena, key));
    struct str v = {arena_memdup(&c->arena, value.p, value.n), value.n};
    grpc_slice ks = grpc_slice_from_static_buffer(k.p, k.n);
    grpc_slice vs = grpc_slice_from_static_buffer(v.p, v.n);
    if (grpc_header_key_is_legal(ks) &&
        (grpc_is_binary_header(ks) || grpc_header_nonbin_value_is_legal(vs)))
        metadata_add(&c->arena, l, k, v);
}

bool
call_set_header_bytes(struct call *call, const char *key, struct str value)
{
    struct rpc_call *c = call_private(call);
    if (c->headers_sent)
        return false;
    add_copy(c, &c->headers, key, value);
    return true;
}

bool
call_set_header_as_is(struct call *call, struct str key, struct str value)
{
    struct rpc_call *c = call_private(call);
    if (c->headers_sent)
        return false;
    metadata_add(&c->arena, &c->headers, key, value);
    return true;
}

void
call_set_trailer_bytes(struct call *call, const char *key, struct str value)
{
    struct rpc_call *c = call_private(call);
    add_copy(c, &c->trailers, key, value);
}

bool
call_set_header(struct call *call, const char *key, const char *value)
{
    return call_set_header_bytes(call, key, str_of(value));
}

void
call_set_trailer(struct call *call, const char *key, const char *value)
{
    call_set_trailer_bytes(call, key, str_of(value));
}

bool
call_message_compressed(const struct call *call)
{
    return call_private(call)->was_compressed;
}

void
call_set_compression(struct call *call, bool on)
{
    call_private(call)->plain = !on;
}
