/* The structs of db_test.sql. */
#ifndef LUNA_TESTS_DB_ROWS_H
#define LUNA_TESTS_DB_ROWS_H

#include "db/db.h"

struct t_identity {
    const char *account;
    const char *role;
};

struct t_item {
    int64_t id;
    const char *label;
    double weight;
    bool has_weight;
};

struct t_types {
    bool b;
    int16_t i2;
    int32_t i4;
    int64_t i8;
    float f4;
    double f8;
    const char *t;
    struct str bytes;
    struct uuid u;
    usec_t ts;
    int32_t d;
    const char *j;
    bool has_b, has_i2, has_i4, has_i8, has_f4, has_f8, has_u, has_ts, has_d;
};

struct t_arrays {
    struct db_array b, i2, i4, i8, f4, f8, t, bytes, u, ts, d, j;
};

#endif
