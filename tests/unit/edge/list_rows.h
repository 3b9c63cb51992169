/* The struct of list_test.sql. */
#ifndef LUNA_TESTS_LIST_ROWS_H
#define LUNA_TESTS_LIST_ROWS_H

#include "db/db.h"

struct t_thing {
    int64_t id;
    int32_t n;
    bool has_n;
    double x;
    const char *label;
    const char *nick; /* NULL when it is */
    bool flag;
    usec_t seen_at;
    bool has_seen_at;
    int32_t day;
    struct uuid u;
    struct db_array tags;
    const char *state;
    int64_t took_ms;
    bool has_took_ms;
};

#endif
