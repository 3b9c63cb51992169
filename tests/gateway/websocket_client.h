// WebSocket over a raw socket: frames as the test wrote them.
#ifndef LUNA_TESTS_GATEWAY_WEBSOCKET_CLIENT_H
#define LUNA_TESTS_GATEWAY_WEBSOCKET_CLIENT_H

#include "gateway/http_client.h"

namespace gateway_test
{

enum Opcode { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

struct Frame {
    int opcode = 0; // 0: none came
    std::string payload;
    int close_code() const
    {
        return payload.size() < 2
                   ? 0
                   : static_cast<uint8_t>(payload[0]) << 8 | static_cast<uint8_t>(payload[1]);
    }
};

class WebSocket
{
  public:
    // `headers`: more of them, each with its CRLF.
    WebSocket(int port, const std::string &target, const std::string &headers = "")
        : connection(port)
    {
        connection.send("GET " + target +
                        " HTTP/1.1\r\nHost: luna.test\r\nUpgrade: websocket\r\nConnection: "
                        "keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                        "dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                        headers + "\r\n");
        answer = connection.receive();
    }
    void send(int opcode, const std::string &payload, bool fin = true)
    {
        std::string f(1, static_cast<char>((fin ? 0x80 : 0) | opcode));
        size_t n = payload.size();
        if (n < 126) {
            f += static_cast<char>(0x80 | n);
        } else if (n < 65536) {
            f += static_cast<char>(0x80 | 126);
            f += static_cast<char>(n >> 8);
            f += static_cast<char>(n);
        } else {
            f += static_cast<char>(0x80 | 127);
            for (int shift = 56; shift >= 0; shift -= 8)
                f += static_cast<char>(n >> shift);
        }
        f += std::string("\x01\x02\x03\x04", 4);
        for (size_t i = 0; i < n; i++)
            f += static_cast<char>(payload[i] ^ static_cast<char>(1 + i % 4));
        connection.send(f);
    }
    void text(const std::string &payload)
    {
        send(TEXT, payload);
    }
    // The next frame; its opcode is 0 when none comes or the connection is closed.
    Frame receive(double seconds = 20)
    {
        Frame f;
        if (!connection.has(2, seconds))
            return f;
        size_t n = connection.at(1) & 0x7f, head = 2;
        if (n >= 126) {
            size_t bytes = n == 126 ? 2 : 8;
            if (!connection.has(2 + bytes, seconds))
                return f;
            n = 0;
            for (size_t i = 0; i < bytes; i++)
                n = n << 8 | connection.at(2 + i);
            head += bytes;
        }
        if (!connection.has(head + n, seconds))
            return f;
        f.opcode = connection.at(0) & 0x0f;
        f.payload = connection.take(head + n).substr(head);
        return f;
    }
    // The next frame that is no ping or pong.
    Frame next()
    {
        for (;;) {
            Frame f = receive();
            if (f.opcode != PING && f.opcode != PONG)
                return f;
            if (f.opcode == PING)
                send(PONG, f.payload);
        }
    }

    Connection connection;
    Response answer; // of the handshake
};

} // namespace gateway_test

#endif
