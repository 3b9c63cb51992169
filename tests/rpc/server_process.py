"""A server of the wrapper as a process of its own."""
import os
import signal
import subprocess


class ServerProcess:
    def __init__(self, program, *settings, **popen):
        self.process = subprocess.Popen(
            [program, "--listen-address=127.0.0.1:0", *settings],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", **popen)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"no server: {line!r} {self.process.stderr.read()}")
        self.port = int(line.split()[-1])
        self.address = f"127.0.0.1:{self.port}"

    def alive(self):
        return self.process.poll() is None

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        return 0

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self, seconds=30):
        """SIGTERM; the exit status, and what it wrote to stderr."""
        self.process.send_signal(signal.SIGTERM)
        try:
            _, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, err = self.process.communicate()
            return -9, err
        return self.process.returncode, err

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.alive():
            self.process.kill()
        self.process.communicate()
