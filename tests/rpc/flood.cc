#include "flood.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include <stdexcept>

namespace
{
class Slot
{
  public:
    void start(const Flood &f, grpc_channel *channel, void *method, grpc_completion_queue *cq,
               grpc_slice request, std::vector<grpc_metadata> &metadata)
    {
        grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&request, 1);
        gpr_timespec deadline =
            gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(20, GPR_TIMESPAN));
        call_ = grpc_channel_create_registered_call(channel, nullptr, GRPC_PROPAGATE_DEFAULTS, cq,
                                                    method, deadline, nullptr);
        grpc_metadata_array_init(&headers_);
        grpc_metadata_array_init(&trailers_);
        answer_ = nullptr;
        grpc_op ops[6] = {};
        ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
        ops[0].data.send_initial_metadata.count = metadata.size();
        ops[0].data.send_initial_metadata.metadata = metadata.data();
        ops[1].op = GRPC_OP_SEND_MESSAGE;
        ops[1].data.send_message.send_message = message;
        ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
        ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
        ops[3].data.recv_initial_metadata.recv_initial_metadata = &headers_;
        ops[4].op = GRPC_OP_RECV_MESSAGE;
        ops[4].data.recv_message.recv_message = &answer_;
        ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
        ops[5].data.recv_status_on_client.trailing_metadata = &trailers_;
        ops[5].data.recv_status_on_client.status = &status_;
        ops[5].data.recv_status_on_client.status_details = &details_;
        if (grpc_call_start_batch(call_, ops, 6, this, nullptr) != GRPC_CALL_OK)
            throw std::runtime_error("a call of " + f.path + " could not be started");
        grpc_byte_buffer_destroy(message); /* core has emptied it */
    }

    void end(const Flood &f)
    {
        std::string body = answer_ ? take_bytes(answer_) : "";
        grpc_metadata_array_destroy(&headers_);
        grpc_metadata_array_destroy(&trailers_);
        grpc_slice_unref(details_);
        grpc_call_unref(call_);
        f.ended(status_, body);
    }

    size_t channel = 0;

  private:
    grpc_call *call_ = nullptr;
    grpc_byte_buffer *answer_ = nullptr;
    grpc_metadata_array headers_, trailers_;
    grpc_status_code status_ = GRPC_STATUS_UNKNOWN;
    grpc_slice details_;
};

grpc_slice
slice_of(const std::string &s)
{
    return grpc_slice_from_copied_buffer(s.data(), s.size());
}
} // namespace

void
Flood::run(const std::vector<std::unique_ptr<Channel>> &channels, int64_t calls) const
{
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(nullptr);
    grpc_slice bytes = slice_of(request);
    std::vector<grpc_metadata> md;
    for (const auto &kv : metadata) {
        md.emplace_back();
        md.back().key = slice_of(kv.first);
        md.back().value = slice_of(kv.second);
    }
    std::vector<void *> methods;
    for (const auto &channel : channels)
        methods.push_back(
            grpc_channel_register_call(channel->get(), path.c_str(), nullptr, nullptr));
    std::vector<Slot> slots(channels.size() * static_cast<size_t>(in_flight));
    int64_t started = 0;
    int64_t under_way = 0;
    auto go = [&](Slot &s) {
        if (started >= calls)
            return;
        started++;
        under_way++;
        s.start(*this, channels[s.channel]->get(), methods[s.channel], cq, bytes, md);
    };
    for (size_t i = 0; i < slots.size(); i++) {
        slots[i].channel = i % channels.size();
        go(slots[i]);
    }
    while (under_way > 0) {
        grpc_event e = grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr);
        auto *s = static_cast<Slot *>(e.tag);
        under_way--;
        s->end(*this);
        go(*s);
    }
    for (grpc_metadata &m : md) {
        grpc_slice_unref(m.key);
        grpc_slice_unref(m.value);
    }
    grpc_slice_unref(bytes);
    grpc_completion_queue_shutdown(cq);
    while (grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(cq);
}
