/* Luna's error shape for what libmicrohttpd refuses by itself: requests that are no HTTP/1.1, or
 * larger than its memory. */
#ifndef LUNA_GATEWAY_HTTPD_ERRORS_H
#define LUNA_GATEWAY_HTTPD_ERRORS_H

#include <microhttpd.h>

#include "gateway/problem.h"

/* Before the daemon starts. The types of error details outlive it. */
void httpd_errors_init(const struct schema *builtin);

/* MHD_queue_response for answers of ours. */
enum MHD_Result httpd_queue(struct MHD_Connection *conn, unsigned code,
                            struct MHD_Response *response);

#endif
