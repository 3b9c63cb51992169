/*
 * What Postgres says when it refuses, in our terms. Private to db/.
 */
#ifndef LUNA_DB_SQLSTATE_H
#define LUNA_DB_SQLSTATE_H

#include <libpq-fe.h>

#include "db/db.h"

/* The one map from SQLSTATE to reason. `constraint` may be NULL. */
enum reason sqlstate_reason(const struct db_stmt *stmt, const char *sqlstate,
                            const char *constraint);

/* Five characters, never NULL: "" when the result carries none. */
const char *sqlstate_of(const PGresult *res);

/* The same transaction may well succeed when it is done again. */
bool sqlstate_is_conflict(const char *sqlstate);

/* The error tells of the connection or its session, not of the statement: get another one. */
bool sqlstate_is_broken(const PGresult *res);

/* Records the failure that `res` tells of, and returns its status. */
enum status sqlstate_fail(struct ctx *ctx, const struct db_stmt *stmt, const PGresult *res);

#endif
