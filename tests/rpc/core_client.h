// A client on gRPC core's C API for tests: every step blocks until it is done.
#ifndef LUNA_TESTS_RPC_CORE_CLIENT_H
#define LUNA_TESTS_RPC_CORE_CLIENT_H

#include <grpc/grpc.h>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using Metadata = std::vector<std::pair<std::string, std::string>>;

// One channel with a connection of its own.
class Channel
{
  public:
    struct Options {
        std::string root_ca; // PEM; empty: no TLS
        std::string cert;
        std::string key;
        std::string host;    // the name the server's certificate is for
        int compression = 0; // grpc_compression_algorithm of requests
        bool decompress = true;
    };
    explicit Channel(const std::string &target);
    Channel(const std::string &target, const Options &opt);
    ~Channel();
    Channel(const Channel &) = delete;
    Channel &operator=(const Channel &) = delete;
    grpc_channel *get() const
    {
        return channel_;
    }

  private:
    grpc_channel *channel_;
};

// The bytes of a message that was received; it is gone then.
std::string take_bytes(grpc_byte_buffer *message);

struct Outcome {
    int code = -1;
    std::string message;
    std::map<std::string, std::string> headers;
    std::map<std::string, std::string> trailers;
    std::string body; // of unary calls
    bool answered = false;
};

// One call. Its status is asked for from the start, so it may end at any time.
class Call
{
  public:
    // deadline_ms 0: none.
    Call(const Channel &ch, const std::string &path, const Metadata &md = {},
         int deadline_ms = 10000);
    ~Call();
    Call(const Call &) = delete;
    Call &operator=(const Call &) = delete;
    bool send(const std::string &bytes);
    bool half_close();
    std::optional<std::string> recv(); // nullopt: there are no more
    void wait_headers();
    void cancel();
    const Outcome &finish(); // waits for the status

  private:
    bool run(grpc_op *ops, size_t n, void *tag);
    bool wait(void *tag);
    grpc_completion_queue *cq_;
    grpc_call *call_;
    std::map<void *, bool> done_;
    grpc_metadata_array headers_;
    grpc_metadata_array trailers_;
    grpc_status_code status_ = GRPC_STATUS_UNKNOWN;
    grpc_slice details_;
    grpc_byte_buffer *received_ = nullptr;
    bool have_headers_ = false;
    bool asked_headers_ = false;
    bool finished_ = false;
    Outcome outcome_;
};

// Request, answer, status.
Outcome unary(const Channel &ch, const std::string &path, const std::string &request,
              const Metadata &md = {}, int deadline_ms = 10000);

#endif
