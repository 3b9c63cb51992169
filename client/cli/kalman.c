/* luna kalman filter: a series through KalmanService.Filter. */
#include <math.h>

#include "cli/cli.h"
#include "cli/number.h"
#include "luna/v1/kalman.client.h"

typedef Luna__V1__FilterRequest Request;
typedef Luna__V1__FilterResponse Response;

static int
read_option(const char *name, const char *text, double *ret)
{
    if (number_read(text, strlen(text), ret))
        return 0;
    return cli_usage("--%s takes a number, not \"%s\"", name, text);
}

static int
set_variances(const struct cli_options *o, Request *req)
{
    int rc = 0;
    if (o->observation_variance) {
        req->observation_variance_presence_case =
            LUNA__V1__FILTER_REQUEST__OBSERVATION_VARIANCE_PRESENCE_OBSERVATION_VARIANCE;
        rc = read_option("observation-variance", o->observation_variance,
                         &req->observation_variance);
    }
    if (rc == 0 && o->level_variance) {
        req->level_variance_presence_case =
            LUNA__V1__FILTER_REQUEST__LEVEL_VARIANCE_PRESENCE_LEVEL_VARIANCE;
        rc = read_option("level-variance", o->level_variance, &req->level_variance);
    }
    return rc;
}

static int
set_start(const struct cli_options *o, Request *req, Luna__V1__InitialState *start)
{
    if (!o->initial_mean && !o->initial_variance)
        return 0;
    if (!o->initial_mean || !o->initial_variance)
        return cli_usage("--initial-mean and --initial-variance go together");
    req->initial_state = start;
    int rc = read_option("initial-mean", o->initial_mean, &start->mean);
    return rc != 0 ? rc : read_option("initial-variance", o->initial_variance, &start->variance);
}

/* A list of the response: its name in JSON, its heading in CSV. */
struct column {
    const char *json;
    const char *csv;
    const double *values;
    size_t count;
};

#define MAX_COLUMNS 5

static size_t
columns_of(const Response *r, struct column out[MAX_COLUMNS])
{
    const struct column all[MAX_COLUMNS] = {
        {"input_data", "input", r->input_data, r->n_input_data},
        {"processed_results", "filtered", r->processed_results, r->n_processed_results},
        {"filtered_variances", "variance", r->filtered_variances, r->n_filtered_variances},
        {"innovations", "innovation", r->innovations, r->n_innovations},
        {"innovation_variances", "innovation_variance", r->innovation_variances,
         r->n_innovation_variances},
    };
    size_t n = 0;
    for (size_t i = 0; i < MAX_COLUMNS; i++)
        if (i < 2 || all[i].count > 0)
            out[n++] = all[i];
    return n;
}

static bool
has_likelihood(const Response *r)
{
    return r->log_likelihood_presence_case ==
           LUNA__V1__FILTER_RESPONSE__LOG_LIKELIHOOD_PRESENCE_LOG_LIKELIHOOD;
}

static void
print_json(const Response *r)
{
    struct column columns[MAX_COLUMNS];
    size_t n = columns_of(r, columns);
    fputc('{', stdout);
    for (size_t c = 0; c < n; c++) {
        printf("%s\"%s\": [", c > 0 ? ",\n " : "", columns[c].json);
        for (size_t i = 0; i < columns[c].count; i++) {
            fputs(i > 0 ? ", " : "", stdout);
            cli_json_number(stdout, columns[c].values[i]);
        }
        fputc(']', stdout);
    }
    if (has_likelihood(r)) {
        fputs(",\n \"log_likelihood\": ", stdout);
        cli_json_number(stdout, r->log_likelihood);
    }
    fputs(",\n \"observation_variance\": ", stdout);
    cli_json_number(stdout, r->observation_variance);
    fputs(",\n \"level_variance\": ", stdout);
    cli_json_number(stdout, r->level_variance);
    printf(",\n \"estimated\": %s}\n", r->estimated ? "true" : "false");
}

/* The rows to stdout, what is one number for the whole series to stderr. */
static void
print_csv(const Response *r)
{
    struct column columns[MAX_COLUMNS];
    char text[NUMBER_TEXT];
    size_t n = columns_of(r, columns);
    for (size_t c = 0; c < n; c++)
        printf("%s%s", c > 0 ? "," : "", columns[c].csv);
    fputc('\n', stdout);
    for (size_t i = 0; i < r->n_processed_results; i++) {
        for (size_t c = 0; c < n; c++) {
            number_print(i < columns[c].count ? columns[c].values[i] : NAN, text);
            printf("%s%s", c > 0 ? "," : "", text);
        }
        fputc('\n', stdout);
    }
    number_print(r->observation_variance, text);
    fprintf(stderr, "observation variance %s", text);
    number_print(r->level_variance, text);
    fprintf(stderr, ", level variance %s%s", text, r->estimated ? " (estimated)" : "");
    if (has_likelihood(r)) {
        number_print(r->log_likelihood, text);
        fprintf(stderr, ", log-likelihood %s", text);
    }
    fputc('\n', stderr);
}

int
cmd_kalman_filter(struct cli *cli)
{
    const struct cli_options *o = &cli->opt;
    Request req = LUNA__V1__FILTER_REQUEST__INIT;
    Luna__V1__InitialState start = LUNA__V1__INITIAL_STATE__INIT;
    int rc = set_variances(o, &req);
    if (rc == 0)
        rc = set_start(o, &req, &start);
    if (rc == 0)
        rc = series_read(cli, cli->operands[0], &req.results, &req.n_results);
    if (rc != 0)
        return rc;
    req.include_variances = o->variances;
    req.include_innovations = o->innovations;
    req.include_log_likelihood = o->log_likelihood;
    if (o->omit_constant)
        req.likelihood_convention =
            LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_OMIT_DIFFUSE_CONSTANT;

    struct luna_reply *reply;
    const Response *response;
    if (luna_kalman_filter(cli->channel, &cli->call, &req, &reply, &response) == LUNA_OK) {
        if (o->json)
            print_json(response);
        else
            print_csv(response);
        fflush(stdout);
    }
    rc = cli_reply(cli, reply);
    luna_reply_free(reply);
    return rc != 0 ? rc : cli_flush();
}
