/* Whom the gateway believes, and what it shows of itself. */
#include <openssl/err.h>
#include <stdio.h>

#include "gateway/upstream_private.h"

static X509 *
next_certificate(BIO *bio)
{
    return PEM_read_bio_X509(bio, NULL, NULL, NULL);
}

static bool
trust(SSL_CTX *tls, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_STORE *store = SSL_CTX_get_cert_store(tls);
    int count = 0;
    for (X509 *x; (x = next_certificate(bio)) != NULL; X509_free(x))
        count += X509_STORE_add_cert(store, x);
    BIO_free(bio);
    ERR_clear_error();
    return count > 0;
}

/* Ours, with the chain behind it. */
static bool
present(SSL_CTX *tls, const char *certificate, const char *key)
{
    BIO *bio = BIO_new_mem_buf(certificate, -1), *key_bio = BIO_new_mem_buf(key, -1);
    X509 *own = next_certificate(bio), *more;
    EVP_PKEY *secret = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
    bool ok = own && secret && SSL_CTX_use_certificate(tls, own) == 1 &&
              SSL_CTX_use_PrivateKey(tls, secret) == 1;
    while (ok && (more = next_certificate(bio)) != NULL)
        ok = SSL_CTX_add0_chain_cert(tls, more) == 1;
    X509_free(own);
    EVP_PKEY_free(secret);
    BIO_free(bio);
    BIO_free(key_bio);
    ERR_clear_error();
    return ok;
}

bool
tls_make(struct upstream *u, const struct upstream_options *o, char *err, size_t err_size)
{
    static const uint8_t h2[] = {2, 'h', '2'};
    if (!o->ca)
        return true;
    u->tls = SSL_CTX_new(TLS_client_method());
    ASSERT(u->tls);
    SSL_CTX_set_min_proto_version(u->tls, TLS1_2_VERSION);
    SSL_CTX_set_verify(u->tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(u->tls, h2, sizeof(h2));
    SSL_CTX_set_mode(u->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!trust(u->tls, o->ca))
        snprintf(err, err_size, "upstream-ca: there is no certificate in the file");
    else if (o->certificate && !present(u->tls, o->certificate, o->key ? o->key : ""))
        snprintf(err, err_size, "upstream-certificate, upstream-key: not a PEM chain and its key");
    else
        return true;
    return false;
}
