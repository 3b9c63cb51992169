/* Rows of durable filters, and the functions that read and write them. Suspends: once each. */
#ifndef LUNA_KALMAN_KALMAN_STORE_H
#define LUNA_KALMAN_KALMAN_STORE_H

#include "db/db.h"

struct kalman_filter {
    int64_t account_id;
    int64_t filter_key;
    const char *filter_id;
    int64_t generation;
    struct str model; /* a serialized luna.v1.Model */
    usec_t created_at;
    usec_t reset_at;
    int64_t position; /* observations in the log */
    int64_t max_sequence;
};

/* Which log: one generation of one filter. */
struct kalman_log_key {
    int64_t account_id, filter_key, generation;
};

struct kalman_observation {
    int64_t sequence;
    double time;
    struct str numbers; /* little-endian doubles */
};

struct kalman_checkpoint {
    double time;
    int64_t sequence;
    struct str state;
};

struct kalman_log {
    struct db_array times, sequences;
    struct str numbers;
};

/* Fails: ALREADY_EXISTS_ERROR, ACCOUNT_NOT_FOUND. */
enum status kalman_store_insert_filter(struct ctx *ctx, int64_t account_id, const char *filter_id,
                                       struct str model, struct kalman_filter *ret) WARN_UNUSED;

/* Fails: FILTER_NOT_FOUND. */
enum status kalman_store_get_filter(struct ctx *ctx, int64_t account_id, const char *filter_id,
                                    struct kalman_filter *ret) WARN_UNUSED;
/* The same in a transaction: appends of others wait until its end. Fails: FILTER_NOT_FOUND. */
enum status kalman_store_lock_filter(struct ctx *ctx, int64_t account_id, const char *filter_id,
                                     struct kalman_filter *ret) WARN_UNUSED;
enum status kalman_store_reset_filter(struct ctx *ctx, int64_t account_id, const char *filter_id,
                                      struct kalman_filter *ret) WARN_UNUSED;
enum status kalman_store_delete_filter(struct ctx *ctx, int64_t account_id,
                                       const char *filter_id) WARN_UNUSED;

enum status kalman_store_list_filters(struct ctx *ctx, int64_t account_id, int64_t after,
                                      int32_t limit, struct kalman_filter **ret,
                                      size_t *ret_n) WARN_UNUSED;

/* Everything that one append to one filter changes: all or nothing. `stored` is the answer: false
 * when another append, a reset or a deletion came first. */
struct kalman_append {
    struct kalman_log_key key;
    int64_t position;     /* observations before */
    int64_t max_sequence; /* of all, behind */
    size_t count;
    const int64_t *sequences;
    const double *times;
    const struct str *numbers; /* each the little-endian doubles of one observation */
    bool late;                 /* checkpoints behind the first of them go */
    double late_time;
    int64_t late_sequence;
    size_t checkpoint_count; /* to be added */
    const double *checkpoint_times;
    const int64_t *checkpoint_sequences;
    const struct str *checkpoint_states;
    int32_t format;
    bool stored;
};

/* Commits appends to different filters, of any accounts; sorts `list`. */
enum status kalman_store_append(struct ctx *ctx, struct kalman_append **list, size_t n) WARN_UNUSED;

/* The last checkpoint before (time, sequence) of positions up to `position`. */
enum status kalman_store_find_checkpoint(struct ctx *ctx, const struct kalman_log_key *key,
                                         int64_t position, int32_t format, double time,
                                         int64_t sequence, struct kalman_checkpoint *ret,
                                         bool *ret_found) WARN_UNUSED;

/* Up to `limit` observations behind (time, sequence), in order of time. */
enum status kalman_store_read_log(struct ctx *ctx, const struct kalman_log_key *key,
                                  int64_t position, double time, int64_t sequence, int32_t limit,
                                  struct kalman_log *ret) WARN_UNUSED;

enum status kalman_store_find_sequences(struct ctx *ctx, const struct kalman_log_key *key,
                                        const int64_t *sequences, size_t n,
                                        struct kalman_observation **ret, size_t *ret_n) WARN_UNUSED;

#endif
