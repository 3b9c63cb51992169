"""./dev bench kalman: durable filters and streams, and the arithmetic on one core, beside statsmodels where a Python has it."""
import os
import re
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from bench_spine import GET_ACCOUNT, server_env, wait_healthy
from measure import Running, field_bytes, field_double, free_port, packed_doubles

HERE = os.path.dirname(os.path.abspath(__file__))


def python_with_statsmodels():
    """The interpreter that LUNA_BENCH_PYTHON names, or the first that has statsmodels: python3 of the PATH need not be
    Debian's, which finds Debian's packages. None: there is none."""
    named = os.environ.get("LUNA_BENCH_PYTHON")
    for python in [named] if named else ["python3", "/usr/bin/python3"]:
        try:
            if subprocess.run([python, "-c", "import statsmodels"], capture_output=True, check=False).returncode == 0:
                return python
        except OSError:
            pass  # there is no such program
    return None


def statsmodels(python):
    """{name: value}; empty without an interpreter."""
    if python is None:
        return {}
    data = os.path.join(HERE, "..", "support", "data", "nile.csv")
    out = subprocess.run([python, os.path.join(HERE, "kalman_statsmodels.py"), data], capture_output=True, text=True,
                         check=True)
    return {m.group(1): float(m.group(2)) for m in re.finditer(r"^statsmodels_(\w+) ([0-9.]+) \w+$", out.stdout, re.M)}


def own_and_peer(bench):
    """Our times and those of statsmodels: in turn, three times, and the best of each, for the machine's speed changes
    from minute to minute."""
    python = python_with_statsmodels()
    if python is None:
        print("no Python here has statsmodels, so its rows are left out: apt-get install python3-statsmodels, or let "
              "LUNA_BENCH_PYTHON name an interpreter that has it", flush=True)
    own, peer = {}, {}
    for _ in range(3):
        for name, (value, _) in bench.print_numbers("kalman_bench").items():
            name = name.removeprefix("kalman_")
            own[name] = min(value, own.get(name, value))
        for name, value in statsmodels(python).items():
            peer[name] = min(value, peer.get(name, value))
    return own, peer


LEVEL = field_bytes(1, field_bytes(2, field_double(1, 15099)) + field_bytes(3, field_double(1, 1469.1)))


def stored(filter_id):
    """Observations in the log of a durable filter: what was acknowledged must be there."""
    out = subprocess.run(["psql", "-qAtX", "-h", os.environ["LUNA_RUN_DIR"], "-U", "luna_owner", "-d", "luna", "-c",
                          "SELECT count(*) FROM kalman_observation JOIN kalman_filter USING (account_id, filter_key) "
                          f"WHERE filter_id = '{filter_id}'"], capture_output=True, text=True, check=True)
    return int(out.stdout)


def durable(bench):
    """Append of one value by 64 clients to one filter, and to eight by as many load generators, each beside GetAccount
    from the same generators."""
    port, calls, clients, filters, name = free_port(), 20000, 64, 8, f"bench-{uuid.uuid4()}"
    service, key = "/luna.v1.KalmanService/", [f"x-api-key: {os.environ['LUNA_DEMO_KEY']}"]
    messages = [field_bytes(2, f"{name}-{i}".encode()) + field_bytes(3, field_double(2, 1) + packed_doubles(3, [1120]))
                for i in range(filters)]

    def load(path, *messages):
        """One generator for each message, all at once; the rate over all."""
        def one(message):
            bench.h2load(port, path, message, calls=calls // len(messages), clients=clients // len(messages),
                         streams=1, headers=key)

        began = time.monotonic()
        with ThreadPoolExecutor(len(messages)) as pool:
            list(pool.map(one, messages))
        return calls / (time.monotonic() - began)

    with Running([bench.program("luna-server")], env=server_env(port), port=port):
        wait_healthy(bench, port)
        for i in range(filters):
            create = field_bytes(2, f"{name}-{i}".encode()) + field_bytes(3, LEVEL)
            bench.h2load(port, service + "CreateFilter", create, calls=1, clients=1, streams=1, headers=key)
        for work, of in (("one filter", messages[:1]), ("eight filters", messages)):
            for _ in range(2):  # the second counts
                account = load(GET_ACCOUNT, *[b""] * len(of))
                rate = load(service + "Append", *of)
            bench.add(f"Append one value, 64 clients, {work}", rate, "req/s", account, "GetAccount", reach=0.4)
    if stored(f"{name}-0") != 2 * calls + calls // 4 or stored(f"{name}-7") != calls // 4:
        raise RuntimeError("not all appended values are in the log")


def streams(bench):
    """One value in, one estimate out, beside gRPC core's own echo of as many bytes on a stream: alternately, and the
    median of three."""
    port, echo = free_port(), free_port()

    def messages(at, key):
        return bench.print_numbers("kalman_stream_bench", f"127.0.0.1:{at}", key)["stream_messages"][0]

    bare, rate = [], []
    with Running([bench.program("core_echo"), f"--port={echo}"], port=echo), \
         Running([bench.program("luna-server")], env=server_env(port), port=port):
        wait_healthy(bench, port)
        for _ in range(3):
            bare.append(messages(echo, "echo"))
            rate.append(messages(port, os.environ["LUNA_DEMO_KEY"]))
    bench.add("FilterStream, a value in and an estimate out", sorted(rate)[1], "msg/s", sorted(bare)[1],
              "gRPC core stream", reach=0.5)


def run(bench):
    arithmetic(bench)
    durable(bench)
    streams(bench)


def arithmetic(bench):
    own, peer = own_and_peer(bench)
    bench.add("a value copied in memory", own["memory_copy"], "ns")
    bench.add("local level, 10^6 values, log-likelihood", own["local_level"], "ns", at_most=3)
    bench.add("the same without the steady-state shortcut", own["local_level_no_shortcut"], "ns", at_most=10)
    bench.add("what the shortcut changes, relative", own["local_level_shortcut_changes"], "", at_most=1e-12)
    bench.add("local linear trend, 2 states, a step", own["linear_trend"], "ns", at_most=25)
    for name, work in (("dense_4", "4 states dense"), ("seasonal_13", "trend and monthly seasonal, 13 states")):
        if name in peer:
            bench.add(f"{work}, steps", 1e9 / own[name], "/s", 1e9 / peer[name], "statsmodels", reach=10)
        else:
            bench.add(f"{work}, a step", own[name], "ns")
    bench.add("10 000 series of 100 values together", 1e9 / own["batch"], "/s", 1e9 / own["one_by_one"], "one by one",
              reach=3)
    if "fit_nile" in peer:
        bench.add("Fit local level on Nile", 1e6 / own["fit_nile"], "/s", 1e6 / peer["fit_nile"], "statsmodels",
                  reach=50)
    else:
        bench.add("Fit local level on Nile", own["fit_nile"], "us")
