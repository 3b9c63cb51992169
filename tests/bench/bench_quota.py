"""./dev bench quota: what the gate costs, each time beside the same call without it.

The servers of a comparison run at the same time and are loaded in turn, so that what else the machine does meets
all of them; the median of the rounds counts, and of the calls that are charged the median of each turn's ratio.
"""
import math
import os
import re
import socket
import subprocess
import threading
import time
import urllib.request
from contextlib import ExitStack

from bench_spine import ECHO, FILTER, FILTER_100, must_filter, server_env, wait_healthy
from measure import Running, free_port, grpc_frame

CHECK = "/luna.v1.LimiterService/Check"
SCRIPT = "server/edge/quota_gate.lua"
ROUNDS = 3
TURNS = 12  # short ones, in turn: the machine's speed swings within seconds
LATENCY_TURNS = 15
# One account spends all of it: a grant is what it spends in a second, so that it is not settled 40 times in one.
GRANT = {"LUNA_QUOTA_GRANT": "100000"}
SERVERS = {  # the settings that differ
    "off": {"LUNA_QUOTA": "false"},
    "on": GRANT,
    "leases": {**GRANT, "LUNA_QUOTA_LEASE": "4000"},
    "brief": {**GRANT, "LUNA_QUOTA_LEASE": "4000", "LUNA_QUOTA_OLDER_METADATA": "false"},
}


def key_header():
    """Of the account `bench`: it has a quota and rates of its own and of its key (accounts.sql)."""
    return f"x-api-key: {os.environ['LUNA_BENCH_KEY']}"


def run(bench):
    with ExitStack() as stack:
        ports = {}
        admin = {"on": free_port(), "leases": free_port()}
        for name, settings in SERVERS.items():
            ports[name] = free_port()
            env = server_env(ports[name], **settings)
            if name in admin:
                env["LUNA_ADMIN_ADDRESS"] = f"127.0.0.1:{admin[name]}"
            stack.enter_context(Running([bench.program("luna-server")], env=env, port=ports[name]))
        for port in ports.values():
            wait_healthy(bench, port)
            must_filter(bench, port, "LUNA_BENCH_KEY")
        for name in SERVERS:
            must_be_limited(bench, ports[name], name != "off")
        filter_charged(bench, ports)
        metadata_alone(bench)
        check(bench, ports["on"])
        latency(bench, ports, admin)


def must_be_limited(bench, port, limited):
    """By the quota, the rate of the account and the rate of the key, as the answer itself tells."""
    frame = os.path.join(bench.scratch, "limited")
    with open(frame, "wb") as f:
        f.write(grpc_frame(FILTER_100))
    answer = subprocess.run(["curl", "-s", "-D", "-", "-o", os.devnull, "--http2-prior-knowledge", "--data-binary", f"@{frame}",
                             "-H", "content-type: application/grpc", "-H", "te: trailers", "-H", key_header(),
                             f"http://127.0.0.1:{port}{FILTER}"], capture_output=True, text=True, check=True).stdout
    names = re.findall(r'"(\w+)";q=', answer)
    if names != (["quota", "account", "key"] if limited else []):
        raise RuntimeError(f"limited by {names}:\n{answer}")


