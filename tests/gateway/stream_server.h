// A gRPC server whose every method reads a stream as slowly as the test says, and answers it.
#ifndef LUNA_TESTS_GATEWAY_STREAM_SERVER_H
#define LUNA_TESTS_GATEWAY_STREAM_SERVER_H

#include <set>

#include "gateway/upstream_server.h"

namespace gateway_test
{

// What the server does with a call.
struct Plan {
    bool echo = false;              // each message comes back
    std::vector<std::string> first; // sent before anything is read
    std::string answer;             // when the caller has ended, unless `echo`
    int fail_after = -1;            // messages
    grpc::StatusCode code = grpc::StatusCode::OK;
    std::string text;
    bool paused = false; // reads nothing until StreamServer::go_on
};

struct Seen {
    std::vector<std::string> messages;
    std::multimap<std::string, std::string> metadata;
    std::string method;
    size_t bytes = 0;
    bool ended = false; // done, and the caller had closed its side
    bool cancelled = false;
    bool done = false;
};

class StreamServer
{
  public:
    StreamServer() : service_(this)
    {
        grpc::ServerBuilder builder;
        builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
        builder.SetMaxReceiveMessageSize(-1);
        builder.RegisterCallbackGenericService(&service_);
        server_ = builder.BuildAndStart();
    }
    ~StreamServer()
    {
        go_on();
        server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
        server_->Wait();
    }
    std::string address() const
    {
        return "127.0.0.1:" + std::to_string(port_);
    }
    void plan(Plan p)
    {
        std::lock_guard<std::mutex> lock(mutex_);
        plan_ = std::move(p);
        seen_ = std::make_shared<Seen>();
    }
    // What the latest call has brought until now.
    Seen seen()
    {
        std::lock_guard<std::mutex> lock(mutex_);
        return *seen_;
    }
    // Lets a paused call read.
    void go_on()
    {
        std::lock_guard<std::mutex> lock(mutex_);
        plan_.paused = false;
        for (Reactor *waiting : waiting_)
            waiting->read();
        waiting_.clear();
    }
    // Waits up to 20 s for what the call must have brought.
    template <typename Condition> bool wait(Condition condition)
    {
        for (int i = 0; i < 2000; i++) {
            if (condition(seen()))
                return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }

  private:
    class Reactor : public grpc::ServerGenericBidiReactor
    {
      public:
        Reactor(StreamServer *server, grpc::GenericCallbackServerContext *context) : server_(server)
        {
            std::lock_guard<std::mutex> lock(server_->mutex_);
            plan_ = server_->plan_;
            seen_ = server_->seen_ = std::make_shared<Seen>();
            seen_->method = context->method();
            for (auto &pair : context->client_metadata())
                seen_->metadata.emplace(std::string(pair.first.data(), pair.first.size()),
                                        std::string(pair.second.data(), pair.second.size()));
            go(true);
        }
        void read()
        {
            StartRead(&request_);
        }
        void OnReadDone(bool ok) override
        {
            std::lock_guard<std::mutex> lock(server_->mutex_);
            if (!ok) {
                read_all_ = true;
                if (plan_.echo || plan_.code != grpc::StatusCode::OK)
                    return finish();
                return write(plan_.answer, true);
            }
            std::string message = text_of(request_);
            seen_->bytes += message.size();
            seen_->messages.push_back(message);
            if (static_cast<int>(seen_->messages.size()) == plan_.fail_after)
                return finish();
            if (plan_.echo)
                return write(message, false);
            read();
        }
        void OnWriteDone(bool ok) override
        {
            std::lock_guard<std::mutex> lock(server_->mutex_);
            if (last_ || !ok)
                return finish();
            go(false);
        }
        void OnCancel() override
        {
            std::lock_guard<std::mutex> lock(server_->mutex_);
            seen_->cancelled = true;
            if (server_->waiting_.erase(this) > 0)
                read();
        }
        void OnDone() override
        {
            {
                std::lock_guard<std::mutex> lock(server_->mutex_);
                seen_->done = true;
                seen_->ended = read_all_ && !seen_->cancelled;
            }
            delete this;
        }

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
        // The next step that is no answer to a message. With the lock held.
        void go(bool start)
        {
            if (sent_ < plan_.first.size())
                return write(plan_.first[sent_++], false);
            if (plan_.fail_after == 0)
                return finish();
            if (plan_.paused && !seen_->cancelled && (start || !plan_.first.empty()))
                server_->waiting_.insert(this);
            else
                read();
        }
        void write(const std::string &message, bool last)
        {
            last_ = last;
            grpc::Slice slice(message);
            response_ = grpc::ByteBuffer(&slice, 1);
            StartWrite(&response_);
        }
        void finish()
        {
            if (!finished_)
                Finish(grpc::Status(plan_.code, plan_.text));
            finished_ = true;
        }

        StreamServer *server_;
        Plan plan_;
        std::shared_ptr<Seen> seen_;
        grpc::ByteBuffer request_, response_;
        size_t sent_ = 0;
        bool last_ = false, finished_ = false, read_all_ = false;
    };

    class Service : public grpc::CallbackGenericService
    {
      public:
        explicit Service(StreamServer *server) : server_(server)
        {
        }
        grpc::ServerGenericBidiReactor *
        CreateReactor(grpc::GenericCallbackServerContext *context) override
        {
            return new Reactor(server_, context);
        }

      private:
        StreamServer *server_;
    };

    std::mutex mutex_;
    Plan plan_;
    std::shared_ptr<Seen> seen_ = std::make_shared<Seen>(); // of the latest call
    std::set<Reactor *> waiting_;                           // of this call and of those before it
    Service service_;
    int port_ = 0;
    std::unique_ptr<grpc::Server> server_;
};

} // namespace gateway_test

#endif
