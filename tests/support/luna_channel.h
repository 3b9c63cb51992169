/* A channel of the C client, as tests want it. */
#ifndef LUNA_TESTS_LUNA_CHANNEL_H
#define LUNA_TESTS_LUNA_CHANNEL_H

#include <memory>
#include <string>

#include "luna/v1/quota.client.h"

struct channel_free {
    void operator()(luna_channel *c) const
    {
        luna_channel_free(c);
    }
};
using channel_ptr = std::unique_ptr<luna_channel, channel_free>;

/* No key: as nobody. Nothing is hidden by a retry. */
inline channel_ptr
open_channel(const std::string &target, const std::string &key)
{
    luna_channel_options options = {};
    options.target = target.c_str();
    options.api_key = key.empty() ? nullptr : key.c_str();
    options.timeout_ms = 3000;
    options.max_attempts = 1;
    return channel_ptr(luna_channel_new(&options, nullptr));
}

#endif
