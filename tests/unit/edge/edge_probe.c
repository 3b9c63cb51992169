#include "edge_probe.h"

#include "edge/auth.h"

bool
edge_bearer(const char *header, size_t n, const char **ret, size_t *ret_n)
{
    struct str token;
    if (!auth_parse_bearer((struct str){header, n}, &token))
        return false;
    *ret = token.p;
    *ret_n = token.n;
    return true;
}

bool
edge_scope(const char *scopes, const char *scope)
{
    return auth_scope_covers(scopes, str_of(scope));
}
