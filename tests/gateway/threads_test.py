#!/usr/bin/env python3
"""threads_test.py GATEWAY SERVER DESCRIPTORS: all kinds of clients at once, while servers come and go.

Fails when an answer is wrong, when the gateway does not stop by itself with status 0, and when a sanitizer has
reported anything of it. The servers are processes of their own, whose reports are not looked at.
"""
import base64
import glob
import http.client
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

SECONDS = 6
GATEWAY, SERVER, DESCRIPTORS = sys.argv[1:]
FOLDER = tempfile.mkdtemp(prefix="luna-threads-")
JSON = {"content-type": "application/json"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_server(port):
    env = dict(os.environ, TSAN_OPTIONS="report_bugs=0", ASAN_OPTIONS="detect_leaks=0")
    return subprocess.Popen([SERVER, f"--listen-address=127.0.0.1:{port}"], env=env, stderr=subprocess.DEVNULL)


class Gateway:
    def __init__(self, upstream):
        self.port = free_port()
        report = os.path.join(FOLDER, f"report-{self.port}")
        options = f"log_path={report} exitcode=66 "
        env = dict(os.environ, TSAN_OPTIONS=options + os.environ.get("TSAN_OPTIONS", ""), ASAN_OPTIONS=f"log_path={report}")
        self.process = subprocess.Popen(
            [GATEWAY, f"--listen-address=127.0.0.1:{self.port}", f"--upstream={upstream}", "--threads=3", "--heartbeat=100ms",
             f"--descriptors={DESCRIPTORS}", "--log-level=WARNING", "--drain-timeout=500ms"], env=env)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, path):
        c = self.connect()
        try:
            c.request("GET", path)
            return c.getresponse().status
        finally:
            c.close()

    def wait(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                if self.ask("/readyz") == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise SystemExit("the gateway is not ready")


def check(is_true, what):
    if not is_true:
        raise AssertionError(what)


def statuses(got, *allowed):
    check(got in allowed, f"status {got}, not one of {allowed}")


# ---- kinds of clients: each is one visit -----------------------------------------------------------------------------

def pages(g):
    c = g.connect()
    for path, status in (("/healthz", 200), ("/metrics", 200), ("/", 200), ("/openapi.json", 200), ("/nothing", 404)):
        c.request("GET", path)
        answer = c.getresponse()
        answer.read()
        statuses(answer.status, status)
    c.close()


def calls(g):
    c = g.connect()
    for _ in range(10):
        body = base64.b64encode(random.randbytes(random.choice((0, 10, 3000)))).decode()
        c.request("POST", "/echo", json.dumps({"body": body}), JSON)
        answer = c.getresponse()
        said = json.loads(answer.read())
        statuses(answer.status, 200, 503)
        check(answer.status != 200 or said["body"] == body, said)
    c.close()


def streams(g):
    c = g.connect()
    accept = {"accept": random.choice(("text/event-stream", "application/x-ndjson"))}
    c.request("GET", "/events?count=30&bytes=100&sleep_ms=2", headers=accept)
    answer = c.getresponse()
    said = answer.read()
    statuses(answer.status, 200, 503)
    check(answer.status != 200 or b"error" in said or said.count(b"body") == 30, said)
    c.close()


def leavers(g):
    """Leaves in the middle of an idle stream, by half or whole, or does not even look."""
    with socket.create_connection(("127.0.0.1", g.port)) as s:
        s.sendall(b"GET /events?count=1&bytes=9&forever=true HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        if random.random() < 0.7:
            s.recv(4096)
            time.sleep(random.random() * 0.3)
        if random.random() < 0.5:
            s.shutdown(socket.SHUT_WR)
            s.settimeout(20)
            while s.recv(4096):
                pass


def slow(g):
    """Takes a long answer slowly, and leaves in the middle."""
    with socket.create_connection(("127.0.0.1", g.port)) as s:
        s.sendall(b"GET /events?count=200&bytes=20000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for _ in range(random.randrange(20)):
            s.recv(20000)
            time.sleep(0.02)


def uploads(g):
    c = g.connect()
    lines = "".join(json.dumps({"body": "QUJD"}) + "\n" for _ in range(200))
    c.request("POST", "/upload", iter([lines[:1000].encode(), lines[1000:].encode()]),
              {"content-type": "application/x-ndjson"}, encode_chunked=True)
    answer = c.getresponse()
    said = json.loads(answer.read())
    statuses(answer.status, 200, 503)
    check(answer.status != 200 or said["count"] == 200, said)
    c.close()


def frame(text):
    mask, data = random.randbytes(4), text.encode()
    return bytes([0x81, 0x80 | 126]) + struct.pack(">H", len(data)) + mask + bytes(
        b ^ mask[i % 4] for i, b in enumerate(data))


def websockets(g):
    with socket.create_connection(("127.0.0.1", g.port), timeout=20) as s:
        s.sendall(b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        check(b" 101 " in s.recv(4096), "no handshake")
        for _ in range(random.randrange(30)):
            s.sendall(frame(json.dumps({"body": "A" * 200})))
            check(s.recv(4096) != b"", "it was closed")
        time.sleep(random.random() * 0.3)


KINDS = (pages, calls, calls, streams, leavers, leavers, slow, uploads, websockets)


def visit(kind, gateways, end, visits, wrong):
    while time.monotonic() < end and not wrong:
        try:
            kind(random.choice(gateways))
            visits[kind.__name__] = visits.get(kind.__name__, 0) + 1
        except AssertionError as e:
            if kind is not websockets:  # whose server may just have gone
                wrong.append(f"{kind.__name__}: {e}")
        except OSError as e:
            wrong.append(f"{kind.__name__}: {e!r}")


def load(gateways, ports, servers):
    end, visits, wrong = time.monotonic() + SECONDS, {}, []
    threads = [threading.Thread(target=visit, args=(kind, gateways, end, visits, wrong)) for kind in KINDS]
    for t in threads:
        t.start()
    while time.monotonic() < end - 1.5:  # the second server comes and goes
        time.sleep(1)
        servers[1].kill()
        servers[1].wait()
        time.sleep(0.3)
        servers[1] = start_server(ports[1])
    for t in threads:
        t.join()
    print(visits)
    wrong += [f"no {kind.__name__}" for kind in KINDS if not visits.get(kind.__name__)]
    return wrong


def stop(gateway):
    """In the middle of a stream."""
    with socket.create_connection(("127.0.0.1", gateway.port)) as s:
        s.sendall(b"GET /events?count=1&bytes=9&forever=true HTTP/1.1\r\nHost: x\r\n\r\n")
        s.recv(4096)
        gateway.process.send_signal(signal.SIGTERM)
        return gateway.process.wait(30)


def main():
    ports = [free_port(), free_port()]
    servers = [start_server(port) for port in ports]
    one = Gateway(f"127.0.0.1:{ports[0]}")
    two = Gateway(f"127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}")
    wrong = []
    try:
        for g in (one, two):
            g.wait()
        wrong = load((one, two), ports, servers)
        for g in (one, two):
            status = stop(g)
            if status != 0:
                wrong.append(f"the gateway ended with {status}")
    finally:
        for process in [g.process for g in (one, two)] + servers:
            process.kill()
            process.wait()
    for path in glob.glob(os.path.join(FOLDER, "report*")):
        with open(path, encoding="utf-8", errors="replace") as f:
            wrong.append(f.read()[:20000])
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
