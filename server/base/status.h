/*
 * How functions fail: they return an enum status (gRPC's numbers); what happened is recorded once,
 * in a struct error, with a reason from reason.def. Nothing below the access log logs a failure.
 */
#ifndef LUNA_BASE_STATUS_H
#define LUNA_BASE_STATUS_H

#include <stdarg.h>

#include "base/arena.h"
#include "base/clock.h"

enum status {
    END = -1, /* internal: there are no more items */
    OK = 0,
    CANCELLED = 1,
    UNKNOWN = 2,
    INVALID_ARGUMENT = 3,
    DEADLINE_EXCEEDED = 4,
    NOT_FOUND = 5,
    ALREADY_EXISTS = 6,
    PERMISSION_DENIED = 7,
    RESOURCE_EXHAUSTED = 8,
    FAILED_PRECONDITION = 9,
    ABORTED = 10,
    OUT_OF_RANGE = 11,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
    UNAVAILABLE = 14,
    DATA_LOSS = 15,
    UNAUTHENTICATED = 16,
};

enum reason {
    REASON_NONE = 0,
#define REASON(token, status, http, retryable, text) REASON_##token,
#include "base/reason.def"
#undef REASON
    REASON_COUNT,
};

struct reason_info {
    const char *token; /* ErrorInfo.reason */
    enum status status;
    int http;         /* what the gateway answers */
    bool retryable;   /* RetryInfo is added */
    const char *text; /* said when there is nothing more precise */
};

const struct reason_info *reason_info(enum reason r);

/* "INVALID_ARGUMENT", "OK", ... */
const char *status_name(enum status st);

/* One field that is wrong: BadRequest.FieldViolation. Texts live in the error's arena. */
struct field_violation {
    struct field_violation *next;
    const char *field; /* path from the request: "results[3]", "model.level.variance" */
    const char *text;  /* why, for people: "is not finite" */
};

/* One exceeded limit: QuotaFailure.Violation. */
struct quota_violation {
    struct quota_violation *next;
    const char *subject; /* "account:42", "key:..." */
    const char *text;
};

struct error {
    enum status status;
    enum reason reason;
    const char *message; /* for the caller: names fields and limits, nothing internal */
    const char *detail;  /* for the log only, or NULL */
    const char *file;    /* where it was noticed */
    int line;
    nsec_t retry_after; /* RetryInfo when > 0 */
    struct field_violation *fields;
    struct quota_violation *quotas;
};

/* Records a failure in `e` unless one is recorded already (the first is the cause), and returns the
 * status of the one that stays. The message is the formatted text, or the reason's own for fmt
 * NULL. A retryable reason sets retry_after to a second. */
enum status error_vset(struct error *e, struct arena *a, enum reason r, const char *file, int line,
                       const char *fmt, va_list ap) PRINTF(6, 0);

/* Adds a field violation; the first one also becomes the message "<field> <text>" with BAD_FIELD.
 * Copies both texts. Keeps the first 32; none when the recorded failure is of another reason. */
enum status error_field(struct error *e, struct arena *a, const char *file, int line,
                        const char *field, const char *text);

/* Copies all texts of `e` into `a`, when the memory they are in is to go. */
void error_move(struct error *e, struct arena *a);

#endif
