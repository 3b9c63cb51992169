/* The codes: PostgreSQL documentation, Appendix A. */
#include "db/sqlstate.h"

/* `key` of an `-- error:` line: a constraint, a SQLSTATE, or a word for the kind of constraint. */
static bool
key_matches(const char *key, const char *sqlstate, const char *constraint)
{
    if (constraint && strcmp(key, constraint) == 0)
        return true;
    if (strcmp(key, sqlstate) == 0)
        return true;
    if (strcmp(key, "unique") == 0)
        return strcmp(sqlstate, "23505") == 0 || strcmp(sqlstate, "23P01") == 0;
    if (strcmp(key, "foreign") == 0)
        return strcmp(sqlstate, "23503") == 0;
    if (strcmp(key, "check") == 0)
        return strcmp(sqlstate, "23514") == 0;
    return false;
}

static const struct {
    const char *prefix; /* of the SQLSTATE; the first that fits holds */
    enum reason reason;
} reasons[] = {
    {"23505", REASON_ALREADY_EXISTS_ERROR}, /* unique_violation */
    {"23P01", REASON_ALREADY_EXISTS_ERROR}, /* exclusion_violation */
    {"23503", REASON_IN_USE},               /* foreign_key_violation */
    {"23001", REASON_IN_USE},               /* restrict_violation */
    {"23502", REASON_BAD_FIELD},            /* not_null_violation */
    {"23514", REASON_BAD_FIELD},            /* check_violation */
    {"22021", REASON_BAD_FIELD},            /* character_not_in_repertoire: NUL, bad UTF-8 */
    {"22P05", REASON_BAD_FIELD},            /* untranslatable_character */
    {"22003", REASON_BAD_FIELD},            /* numeric_value_out_of_range */
    {"22008", REASON_BAD_FIELD},            /* datetime_field_overflow */
    {"22001", REASON_BAD_FIELD},            /* string_data_right_truncation */
    {"22P02", REASON_BAD_FIELD},            /* invalid_text_representation */
    {"22030", REASON_BAD_FIELD},            /* duplicate_json_object_key_value */
    {"22032", REASON_BAD_FIELD},            /* invalid_json_text */
    {"40001", REASON_DB_CONFLICT},          /* serialization_failure */
    {"40P01", REASON_DB_CONFLICT},          /* deadlock_detected */
    {"55P03", REASON_DB_CONFLICT},          /* lock_not_available */
    {"40", REASON_DB_UNAVAILABLE},          /* rolled back, not for a conflict; outcome unknown */
    {"57014", REASON_DB_TIMEOUT},           /* query_canceled: statement_timeout */
    {"57", REASON_DB_UNAVAILABLE},          /* shutting down, starting up, crashed */
    {"25P03", REASON_DB_TIMEOUT},           /* idle_in_transaction_session_timeout */
    {"25006", REASON_DB_UNAVAILABLE},       /* read_only_sql_transaction: it became a standby */
    {"08", REASON_DB_UNAVAILABLE},          /* connection exceptions */
    {"53100", REASON_DISK_FULL},            /* disk_full */
    {"53", REASON_DB_UNAVAILABLE},          /* no memory, too many connections */
    {"58", REASON_DB_UNAVAILABLE},          /* I/O errors of the server */
};

enum reason
sqlstate_reason(const struct db_stmt *stmt, const char *sqlstate, const char *constraint)
{
    for (size_t i = 0; stmt && i < stmt->n_errors; i++)
        if (key_matches(stmt->errors[i].key, sqlstate, constraint))
            return stmt->errors[i].reason;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (strncmp(sqlstate, reasons[i].prefix, strlen(reasons[i].prefix)) == 0)
            return reasons[i].reason;
    return sqlstate[0] ? REASON_INTERNAL_ERROR : REASON_DB_UNAVAILABLE;
}

const char *
sqlstate_of(const PGresult *res)
{
    const char *s = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    return s ? s : "";
}

bool
sqlstate_is_conflict(const char *sqlstate)
{
    return strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0;
}

bool
sqlstate_is_broken(const PGresult *res)
{
    static const char *const broken[] = {
        "57P",   /* the server or its database goes away; its idle sessions are closed */
        "08",    /* connection exceptions */
        "25006", /* what was the primary is a standby now */
        "25P03", /* closed for idling in a transaction */
        "26000", /* the prepared statement is gone: a pooler has given us another session */
    };
    const char *s = sqlstate_of(res);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    if (s[0] == '\0') /* libpq's own: the connection was closed */
        return true;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        if (strncmp(s, broken[i], strlen(broken[i])) == 0)
            return true;
    /* A migration changed the columns: the statement has to be prepared again. */
    return strcmp(s, "0A000") == 0 && text && strstr(text, "cached plan");
}

enum status
sqlstate_fail(struct ctx *ctx, const struct db_stmt *stmt, const PGresult *res)
{
    const char *sqlstate = sqlstate_of(res);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    enum reason r = sqlstate_reason(stmt, sqlstate, constraint);
    enum status st;

    if (ctx->error.status != OK) /* the first failure stays */
        return ctx->error.status;
    st = fail_at(ctx, r, __FILE__, __LINE__, NULL);
    fail_detail(ctx, "statement %s: SQLSTATE %s: %s%s%s", stmt ? stmt->name : "-",
                sqlstate[0] ? sqlstate : "none", text ? text : PQresultErrorMessage(res),
                constraint ? ", constraint " : "", constraint ? constraint : "");
    return st;
}
