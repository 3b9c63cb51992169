"""gRPC's interoperability cases, played by Python's grpcio against the wrapper's server.

    interop_client.py INTEROP_SERVER

The cases are those of grpc/doc/interop-test-descriptions.md.
"""
import sys
import threading
import time

import grpc

from server_process import ServerProcess
from wire import decode, encode, first

SERVICE = "grpc.testing.TestService"
LARGE_REQUEST, LARGE_RESPONSE = 271828, 314159
REQUEST_SIZES = (27182, 8, 1828, 45904)
RESPONSE_SIZES = (31415, 9, 2653, 58979)
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"


def check(actual, expected, what="value"):
    if actual != expected:
        raise AssertionError(f"{what}: {str(actual)[:200]!r}, not {str(expected)[:200]!r}")


def payload(size):
    return [(2, bytes(size))]


def simple(size=0, body=None, status=None, compressed=None, expect=None):
    fields = [(2, size)]
    if body is not None:
        fields.append((3, payload(body)))
    if compressed is not None:
        fields.append((6, [(1, compressed)]))
    if status is not None:
        fields.append((7, [(1, status[0]), (2, status[1])]))
    if expect is not None:
        fields.append((8, [(1, expect)]))
    return encode(fields)


def streaming(sizes, body=None, status=None, interval_us=0, compressed=None):
    fields = []
    for i, size in enumerate(sizes):
        parameters = [(1, size), (2, interval_us)]
        if compressed is not None:
            parameters.append((3, [(1, compressed[i])]))
        fields.append((2, parameters))
    if body is not None:
        fields.append((3, payload(body)))
    if status is not None:
        fields.append((7, [(1, status[0]), (2, status[1])]))
    return encode(fields)


def body_size(message):
    return len(first(message, 1, 2))


class Stub:
    def __init__(self, channel, service=SERVICE):
        def path(name):
            return f"/{service}/{name}"
        self.empty = channel.unary_unary(path("EmptyCall"))
        self.unary = channel.unary_unary(path("UnaryCall"))
        self.cacheable = channel.unary_unary(path("CacheableUnaryCall"))
        self.output = channel.unary_stream(path("StreamingOutputCall"))
        self.input = channel.stream_unary(path("StreamingInputCall"))
        self.duplex = channel.stream_stream(path("FullDuplexCall"))
        self.half_duplex = channel.stream_stream(path("HalfDuplexCall"))
        self.unimplemented = channel.unary_unary(path("UnimplementedCall"))


class Pipe:
    """An iterator of requests that is fed by hand."""

    def __init__(self):
        self.ready = threading.Condition()
        self.items = []
        self.open = True

    def add(self, item):
        with self.ready:
            self.items.append(item)
            self.ready.notify()

    def close(self):
        with self.ready:
            self.open = False
            self.ready.notify()

    def __iter__(self):
        return self

    def __next__(self):
        with self.ready:
            while not self.items and self.open:
                self.ready.wait()
            if self.items:
                return self.items.pop(0)
            raise StopIteration


def fails(call, code, message=None):
    try:
        call()
    except grpc.RpcError as e:
        check(e.code(), code, "code")
        if message is not None:
            check(e.details(), message, "message")
        return e
    raise AssertionError(f"{code} was expected")


def empty_unary(stub, _):
    check(stub.empty(b""), b"")


def cacheable_unary(stub, _):
    body, call = stub.cacheable.with_call(simple(10))
    check(body_size(body), 10)
    check(dict(call.initial_metadata())["cache-control"], "max-age=60, public")


def large_unary(stub, _):
    check(body_size(stub.unary(simple(LARGE_RESPONSE, LARGE_REQUEST))), LARGE_RESPONSE)


def client_streaming(stub, _):
    total = first(stub.input(encode([(1, payload(n))]) for n in REQUEST_SIZES), 1, default=0)
    check(total, 74922)


def server_streaming(stub, _):
    check([body_size(m) for m in stub.output(streaming(RESPONSE_SIZES))], list(RESPONSE_SIZES))


def ping_pong(stub, _):
    pipe = Pipe()
    call = stub.duplex(pipe)
    for size, body in zip(RESPONSE_SIZES, REQUEST_SIZES):
        pipe.add(streaming([size], body))
        check(body_size(next(call)), size)
    pipe.close()
    check(list(call), [])
    check(call.code(), grpc.StatusCode.OK)


def half_duplex(stub, _):
    call = stub.half_duplex(iter([streaming([n]) for n in RESPONSE_SIZES]))
    check([body_size(m) for m in call], list(RESPONSE_SIZES))


def empty_stream(stub, _):
    check(list(stub.duplex(iter(()))), [])


def cancel_after_begin(stub, _):
    pipe = Pipe()
    call = stub.input.future(pipe)
    call.cancel()
    check(call.cancelled(), True)
    check(call.code(), grpc.StatusCode.CANCELLED)
    pipe.close()


def cancel_after_first_response(stub, _):
    pipe = Pipe()
    call = stub.duplex(pipe)
    pipe.add(streaming(RESPONSE_SIZES[:1], REQUEST_SIZES[0]))
    check(body_size(next(call)), RESPONSE_SIZES[0])
    call.cancel()
    fails(lambda: next(call), grpc.StatusCode.CANCELLED)
    pipe.close()


def timeout_on_sleeping_server(stub, _):
    pipe = Pipe()
    call = stub.duplex(pipe, timeout=0.001)
    pipe.add(streaming([1], REQUEST_SIZES[0], interval_us=1000000))
    fails(lambda: next(call), grpc.StatusCode.DEADLINE_EXCEEDED)
    pipe.close()


