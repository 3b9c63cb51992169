/* libmicrohttpd's bare answer, the limit of the gateway's: mhd_bare --port=N [--threads=N] */
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
           const char *version, const char *data, size_t *size, void **con_cls)
{
    static char body[] = "{\"status\":\"ok\"}\n";
    static int seen;
    (void)cls;
    (void)url;
    (void)method;
    (void)version;
    (void)data;
    (void)size;
    if (!*con_cls) {
        *con_cls = &seen;
        return MHD_YES;
    }
    struct MHD_Response *r =
        MHD_create_response_from_buffer(sizeof(body) - 1, body, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    enum MHD_Result queued = MHD_queue_response(conn, MHD_HTTP_OK, r);
    MHD_destroy_response(r);
    return queued;
}

int
main(int argc, char **argv)
{
    unsigned port = 0, threads = 2;
    sigset_t stop;
    int signal;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--port=", 7) == 0)
            port = (unsigned)strtoul(argv[i] + 7, NULL, 10);
        else if (strncmp(argv[i], "--threads=", 10) == 0)
            threads = (unsigned)strtoul(argv[i] + 10, NULL, 10);
    }
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, (uint16_t)port, NULL, NULL, on_request, NULL,
        MHD_OPTION_THREAD_POOL_SIZE, threads, MHD_OPTION_CONNECTION_LIMIT, 10000u, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "mhd_bare: cannot listen on port %u\n", port);
        return 1;
    }
    sigwait(&stop, &signal);
    MHD_stop_daemon(daemon);
    return 0;
}
