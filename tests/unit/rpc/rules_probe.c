#include "unit/rpc/rules_probe.h"

#include "luna/testing/rules.rpc.h"

static enum status
take(struct call *call, const Luna__Testing__Ruled *req, Luna__Testing__Free *resp)
{
    (void)call, (void)req, (void)resp;
    return OK;
}

static enum status
take_many(struct call *call, struct stream *in, Luna__Testing__Free *resp)
{
    (void)call, (void)in, (void)resp;
    return OK;
}

static enum status
take_free(struct call *call, const Luna__Testing__Free *req, Luna__Testing__Free *resp)
{
    (void)call, (void)req, (void)resp;
    return OK;
}

static enum status
take_too(struct call *call, const Luna__Testing__Ruled *req, Luna__Testing__Free *resp)
{
    (void)call, (void)req, (void)resp;
    return OK;
}

const struct rpc_rules *
rules_probe(void)
{
    ASSERT(luna_testing_other_rules_service.methods[0].rules ==
           luna_testing_rules_service.methods[0].rules);
    return luna_testing_rules_service.methods[0].rules;
}

const struct rpc_rules *
rules_probe_free(void)
{
    return luna_testing_rules_service.methods[2].rules;
}
