"""./dev bench gateway: what REST costs beside the same calls over gRPC, the codec beside protobuf's own.

REST and gRPC have the same load: 64 connections with one call at a time on each, alternately, the median of
three. The load generator shares the machine with the gateway, the server and Postgres.
"""
import importlib
import importlib.util
import json
import os
import re
import statistics
import urllib.request

from bench_spine import FILTER, FILTER_100, GET_ACCOUNT, server_env, wait_healthy
from measure import Running, cpu_seconds, free_port, grpc_frame

CLIENTS = 64
FILTER_JSON = json.dumps({"results": [1120.0 + 7 * i for i in range(100)], "observation_variance": 15099,
                          "level_variance": 1469.1}).encode()
JSON = "content-type: application/json"
ROUNDS = 3


class Stack:
    """A server and a gateway in front of it. `rest` and `grpc` are their ports, `gateway_pid` the process."""

    def __init__(self, bench):
        self.rest, self.grpc = free_port(), free_port()
        self.key = f"x-api-key: {os.environ['LUNA_DEMO_KEY']}"
        self.server = Running([bench.program("luna-server")], env=server_env(self.grpc), port=self.grpc)
        self.gateway = Running(
            [bench.program("luna-gateway"), f"--listen-address=127.0.0.1:{self.rest}",
             f"--upstream=127.0.0.1:{self.grpc}", "--log-level=WARNING"], port=self.rest)

    def __enter__(self):
        self.server.__enter__()
        self.gateway.__enter__()
        return self

    def __exit__(self, *exc):
        self.gateway.__exit__(*exc)
        self.server.__exit__(*exc)

    @property
    def gateway_pid(self):
        return self.gateway.pid


def run(bench):
    with Stack(bench) as stack:
        wait_healthy(bench, stack.grpc)
        static(bench, stack)
        calls(bench, stack)
        latency(bench, stack)
        # The event streams are measured where they are tested.
        if importlib.util.find_spec("bench_gateway_streams"):
            importlib.import_module("bench_gateway_streams").run(bench, stack)
    codec(bench)


def median_of(*measures):
    """Runs the measures alternately; the median of each."""
    rounds = [[measure() for measure in measures] for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*rounds)]


def grpc_load(bench, stack, path, message, total):
    data = os.path.join(bench.scratch, "frame.bin")
    with open(data, "wb") as f:
        f.write(grpc_frame(message))
    args = ["-n", str(total), "-c", str(CLIENTS), "-m", "1", "-d", data, "-H", "content-type: application/grpc",
            "-H", "te: trailers", "-H", stack.key]
    return bench.h2load_run([*args, f"http://127.0.0.1:{stack.grpc}{path}"], total)


def static(bench, stack):
    port = free_port()
    threads = max(2, os.cpu_count())
    with Running([bench.program("mhd_bare"), f"--port={port}", f"--threads={threads}"], port=port):
        bare, ours = median_of(lambda: bench.h2load_http(port, "/healthz"),
                               lambda: bench.h2load_http(stack.rest, "/healthz"))
    bench.add("GET /healthz", ours, "req/s", bare, "libmicrohttpd's bare answer", reach=0.8)


def calls(bench, stack):
    headers = [stack.key, JSON]
    account = account_id(stack)
    total = 20000
    bench.h2load_http(stack.rest, "/api/v1/kalman:filter", FILTER_JSON, calls=5000, headers=headers)

    def rest_filter():
        return bench.h2load_http(stack.rest, "/api/v1/kalman:filter", FILTER_JSON, calls=total, headers=headers)

    grpc, rest = median_of(lambda: grpc_load(bench, stack, FILTER, FILTER_100, total), rest_filter)
    bench.add("Filter of 100 values through REST, 64 connections", rest, "req/s", grpc, "gRPC, 64 connections", reach=0.5)
    before = cpu_seconds(stack.gateway_pid)
    rest_filter()
    bench.add("  gateway CPU a call", (cpu_seconds(stack.gateway_pid) - before) / total * 1e6, "us")
    many = bench.h2load(stack.grpc, FILTER, FILTER_100, calls=3 * total, headers=[stack.key])
    bench.add("  gRPC, 8 connections with 50 calls at once on each", many, "req/s")

    def rest_account():
        return bench.h2load_http(stack.rest, f"/api/v1/accounts/{account}", calls=total, headers=[stack.key])

    grpc, rest = median_of(lambda: grpc_load(bench, stack, GET_ACCOUNT, b"", total), rest_account)
    bench.add("GetAccount through REST, 64 connections", rest, "req/s", grpc, "gRPC, 64 connections", reach=0.6)


def account_id(stack):
    request = urllib.request.Request(f"http://127.0.0.1:{stack.rest}{GET_ACCOUNT}", data=b"{}", method="POST",
                                     headers={"content-type": "application/json",
                                              "x-api-key": os.environ["LUNA_DEMO_KEY"]})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["account"]["account_id"]


def latency(bench, stack):
    """At 30 % of what REST can do, both: how much later the answer of the slowest hundredth comes."""
    headers = [stack.key, JSON]
    most = bench.h2load_http(stack.rest, "/api/v1/kalman:filter", FILTER_JSON, calls=10000, headers=headers)
    files = {}
    for name, content in (("grpc", FILTER_100), ("rest", FILTER_JSON)):
        files[name] = os.path.join(bench.scratch, name + ".body")
        with open(files[name], "wb") as f:
            f.write(content)

    def p99(name, port, path, *more):
        numbers = bench.print_numbers("paced_load", name, str(port), path, files[name], str(0.3 * most), "3", stack.key, *more)
        return numbers["p99"][0]

    grpc, rest = median_of(lambda: p99("grpc", stack.grpc, FILTER),
                           lambda: p99("rest", stack.rest, "/api/v1/kalman:filter", JSON))
    bench.add("Filter at 30 % load: p99 over gRPC", grpc, "ms")
    bench.add("Filter at 30 % load: p99 over REST", rest, "ms")
    bench.add("  latency that REST adds at p99", max(0, rest - grpc), "ms", at_most=1)


def codec(bench):
    out = bench.output("gateway_json_bench", 1)
    for name, ours, theirs in re.findall(r"^(.{28}) ours\s+([0-9.]+) us  json_util\s+([0-9.]+) us", out, re.M):
        goal = {"reach": 5} if re.match(r"parse 100 doubles|print 150 rows", name) else {}
        bench.add("codec: " + name.strip(), 1e6 / float(ours), "/s", 1e6 / float(theirs), "protobuf C++ json_util", **goal)