def median(values):
    return sorted(values)[len(values) // 2]


def in_turns(turns, names, work):
    """What `work` gave for each of the names, once a turn, every other turn in the reverse order."""
    results = {name: [] for name in names}
    for turn in range(turns):
        for name in sorted(names, reverse=turn % 2 == 1):
            results[name].append(work(name))
    return results


def beside(rates, limits):
    """The median of each turn's ratio."""
    return median([rate / limit for rate, limit in zip(rates, limits)])


def redis_socket():
    return os.path.join(os.environ["LUNA_RUN_DIR"], "redis.sock")


def filter_charged(bench, ports):
    for port in ports.values():
        bench.h2load(port, FILTER, FILTER_100, calls=20000, headers=[key_header()])
    rates = in_turns(TURNS, ports, lambda name: bench.h2load(ports[name], FILTER, FILTER_100, calls=30000,
                                                             headers=[key_header()]))
    for port in ports.values():
        must_filter(bench, port, "LUNA_BENCH_KEY")
    off = median(rates["off"])
    for name, work, reach in (("on", "Redis decides", 0.75), ("leases", "local leases", 0.9),
                              ("brief", "local leases, older metadata left out", 0.9)):
        bench.add(f"Filter of 100 values, charged: {work}", beside(rates[name], rates["off"]) * off, "req/s", off, "gate off", reach=reach)


def metadata_alone(bench):
    """What the five pairs of a charged answer cost where nothing decides and nothing is computed: gRPC core and the
    caller. No server of core's can answer with them for less."""
    with ExitStack() as stack:
        ports = {}
        for pairs in (0, 2, 5):
            ports[pairs] = free_port()
            stack.enter_context(Running([bench.program("core_echo"), f"--port={ports[pairs]}", f"--pairs={pairs}"],
                                        port=ports[pairs]))
        rates = in_turns(TURNS, ports, lambda pairs: bench.h2load(ports[pairs], ECHO, FILTER_100, calls=30000))
    bare = median(rates[0])
    for pairs in (2, 5):
        bench.add(f"gRPC core's own echo, {pairs} of the metadata pairs", beside(rates[pairs], rates[0]) * bare, "req/s", bare, "without")


def check(bench, port):
    """Beside the script alone: one decision each, pipelined, on an account that is nobody's."""
    script, ours = [], []
    with BenchAccount() as account:
        for _ in range(ROUNDS):
            script.append(account.decisions_per_second())
            before = account.spendable()
            ours.append(bench.h2load(port, CHECK, b"", calls=100000, headers=[key_header()]))
            if before - account.spendable() != 100000:
                raise RuntimeError(f"{before - account.spendable()} units were spent in 100000 calls")
    bench.add("Check over gRPC", median(ours), "req/s", median(script), "redis-benchmark -P 16 of the script", reach=0.5)


class BenchAccount:
    """An epoch in the Redis of ./dev up for the account 0, which cannot be; limited as `bench` is."""

    def __init__(self):
        self.socket = redis_socket()
        self.keys = [f"user:{{0}}:{what}" for what in ("quota", "epoch", "spent", "calls", "rate:account", "rate:key:0")]

    def redis(self, *words):
        return subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True, text=True,
                              check=True).stdout.strip()

    def __enter__(self):
        plenty = str(10**15)
        with open(SCRIPT, encoding="utf-8") as f:
            self.sha = self.redis("SCRIPT", "LOAD", f.read())
        self.redis("SET", self.keys[0], plenty)
        self.redis("HSET", self.keys[1], "run", "bench", "epoch", "1", "flush", "1", "spent", "0", "granted", plenty,
                   "limit", plenty, "ends", "9" + "0" * 15)
        return self

    def __exit__(self, *exc):
        self.redis("DEL", *self.keys)

    def spendable(self):
        """What remains of all other accounts: the load generator does not see whether it was admitted."""
        keys = self.redis("KEYS", "user:*:quota").split()
        return sum(int(self.redis("GET", k)) for k in keys if k != self.keys[0])

    def evalsha(self):
        rate = ["1000000", "1", "0"]
        return ["EVALSHA", self.sha, str(len(self.keys)), *self.keys, "1", "1", "0", "bench", CHECK, "1", "0", "", "0", *rate, *rate]

    def decisions_per_second(self, calls=200000):
        first = self.redis(*self.evalsha()).split()[:2]
        if first != ["0", "1"]:
            raise RuntimeError(f"the script does not admit: {first}")
        out = subprocess.run(["redis-benchmark", "-s", self.socket, "-n", str(calls), "-c", "8", "-P", "16", "-q",
                              *self.evalsha()], capture_output=True, text=True, check=True).stdout
        return float(re.findall(r"([0-9.]+) requests per second", out)[-1])


def latency(bench, ports, admin):
    """Calls at random moments, at 70 % of what the same load generator gets at most with the gate on."""
    body = os.path.join(bench.scratch, "filter")
    with open(body, "wb") as f:
        f.write(FILTER_100)

    def paced(name, rate):
        return bench.print_numbers("paced_load", "grpc", str(ports[name]), FILTER, body, str(rate), "1", key_header())

    # What callers see at p99 differs from one second to the next by several times what a decision takes: the host gives
    # the cores to others. So the server itself says how long its decisions took.
    most = median([paced("on", 300000)["rate"][0] for _ in range(ROUNDS)])
    before = {name: decisions(port) for name, port in admin.items()}
    with Pinger() as pinger:
        def one_turn(name):
            pinger.on = name == "on"
            return paced(name, 0.7 * most)["p99"][0]

        p99 = in_turns(LATENCY_TURNS, ["off", *admin], one_turn)
    bench.add("Filter at 70 % load: p99 that callers see, the gate off", median(p99["off"]), "ms")
    for name, how in (("on", "Redis decides"), ("leases", "local leases")):
        took = {bound: n - before[name][bound] for bound, n in decisions(admin[name]).items()}
        if took[math.inf] < 0.6 * most * LATENCY_TURNS:
            raise RuntimeError(f"{took[math.inf]} decisions by {name}")
        bench.add(f"  {how}: p99 that callers see", median(p99[name]), "ms")
        bench.add(f"  {how}: latency that the decision adds, p50", 1000 * quantile(took, 0.5), "ms")
        bench.add(f"  {how}: latency that the decision adds, p99", 1000 * quantile(took, 0.99), "ms", at_most=1)
    pings = sorted(pinger.took)
    bench.add("  a bare PING to the same Redis meanwhile, p99", 1000 * pings[len(pings) * 99 // 100], "ms")


class Pinger(threading.Thread):
    """Asks Redis for nothing, every two milliseconds while it is on."""

    def __init__(self):
        super().__init__(daemon=True)
        self.on, self.over, self.took = False, False, []
        self.redis = socket.socket(socket.AF_UNIX)
        self.redis.connect(redis_socket())

    def run(self):
        while not self.over:
            if self.on:
                start = time.monotonic()
                self.redis.sendall(b"PING\r\n")
                self.redis.recv(64)
                self.took.append(time.monotonic() - start)
            time.sleep(0.002)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over = True
        self.join()


def decisions(admin):
    """The histogram of the server's decisions: how many took at most so many seconds."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=10) as page:
        text = page.read().decode()
    return {float(le): float(n) for le, n in re.findall(r'luna_quota_decision_seconds_bucket{le="(.*?)"} (\S+)', text)}


def quantile(histogram, q):
    """As Prometheus does it: evenly within the bucket."""
    rank, low, below = q * histogram[math.inf], 0, 0
    for bound in sorted(histogram):
        if histogram[bound] >= rank:
            return low + (bound - low) * (rank - below) / (histogram[bound] - below)
        low, below = bound, histogram[bound]
    raise ValueError("an empty histogram")
