#include "core_client.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

namespace
{
int start_tag, status_tag, send_tag, close_tag, recv_tag, headers_tag;

gpr_timespec
after_ms(int ms)
{
    if (ms == 0)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

grpc_arg
int_arg(const char *key, int value)
{
    grpc_arg a = {};
    a.type = GRPC_ARG_INTEGER;
    a.key = const_cast<char *>(key);
    a.value.integer = value;
    return a;
}

std::string
text_of(const grpc_slice &s)
{
    return std::string(reinterpret_cast<const char *>(GRPC_SLICE_START_PTR(s)),
                       GRPC_SLICE_LENGTH(s));
}

void
copy(const grpc_metadata_array &from, std::map<std::string, std::string> *to)
{
    for (size_t i = 0; i < from.count; i++)
        (*to)[text_of(from.metadata[i].key)] = text_of(from.metadata[i].value);
}
} // namespace

std::string
take_bytes(grpc_byte_buffer *message)
{
    grpc_byte_buffer_reader reader;
    grpc_byte_buffer_reader_init(&reader, message);
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    std::string out = text_of(all);
    grpc_slice_unref(all);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(message);
    return out;
}

Channel::Channel(const std::string &target) : Channel(target, Options())
{
}

Channel::Channel(const std::string &target, const Options &opt)
{
    grpc_init();
    std::vector<grpc_arg> args = {int_arg("grpc.use_local_subchannel_pool", 1),
                                  int_arg("grpc.enable_retries", 0),
                                  int_arg("grpc.max_receive_message_length", -1),
                                  int_arg("grpc.max_metadata_size", 65536),
                                  int_arg("grpc.initial_reconnect_backoff_ms", 100),
                                  int_arg("grpc.default_compression_algorithm", opt.compression)};
    if (!opt.decompress)
        args.push_back(int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0));
    grpc_arg host = {};
    if (!opt.host.empty()) {
        host.type = GRPC_ARG_STRING;
        host.key = const_cast<char *>(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG);
        host.value.string = const_cast<char *>(opt.host.c_str());
        args.push_back(host);
    }
    grpc_channel_credentials *creds;
    if (opt.root_ca.empty()) {
        creds = grpc_insecure_credentials_create();
    } else {
        grpc_ssl_pem_key_cert_pair pair = {opt.key.c_str(), opt.cert.c_str()};
        creds = grpc_ssl_credentials_create(opt.root_ca.c_str(), opt.key.empty() ? nullptr : &pair,
                                            nullptr, nullptr);
    }
    grpc_channel_args ca = {args.size(), args.data()};
    channel_ = grpc_channel_create(target.c_str(), creds, &ca);
    grpc_channel_credentials_release(creds);
}

Channel::~Channel()
{
    grpc_channel_destroy(channel_);
    grpc_shutdown();
}

Call::Call(const Channel &ch, const std::string &path, const Metadata &md, int deadline_ms)
    : details_(grpc_empty_slice())
{
    std::vector<grpc_metadata> items;
    cq_ = grpc_completion_queue_create_for_next(nullptr);
    grpc_slice method = grpc_slice_from_copied_string(path.c_str());
    call_ = grpc_channel_create_call(ch.get(), nullptr, GRPC_PROPAGATE_DEFAULTS, cq_, method,
                                     nullptr, after_ms(deadline_ms), nullptr);
    grpc_slice_unref(method);
    grpc_metadata_array_init(&headers_);
    grpc_metadata_array_init(&trailers_);
    for (const auto &kv : md) {
        grpc_metadata m = {};
        m.key = grpc_slice_from_copied_buffer(kv.first.data(), kv.first.size());
        m.value = grpc_slice_from_copied_buffer(kv.second.data(), kv.second.size());
        items.push_back(m);
    }
    grpc_op ops[2] = {};
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = items.size();
    ops[0].data.send_initial_metadata.metadata = items.data();
    ops[1].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[1].data.recv_status_on_client.trailing_metadata = &trailers_;
    ops[1].data.recv_status_on_client.status = &status_;
    ops[1].data.recv_status_on_client.status_details = &details_;
    grpc_call_start_batch(call_, ops, 1, &start_tag, nullptr);
    grpc_call_start_batch(call_, ops + 1, 1, &status_tag, nullptr);
    for (auto &m : items) {
        grpc_slice_unref(m.key);
        grpc_slice_unref(m.value);
    }
    wait(&start_tag);
}

Call::~Call()
{
    cancel();
    finish();
    grpc_completion_queue_shutdown(cq_);
    while (grpc_completion_queue_next(cq_, gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_call_unref(call_);
    grpc_completion_queue_destroy(cq_);
    grpc_metadata_array_destroy(&headers_);
    grpc_metadata_array_destroy(&trailers_);
    grpc_slice_unref(details_);
}

bool
Call::wait(void *tag)
{
    while (done_.count(tag) == 0) {
        grpc_event ev =
            grpc_completion_queue_next(cq_, gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr);
        if (ev.type != GRPC_OP_COMPLETE)
            return false;
        done_[ev.tag] = ev.success != 0;
    }
    bool ok = done_[tag];
    if (tag != &status_tag)
        done_.erase(tag);
    return ok;
}

bool
Call::run(grpc_op *ops, size_t n, void *tag)
{
    return grpc_call_start_batch(call_, ops, n, tag, nullptr) == GRPC_CALL_OK && wait(tag);
}

bool
Call::send(const std::string &bytes)
{
    grpc_slice s = grpc_slice_from_copied_buffer(bytes.data(), bytes.size());
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(&s, 1);
    grpc_op op = {};
    op.op = GRPC_OP_SEND_MESSAGE;
    op.data.send_message.send_message = bb;
    bool ok = run(&op, 1, &send_tag);
    grpc_byte_buffer_destroy(bb);
    grpc_slice_unref(s);
    return ok;
}

bool
Call::half_close()
{
    grpc_op op = {};
    op.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    return run(&op, 1, &close_tag);
}

void
Call::wait_headers()
{
    if (asked_headers_)
        return;
    asked_headers_ = true;
    grpc_op op = {};
    op.op = GRPC_OP_RECV_INITIAL_METADATA;
    op.data.recv_initial_metadata.recv_initial_metadata = &headers_;
    have_headers_ = run(&op, 1, &headers_tag);
    if (have_headers_)
        copy(headers_, &outcome_.headers);
}

std::optional<std::string>
Call::recv()
{
    wait_headers();
    grpc_op op = {};
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &received_;
    run(&op, 1, &recv_tag);
    if (!received_)
        return std::nullopt;
    return take_bytes(std::exchange(received_, nullptr));
}

void
Call::cancel()
{
    grpc_call_cancel(call_, nullptr);
}

const Outcome &
Call::finish()
{
    if (!finished_) {
        finished_ = true;
        wait_headers(); // without a reader for them core keeps the status back
        wait(&status_tag);
        outcome_.code = status_;
        outcome_.message = text_of(details_);
        copy(trailers_, &outcome_.trailers);
    }
    return outcome_;
}

Outcome
unary(const Channel &ch, const std::string &path, const std::string &request, const Metadata &md,
      int deadline_ms)
{
    Call call(ch, path, md, deadline_ms);
    call.send(request);
    call.half_close();
    std::optional<std::string> answer = call.recv();
    Outcome out = call.finish();
    out.answered = answer.has_value();
    out.body = answer.value_or("");
    return out;
}
