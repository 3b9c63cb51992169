"""What a parked server stream costs: opens many and compares the server's resident memory.

    rpc_idle_streams.py SERVER [STREAMS]

Prints KiB a stream; fails above 32.
"""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "rpc"), os.path.join(HERE, "..", "fault")]

from rpc_h2 import DATA, END_HEADERS, END_STREAM, HEADERS, Connection, frame, grpc_message, \
    request_headers
from server_process import ServerProcess
from wire import encode

LIMIT_KIB = 32
PER_CONNECTION = 100


def main():
    program = sys.argv[1]
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else 10000
    headers = request_headers("/luna.testing.EchoService/Download")
    message = grpc_message(encode([(3, 1), (4, 10), (7, 1)]))  # one message of 10 bytes, then nothing
    with ServerProcess(program) as server:
        time.sleep(0.5)
        before = server.rss_kib()
        crowd = []
        for _ in range(wanted // PER_CONNECTION):
            c = Connection(server.port, timeout=10)
            for stream in range(1, 2 * PER_CONNECTION, 2):
                c.send(frame(HEADERS, END_HEADERS, stream, headers) +
                       frame(DATA, END_STREAM, stream, message))
            answered = set()
            for kind, _, stream, _ in c.frames():
                if kind == DATA:
                    answered.add(stream)
                    if len(answered) == PER_CONNECTION:
                        break
            if len(answered) != PER_CONNECTION:
                raise SystemExit(f"only {len(answered)} of {PER_CONNECTION} streams were answered")
            crowd.append(c)
        time.sleep(1)
        streams = len(crowd) * PER_CONNECTION
        each = (server.rss_kib() - before) / streams
        print(f"idle server {before / 1024:.1f} MiB; {streams} idle streams: {each:.1f} KiB each "
              f"(limit {LIMIT_KIB})")
        return 0 if each <= LIMIT_KIB else 1


if __name__ == "__main__":
    sys.exit(main())
