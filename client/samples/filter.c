/* Filters the flow of the Nile with the generated C stub (README.md, First calls). */
#include <stdio.h>
#include <stdlib.h>

#include "luna/v1/kalman.client.h"

/* The second column of nile.csv. Returns how many values were read. */
static size_t
read_flow(const char *path, double *values, size_t max)
{
    char line[128];
    size_t n = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    while (n < max && fgets(line, sizeof(line), f))
        if (sscanf(line, "%*d,%lf", &values[n]) == 1)
            n++;
    fclose(f);
    return n;
}

int
main(void)
{
    static double flow[1000];
    const char *server = getenv("LUNA_SERVER");
    const struct luna_channel_options options = {
        .target = server ? server : "127.0.0.1:50051",
        .api_key = getenv("KEY"),
    };
    Luna__V1__FilterRequest request = LUNA__V1__FILTER_REQUEST__INIT;
    request.results = flow;
    request.n_results = read_flow("client/samples/nile.csv", flow, 1000);
    request.observation_variance_presence_case =
        LUNA__V1__FILTER_REQUEST__OBSERVATION_VARIANCE_PRESENCE_OBSERVATION_VARIANCE;
    request.observation_variance = 15099;
    request.level_variance_presence_case =
        LUNA__V1__FILTER_REQUEST__LEVEL_VARIANCE_PRESENCE_LEVEL_VARIANCE;
    request.level_variance = 1469.1;
    request.include_log_likelihood = true;

    const char *why = NULL;
    struct luna_channel *channel = luna_channel_new(&options, &why);
    if (!channel) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    struct luna_reply *reply;
    const Luna__V1__FilterResponse *answer;
    enum luna_code code = luna_kalman_filter(channel, NULL, &request, &reply, &answer);
    if (code == LUNA_OK) {
        printf("last filtered value %.17g\n",
               answer->processed_results[answer->n_processed_results - 1]);
        printf("log-likelihood %.17g\n", answer->log_likelihood);
    } else {
        fprintf(stderr, "%s\n", luna_reply_text(reply));
    }
    luna_reply_free(reply);
    luna_channel_free(channel);
    return code == LUNA_OK ? 0 : 1;
}
