"""Answers of one loop turn leave in few TCP segments, and all of them arrive.

    cork_test.py SERVER
"""
import os
import socket
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "fault"))

from rpc_h2 import (ACK, DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, Connection, frame, grpc_message,
                    request_headers)
from server_process import ServerProcess
from wire import encode

ECHO = "/luna.testing.EchoService/Echo"
CALLS = 40
ROUNDS = 50
TCPI_DATA_SEGS_IN = 152  # its place in struct tcp_info of linux/tcp.h


def segments_in(c):
    info = c.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("=I", info, TCPI_DATA_SEGS_IN)[0]


def burst(c, first):
    """CALLS calls in one write. Returns the segments that their answers came in."""
    message = grpc_message(encode([(1, b"one of many")]))
    before = segments_in(c)
    c.send(b"".join(frame(HEADERS, END_HEADERS, s, request_headers(ECHO)) + frame(DATA, END_STREAM, s, message)
                    for s in range(first, first + 2 * CALLS, 2)))
    data, ended = {}, set()
    for kind, flags, stream, payload in c.frames():
        if kind == SETTINGS and not flags & ACK:
            c.send(frame(SETTINGS, ACK))
        if kind == DATA:
            data[stream] = data.get(stream, b"") + payload
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            ended.add(stream)
        if len(ended) == CALLS:
            break
    if len(ended) != CALLS or any(data.get(s) != message for s in ended):
        raise AssertionError(f"{len(ended)} of {CALLS} calls were answered")
    return segments_in(c) - before


def main():
    with ServerProcess(sys.argv[1]) as server, Connection(server.port) as c:
        counts = [burst(c, 1 + 2 * CALLS * n) for n in range(ROUNDS)]
    print(f"segments for {CALLS} answers: {sorted(counts)}")
    # How many calls a turn finds depends on the machine; without corking most rounds take CALLS segments.
    if sorted(counts)[ROUNDS // 2] > CALLS / 2:
        raise AssertionError("most bursts were answered in more segments than half their calls")


main()
