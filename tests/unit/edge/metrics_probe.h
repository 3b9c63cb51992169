/* A page of metrics without a server. */
#ifndef LUNA_TESTS_METRICS_PROBE_H
#define LUNA_TESTS_METRICS_PROBE_H

#include "base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif
void probe_metrics(struct buf *out);
#ifdef __cplusplus
}
#endif

#endif
