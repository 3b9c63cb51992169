#include "edge/seal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/defs.h"
#include "base/uuid.h"

#define NONCE 12U
#define TAG   16U

static void
derive(struct str secret, char purpose, int64_t account_id, struct str key, uint8_t ret[SEAL_HASH])
{
    uint8_t text[1 + sizeof(account_id) + 256];
    unsigned n = SEAL_HASH;
    ASSERT(key.n <= 256 && secret.n > 0);
    text[0] = (uint8_t)purpose;
    memcpy(text + 1, &account_id, sizeof(account_id));
    memcpy(text + 1 + sizeof(account_id), key.p, key.n);
    ASSERT(HMAC(EVP_sha256(), secret.p, (int)secret.n, text, 1 + sizeof(account_id) + key.n, ret,
                &n) != NULL);
}

void
seal_init(struct seal *s, struct str secret, int64_t account_id, struct str key)
{
    derive(secret, 'k', account_id, key, s->hash);
    derive(secret, 'a', account_id, key, s->cipher);
}

void
seal_hash_request(struct str method, struct str message, uint8_t ret[SEAL_HASH])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    ASSERT(md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
           EVP_DigestUpdate(md, method.p, method.n + 1) == 1 && /* with its NUL */
           EVP_DigestUpdate(md, message.p, message.n) == 1 &&
           EVP_DigestFinal_ex(md, ret, NULL) == 1);
    EVP_MD_CTX_free(md);
}

struct str
seal_close(const struct seal *s, struct arena *a, const uint8_t request[SEAL_HASH],
           struct str plain)
{
    uint8_t *out = arena_alloc_raw(a, NONCE + plain.n + TAG);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;
    random_bytes(out, NONCE);
    ASSERT(c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, s->cipher, out) == 1 &&
           EVP_EncryptUpdate(c, NULL, &n, request, SEAL_HASH) == 1 &&
           EVP_EncryptUpdate(c, out + NONCE, &n, (const uint8_t *)plain.p, (int)plain.n) == 1 &&
           EVP_EncryptFinal_ex(c, out + NONCE + plain.n, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, out + NONCE + plain.n) == 1);
    EVP_CIPHER_CTX_free(c);
    return (struct str){(const char *)out, NONCE + plain.n + TAG};
}

bool
seal_open(const struct seal *s, struct arena *a, const uint8_t request[SEAL_HASH],
          struct str sealed, struct str *ret)
{
    if (sealed.n < NONCE + TAG)
        return false;
    size_t size = sealed.n - NONCE - TAG;
    const uint8_t *in = (const uint8_t *)sealed.p;
    uint8_t *out = arena_alloc_raw(a, size + 1);
    uint8_t tag[TAG];
    memcpy(tag, in + NONCE + size, TAG);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;
    bool good = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, s->cipher, in) == 1 &&
                EVP_DecryptUpdate(c, NULL, &n, request, SEAL_HASH) == 1 &&
                EVP_DecryptUpdate(c, out, &n, in + NONCE, (int)size) == 1 &&
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
                EVP_DecryptFinal_ex(c, out + size, &n) == 1;
    EVP_CIPHER_CTX_free(c);
    if (good)
        *ret = (struct str){(const char *)out, size};
    return good;
}
