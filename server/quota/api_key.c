#include "quota/api_key.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

#define PREFIX     "luna_"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define HEX_LEN    32
#define BODY_LEN   (PREFIX_LEN + HEX_LEN) /* what the checksum covers */
#define CHECK_LEN  6

static uint32_t
crc32_of(const char *p, size_t n)
{
    uint32_t crc = 0xffffffffU;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xedb88320U & (0U - (crc & 1U)));
    }
    return ~crc;
}

static void
checksum(const char *body, char out[CHECK_LEN])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint32_t crc = crc32_of(body, BODY_LEN);
    for (int i = CHECK_LEN - 1; i >= 0; i--) {
        out[i] = digits[crc % 62];
        crc /= 62;
    }
}

void
api_key_generate(struct uuid *ret)
{
    uuid_v4(ret);
}

void
api_key_format(const struct uuid *key, char out[API_KEY_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    memcpy(out, PREFIX, PREFIX_LEN);
    char *p = out + PREFIX_LEN;
    for (size_t i = 0; i < sizeof(key->bytes); i++) {
        *p++ = hex[key->bytes[i] >> 4];
        *p++ = hex[key->bytes[i] & 15];
    }
    *p++ = '_';
    checksum(out, p);
    p[CHECK_LEN] = '\0';
}

static bool
parse_prefixed(struct str text, struct uuid *ret)
{
    char body[BODY_LEN + 1];
    memcpy(body, text.p, BODY_LEN);
    body[BODY_LEN] = '\0';
    for (size_t i = PREFIX_LEN; i < BODY_LEN; i++) {
        char c = body[i];
        if (c >= 'A' && c <= 'F')
            body[i] = (char)(c - 'A' + 'a');
        else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    char want[CHECK_LEN];
    checksum(body, want);
    if (text.p[BODY_LEN] != '_' || memcmp(text.p + BODY_LEN + 1, want, CHECK_LEN) != 0)
        return false;
    return uuid_parse(body + PREFIX_LEN, ret);
}

bool
api_key_parse(struct str text, struct uuid *ret)
{
    if (str_starts(text, STR(PREFIX)))
        return text.n == API_KEY_TEXT - 1 && parse_prefixed(text, ret);
    char bare[UUID_TEXT];
    if (text.n != HEX_LEN && text.n != UUID_TEXT - 1)
        return false;
    if (memchr(text.p, '\0', text.n))
        return false;
    memcpy(bare, text.p, text.n);
    bare[text.n] = '\0';
    return uuid_parse(bare, ret);
}

struct api_key_hasher {
    EVP_MAC *mac;
    EVP_MAC_CTX *keyed;
};

struct api_key_hasher *
api_key_hasher_new(struct str secret)
{
    if (secret.n < API_KEY_SECRET_LEAST)
        return NULL;
    struct api_key_hasher *h = calloc(1, sizeof(*h));
    ASSERT(h);
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    h->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    ASSERT(h->mac);
    h->keyed = EVP_MAC_CTX_new(h->mac);
    ASSERT(h->keyed);
    ASSERT(EVP_MAC_init(h->keyed, (const unsigned char *)secret.p, secret.n, params) == 1);
    return h;
}

void
api_key_hasher_free(struct api_key_hasher *h)
{
    if (!h)
        return;
    EVP_MAC_CTX_free(h->keyed);
    EVP_MAC_free(h->mac);
    free(h);
}

void
api_key_hash(struct api_key_hasher *h, const struct uuid *key, uint8_t ret[API_KEY_HASH])
{
    size_t n = 0;
    ASSERT(EVP_MAC_init(h->keyed, NULL, 0, NULL) == 1); /* with the key it has */
    ASSERT(EVP_MAC_update(h->keyed, key->bytes, sizeof(key->bytes)) == 1);
    ASSERT(EVP_MAC_final(h->keyed, ret, &n, API_KEY_HASH) == 1 && n == API_KEY_HASH);
}
