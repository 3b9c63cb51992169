/* edge/auth.h and edge/request_text.h for tests: rpc.h does not compile as C++. */
#ifndef LUNA_TESTS_EDGE_PROBE_H
#define LUNA_TESTS_EDGE_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
#include <string>
extern "C" {
#endif

/* The token's place in `header`; false: none. */
bool edge_bearer(const char *header, size_t n, const char **ret, size_t *ret_n);
bool edge_scope(const char *scopes, const char *scope);

#ifdef __cplusplus
}

static inline std::string
probe_bearer(const std::string &header)
{
    const char *p;
    size_t n;
    return edge_bearer(header.data(), header.size(), &p, &n) ? std::string(p, n) : "!";
}

static inline bool
probe_scope(const char *scopes, const char *scope)
{
    return edge_scope(scopes, scope);
}
#endif

#endif
