/* Whatever is read as an API key is written and read back the same. */
#include <string.h>

#include "quota/api_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct uuid key;
    struct uuid back;
    char text[API_KEY_TEXT];
    if (!api_key_parse((struct str){(const char *)data, size}, &key))
        return 0;
    api_key_format(&key, text);
    ASSERT(strlen(text) == API_KEY_TEXT - 1);
    ASSERT(api_key_parse(str_of(text), &back));
    ASSERT(memcmp(&key, &back, sizeof(key)) == 0);
    return 0;
}
