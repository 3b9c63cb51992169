/* Between the messages of CountsService and the domain. Private to counts/'s *_rpc.c files. */
#ifndef LUNA_COUNTS_COUNTS_CONVERT_RPC_H
#define LUNA_COUNTS_COUNTS_CONVERT_RPC_H

#include "counts/counts.h"
#include "rpc/rpc.h"

/* Of luna/v1/counts.pb-c.h, which only *_rpc.c files include. */
typedef struct Google__Protobuf__Timestamp Google__Protobuf__Timestamp;
typedef struct Luna__V1__Space Luna__V1__Space;
typedef struct Luna__V1__Doorway Luna__V1__Doorway;
typedef struct Luna__V1__Dpu Luna__V1__Dpu;
typedef struct Luna__V1__Assignment Luna__V1__Assignment;
typedef struct Luna__V1__Reading Luna__V1__Reading;
typedef struct Luna__V1__Calibration Luna__V1__Calibration;
typedef struct Luna__V1__SpaceCount Luna__V1__SpaceCount;
typedef struct Luna__V1__CountEvent Luna__V1__CountEvent;
typedef struct Luna__V1__CountBucket Luna__V1__CountBucket;
typedef struct Luna__V1__SensorHealth Luna__V1__SensorHealth;
typedef struct Luna__V1__IngestSummary Luna__V1__IngestSummary;
typedef struct Luna__V1__ReadingResult Luna__V1__ReadingResult;
typedef struct Luna__V1__UploadReadingsResponse Luna__V1__UploadReadingsResponse;
typedef struct Luna__V1__ExportCountsRequest Luna__V1__ExportCountsRequest;
typedef struct Luna__V1__WatchCountsRequest Luna__V1__WatchCountsRequest;
typedef struct Luna__V1__GetCountsRequest Luna__V1__GetCountsRequest;
typedef struct Luna__V1__GetCountsResponse Luna__V1__GetCountsResponse;
typedef struct Luna__V1__ListCountsRequest Luna__V1__ListCountsRequest;
typedef struct Luna__V1__ListCountsResponse Luna__V1__ListCountsResponse;
typedef struct Luna__V1__Retention Luna__V1__Retention;
typedef struct Luna__V1__ImportReadingsRequest Luna__V1__ImportReadingsRequest;
typedef struct Luna__V1__ImportReadingsResponse Luna__V1__ImportReadingsResponse;

/* An instant; NULL for the infinite ones. */
Google__Protobuf__Timestamp *counts_write_time(struct arena *a, usec_t t);

/* *ret stays as it is when `ts` is NULL. Fails: BAD_FIELD. */
enum status counts_read_time(struct ctx *ctx, const char *field,
                             const Google__Protobuf__Timestamp *ts, usec_t *ret) WARN_UNUSED;

Luna__V1__Space *counts_write_space(struct arena *a, const struct counts_space *row);
Luna__V1__Doorway *counts_write_doorway(struct arena *a, const struct counts_doorway *row);
Luna__V1__Dpu *counts_write_dpu(struct arena *a, const struct counts_dpu *row);
Luna__V1__Assignment *counts_write_assignment(struct arena *a, const struct counts_assignment *row);
Luna__V1__Reading *counts_write_reading(struct arena *a, const struct counts_reading *row);
Luna__V1__Calibration *counts_write_calibration(struct arena *a,
                                                const struct counts_calibration *row);
Luna__V1__SpaceCount *counts_write_count(struct arena *a, int64_t space_id, usec_t at,
                                         const struct counts_value *v);
Luna__V1__Retention *counts_write_retention(struct arena *a, const struct counts_policy *p);

/* Since when raw readings are kept; NULL: all are. Suspends: may. */
enum status counts_answer_horizon(struct ctx *ctx, Google__Protobuf__Timestamp **ret) WARN_UNUSED;
Luna__V1__CountEvent *counts_write_event(struct arena *a, const struct counts_event *e);
Luna__V1__CountBucket *counts_write_bucket(struct arena *a, const struct counts_bucket *b,
                                           int32_t capacity);
Luna__V1__SensorHealth *counts_write_health(struct arena *a, const struct counts_health *h,
                                            int64_t silent_after_s);
Luna__V1__IngestSummary *counts_write_summary(struct arena *a, const struct counts_summary *s);
Luna__V1__ReadingResult **counts_write_results(struct arena *a, const struct counts_result *r,
                                               size_t n, int64_t first);

/* A reading as it came, its timestamp -1 when there is none or it is none. */
struct counts_reading counts_read_reading(const Luna__V1__Reading *m);

/* "423-1519461921893000-1": DPU, instant, tag. False: not one. */
bool counts_read_reading_id(struct str id, int64_t *ret_dpu, usec_t *ret_at, int32_t *ret_tag);

double counts_utilisation(double count, int32_t capacity);

/* counts_ingest_rpc.c: the streams in. */
enum status counts_serve_ingest(struct call *call, struct stream *s);
enum status counts_serve_upload(struct call *call, struct stream *in,
                                Luna__V1__UploadReadingsResponse *resp);
enum status counts_answer_import(struct call *call, const Luna__V1__ImportReadingsRequest *req,
                                 Luna__V1__ImportReadingsResponse *resp);

/* counts_stream_rpc.c: the streams out. */
enum status counts_serve_export(struct call *call, const Luna__V1__ExportCountsRequest *req,
                                struct stream *out);
enum status counts_serve_watch(struct call *call, const Luna__V1__WatchCountsRequest *req,
                               struct stream *out);

/* counts_history_rpc.c */
enum status counts_answer_counts(struct call *call, const Luna__V1__GetCountsRequest *req,
                                 Luna__V1__GetCountsResponse *resp);
enum status counts_answer_list(struct call *call, const Luna__V1__ListCountsRequest *req,
                               Luna__V1__ListCountsResponse *resp);

#endif
