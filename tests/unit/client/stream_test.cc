/* The three kinds of streams, through the generated stubs. */
#include <atomic>
#include <cstdlib>
#include <thread>

#include "unit/client/fixture.h"

namespace
{

using Answer = const Grpc__Testing__StreamingOutputCallResponse *;

std::string
body_of(Answer m)
{
    return std::string(reinterpret_cast<const char *>(m->payload->body.data), m->payload->body.len);
}

/* An encoded StreamingOutputCallRequest or InputCallRequest with `body`, for streams that echo. */
luna_code
send_body(luna_stream *s, std::string body)
{
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
    Grpc__Testing__StreamingOutputCallRequest m =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    payload.body = {body.size(), reinterpret_cast<uint8_t *>(body.data())};
    m.payload = &payload;
    return luna_grpc_testing_test_full_duplex_call_send(s, &m);
}

/* Sends each message's payload back. */
void
echo_all(script_call *c)
{
    size_t size;
    while (uint8_t *bytes = script_recv(c, &size)) {
        auto *m = grpc__testing__streaming_output_call_request__unpack(nullptr, size, bytes);
        free(bytes);
        std::string body;
        if (m->payload)
            body.assign(reinterpret_cast<char *>(m->payload->body.data), m->payload->body.len);
        grpc__testing__streaming_output_call_request__free_unpacked(m, nullptr);
        std::string out = response(body);
        if (!script_send(c, out.data(), out.size()))
            break;
    }
    script_finish(c, 0, "", nullptr, 0);
}

/* Sends `n` messages "0", "1", ... and ends with `code`. */
Script
count_to(int n, int code)
{
    return [=](script_call *c) {
        size_t size;
        free(script_recv(c, &size));
        for (int i = 0; i < n; i++) {
            std::string out = response(std::to_string(i));
            if (!script_send(c, out.data(), out.size()))
                break;
        }
        script_finish(c, code, "the end", nullptr, 0);
    };
}

luna_stream *
open_download(luna_channel *channel, const luna_call_options *options = nullptr)
{
    Grpc__Testing__StreamingOutputCallRequest request =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    return luna_grpc_testing_test_streaming_output_call(channel, options, &request);
}

TEST(Stream, ServerSends)
{
    Server server(count_to(1000, 0));
    Channel channel(server.target());
    luna_stream *s = open_download(channel);
    Answer m;
    for (int i = 0; i < 1000; i++) {
        ASSERT_EQ(luna_grpc_testing_test_streaming_output_call_recv(s, &m), LUNA_OK);
        EXPECT_EQ(body_of(m), std::to_string(i));
    }
    EXPECT_EQ(luna_grpc_testing_test_streaming_output_call_recv(s, &m), LUNA_END);
    EXPECT_EQ(m, nullptr);
    EXPECT_EQ(luna_grpc_testing_test_streaming_output_call_recv(s, &m), LUNA_END);
    luna_reply *reply;
    EXPECT_EQ(luna_stream_finish(s, &reply), LUNA_OK);
    EXPECT_EQ(luna_reply_code(reply), LUNA_OK);
    luna_reply_free(reply);
    luna_stream_free(s);
}

TEST(Stream, FailsAfterSomeMessages)
{
    Server server(count_to(3, LUNA_DATA_LOSS));
    Channel channel(server.target());
    luna_stream *s = open_download(channel);
    Answer m;
    for (int i = 0; i < 3; i++)
        ASSERT_EQ(luna_grpc_testing_test_streaming_output_call_recv(s, &m), LUNA_OK);
    EXPECT_EQ(luna_grpc_testing_test_streaming_output_call_recv(s, &m), LUNA_DATA_LOSS);
    luna_reply *reply;
    EXPECT_EQ(luna_stream_finish(s, &reply), LUNA_DATA_LOSS);
    EXPECT_STREQ(luna_reply_text(reply), "DATA_LOSS: the end");
    luna_reply_free(reply);
    luna_stream_free(s);
}

TEST(Stream, FinishDropsWhatWasNotRead)
{
    Server server(count_to(500, 0));
    Channel channel(server.target());
    luna_stream *s = open_download(channel);
    EXPECT_EQ(luna_stream_finish(s, nullptr), LUNA_OK);
    luna_stream_free(s);
}

TEST(Stream, ClientSends)
{
    Server server([](script_call *c) {
        size_t size, total = 0;
        while (uint8_t *bytes = script_recv(c, &size)) {
            free(bytes);
            total++;
        }
        Grpc__Testing__StreamingInputCallResponse m =
            GRPC__TESTING__STREAMING_INPUT_CALL_RESPONSE__INIT;
        m.aggregated_payload_size = static_cast<int32_t>(total);
        uint8_t out[16];
        script_send(c, out, grpc__testing__streaming_input_call_response__pack(&m, out));
        script_finish(c, 0, "", nullptr, 0);
    });
    Channel channel(server.target());
    luna_stream *s = luna_grpc_testing_test_streaming_input_call(channel, nullptr);
    Grpc__Testing__StreamingInputCallRequest m = GRPC__TESTING__STREAMING_INPUT_CALL_REQUEST__INIT;
    for (int i = 0; i < 300; i++)
        ASSERT_EQ(luna_grpc_testing_test_streaming_input_call_send(s, &m), LUNA_OK);
    luna_reply *reply;
    const Grpc__Testing__StreamingInputCallResponse *response;
    EXPECT_EQ(luna_grpc_testing_test_streaming_input_call_finish(s, &reply, &response), LUNA_OK);
    ASSERT_NE(response, nullptr);
    luna_stream_free(s);
    EXPECT_EQ(response->aggregated_payload_size, 300) << "the response lives in the reply";
    luna_reply_free(reply);
}

TEST(Stream, ClientLearnsThatTheServerEndedEarly)
{
    Server server([](script_call *c) { script_finish(c, 8, "enough", nullptr, 0); });
    Channel channel(server.target());
    luna_stream *s = luna_grpc_testing_test_streaming_input_call(channel, nullptr);
    Grpc__Testing__StreamingInputCallRequest m = GRPC__TESTING__STREAMING_INPUT_CALL_REQUEST__INIT;
    luna_code code = LUNA_OK;
    for (int i = 0; i < 1000000 && code == LUNA_OK; i++)
        code = luna_grpc_testing_test_streaming_input_call_send(s, &m);
    EXPECT_EQ(code, LUNA_END);
    luna_reply *reply;
    const Grpc__Testing__StreamingInputCallResponse *response;
    EXPECT_EQ(luna_grpc_testing_test_streaming_input_call_finish(s, &reply, &response),
              LUNA_RESOURCE_EXHAUSTED);
    EXPECT_EQ(response, nullptr);
    EXPECT_STREQ(luna_reply_message(reply), "enough");
    luna_reply_free(reply);
    luna_stream_free(s);
}

TEST(Stream, BothSendInTurn)
{
    Server server(echo_all);
    Channel channel(server.target());
    luna_stream *s = luna_grpc_testing_test_full_duplex_call(channel, nullptr);
    Answer m;
    for (int i = 0; i < 100; i++) {
        std::string text = "ping " + std::to_string(i);
        ASSERT_EQ(send_body(s, text), LUNA_OK);
        ASSERT_EQ(luna_grpc_testing_test_full_duplex_call_recv(s, &m), LUNA_OK);
        EXPECT_EQ(body_of(m), text);
    }
    luna_stream_close_send(s);
    luna_stream_close_send(s);
    EXPECT_EQ(send_body(s, "late"), LUNA_FAILED_PRECONDITION);
    EXPECT_EQ(luna_grpc_testing_test_full_duplex_call_recv(s, &m), LUNA_END);
    luna_stream_free(s);
}

TEST(Stream, OneThreadSendsWhileAnotherReceives)
{
    Server server(echo_all);
    Channel channel(server.target());
    luna_stream *s = luna_grpc_testing_test_full_duplex_call(channel, nullptr);
    const int n = 2000;
    std::thread sender([&] {
        for (int i = 0; i < n; i++)
            ASSERT_EQ(send_body(s, std::to_string(i)), LUNA_OK);
        luna_stream_close_send(s);
    });
    Answer m;
    int received = 0;
    while (luna_grpc_testing_test_full_duplex_call_recv(s, &m) == LUNA_OK)
        EXPECT_EQ(body_of(m), std::to_string(received++));
    sender.join();
    EXPECT_EQ(received, n);
    EXPECT_EQ(luna_stream_finish(s, nullptr), LUNA_OK);
    luna_stream_free(s);
}

TEST(Stream, IsCancelledFromAnotherThread)
{
    std::atomic<bool> arrived{false}, cancelled{false};
    {
        Server server([&](script_call *c) {
            arrived = true;
            cancelled = script_wait_cancelled(c);
        });
        Channel channel(server.target());
        luna_stream *s = open_download(channel);
        std::thread other([&] {
            while (!arrived)
                std::this_thread::yield();
            luna_stream_cancel(s);
        });
        Answer m;
        EXPECT_EQ(luna_grpc_testing_test_streaming_output_call_recv(s, &m), LUNA_CANCELLED);
        other.join();
        luna_stream_free(s);
    }
    EXPECT_TRUE(cancelled);
}

TEST(Stream, FreeCancels)
{
    std::atomic<bool> cancelled{false};
    {
        Server server([&](script_call *c) {
            std::string out = response("x");
            script_send(c, out.data(), out.size());
            cancelled = script_wait_cancelled(c);
        });
        Channel channel(server.target());
        luna_stream *s = open_download(channel);
        Answer m;
        EXPECT_EQ(luna_grpc_testing_test_streaming_output_call_recv(s, &m), LUNA_OK);
        luna_stream_free(s);
    }
    EXPECT_TRUE(cancelled);
}

TEST(Stream, HasADeadlineAndAToken)
{
    Server server([](script_call *c) { script_wait_cancelled(c); });
    Channel channel(server.target());
    luna_call_options options = {};
    options.timeout_ms = 50;
    luna_stream *s = open_download(channel, &options);
    EXPECT_EQ(luna_stream_finish(s, nullptr), LUNA_DEADLINE_EXCEEDED);
    luna_stream_free(s);

    luna_cancel *token = luna_cancel_new();
    options = {};
    options.cancel = token;
    s = open_download(channel, &options);
    luna_cancel_now(token);
    EXPECT_EQ(luna_stream_finish(s, nullptr), LUNA_CANCELLED);
    luna_stream_free(s);
    luna_cancel_free(token);
}

TEST(Stream, MessagesThatAreNone)
{
    Server server([](script_call *c) {
        script_send(c, "\xff\xff\xff", 3);
        script_wait_cancelled(c);
    });
    Channel channel(server.target());
    luna_stream *s = open_download(channel);
    Answer m;
    EXPECT_EQ(luna_grpc_testing_test_streaming_output_call_recv(s, &m), LUNA_INTERNAL);
    luna_reply *reply;
    EXPECT_EQ(luna_stream_finish(s, &reply), LUNA_INTERNAL);
    EXPECT_STREQ(luna_reply_message(reply),
                 "the response is not a valid grpc.testing.StreamingOutputCallResponse");
    luna_reply_free(reply);
    luna_stream_free(s);
}

} // namespace
