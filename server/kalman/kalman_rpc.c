/* The table of KalmanService. Its handlers stand in the files that handlers_rpc.h names. */
#include "luna/v1/kalman.rpc.h"

#include "kalman/handlers_rpc.h"
#include "kalman/kalman.h"

#define UNARY(handler, name, Name)                                                      \
    static enum status handler(struct call *call, const Luna__V1__##Name##Request *req, \
                               Luna__V1__##Name##Response *resp)                        \
    {                                                                                   \
        return kalman_rpc_##name(call, req, resp);                                      \
    }

#define MASKED(handler, name, Name)                                                              \
    static enum status handler(struct call *call, const Luna__V1__##Name##Request *req,          \
                               Luna__V1__##Name##Response *resp)                                 \
    {                                                                                            \
        enum status st = kalman_mask_check(&call->ctx, &resp->base, req->output, req->n_output); \
        if (st == OK)                                                                            \
            st = kalman_rpc_##name(call, req, resp);                                             \
        if (st == OK)                                                                            \
            kalman_mask(&resp->base, req->output, req->n_output);                                \
        return st;                                                                               \
    }

MASKED(filter, filter, Filter)
MASKED(smooth, smooth, Smooth)
MASKED(forecast, forecast, Forecast)
MASKED(simulate, simulate, Simulate)
MASKED(fit, fit, Fit)
MASKED(handle_select, select, Select)
MASKED(diagnose, diagnose, Diagnose)
MASKED(filter_batch, filter_batch, FilterBatch)
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
