// The real server, with its stores, behind the real gateway.
#ifndef LUNA_TESTS_GATEWAY_STACK_H
#define LUNA_TESTS_GATEWAY_STACK_H

#include "gateway/fixture.h"
#include "support/luna_server.h"

namespace gateway_test
{

struct Stack {
    pg_server pg;
    redis_server redis;
    luna_server server;
    std::string key;
    std::unique_ptr<GatewayProcess> gateway;
    explicit Stack(const std::string &name, const luna_server::settings &settings = {})
        : server(pg, redis, name, settings), key(server.create_account("owner"))
    {
        server.start();
        gateway = std::make_unique<GatewayProcess>(server.target(),
                                                   std::vector<std::string>{"--descriptors="});
    }
    Response request(const std::string &method, const std::string &target,
                     const std::string &body = "") const
    {
        Connection c(gateway->port);
        c.send(method + " " + target + " HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + key +
               "\r\nContent-Type: application/json\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body);
        return c.receive(false, 20);
    }
};

} // namespace gateway_test

#endif
