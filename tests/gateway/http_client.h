// HTTP/1.1 over a raw socket: what is sent is what the test wrote, good or bad.
#ifndef LUNA_TESTS_GATEWAY_HTTP_CLIENT_H
#define LUNA_TESTS_GATEWAY_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace gateway_test
{

struct Response {
    int status = 0; // 0: none came
    std::string head;
    std::string body;
    bool closed = false; // the connection was, before or behind it
    std::string header(const std::string &name) const
    {
        size_t at = 0;
        while ((at = head.find("\r\n", at)) != std::string::npos) {
            at += 2;
            if (strncasecmp(head.c_str() + at, name.c_str(), name.size()) == 0 &&
                head[at + name.size()] == ':') {
                size_t from = head.find_first_not_of(' ', at + name.size() + 1);
                return head.substr(from, head.find("\r\n", from) - from);
            }
        }
        return "";
    }
};

class Connection
{
  public:
    explicit Connection(int port)
    {
        struct sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_port = htons(static_cast<uint16_t>(port));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd_, reinterpret_cast<struct sockaddr *>(&to), sizeof(to)) != 0) {
            close(fd_);
            fd_ = -1;
        }
    }
    ~Connection()
    {
        if (fd_ >= 0)
            close(fd_);
    }
    Connection(const Connection &) = delete;
    Connection &operator=(const Connection &) = delete;

    bool open() const
    {
        return fd_ >= 0;
    }
    void send(const std::string &bytes)
    {
        for (size_t at = 0; at < bytes.size();) {
            ssize_t n = ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
            if (n <= 0)
                return;
            at += static_cast<size_t>(n);
        }
    }
    // Reads until `seconds` passed or the peer closed; false then.
    bool more(double seconds)
    {
        struct pollfd p = {fd_, POLLIN, 0};
        char bytes[65536];
        if (poll(&p, 1, static_cast<int>(seconds * 1000)) <= 0)
            return false;
        ssize_t n = recv(fd_, bytes, sizeof(bytes), 0);
        if (n <= 0) {
            closed_ = true;
            return false;
        }
        input_.append(bytes, static_cast<size_t>(n));
        return true;
    }
    bool closed() const
    {
        return closed_;
    }
    // The next response; `no_body` for HEAD.
    Response receive(bool no_body = false, double seconds = 10)
    {
        Response r;
        size_t end;
        while ((end = input_.find("\r\n\r\n")) == std::string::npos)
            if (!more(seconds)) {
                r.closed = closed_;
                return r;
            }
        r.head = input_.substr(0, end + 2);
        input_.erase(0, end + 4);
        r.status = static_cast<int>(std::strtol(r.head.c_str() + 9, nullptr, 10));
        if (r.status == 100)
            return receive(no_body, seconds);
        if (no_body || r.status == 101 || r.status == 204 || r.status == 304)
            return r;
        if (r.header("Transfer-Encoding") == "chunked") {
            read_chunks(&r, seconds);
            return r;
        }
        size_t n = std::strtoul(r.header("Content-Length").c_str(), nullptr, 10);
        while (input_.size() < n && more(seconds)) {
        }
        r.body = input_.substr(0, n);
        input_.erase(0, n);
        r.closed = closed_;
        return r;
    }
    // Bytes behind a response, of another protocol.
    bool has(size_t n, double seconds)
    {
        while (input_.size() < n)
            if (!more(seconds))
                return false;
        return true;
    }
    uint8_t at(size_t i) const
    {
        return static_cast<uint8_t>(input_[i]);
    }
    std::string take(size_t n)
    {
        std::string s = input_.substr(0, n);
        input_.erase(0, n);
        return s;
    }
    // Says that nothing more will be sent.
    void shut()
    {
        shutdown(fd_, SHUT_WR);
    }
    void hang_up()
    {
        close(fd_);
        fd_ = -1;
    }
    // From now on as if the machine were gone: what comes is neither taken nor confirmed.
    bool vanish()
    {
        struct sock_filter nothing = {BPF_RET | BPF_K, 0, 0, 0};
        struct sock_fprog program = {1, &nothing};
        return setsockopt(fd_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
    }
    // True when the peer closes within the time.
    bool closes(double seconds)
    {
        while (more(seconds)) {
        }
        return closed_;
    }

  private:
    void read_chunks(Response *r, double seconds)
    {
        for (;;) {
            size_t line;
            while ((line = input_.find("\r\n")) == std::string::npos)
                if (!more(seconds)) {
                    r->closed = closed_;
                    return;
                }
            size_t n = std::strtoul(input_.c_str(), nullptr, 16);
            while (input_.size() < line + 2 + n + 2 && more(seconds)) {
            }
            if (input_.size() < line + 2 + n + 2) {
                r->closed = closed_;
                return;
            }
            r->body += input_.substr(line + 2, n);
            input_.erase(0, line + 2 + n + 2);
            if (n == 0)
                return;
        }
    }

    int fd_;
    bool closed_ = false;
    std::string input_;
};

} // namespace gateway_test

#endif
