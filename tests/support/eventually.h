/* Waiting for what another thread or process does. */
#ifndef LUNA_TESTS_EVENTUALLY_H
#define LUNA_TESTS_EVENTUALLY_H

#include <chrono>
#include <functional>
#include <thread>

/* True as soon as `what` is; false: it was not within `seconds`. */
inline bool
eventually(const std::function<bool()> &what, int seconds = 20)
{
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!what()) {
        if (std::chrono::steady_clock::now() > until)
            return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

#endif
