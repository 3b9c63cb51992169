/*
 * Streams of readings to CountsService; counts_load makes unary calls.
 *
 *   counts_bench TARGET KEY stream FIRST_DPU DPUS STREAMS ROWS      IngestReadings rows/s
 *   counts_bench TARGET KEY burst FIRST_DPU DPUS STREAMS ROWS PROBE_DPU PROBE_SPACE WATCHED_SPACE
 * SITE
 *
 * burst: as stream, but half of the messages are backlog: a day that a site of 1000 DPUs (number
 * SITE of them, from 0) kept to itself, late and shuffled. Meanwhile readings of the probe DPU go
 * in one by one; watchers of its space, and of busy ones beside it, are told. Prints rows/s and the
 * 99th percentile of the milliseconds from before a probe is sent until its watcher has it.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/defs.h"
#include "base/str.h"
#include "luna/v1/counts.client.h"

#define BATCH       5000
#define LATE_DPUS   1000 /* of a site */
#define DAY_US      (INT64_C(86400) * 1000000)
#define PROBE_EVERY MSEC(20)
#define PROBES      10000
#define WATCHERS    8

static struct {
    const char *target;
    const char *key;
    int64_t first;
    int64_t dpus;
    int64_t amount; /* rows */
    usec_t origin;
    atomic_int_fast64_t next; /* reading */
    atomic_int_fast64_t done;
    /* burst: */
    bool late;
    int64_t probe_dpu;
    int64_t probe_space;
    int64_t watched;
    int64_t late_first; /* DPU of the site whose backlog comes */
    atomic_bool over;
    _Atomic(nsec_t) sent[PROBES]; /* the probes, by the count they make */
    double delays[PROBES];        /* ms */
    atomic_size_t told;
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

/* Reading number n of the backlog: any of the site's DPUs, any instant of the day before. */
static void
make_late(int64_t n, Google__Protobuf__Timestamp *ts, int64_t *ret_dpu, int32_t *ret_direction)
{
    const uint64_t mixed = (uint64_t)n * 0x9e3779b97f4a7c15u;
    const usec_t at = b.origin - DAY_US + (int64_t)((mixed >> 20) % (uint64_t)DAY_US);
    ts->seconds = at / 1000000;
    ts->nanos = (int32_t)(at % 1000000 * 1000);
    *ret_dpu = b.late_first + n % LATE_DPUS;
    *ret_direction = mixed >> 63 ? 1 : -1;
}

static void
check(enum luna_code code, const char *what)
{
    if (code == LUNA_OK)
        return;
    fprintf(stderr, "counts_bench: %s: %s\n", what, luna_code_name(code));
    exit(1);
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
        if (b.late && first / BATCH % 2 == 1)
            make_late(first + i, &times[i], &readings[i].dpu_id, &readings[i].direction);
        else
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

/* ---- burst ----------------------------------------------------------------------------------- */

static void *
probe(void *arg)
{
    for (size_t i = 1; i < PROBES && !atomic_load(&b.over); i++) {
        Luna__V1__CreateReadingRequest req = LUNA__V1__CREATE_READING_REQUEST__INIT;
        Google__Protobuf__Timestamp ts = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
        const Luna__V1__CreateReadingResponse *resp;
        struct luna_reply *reply;
        const usec_t at = clock_wall_us();
        ts.seconds = at / 1000000;
        ts.nanos = (int32_t)(at % 1000000 * 1000);
        req.timestamp = &ts;
        req.dpu_id = b.probe_dpu;
        req.direction = 1;
        atomic_store(&b.sent[i], clock_now());
        check(luna_counts_create_reading(arg, NULL, &req, &reply, &resp), "CreateReading");
        luna_reply_free(reply);
        nanosleep(&(struct timespec){0, PROBE_EVERY}, NULL);
    }
    return NULL;
}

/* The probe's space and nine busy ones. One of the watchers takes the time. */
static void *
watch(void *arg)
{
    static atomic_int number;
    const bool takes_time = atomic_fetch_add(&number, 1) == 0;
    Luna__V1__WatchCountsRequest req = LUNA__V1__WATCH_COUNTS_REQUEST__INIT;
    const Luna__V1__WatchCountsResponse *resp;
    int64_t spaces[10] = {b.probe_space};
    for (int i = 1; i < 10; i++)
        spaces[i] = b.watched + i;
    req.space_ids = spaces;
    req.n_space_ids = 10;
    struct luna_stream *s = luna_counts_watch_counts(arg, NULL, &req);
    int64_t count = 0;
    while (!atomic_load(&b.over)) {
        check(luna_counts_watch_counts_recv(s, &resp), "WatchCounts");
        if (!takes_time || resp->space_id != b.probe_space)
            continue;
        const nsec_t now = clock_now();
        for (; count < resp->count && count + 1 < PROBES; count++)
            b.delays[atomic_fetch_add(&b.told, 1)] =
                (double)(now - atomic_load(&b.sent[count + 1])) / 1e6;
    }
    luna_stream_free(s);
    return NULL;
}

static int
compare_delays(const void *x, const void *y)
{
    const double a = *(const double *)x;
    const double c = *(const double *)y;
    return (a > c) - (a < c);
}

static void
run_burst(int64_t streams)
{
    pthread_t ids[WATCHERS + 1];
    struct luna_channel *open[WATCHERS + 1];
    for (int i = 0; i <= WATCHERS; i++) {
        open[i] = open_channel();
        if (pthread_create(&ids[i], NULL, i < WATCHERS ? watch : probe, open[i]) != 0)
            exit(1);
    }
    nanosleep(&(struct timespec){1, 0}, NULL);
    const nsec_t start = clock_now();
    run(stream_readings, streams, streams);
    const double rate = (double)atomic_load(&b.done) * 1e9 / (double)(clock_now() - start);
    atomic_store(&b.over, true);
    pthread_join(ids[WATCHERS], NULL); /* the watchers end with the process */
    const size_t n = atomic_load(&b.told);
    if (n == 0) {
        fprintf(stderr, "counts_bench: no probe was told of\n");
        exit(1);
    }
    qsort(b.delays, n, sizeof(b.delays[0]), compare_delays);
    printf("%.1f %.1f\n", rate, b.delays[n * 99 / 100]);
}

int
main(int argc, char **argv)
{
    int64_t n[8] = {0, 1, 1, 1};
    for (int i = 4; i < argc && i < 12; i++)
        if (!str_to_i64(str_of(argv[i]), &n[i - 4]))
            return 2;
    if (argc < 8)
        return 2;
    b.late = strcmp(argv[3], "burst") == 0;
    const int64_t threads = n[2];
    b.target = argv[1];
    b.key = argv[2];
    b.first = n[0];
    b.dpus = n[1];
    b.amount = n[3];
    b.probe_dpu = n[4];
    b.probe_space = n[5];
    b.watched = n[6];
    b.late_first = b.first + n[7] * LATE_DPUS;
    b.origin = clock_wall_us() - INT64_C(100000) * 1000000;
    if (threads < 1 || threads > 1024 || b.dpus < 1)
        return 2;
    if (b.late) {
        run_burst(threads);
        return 0;
    }
    const nsec_t start = clock_now();
    run(stream_readings, threads, threads < 8 ? threads : 8);
    printf("%.1f\n", (double)atomic_load(&b.done) * 1e9 / (double)(clock_now() - start));
    return 0;
}