def custom_metadata(stub, _):
    initial = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
    trailing = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
    _, call = stub.unary.with_call(simple(1, 1), metadata=(initial, trailing))
    check(dict(call.initial_metadata())[initial[0]], initial[1])
    check(dict(call.trailing_metadata())[trailing[0]], trailing[1])
    call = stub.duplex(iter([streaming([1], 1)]), metadata=(initial, trailing))
    check(len(list(call)), 1)
    check(dict(call.initial_metadata())[initial[0]], initial[1])
    check(dict(call.trailing_metadata())[trailing[0]], trailing[1])


def status_code_and_message(stub, _):
    status = (2, "test status message")
    fails(lambda: stub.unary(simple(1, 1, status)), grpc.StatusCode.UNKNOWN, status[1])
    fails(lambda: list(stub.duplex(iter([streaming([1], 1, status)]))), grpc.StatusCode.UNKNOWN,
          status[1])


def special_status_message(stub, _):
    fails(lambda: stub.unary(simple(1, 1, (2, SPECIAL))), grpc.StatusCode.UNKNOWN, SPECIAL)


def unimplemented_method(stub, _):
    fails(lambda: stub.unimplemented(b""), grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_service(_, channel):
    other = Stub(channel, "grpc.testing.UnimplementedService")
    fails(lambda: other.unimplemented(b""), grpc.StatusCode.UNIMPLEMENTED)


def client_compressed_unary(stub, _):
    fails(lambda: stub.unary(simple(LARGE_RESPONSE, LARGE_REQUEST, expect=True)),
          grpc.StatusCode.INVALID_ARGUMENT)
    for how in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        answer = stub.unary(simple(LARGE_RESPONSE, LARGE_REQUEST, expect=True), compression=how)
        check(body_size(answer), LARGE_RESPONSE)
    check(body_size(stub.unary(simple(LARGE_RESPONSE, LARGE_REQUEST, expect=False))), LARGE_RESPONSE)


def server_compressed_unary(stub, _):
    for compressed in (True, False):
        answer = stub.unary(simple(LARGE_RESPONSE, LARGE_REQUEST, compressed=compressed))
        check(body_size(answer), LARGE_RESPONSE)


def client_compressed_streaming(stub, _):
    def message(size, expect):
        return encode([(1, payload(size)), (2, [(1, expect)])])
    fails(lambda: stub.input(iter([message(27182, True)])), grpc.StatusCode.INVALID_ARGUMENT)
    answer = stub.input(iter([message(27182, True), message(45904, True)]),
                        compression=grpc.Compression.Gzip)
    check(first(answer, 1, default=0), 73086)


def server_compressed_streaming(stub, _):
    call = stub.output(streaming([31415, 92653], compressed=[True, False]))
    check([body_size(m) for m in call], [31415, 92653])


def details_arrive(stub, _):
    e = fails(lambda: stub.unimplemented(b""), grpc.StatusCode.UNIMPLEMENTED)
    details = dict(e.trailing_metadata())["grpc-status-details-bin"]
    check(first(details, 1, default=0), 12, "code")
    info = first(details, 3, 2)
    check((first(info, 1), first(info, 2)), (b"METHOD_NOT_FOUND", b"luna"))


def health_check(_, channel):
    check_ = channel.unary_unary("/grpc.health.v1.Health/Check")
    check(first(check_(encode([(1, SERVICE)])), 1, default=0), 1)
    fails(lambda: check_(encode([(1, "nobody")])), grpc.StatusCode.NOT_FOUND)


def reflection(_, channel):
    for version in ("v1", "v1alpha"):
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
        answers = list(ask(iter([encode([(7, "")]), encode([(4, SERVICE)])])))
        names = [first(s, 1) for s in decode(first(answers[0], 6))[1]]
        assert SERVICE.encode() in names, names
        files = decode(first(answers[1], 4))[1]
        check(first(files[0], 1), b"grpc/testing/test.proto")


def rpc_soak(stub, _):
    for _ in range(500):
        check(body_size(stub.unary(simple(1000, 1000))), 1000)


def channel_soak(_, channel, address=None):
    for _ in range(50):
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as ch:
            check(body_size(Stub(ch).unary(simple(1000, 1000))), 1000)


CASES = (empty_unary, cacheable_unary, large_unary, client_streaming, server_streaming, ping_pong,
         half_duplex, empty_stream, cancel_after_begin, cancel_after_first_response,
         timeout_on_sleeping_server, custom_metadata, status_code_and_message,
         special_status_message, unimplemented_method, unimplemented_service,
         client_compressed_unary, server_compressed_unary, client_compressed_streaming,
         server_compressed_streaming, details_arrive, health_check, reflection, rpc_soak)


def play(name, fn):
    begun = time.monotonic()
    try:
        fn()
    except Exception as e:  # one case must not hide the others
        print(f"FAILED {name}: {type(e).__name__}: {e}")
        return False
    print(f"ok     {name} ({(time.monotonic() - begun) * 1000:.0f} ms)")
    return True


def main():
    ok = True
    with ServerProcess(sys.argv[1], "--compression=true") as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = Stub(channel)
            for case in CASES:
                ok &= play(case.__name__, lambda: case(stub, channel))
        ok &= play("channel_soak", lambda: channel_soak(None, None, server.address))
        status, err = server.stop()
        ok &= play("orderly_stop", lambda: check(status, 0, err))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
