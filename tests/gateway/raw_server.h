// An HTTP/2 server of bare frames, that does to the gateway's client what no gRPC server should.
#ifndef LUNA_TESTS_GATEWAY_RAW_SERVER_H
#define LUNA_TESTS_GATEWAY_RAW_SERVER_H

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace gateway_test
{

// RFC 9113, 6: types and flags.
enum Frame : uint8_t { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7 };
constexpr uint8_t ACK = 1, END_STREAM = 1, END_HEADERS = 4;

inline std::string
u32(uint32_t n)
{
    n = htonl(n);
    return std::string(reinterpret_cast<const char *>(&n), 4);
}

inline std::string
frame(Frame type, uint8_t flags, uint32_t stream, const std::string &payload)
{
    std::string size = u32(static_cast<uint32_t>(payload.size())).substr(1);
    return size + std::string(1, static_cast<char>(type)) +
           std::string(1, static_cast<char>(flags)) + u32(stream) + payload;
}

// HPACK: literals without indexing, names included; no Huffman code (RFC 7541, 6.2.2).
inline std::string
number7(size_t n)
{
    std::string s;
    if (n < 127)
        return std::string(1, static_cast<char>(n));
    s += '\x7f';
    for (n -= 127; n >= 128; n >>= 7)
        s += static_cast<char>(n % 128 + 128);
    return s + static_cast<char>(n);
}

inline std::string
field(const std::string &name, const std::string &value)
{
    return std::string(1, '\0') + number7(name.size()) + name + number7(value.size()) + value;
}

inline std::string
message(const std::string &bytes, char flag = 0)
{
    return std::string(1, flag) + u32(static_cast<uint32_t>(bytes.size())) + bytes;
}

inline std::string
good_head()
{
    return field(":status", "200") + field("content-type", "application/grpc");
}

class RawServer
{
  public:
    // What is said to the n-th call of the server's life (from 0), which came on a stream.
    using Say = std::function<std::string(int n, uint32_t stream)>;

    explicit RawServer(Say say) : say_(std::move(say))
    {
        struct sockaddr_in at = {};
        socklen_t n = sizeof(at);
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listen_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(listen_, reinterpret_cast<sockaddr *>(&at), n) != 0 || listen(listen_, 16) != 0 ||
            getsockname(listen_, reinterpret_cast<sockaddr *>(&at), &n) != 0)
            throw std::runtime_error("RawServer");
        address = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
        thread_ = std::thread([this] { run(); });
    }
    ~RawServer()
    {
        stop_ = true;
        shutdown(listen_, SHUT_RDWR);
        thread_.join();
        close(listen_);
    }
    std::string address;
    std::atomic<int> calls{0}, connections{0}, resets{0};

  private:
    static bool read_all(int fd, char *to, size_t n)
    {
        for (ssize_t got; n > 0; to += got, n -= static_cast<size_t>(got))
            if ((got = recv(fd, to, n, 0)) <= 0)
                return false;
        return true;
    }
    static void put(int fd, const std::string &s)
    {
        size_t at = 0;
        for (ssize_t n; at < s.size(); at += static_cast<size_t>(n))
            if ((n = send(fd, s.data() + at, s.size() - at, MSG_NOSIGNAL)) <= 0)
                return;
    }
    bool one_frame(int fd)
    {
        unsigned char head[9];
        if (!read_all(fd, reinterpret_cast<char *>(head), sizeof(head)))
            return false;
        std::string payload(static_cast<size_t>(head[0] << 16 | head[1] << 8 | head[2]), 0);
        uint32_t stream;
        std::memcpy(&stream, head + 5, 4);
        stream = ntohl(stream);
        if (!read_all(fd, payload.data(), payload.size()))
            return false;
        if (head[3] == SETTINGS && !(head[4] & ACK))
            put(fd, frame(SETTINGS, ACK, 0, ""));
        if (head[3] == PING && !(head[4] & ACK))
            put(fd, frame(PING, ACK, 0, payload));
        resets += head[3] == RST_STREAM;
        // Once the request is whole: it is one of the gateway's, which ends with its data.
        if (head[3] == DATA && head[4] & END_STREAM) {
            std::string answer = say_(calls++, stream);
            put(fd, answer);
            if (answer.empty())
                return false;
        }
        return true;
    }
    void serve(int fd)
    {
        char preface[24];
        connections++;
        const struct timeval tick = {0, 100000};
        if (read_all(fd, preface, sizeof(preface))) {
            put(fd, frame(SETTINGS, 0, 0, ""));
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
            while (!stop_) {
                char byte;
                ssize_t n = recv(fd, &byte, 1, MSG_PEEK);
                if (n == 0 || (n > 0 && !one_frame(fd)))
                    break;
            }
        }
        close(fd);
    }
    void run()
    {
        std::vector<std::thread> all;
        while (!stop_) {
            int fd = accept4(listen_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd >= 0)
                all.emplace_back([this, fd] { serve(fd); });
        }
        for (auto &t : all)
            t.join();
    }

    Say say_;
    int listen_ = -1;
    std::thread thread_;
    std::atomic<bool> stop_{false};
};

} // namespace gateway_test

#endif
