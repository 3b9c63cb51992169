// A gRPC server whose every method does what the test says.
#ifndef LUNA_TESTS_GATEWAY_UPSTREAM_SERVER_H
#define LUNA_TESTS_GATEWAY_UPSTREAM_SERVER_H

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace gateway_test
{

struct Call {
    std::string method;
    std::string request;
    std::multimap<std::string, std::string> metadata;
    std::string header(const std::string &key) const
    {
        auto it = metadata.find(key);
        return it == metadata.end() ? "" : it->second;
    }
};

struct Reply {
    std::vector<std::string> messages = {""};
    grpc::StatusCode code = grpc::StatusCode::OK;
    std::string text;
    std::string details; // grpc-status-details-bin
    std::map<std::string, std::string> headers, trailers;
    std::chrono::milliseconds delay{0};                  // before the first message
    std::chrono::milliseconds hold{0};                   // behind the last one
    grpc::StatusCode code_at_end = grpc::StatusCode::OK; // behind the messages
};

using Handler = std::function<Reply(const Call &)>;

class UpstreamServer
{
  public:
    explicit UpstreamServer(
        const std::string &address = "127.0.0.1:0", bool healthy = true,
        std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials())
        : healthy_(healthy), service_(this)
    {
        grpc::ServerBuilder builder;
        builder.AddListeningPort(address, credentials, &port_);
        builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 64 << 10);
        builder.RegisterCallbackGenericService(&service_);
        server_ = builder.BuildAndStart();
    }
    ~UpstreamServer()
    {
        server_->Shutdown(std::chrono::system_clock::now() + patience);
        server_->Wait();
    }

    std::string address(const std::string &host = "127.0.0.1") const
    {
        return host + ":" + std::to_string(port_);
    }
    void handle(Handler h)
    {
        std::lock_guard<std::mutex> lock(mutex_);
        handler_ = std::move(h);
        calls_.clear();
    }
    std::vector<Call> calls()
    {
        std::lock_guard<std::mutex> lock(mutex_);
        return calls_;
    }
    int cancelled()
    {
        return cancelled_.load();
    }

    std::chrono::milliseconds patience{200}; // of the destructor, with calls that run

  private:
    static std::string text_of(const grpc::ByteBuffer &b)
    {
        std::vector<grpc::Slice> slices;
        std::string s;
        if (b.Dump(&slices).ok())
            for (auto &slice : slices)
                s.append(reinterpret_cast<const char *>(slice.begin()), slice.size());
        return s;
    }

    class Reactor : public grpc::ServerGenericBidiReactor
    {
      public:
        Reactor(UpstreamServer *server, grpc::GenericCallbackServerContext *context)
            : server_(server), context_(context)
        {
            if (context_->method() == "/grpc.health.v1.Health/Watch")
                watch_health();
            else
                StartRead(&request_);
        }
        // A health service that says its one status, or that is not there.
        void watch_health()
        {
            if (server_->healthy_)
                return Finish(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, ""));
            grpc::Slice not_serving(std::string("\x08\x02"));
            response_ = grpc::ByteBuffer(&not_serving, 1);
            reply_.messages.clear();
            reply_.hold = std::chrono::hours(1);
            StartWrite(&response_);
        }
        void OnReadDone(bool ok) override
        {
            Call call;
            call.method = context_->method();
            if (ok)
                call.request = text_of(request_);
            for (auto &pair : context_->client_metadata())
                call.metadata.emplace(std::string(pair.first.data(), pair.first.size()),
                                      std::string(pair.second.data(), pair.second.size()));
            Handler handler;
            {
                std::lock_guard<std::mutex> lock(server_->mutex_);
                server_->calls_.push_back(call);
                handler = server_->handler_;
            }
            reply_ = handler ? handler(call) : Reply();
            for (auto &h : reply_.headers)
                context_->AddInitialMetadata(h.first, h.second);
            for (auto &t : reply_.trailers)
                context_->AddTrailingMetadata(t.first, t.second);
            wait(reply_.delay);
        }
        void OnWriteDone(bool) override
        {
            next();
        }
        void OnCancel() override
        {
            server_->cancelled_++;
        }
        void OnDone() override
        {
            if (timer_.joinable())
                timer_.detach();
            delete this;
        }

      private:
        // Goes on after the time, or when the call is cancelled.
        void wait(std::chrono::milliseconds time)
        {
            if (time.count() == 0)
                return next();
            if (timer_.joinable())
                timer_.detach();
            timer_ = std::thread([this, time] {
                for (auto left = time.count(); left > 0 && !context_->IsCancelled(); left -= 5)
                    std::this_thread::sleep_for(std::chrono::milliseconds(5));
                next();
            });
        }
        void next()
        {
            if (reply_.code != grpc::StatusCode::OK)
                return Finish(grpc::Status(reply_.code, reply_.text, reply_.details));
            if (sent_ < reply_.messages.size()) {
                grpc::Slice slice(reply_.messages[sent_++]);
                response_ = grpc::ByteBuffer(&slice, 1);
                return StartWrite(&response_);
            }
            if (reply_.hold.count() > 0) {
                auto hold = reply_.hold;
                reply_.hold = std::chrono::milliseconds(0);
                return wait(hold);
            }
            Finish(grpc::Status(reply_.code_at_end, reply_.text, reply_.details));
        }

        UpstreamServer *server_;
        grpc::GenericCallbackServerContext *context_;
        grpc::ByteBuffer request_, response_;
        Reply reply_;
        size_t sent_ = 0;
        std::thread timer_;
    };

    class Service : public grpc::CallbackGenericService
    {
      public:
        explicit Service(UpstreamServer *server) : server_(server)
        {
        }
        grpc::ServerGenericBidiReactor *
        CreateReactor(grpc::GenericCallbackServerContext *context) override
        {
            return new Reactor(server_, context);
        }

      private:
        UpstreamServer *server_;
    };

    const bool healthy_;
    std::mutex mutex_;
    Handler handler_;
    std::vector<Call> calls_;
    std::atomic<int> cancelled_{0};
    Service service_;
    int port_ = 0;
    std::unique_ptr<grpc::Server> server_;
};

} // namespace gateway_test

#endif
