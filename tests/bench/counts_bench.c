/*
 * Load on CountsService, printed as one number.
 *
 *   counts_bench TARGET KEY create FIRST_DPU DPUS THREADS SECONDS   CreateReading calls/s
 *   counts_bench TARGET KEY stream FIRST_DPU DPUS STREAMS ROWS      IngestReadings rows/s
 *   counts_bench TARGET KEY current SPACE THREADS SECONDS           GetCurrentCount calls/s
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/defs.h"
#include "base/str.h"
#include "luna/v1/counts.client.h"

#define BATCH 5000

static struct {
    const char *target;
    const char *key;
    int64_t first;
    int64_t dpus;
    int64_t amount; /* seconds or rows */
    usec_t origin;
    nsec_t end;
    atomic_int_fast64_t next; /* reading */
    atomic_int_fast64_t done;
} b;

static struct luna_channel *
open_channel(void)
{
    const char *error;
    struct luna_channel *c = luna_channel_new(
        &(struct luna_channel_options){.target = b.target, .api_key = b.key}, &error);
    if (!c) {
        fprintf(stderr, "counts_bench: %s\n", error);
        exit(1);
    }
    return c;
}

/* Reading number n: DPUs in turn, a millisecond apart. */
static void
make_reading(int64_t n, Google__Protobuf__Timestamp *ts, int64_t *ret_dpu, int32_t *ret_direction)
{
    const usec_t at = b.origin + n * 1000;
    ts->seconds = at / 1000000;
    ts->nanos = (int32_t)(at % 1000000 * 1000);
    *ret_dpu = b.first + n % b.dpus;
    *ret_direction = (n / b.dpus) % 2 == 0 ? 1 : -1;
}

static void
check(enum luna_code code, const char *what)
{
    if (code == LUNA_OK)
        return;
    fprintf(stderr, "counts_bench: %s: %s\n", what, luna_code_name(code));
    exit(1);
}

static void *
create_readings(void *arg)
{
    struct luna_channel *channel = arg;
    while (clock_now() < b.end) {
        Luna__V1__CreateReadingRequest req = LUNA__V1__CREATE_READING_REQUEST__INIT;
        Google__Protobuf__Timestamp ts = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
        const Luna__V1__CreateReadingResponse *resp;
        struct luna_reply *reply;
        req.timestamp = &ts;
        make_reading(atomic_fetch_add(&b.next, 1), &ts, &req.dpu_id, &req.direction);
        check(luna_counts_create_reading(channel, NULL, &req, &reply, &resp), "CreateReading");
        luna_reply_free(reply);
        atomic_fetch_add(&b.done, 1);
    }
    return NULL;
}

static void *
read_current(void *arg)
{
    struct luna_channel *channel = arg;
    while (clock_now() < b.end) {
        Luna__V1__GetCurrentCountRequest req = LUNA__V1__GET_CURRENT_COUNT_REQUEST__INIT;
        const Luna__V1__GetCurrentCountResponse *resp;
        struct luna_reply *reply;
        req.space_id = b.first;
        check(luna_counts_get_current_count(channel, NULL, &req, &reply, &resp), "GetCurrentCount");
        luna_reply_free(reply);
        atomic_fetch_add(&b.done, 1);
    }
    return NULL;
}

static void
send_batch(struct luna_stream *s, Luna__V1__Reading *readings, Google__Protobuf__Timestamp *times,
           Luna__V1__Reading **pointers)
{
    Luna__V1__IngestReadingsRequest req = LUNA__V1__INGEST_READINGS_REQUEST__INIT;
    const int64_t first = atomic_fetch_add(&b.next, BATCH);
    for (int64_t i = 0; i < BATCH; i++) {
        luna__v1__reading__init(&readings[i]);
        google__protobuf__timestamp__init(&times[i]);
        readings[i].timestamp = &times[i];
        make_reading(first + i, &times[i], &readings[i].dpu_id, &readings[i].direction);
        pointers[i] = &readings[i];
    }
    req.readings = pointers;
    req.n_readings = BATCH;
    req.position = first;
    check(luna_counts_ingest_readings_send(s, &req), "IngestReadings");
}

/* Two messages are under way, so that the server never waits for us. */
static void *
stream_readings(void *arg)
{
    struct luna_stream *s = luna_counts_ingest_readings(arg, NULL);
    Luna__V1__Reading *readings = calloc(BATCH, sizeof(*readings));
    Google__Protobuf__Timestamp *times = calloc(BATCH, sizeof(*times));
    Luna__V1__Reading **pointers = calloc(BATCH, sizeof(void *));
    int ahead = 0;
    bool more = readings && times && pointers;
    while (more || ahead > 0) {
        const Luna__V1__IngestReadingsResponse *resp;
        more = atomic_load(&b.next) < b.amount;
        if (more) {
            send_batch(s, readings, times, pointers);
            ahead++;
        }
        if (ahead == 2 || (!more && ahead > 0)) {
            check(luna_counts_ingest_readings_recv(s, &resp), "IngestReadings");
            atomic_fetch_add(&b.done, BATCH);
            ahead--;
        }
    }
    luna_stream_close_send(s);
    luna_stream_free(s);
    free(readings);
    free(times);
    free(pointers);
    return NULL;
}

static void
run(void *(*fn)(void *), int64_t threads, int64_t channels)
{
    pthread_t ids[1024];
    struct luna_channel *open[64];
    for (int64_t i = 0; i < channels; i++)
        open[i] = open_channel();
    for (int64_t i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, fn, open[i % channels]) != 0)
            exit(1);
    for (int64_t i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    for (int64_t i = 0; i < channels; i++)
        luna_channel_free(open[i]);
}

int
main(int argc, char **argv)
{
    int64_t n[4] = {0, 1, 1, 1};
    for (int i = 4; i < argc && i < 8; i++)
        if (!str_to_i64(str_of(argv[i]), &n[i - 4]))
            return 2;
    if (argc < 7)
        return 2;
    const bool current = strcmp(argv[3], "current") == 0;
    const bool stream = strcmp(argv[3], "stream") == 0;
    const int64_t threads = current ? n[1] : n[2];
    b.target = argv[1];
    b.key = argv[2];
    b.first = n[0];
    b.dpus = current ? 1 : n[1];
    b.amount = current ? n[2] : n[3];
    b.origin = clock_wall_us() - INT64_C(100000) * 1000000;
    if (threads < 1 || threads > 1024 || b.dpus < 1)
        return 2;
    const nsec_t start = clock_now();
    b.end = stream ? NSEC_NEVER : start + b.amount * SEC(1);
    run(current  ? read_current
        : stream ? stream_readings
                 : create_readings,
        threads, threads < 8 ? threads : 8);
    printf("%.1f\n", (double)atomic_load(&b.done) * 1e9 / (double)(clock_now() - start));
    return 0;
}
