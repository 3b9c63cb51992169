/* authorization, x-forwarded-for, networks and scopes: what callers and settings may write. */
#include "edge/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct str token;
    if (auth_parse_bearer(in, &token)) {
        ASSERT(token.n > 0 && token.p >= in.p && token.p + token.n <= in.p + in.n);
        for (size_t i = 0; i < token.n; i++)
            ASSERT(token.p[i] > ' ' && token.p[i] <= '~');
    }
    struct address_nets nets;
    struct str bad;
    if (!address_nets_parse(in, &nets, &bad)) {
        ASSERT(bad.p >= in.p && bad.p + bad.n <= in.p + in.n);
        ASSERT(address_nets_parse(STR("127.0.0.0/8,::1,unix"), &nets, &bad));
    }
    struct str client = address_of_client(&nets, STR("127.0.0.1"), in);
    ASSERT(client.n > 0);
    (void)address_nets_contain(&nets, in);
    (void)auth_scope_covers("kalman.read counts.* quota", in);
    return 0;
}
