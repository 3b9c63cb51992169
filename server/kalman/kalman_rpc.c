/* The table of KalmanService. Its handlers stand in the files that handlers_rpc.h names. */
#include "luna/v1/kalman.rpc.h"

#include "kalman/handlers_rpc.h"
#include "kalman/kalman.h"
#include "kalman/question_rpc.h"

#define UNARY(handler, name, Name)                                                      \
    static enum status handler(struct call *call, const Luna__V1__##Name##Request *req, \
                               Luna__V1__##Name##Response *resp)                        \
    {                                                                                   \
        return kalman_rpc_##name(call, req, resp);                                      \
    }

#define QUESTION(handler, name, Name)                                                   \
    static enum status handler(struct call *call, const Luna__V1__##Name##Request *req, \
                               Luna__V1__##Name##Response *resp)                        \
    {                                                                                   \
        return kalman_answer(call, &question_##name, &req->base, &resp->base);          \
    }

#define QUESTION_STREAM(name, Name)                                                        \
    static enum status name##_stream(                                                      \
        struct call *call, const Luna__V1__##Name##StreamRequest *req, struct stream *out) \
    {                                                                                      \
        return kalman_answer_stream(call, &question_##name, &req->base, out);              \
    }

QUESTION(filter, filter, Filter)
QUESTION(smooth, smooth, Smooth)
QUESTION(forecast, forecast, Forecast)
QUESTION(simulate, simulate, Simulate)
QUESTION(fit, fit, Fit)
QUESTION(handle_select, select, Select)
QUESTION(diagnose, diagnose, Diagnose)
QUESTION(filter_batch, filter_batch, FilterBatch)
QUESTION_STREAM(smooth, Smooth)
QUESTION_STREAM(simulate, Simulate)
QUESTION_STREAM(fit, Fit)
QUESTION_STREAM(select, Select)
QUESTION_STREAM(forecast, Forecast)
QUESTION_STREAM(diagnose, Diagnose)
UNARY(create_filter, create_filter, CreateFilter)
UNARY(append, append, Append)
UNARY(get_filter, get_filter, GetFilter)
UNARY(list_filters, list_filters, ListFilters)
UNARY(reset_filter, reset_filter, ResetFilter)
UNARY(delete_filter, delete_filter, DeleteFilter)

static enum status
append_all(struct call *call, struct stream *in, Luna__V1__AppendAllResponse *resp)
{
    return kalman_rpc_append_all(call, in, resp);
}

static enum status
append_stream(struct call *call, struct stream *s)
{
    return kalman_rpc_append_stream(call, s);
}

static enum status
watch_filter(struct call *call, const Luna__V1__WatchFilterRequest *req, struct stream *out)
{
    return kalman_rpc_watch_filter(call, req, out);
}

static enum status
filter_stream(struct call *call, struct stream *s)
{
    return kalman_rpc_filter_stream(call, s);
}

static enum status
filter_batch_stream(struct call *call, struct stream *s)
{
    return kalman_rpc_filter_batch_stream(call, s);
}
