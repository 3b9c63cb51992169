/* CountsService as tests call it: a floor plan, readings and counts, by the C client. */
#ifndef LUNA_TESTS_COUNTS_CLIENT_H
#define LUNA_TESTS_COUNTS_CLIENT_H

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "luna/v1/counts.client.h"
#include "support/luna_channel.h"

class counts_client
{
  public:
    counts_client(const std::string &target, const std::string &key, unsigned attempts = 4)
    {
        luna_channel_options options = {};
        options.target = target.c_str();
        options.api_key = key.c_str();
        options.timeout_ms = 10000;
        options.max_attempts = attempts;
        channel_.reset(luna_channel_new(&options, nullptr));
    }

    luna_channel *channel() const
    {
        return channel_.get();
    }

    /* outside -> A by the front door with DPU 283, B -> A by the inner one with DPU 423. */
    void make_floor()
    {
        a = create_space("A");
        b = create_space("B");
        front = create_doorway("front", a, 0);
        inner = create_doorway("inner", a, b);
        hang(283, front);
        hang(423, inner);
    }

    int64_t create_space(const char *name)
    {
        Luna__V1__CreateSpaceRequest req = LUNA__V1__CREATE_SPACE_REQUEST__INIT;
        req.name = const_cast<char *>(name);
        const Luna__V1__CreateSpaceResponse *resp = nullptr;
        luna_reply *reply = nullptr;
        last = luna_counts_create_space(channel(), nullptr, &req, &reply, &resp);
        EXPECT_EQ(last, LUNA_OK) << luna_reply_text(reply);
        const int64_t id = resp ? resp->space->space_id : 0;
        luna_reply_free(reply);
        return id;
    }

    int64_t create_doorway(const char *name, int64_t into, int64_t out_of)
    {
        Luna__V1__CreateDoorwayRequest req = LUNA__V1__CREATE_DOORWAY_REQUEST__INIT;
        req.name = const_cast<char *>(name);
        req.ingress_space_id = into;
        req.egress_space_id = out_of;
        const Luna__V1__CreateDoorwayResponse *resp = nullptr;
        luna_reply *reply = nullptr;
        last = luna_counts_create_doorway(channel(), nullptr, &req, &reply, &resp);
        const int64_t id = resp ? resp->doorway->doorway_id : 0;
        luna_reply_free(reply);
        return id;
    }

    /* The assignment's id. */
    int64_t hang(int64_t dpu, int64_t doorway)
    {
        Luna__V1__CreateDpuRequest made = LUNA__V1__CREATE_DPU_REQUEST__INIT;
        Luna__V1__CreateAssignmentRequest hung = LUNA__V1__CREATE_ASSIGNMENT_REQUEST__INIT;
        const Luna__V1__CreateDpuResponse *dpu_resp;
        const Luna__V1__CreateAssignmentResponse *resp;
        luna_reply *reply = nullptr;
        made.dpu_id = hung.dpu_id = dpu;
        hung.doorway_id = doorway;
        EXPECT_EQ(luna_counts_create_dpu(channel(), nullptr, &made, &reply, &dpu_resp), LUNA_OK)
            << luna_reply_text(reply);
        luna_reply_free(reply);
        last = luna_counts_create_assignment(channel(), nullptr, &hung, &reply, &resp);
        EXPECT_EQ(last, LUNA_OK) << luna_reply_text(reply);
        const int64_t id = last == LUNA_OK ? resp->assignment->assignment_id : 0;
        luna_reply_free(reply);
        return id;
    }

    luna_code put(int64_t dpu, int64_t at_us, int direction, const std::string &event = "")
    {
        Luna__V1__CreateReadingRequest req = LUNA__V1__CREATE_READING_REQUEST__INIT;
        Google__Protobuf__Timestamp ts = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
        const Luna__V1__CreateReadingResponse *resp = nullptr;
        luna_reply *reply = nullptr;
        ts.seconds = at_us / 1000000;
        ts.nanos = static_cast<int32_t>(at_us % 1000000 * 1000);
        req.dpu_id = dpu;
        req.timestamp = &ts;
        req.direction = direction;
        req.event_id = const_cast<char *>(event.c_str());
        last = luna_counts_create_reading(channel(), nullptr, &req, &reply, &resp);
        why = last == LUNA_OK ? "" : luna_reply_reason(reply);
        luna_reply_free(reply);
        return last;
    }

    /* INT64_MIN: the call failed, see `last` and `why`. */
    int64_t current(int64_t space)
    {
        Luna__V1__GetCurrentCountRequest req = LUNA__V1__GET_CURRENT_COUNT_REQUEST__INIT;
        const Luna__V1__GetCurrentCountResponse *resp = nullptr;
        luna_reply *reply = nullptr;
        req.space_id = space;
        last = luna_counts_get_current_count(channel(), nullptr, &req, &reply, &resp);
        why = last == LUNA_OK ? "" : luna_reply_reason(reply);
        const int64_t n = resp ? resp->count : INT64_MIN;
        luna_reply_free(reply);
        return n;
    }

    int64_t a = 0, b = 0, front = 0, inner = 0;
    luna_code last = LUNA_OK;
    std::string why;

  private:
    channel_ptr channel_;
};

/* Messages of readings for IngestReadings, with their memory. */
class reading_batch
{
  public:
    void add(int64_t dpu, int64_t at_us, int direction, const std::string &event)
    {
        items_.push_back(std::make_unique<item>());
        item &i = *items_.back();
        i.event = event;
        luna__v1__reading__init(&i.reading);
        google__protobuf__timestamp__init(&i.ts);
        i.ts.seconds = at_us / 1000000;
        i.ts.nanos = static_cast<int32_t>(at_us % 1000000 * 1000);
        i.reading.dpu_id = dpu;
        i.reading.timestamp = &i.ts;
        i.reading.direction = direction;
        i.reading.event_id = const_cast<char *>(i.event.c_str());
        pointers_.push_back(&i.reading);
    }

    template <typename Request> void fill(Request *req)
    {
        req->readings = pointers_.data();
        req->n_readings = pointers_.size();
    }

  private:
    struct item {
        Luna__V1__Reading reading;
        Google__Protobuf__Timestamp ts;
        std::string event;
    };
    std::vector<std::unique_ptr<item>> items_;
    std::vector<Luna__V1__Reading *> pointers_;
};

#endif
