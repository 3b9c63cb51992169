/* Many calls of one method with one request, on many channels, by one thread. */
#ifndef LUNA_TESTS_RPC_FLOOD_H
#define LUNA_TESTS_RPC_FLOOD_H

#include <functional>
#include <memory>

#include "core_client.h"

struct Flood {
    std::string path;
    std::string request;
    Metadata metadata;
    int in_flight = 16; // on each channel
    // What each call came to: its code, and its answer when that is 0.
    std::function<void(int code, const std::string &body)> ended;

    // Makes so many calls, and returns when all have ended.
    void run(const std::vector<std::unique_ptr<Channel>> &channels, int64_t calls) const;
};

#endif
