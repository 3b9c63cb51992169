/* The `luna` command-line tool: one file a command. */
#ifndef LUNA_CLI_CLI_H
#define LUNA_CLI_CLI_H

#include <stdio.h>

#include "base/arena.h"
#include "base/str.h"
#include "luna/client.h"

/* How the tool ends: 0, these, or EXIT_STATUS + the status code of the call that failed. */
enum { EXIT_LOCAL = 1, EXIT_USAGE = 2, EXIT_STATUS = 10 };

#define CLI_DEFAULT_SERVER "127.0.0.1:50051"

/* Options that take a value; NULL: not given. */
struct cli_options {
    const char *server;
    const char *key;
    const char *token;
    const char *ca;
    const char *timeout;
    const char *observation_variance;
    const char *level_variance;
    const char *initial_mean;
    const char *initial_variance;
    const char *dedupe;
    bool tls;
    bool json;
    bool verbose;
    bool variances;
    bool innovations;
    bool log_likelihood;
    bool omit_constant;
    bool help;
    bool version;
};

#define CLI_MAX_OPERANDS 4

struct cli {
    struct cli_options opt;
    const char *operands[CLI_MAX_OPERANDS]; /* what follows the command */
    size_t operand_count;
    struct arena arena;
    struct luna_channel *channel;
    struct luna_call_options call;
};

/* Prints "luna: ..." to stderr and returns EXIT_LOCAL, or EXIT_USAGE with a pointer to --help. */
int cli_fail(const char *fmt, ...) PRINTF(1, 2);
int cli_usage(const char *fmt, ...) PRINTF(1, 2);

/* Says why a call failed and what may help; returns the exit code of its status. */
int cli_reply(const struct cli *cli, const struct luna_reply *reply);

/* Flushes stdout: 0, or EXIT_LOCAL when not all could be written. */
int cli_flush(void);

/* `s` with quotes, as JSON. */
void cli_json_string(FILE *out, const char *s);
/* A double as the JSON mapping of protobuf has it: NaN and infinities are strings. */
void cli_json_number(FILE *out, double x);

/* The commands. Each returns the exit code. */
int cmd_kalman_filter(struct cli *cli);
int cmd_account_get(struct cli *cli);
int cmd_counts_import(struct cli *cli);
int cmd_health(struct cli *cli);
int cmd_watch(struct cli *cli);
int cmd_call(struct cli *cli);

/* Reads all of `path` ("-" or NULL: stdin) into the arena, with a NUL behind it. False: said why.
 */
bool cli_read_file(struct cli *cli, const char *path, struct str *ret);

/* A series from "FILE", "FILE:COLUMN" or "-": one number a line, or a column of a CSV file. Missing
 * values are NaN. Returns 0 or an exit code, having said why. */
int series_read(struct cli *cli, const char *source, double **ret_values, size_t *ret_count);

/* The same from text; `name` is for messages, `column` may be NULL. */
int series_parse(struct arena *a, const char *name, struct str text, const char *column,
                 double **ret_values, size_t *ret_count);

#endif
