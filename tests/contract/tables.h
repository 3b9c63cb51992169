/* The generated service tables, as plain structs that C++ can read too. */
#ifndef LUNA_TESTS_CONTRACT_TABLES_H
#define LUNA_TESTS_CONTRACT_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_service;

/* Called by each table's file before main. */
void tables_add(const struct rpc_service *service);

struct table_row {
    const char *service;
    const char *name;
    const char *path;
    int kind; /* enum rpc_kind */
    const char *request;
    const char *response;
    int access;
    int64_t cost;
    bool cost_measured;
    int64_t deadline_ns;
    bool idempotent;
    bool fail_open;
    const char *scope;
    int cache_seconds;
    int keys; /* enum rpc_keys */
    bool has_handler;
};

/* The n-th row of all tables. False: there are fewer. */
bool tables_row(size_t n, struct table_row *ret);

#endif
