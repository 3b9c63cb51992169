#!/usr/bin/env python3
"""browser_stack.py SERVER GATEWAY -- COMMAND...: runs a command beside a whole Luna of its own.

Starts PostgreSQL, Redis, luna-server and luna-gateway in a folder under /tmp, makes the account `demo`, and
runs the command with LUNA_GATEWAY_URL, LUNA_GRPC (host:port), LUNA_KEY and LUNA_STACK (the folder). Its exit status
is the command's.
Everything is stopped and removed afterwards, whatever happens.
"""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

START_SECONDS = 60


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Stack:
    def __init__(self, server, gateway):
        self.server, self.gateway = server, gateway
        self.folder = tempfile.mkdtemp(prefix="luna-stack-")
        self.processes = []
        # PostgreSQL does not run as root.
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        os.chmod(self.folder, 0o755)

    def log(self, name):
        return open(os.path.join(self.folder, name + ".log"), "ab")

    def start(self, name, command, as_user=False, env=None):
        identity = {}
        if as_user and self.user:
            identity = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        self.processes.append(subprocess.Popen(
            command, stdout=self.log(name), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd="/",
            env=env, **identity))
        return self.processes[-1]

    def run(self, name, command, as_user=False, env=None):
        if self.start(name, command, as_user, env).wait() != 0:
            self.fail(name)
        self.processes.pop()

    def fail(self, name):
        with open(os.path.join(self.folder, name + ".log"), errors="replace") as f:
            raise SystemExit(f"{name} failed:\n" + "".join(f.readlines()[-20:]))

    def wait(self, name, ready):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.processes[-1].poll() is not None:
                self.fail(name)
            if ready():
                return
            time.sleep(0.05)
        self.fail(name)

    def start_postgres(self):
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not programs:
            raise SystemExit("there is no PostgreSQL server under /usr/lib/postgresql")
        data = os.path.join(self.folder, "data")
        self.run("initdb", [programs[-1] + "/initdb", "-D", data, "-U", "luna_owner", "-A", "trust", "-E", "UTF8",
                            "--locale=C.UTF-8", "--no-sync"], as_user=True)
        self.start("postgres", [programs[-1] + "/postgres", "-D", data, "-k", self.folder, "-c", "listen_addresses=",
                                "-c", "fsync=off", "-c", "max_connections=60"], as_user=True)
        sql = ["psql", "-qAtX", "-h", self.folder, "-U", "luna_owner", "-d", "postgres", "-c"]
        self.wait("postgres", lambda: subprocess.run(sql + ["SELECT 1"], capture_output=True).returncode == 0)
        subprocess.run(sql + ["CREATE DATABASE luna"], check=True)

    def start_redis(self):
        path = os.path.join(self.folder, "redis.sock")
        self.start("redis", ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir",
                             self.folder], as_user=True)
        self.wait("redis", lambda: os.path.exists(path))

    def start_luna(self):
        rest, port = free_port(), free_port()
        grpc = "unix:" + os.path.join(self.folder, "luna.sock")
        env = dict(os.environ)
        env.update(LUNA_DATABASE_URL=f"host={self.folder} user=luna_app dbname=luna",
                   LUNA_DATABASE_OWNER_URL=f"host={self.folder} user=luna_owner dbname=luna",
                   LUNA_REDIS_URL=f"unix:{self.folder}/redis.sock", LUNA_KEY_SECRET="0123456789abcdef0123456789abcdef",
                   LUNA_ANONYMOUS_ACCOUNT="", LUNA_LISTEN_ADDRESS=f"{grpc},127.0.0.1:{port}",
                   LUNA_ADMIN_ADDRESS="", LUNA_COUNTS_ROLL_OFF_INTERVAL="1s",
                   LUNA_UPSTREAM=grpc, LUNA_GATEWAY_ADDRESS=f"127.0.0.1:{rest}", LOG_LEVEL="INFO")
        self.run("migrate", [self.server, "migrate", "up"], env=env)
        made = subprocess.run([self.server, "admin", "create-account", "demo", "--if-missing"], env=env,
                              capture_output=True, text=True, check=True)
        key = [line.split(":", 1)[1].strip() for line in made.stdout.splitlines() if line.startswith("key:")][0]
        self.start("server", [self.server], env=env)
        self.start("gateway", [self.gateway], env=env)
        url = f"http://127.0.0.1:{rest}"
        self.wait("gateway", lambda: answers(url + "/readyz"))
        return url, f"127.0.0.1:{port}", key

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def main():
    server, gateway, dashes, *command = sys.argv[1:]
    if dashes != "--" or not command:
        raise SystemExit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    stack = Stack(os.path.abspath(server), os.path.abspath(gateway))
    try:
        stack.start_postgres()
        stack.start_redis()
        url, grpc, key = stack.start_luna()
        env = dict(os.environ, LUNA_GATEWAY_URL=url, LUNA_GRPC=grpc, LUNA_KEY=key, LUNA_STACK=stack.folder)
        return subprocess.run(command, env=env).returncode
    finally:
        stack.stop()


if __name__ == "__main__":
    sys.exit(main())
