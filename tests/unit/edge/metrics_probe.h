/* A page of metrics without a server. */
#ifndef LUNA_TESTS_METRICS_PROBE_H
#define LUNA_TESTS_METRICS_PROBE_H

#include "base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif
void probe_metrics(struct buf *out);
/* A histogram of `n` durations, in ns. */
void probe_latency(struct buf *out, const char *labels, const int64_t *took, size_t n);
#ifdef __cplusplus
}
#endif

#endif
