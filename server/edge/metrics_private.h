/* Private to edge/metrics*.c: the parts of the page. */
#ifndef LUNA_EDGE_METRICS_PRIVATE_H
#define LUNA_EDGE_METRICS_PRIVATE_H

#include "edge/metrics.h"

void metrics_render_db(struct buf *out, const struct metrics_sources *src);
void metrics_render_redis(struct buf *out, const struct metrics_sources *src);

/* The process_* names every Prometheus client has; from /proc/self. */
void metrics_render_process(struct buf *out);

/* A number of a struct of uint64_t members: rows of a table. */
struct metrics_row {
    const char *name;
    const char *type;
    const char *help;
    size_t offset;
};

/* One family for each row, one sample for each reactor; `stats[r]` is what row.offset points into.
 */
void metrics_render_rows(struct buf *out, const struct metrics_row *rows, size_t row_count,
                         const void *stats, size_t stats_size, size_t reactor_count);

#endif
