/* Certificates for an hour. */
#ifndef LUNA_TESTS_UNIT_CLIENT_CERTIFICATE_H
#define LUNA_TESTS_UNIT_CLIENT_CERTIFICATE_H

/* A self-signed certificate for `host` and its key, as PEM texts for free(). */
void certificate_make(const char *host, char **ret_certificate, char **ret_private_key);

#endif
