/* No bytes are taken for a token of ours unless they are one: what is read is made again the same.
 */
#include "edge/page_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct str cursor;
    struct str in = {(const char *)data, size};
    page_token_init(STR("the secret of the tests"));
    arena_init(&a, 0);
    if (page_token_read(&a, in, STR("list"), &cursor))
        ASSERT(str_eq(in, str_of(page_token_make(&a, STR("list"), cursor))));
    size_t n = size < PAGE_TOKEN_MAX_CURSOR ? size : PAGE_TOKEN_MAX_CURSOR;
    struct str mine = {in.p, n};
    const char *token = page_token_make(&a, in, mine);
    ASSERT(page_token_read(&a, str_of(token), in, &cursor));
    ASSERT(str_eq(cursor, mine));
    arena_fini(&a);
    return 0;
}
