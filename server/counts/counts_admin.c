/* luna-server admin rebuild-counts. */
#include <inttypes.h>

#include "counts/counts.h"
#include "counts/counts.sql.h"
#include "counts/counts_private.h"

const struct db_col counts_rebuilt_row[] = {
    DB_COL_NULLABLE(struct counts_rebuilt, account_id, DB_INT8),
    DB_COL_NULLABLE(struct counts_rebuilt, dpu_id, DB_INT4),
    DB_COL_NULLABLE(struct counts_rebuilt, made, DB_INT8),
    DB_END,
};

enum status
counts_admin_rebuild(struct ctx *ctx, FILE *out)
{
    struct counts_rebuilt last = {0};
    int64_t dpus = 0;
    int64_t made = 0;
    size_t n = 1;
    enum status st = OK;
    while (st == OK && n > 0) {
        struct counts_rebuilt *rows;
        st = db_many(ctx, &sql_counts_rebuild,
                     DB_ARGS(db_int8(last.account_id), db_int4(last.dpu_id), db_int4(COUNTS_EVERY)),
                     &rows, &n);
        for (size_t i = 0; st == OK && i < n; i++) {
            last = rows[i];
            made += last.made;
            dpus++;
        }
    }
    if (st == OK)
        fprintf(out, "made %" PRId64 " checkpoints of %" PRId64 " DPUs\n", made, dpus);
    return st;
}
