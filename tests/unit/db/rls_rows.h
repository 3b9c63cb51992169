/* The structs of rls_test.sql. */
#ifndef LUNA_TESTS_RLS_ROWS_H
#define LUNA_TESTS_RLS_ROWS_H

#include "db/db.h"

struct r_account {
    int64_t account_id;
    const char *account_name;
};

struct r_key {
    int64_t account_id;
    int64_t key_id;
    const char *role;
    struct db_array scopes;
    usec_t expires_at;
    usec_t revoked_at;
    bool expires;
    bool revoked;
};

struct r_found {
    int64_t account_id; /* 0: none */
};

#endif
