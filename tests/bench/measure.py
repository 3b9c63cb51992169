"""What the parts of ./dev bench share: processes, h2load, pgbench, protobuf bytes, the table."""
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field_bytes(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def field_double(number, value):
    return varint(number << 3 | 1) + struct.pack("<d", value)


def field_int(number, value):
    return varint(number << 3) + varint(value)


def packed_doubles(number, values):
    return field_bytes(number, struct.pack(f"<{len(values)}d", *values))


def grpc_frame(message):
    return b"\0" + struct.pack(">I", len(message)) + message


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"no VmRSS of {pid}")


def wait_for_port(port, process, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        time.sleep(0.005)
    raise RuntimeError(f"nothing listens on {port}")


class Running:
    """A child process for a with-statement; stopped by SIGTERM at its end."""

    def __init__(self, args, env=None, port=None, log=None):
        self.args, self.env, self.port, self.log = args, env, port, log

    def __enter__(self):
        env = dict(os.environ)
        env.update(self.env or {})
        out = open(self.log, "ab") if self.log else subprocess.DEVNULL
        self.process = subprocess.Popen(self.args, env=env, stdout=out, stderr=out)
        if self.port:
            wait_for_port(self.port, self.process)
        return self

    @property
    def pid(self):
        return self.process.pid

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bench:
    def __init__(self, build):
        self.build = build
        self.rows = []
        self.scratch = tempfile.mkdtemp(prefix="luna-bench-")

    def program(self, name):
        path = os.path.join(self.build, "bin", name)
        if not os.path.exists(path):
            raise SystemExit(f"bench: {path} is not built")
        return path

    def add(self, work, value, unit, limit=None, limit_name="", reach=None, at_most=None):
        """One row. `reach`: value/limit must be at least that; `at_most`: value must not exceed it."""
        row = {"work": work, "value": value, "unit": unit}
        if limit is not None:
            row.update(limit=limit, limit_name=limit_name, ratio=value / limit)
        if reach is not None:
            row.update(goal=f">= {reach:g}", reached=value / limit >= reach)
        if at_most is not None:
            row.update(goal=f"<= {at_most:g} {unit}", reached=value <= at_most)
        self.rows.append(row)
        print(self.format(row), flush=True)

    @staticmethod
    def number(x):
        if abs(x) >= 1000:
            return f"{x:,.0f}"
        return f"{x:.3g}" if abs(x) < 10 else f"{x:.1f}"

    def format(self, row):
        text = f"{row['work']:<58} {self.number(row['value']):>10} {row['unit']:<8}"
        if "limit" in row:
            text += f" | {row['limit_name']} {self.number(row['limit'])} | ratio {row['ratio']:.2f}"
        if "goal" in row:
            text += f" | goal {row['goal']} | {'reached' if row['reached'] else 'MISSED'}"
        return text

    def print_table(self):
        print("\n" + "\n".join(self.format(r) for r in self.rows))

    def all_reached(self):
        return all(r.get("reached", True) for r in self.rows)

    # ---- load generators -----------------------------------------------------------------------

    def h2load(self, port, path, message, calls=200000, clients=8, streams=50, headers=()):
        """gRPC calls per second. Raises unless every answer was HTTP 200."""
        data = os.path.join(self.scratch, f"frame-{threading.get_ident()}.bin")
        with open(data, "wb") as f:
            f.write(grpc_frame(message))
        args = ["-n", str(calls), "-c", str(clients), "-m", str(streams), "-d", data,
                "-H", "content-type: application/grpc", "-H", "te: trailers"]
        for h in headers:
            args += ["-H", h]
        return self.h2load_run(args + [f"http://127.0.0.1:{port}{path}"], calls)

    def h2load_http(self, port, path, body=None, calls=60000, clients=64, headers=()):
        """HTTP/1.1 requests per second over keep-alive connections. Raises unless every answer was a 2xx."""
        args = ["--h1", "-n", str(calls), "-c", str(clients)]
        if body is not None:
            path_of_body = os.path.join(self.scratch, "body")
            with open(path_of_body, "wb") as f:
                f.write(body)
            args += ["-d", path_of_body]
        for h in headers:
            args += ["-H", h]
        return self.h2load_run(args + [f"http://127.0.0.1:{port}{path}"], calls)

    @staticmethod
    def h2load_run(args, calls):
        out = subprocess.run(["h2load", *args], capture_output=True, text=True, check=True)
        ok = int(re.search(r"status codes: (\d+) 2xx", out.stdout).group(1))
        if ok != calls:
            raise RuntimeError(f"h2load: {ok} of {calls} answered 2xx\n{out.stdout}")
        return float(re.search(r"finished in .*?, ([0-9.]+) req/s", out.stdout).group(1))

    def pgbench_select(self, run_dir, seconds=5):
        """pgbench -S -M prepared -c 8, transactions per second, on a database of its own."""
        common = ["-h", run_dir, "-U", "luna_owner"]
        subprocess.run(["createdb", *common, "luna_bench"], capture_output=True, check=False)
        bench = self.pgbench_program()
        subprocess.run([bench, *common, "-i", "-q", "luna_bench"], capture_output=True, check=True)
        out = subprocess.run([bench, *common, "-S", "-M", "prepared", "-c", "8", "-T", str(seconds), "luna_bench"],
                             capture_output=True, text=True, check=True)
        return float(re.search(r"tps = ([0-9.]+) \(without", out.stdout).group(1))

    @staticmethod
    def pgbench_program():
        base = "/usr/lib/postgresql"
        found = sorted(os.path.join(base, v, "bin", "pgbench") for v in os.listdir(base))
        return found[-1]

    def output(self, program, *args):
        """What one of our bench programs prints; why it failed is shown."""
        return subprocess.run([self.program(program), *[str(a) for a in args]], stdout=subprocess.PIPE, text=True,
                              check=True).stdout

    def print_numbers(self, program, *args):
        """Runs one of our bench programs, which prints `name value unit` lines; gives {name: (value, unit)}."""
        numbers = {}
        for line in self.output(program, *args).splitlines():
            m = re.fullmatch(r"([a-z0-9_]+) ([0-9.eE+-]+) (\S+)", line.strip())
            if m:
                numbers[m.group(1)] = (float(m.group(2)), m.group(3))
        if not numbers:
            raise RuntimeError(f"{program} printed no numbers")
        return numbers
