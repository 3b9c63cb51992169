/* The inner parts of server/rpc, whose headers are C only. */
#ifndef LUNA_TESTS_UNIT_RPC_PROBE_H
#define LUNA_TESTS_UNIT_RPC_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fills id (33), span (17) and flags. */
bool probe_trace(const char *text, size_t n, char *id, char *span, int *flags);

/* google.rpc.Status of a failure with so many violations of `text_bytes` bytes each. malloc'ed. */
struct probe_failure {
    const char *reason; /* token of reason.def, or NULL */
    int status;
    const char *message;
    size_t fields;
    size_t quotas;
    size_t text_bytes;
    int64_t retry_ms;
};
char *probe_details(const struct probe_failure *f, size_t *ret_n);
char *probe_clip(const char *message);
char *probe_clean(const char *text);

/* Unpacks luna.testing.EchoCommand out of `slices` pieces; the name of enum decode's outcome. The
 * text of the message goes to `ret_text` (256). */
const char *probe_unpack(const void *bytes, size_t n, size_t slices, size_t max, size_t budget,
                         bool deep, char *ret_text);
/* Inflates; -1 or the number of bytes, whose first goes to `ret_first`. */
long probe_inflate(const void *bytes, size_t n, size_t slices, size_t max, char *ret_first);
bool probe_pack_roundtrip(size_t text_bytes);
bool probe_recursive(const char *message);

/* The table check with one thing wrong; what it says. */
const char *probe_check(const char *what);

/* Descriptor index of the testing set. */
bool probe_index_breaks(const void *bytes, size_t n);
bool probe_has_symbol(const char *name);
const char *probe_file_of(const char *symbol);

#ifdef __cplusplus
}
#endif

#endif
