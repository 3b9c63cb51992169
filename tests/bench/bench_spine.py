"""./dev bench spine: the wrapper, the first methods, memory and start."""
import os
import signal
import statistics
import subprocess
import time

from measure import (Running, cpu_seconds, field_bytes, field_double, free_port, packed_doubles, rss_bytes,
                     wait_for_port)

ECHO = "/luna.testing.EchoService/Echo"
FILTER = "/luna.v1.KalmanService/Filter"
GET_ACCOUNT = "/luna.v1.QuotaService/GetAccount"
FILTER_100 = packed_doubles(2, [1120.0 + 7 * i for i in range(100)]) + field_double(3, 15099) + field_double(4, 1469.1)


def server_env(port, **more):
    return {"LUNA_LISTEN_ADDRESS": f"127.0.0.1:{port}", "LUNA_ADMIN_ADDRESS": "", "LOG_LEVEL": "WARNING", **more}


def run(bench):
    runtime(bench)
    wrapper(bench)
    methods(bench)
    streams(bench)
    start(bench)


def runtime(bench):
    for name, (value, unit) in bench.print_numbers("run_bench").items():
        bench.add("runtime: " + name.replace("_", " "), value, unit)


def wrapper(bench):
    """The bare method through the wrapper beside gRPC core's own echo of the same bytes: alternately, and the
    median of three, because the two runs share the machine with their load generator."""
    core, wrapped = [], []
    core_port, wrapper_port = free_port(), free_port()
    message = field_bytes(1, b"x" * 100)
    with Running([bench.program("core_echo"), f"--port={core_port}"], port=core_port), \
         Running([bench.program("rpc_bench_server"), f"--listen-address=127.0.0.1:{wrapper_port}", "--log-level=WARNING"], port=wrapper_port):
        for _ in range(3):
            core.append(bench.h2load(core_port, ECHO, message))
            wrapped.append(bench.h2load(wrapper_port, ECHO, message))
    bench.add("bare method through the wrapper", sorted(wrapped)[1], "req/s", sorted(core)[1], "gRPC core echo", reach=0.85)


def methods(bench):
    key = [f"x-api-key: {os.environ['LUNA_DEMO_KEY']}"]
    port, echo_port = free_port(), free_port()
    with Running([bench.program("core_echo"), f"--port={echo_port}"], port=echo_port), \
         Running([bench.program("luna-server")], env=server_env(port, LUNA_QUOTA="false"), port=port) as server:
        wait_healthy(bench, port)
        bench.h2load(port, FILTER, FILTER_100, calls=20000, headers=key)
        must_filter(bench, port)
        echo = bench.h2load(echo_port, ECHO, FILTER_100)
        runs = [filter_run(bench, server, port, key) for _ in range(3)]
        rate = statistics.median(r for r, _ in runs)
        spent = statistics.median(cpu for _, cpu in runs)
        must_filter(bench, port)
        bench.add("Filter of 100 values, auth on", rate, "req/s", echo, "gRPC core echo", reach=0.6)
        bench.add("Filter of 100 values: server CPU a call", spent, "us", at_most=20)
        select = bench.pgbench_select(os.environ["LUNA_RUN_DIR"])
        bench.h2load(port, GET_ACCOUNT, b"", calls=20000, headers=key)
        rate = bench.h2load(port, GET_ACCOUNT, b"", headers=key)
        bench.add("GetAccount (one SELECT, RLS, auth on)", rate, "req/s", select, "pgbench -S -M prepared -c 8", reach=0.65)


def filter_run(bench, server, port, key, calls=200000):
    """Calls a second, and the server's CPU microseconds for each."""
    before = cpu_seconds(server.pid)
    rate = bench.h2load(port, FILTER, FILTER_100, calls=calls, headers=key)
    return rate, (cpu_seconds(server.pid) - before) / calls * 1e6


def must_filter(bench, port, key="LUNA_DEMO_KEY"):
    """The load generator does not see gRPC's status: refused calls would pass for fast ones."""
    subprocess.run([bench.program("luna"), "--server", f"127.0.0.1:{port}", "--key", os.environ[key], "kalman", "filter", "client/samples/nile.csv:volume"], check=True, stdout=subprocess.DEVNULL)


def wait_healthy(bench, port, seconds=20):
    end = time.monotonic() + seconds
    luna = bench.program("luna")
    while subprocess.run([luna, "--server", f"127.0.0.1:{port}", "health"], capture_output=True, check=False).returncode:
        if time.monotonic() > end:
            raise RuntimeError("the server is not healthy")
        time.sleep(0.01)


def streams(bench):
    """10 000 idle server streams: Watch of the health service, which answers once and then waits."""
    port, count = free_port(), 10000
    with Running([bench.program("luna-server")], env=server_env(port), port=port) as server:
        wait_healthy(bench, port)
        idle = rss_bytes(server.pid)
        data = os.path.join(bench.scratch, "empty.bin")
        with open(data, "wb") as f:
            f.write(b"\0\0\0\0\0")
        load = subprocess.Popen(
            ["h2load", "-n", str(count), "-c", "20", "-m", "500", "-d", data, "-H", "content-type: application/grpc",
             "-H", "te: trailers", f"http://127.0.0.1:{port}/grpc.health.v1.Health/Watch"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        last = -1
        for _ in range(100):
            time.sleep(0.3)
            now = rss_bytes(server.pid)
            if now == last and now > idle + count * 1024:
                break
            last = now
        load.send_signal(signal.SIGKILL)
        load.wait()
        bench.add("10 000 idle server streams: memory each", (last - idle) / count / 1024, "KiB", at_most=32)


def start(bench):
    port = free_port()
    began = time.monotonic()
    with Running([bench.program("luna-server")], env=server_env(port)) as server:
        wait_for_port(port, server.process)
        wait_healthy(bench, port)
        bench.add("start to healthy", time.monotonic() - began, "s", at_most=0.5)
        time.sleep(1)
        bench.add("idle server: resident memory", rss_bytes(server.pid) / 2**20, "MiB", at_most=30)
