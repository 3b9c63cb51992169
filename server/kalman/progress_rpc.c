#include "kalman/progress_rpc.h"

#include <math.h>
#include <stdatomic.h>

#include "luna/v1/kalman.pb-c.h"

enum event { PROGRESS, RESULT }; /* by place in the messages of the stream */

static enum status
send_event(struct progress_teller *t, enum event which, const ProtobufCMessage *value)
{
    const ProtobufCMessageDescriptor *d = t->call->method->response;
    const ProtobufCFieldDescriptor *f = &d->fields[which];
    ProtobufCMessage *m = rpc_message_new(stream_arena(t->out), d);
    *(const ProtobufCMessage **)(void *)((char *)m + f->offset) = value;
    *(uint32_t *)(void *)((char *)m + f->quantifier_offset) = f->id;
    return stream_send(t->out, m);
}

static int64_t
count(const ATOMIC(uint64_t) * x)
{
    return (int64_t)atomic_load_explicit(x, memory_order_relaxed);
}

static enum status
tell(void *arg)
{
    struct progress_teller *t = arg;
    const struct ssm_progress *p = &t->progress;
    Luna__V1__ComputeProgress m = LUNA__V1__COMPUTE_PROGRESS__INIT;
    Google__Protobuf__DoubleValue ll = GOOGLE__PROTOBUF__DOUBLE_VALUE__INIT;
    m.steps = count(&p->steps);
    m.total_steps = count(&p->total);
    m.evaluations = count(&p->evaluations);
    m.models = (int32_t)count(&p->models);
    m.cost_units = t->call->charged;
    ll.value = atomic_load_explicit(&p->log_likelihood, memory_order_relaxed);
    if (isfinite(ll.value))
        m.log_likelihood = &ll;
    return send_event(t, PROGRESS, &m.base);
}

void
progress_teller_reset(struct progress_teller *t)
{
    t->progress = (struct ssm_progress){.log_likelihood = NAN};
}

enum status
progress_teller_init(struct progress_teller *t, struct call *call, struct stream *out,
                     int32_t every_ms)
{
    if (every_ms != 0 && (every_ms < 10 || every_ms > 60000))
        return fail_field(&call->ctx, "progress_ms", "is not from 10 to 60 000");
    t->call = call;
    t->out = out;
    t->watch.progress = &t->progress;
    t->watch.tell = (struct compute_watch){MSEC(every_ms ? every_ms : 1000), tell, t};
    progress_teller_reset(t);
    return OK;
}

enum status
progress_teller_end(struct progress_teller *t, const ProtobufCMessage *result)
{
    return send_event(t, RESULT, result);
}
