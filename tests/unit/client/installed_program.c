/* What a user of the installed library writes; there is no server, which is said. */
#include <luna/v1/kalman.client.h>
#include <stdio.h>
#include <string.h>

int
main(void)
{
    double values[] = {1120, 1160, 963};
    const char *error;
    struct luna_channel *channel = luna_channel_new(
        &(struct luna_channel_options){.target = "127.0.0.1:1", .max_attempts = 1}, &error);
    if (!channel) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    Luna__V1__FilterRequest request = LUNA__V1__FILTER_REQUEST__INIT;
    request.results = values;
    request.n_results = 3;
    struct luna_reply *reply;
    const Luna__V1__FilterResponse *response;
    enum luna_code code = luna_kalman_filter(channel, NULL, &request, &reply, &response);
    printf("%s\n", luna_reply_text(reply));
    luna_reply_free(reply);
    luna_channel_free(channel);
    return code == LUNA_UNAVAILABLE ? 0 : 1;
}
