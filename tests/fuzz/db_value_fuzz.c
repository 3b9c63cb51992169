/* Binary values as a server might send them: the first byte chooses the type, the rest is the
 * value. */
#include "db/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    union {
        struct db_array array;
        struct uuid uuid;
        struct str s;
    } out;

    if (size == 0)
        return 0;
    arena_init(&arena, 0);
    (void)value_decode(&arena, (enum db_type)(data[0] % DB_TYPE_COUNT), (const char *)data + 1,
                       size - 1, &out);
    arena_fini(&arena);
    return 0;
}
