#include "quota/api_key.h"

/* SHA256_Update and its like are "deprecated" in favour of calls that allocate. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>

#define PREFIX     "luna_"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define HEX_LEN    32
#define BODY_LEN   (PREFIX_LEN + HEX_LEN) /* what the checksum covers */
#define CHECK_LEN  6

/* CRC-32 (ISO 3309), a nibble at a time: on the way of every call. */
static uint32_t
crc32_of(const char *p, size_t n)
{
    static const uint32_t of_nibble[16] = {
        0x00000000U, 0x1db71064U, 0x3b6e20c8U, 0x26d930acU, 0x76dc4190U, 0x6b6b51f4U,
        0x4db26158U, 0x5005713cU, 0xedb88320U, 0xf00f9344U, 0xd6d6a3e8U, 0xcb61b38cU,
        0x9b64c2b0U, 0x86d3d2d4U, 0xa00ae278U, 0xbdbdf21cU,
    };
    uint32_t crc = 0xffffffffU;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        crc = (crc >> 4) ^ of_nibble[crc & 15];
        crc = (crc >> 4) ^ of_nibble[crc & 15];
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

/* HMAC (RFC 2104) with the two keyed blocks gone through once. EVP_MAC, which does the same behind
 * several allocations, takes three times as long, and each call pays for it. */
struct api_key_hasher {
    SHA256_CTX inner;
    SHA256_CTX outer;
};

static void
absorb_block(SHA256_CTX *ret, const uint8_t key[SHA256_CBLOCK], uint8_t pad)
{
    uint8_t block[SHA256_CBLOCK];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = key[i] ^ pad;
    SHA256_Init(ret);
    SHA256_Update(ret, block, sizeof(block));
    OPENSSL_cleanse(block, sizeof(block));
}

struct api_key_hasher *
api_key_hasher_new(struct str secret)
{
    uint8_t key[SHA256_CBLOCK] = {0};
    if (secret.n < API_KEY_SECRET_LEAST)
        return NULL;
    struct api_key_hasher *h = calloc(1, sizeof(*h));
    ASSERT(h);
    if (secret.n > sizeof(key))
        SHA256((const uint8_t *)secret.p, secret.n, key);
    else
        memcpy(key, secret.p, secret.n);
    absorb_block(&h->inner, key, 0x36);
    absorb_block(&h->outer, key, 0x5c);
    OPENSSL_cleanse(key, sizeof(key));
    return h;
}

void
api_key_hasher_free(struct api_key_hasher *h)
{
    if (!h)
        return;
    OPENSSL_cleanse(h, sizeof(*h));
    free(h);
}

void
api_key_hash(struct api_key_hasher *h, const struct uuid *key, uint8_t ret[API_KEY_HASH])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX c = h->inner;
    SHA256_Update(&c, key->bytes, sizeof(key->bytes));
    SHA256_Final(digest, &c);
    c = h->outer;
    SHA256_Update(&c, digest, sizeof(digest));
    SHA256_Final(ret, &c);
}
