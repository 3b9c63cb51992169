/* Runs a body on a fiber of a reactor, as account 7. */
#pragma once

#include <functional>

extern "C" {
#include "probe.h"
}

inline void
on_fiber(const std::function<void(struct ctx *)> &body, size_t threads = 1)
{
    probe_run(
        [](struct ctx *ctx, void *arg) {
            ctx->who.account_id = 7;
            ctx->who.role = ROLE_MEMBER;
            (*static_cast<const std::function<void(struct ctx *)> *>(arg))(ctx);
        },
        const_cast<void *>(static_cast<const void *>(&body)), threads);
}
