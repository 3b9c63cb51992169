/*
 * The statements of a process and how they are compared with a database. Private to db/.
 */
#ifndef LUNA_DB_CATALOG_H
#define LUNA_DB_CATALOG_H

#include <libpq-fe.h>

#include "db/db.h"
#include "db/row.h"

/* False for texts and COPY, which cannot be prepared. */
bool catalog_is_prepared(const struct db_stmt *stmt);

/* Starts a connection with our parameters; never NULL but for lack of memory. */
struct endpoints;

/* `at`: what resolve.h found, or NULL: libpq finds the hosts itself, and may block for it. */
PGconn *catalog_connect_start(const struct db *db, const char *url, const struct endpoints *at);

/* Looks at the answer of Prepare (or Describe, `described`): false when it does not fit, with a
 * line in `err` that names the statement. A Describe fills `plan`. */
bool catalog_check_result(const struct db_stmt *stmt, bool described, const PGresult *res,
                          struct row_plan *plan, char *err, size_t err_size);

#endif
