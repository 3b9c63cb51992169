#!/usr/bin/env python3
"""run_page.py [OPTION...] PAGE...: runs the commands of pages and compares what they print with what the pages show.

To be run by tests/gateway/browser_stack.py; page.py says what a command is. All commands of a page run in one bash,
with LUNA (the gateway's URL, which also takes the place of http://127.0.0.1:8080), GRPC (the server's address) and KEY
set, in a folder that looks like the checkout; ./dev is a stand-in there.

  --write         puts what was printed into the page, shortened
  --server PATH   the program that `./dev admin` is
  --demo PATH     puts into the account demo what `./dev up` does; PATH is the command-line client
  --only TEXT     commands without TEXT are left out
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import page

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SECONDS = 280
END = "end-of-output-5bc1"
STAND_IN = """#!/bin/sh
case "$1" in
admin) exec "$SERVER" "$@" ;;
up) redis-server --port 0 --unixsocket "$LUNA_STACK/redis.sock" --save '' --dir "$LUNA_STACK" --daemonize yes ;;
esac
"""


class Shell:
    """One bash; its commands see each other's variables and functions."""

    def __init__(self, server):
        stack = os.environ["LUNA_STACK"]
        self.folder = tempfile.mkdtemp(prefix="luna-page-")
        self.furnish(stack)
        env = dict(os.environ, LUNA=os.environ["LUNA_GATEWAY_URL"], GRPC=os.environ["LUNA_GRPC"], LC_ALL="C.UTF-8",
                   KEY=os.environ["LUNA_KEY"], PATH=os.path.join(ROOT, ".luna/bin") + ":" + os.environ["PATH"],
                   SERVER=os.path.abspath(server or "/nonexistent"), LUNA_REDIS_URL=f"unix:{stack}/redis.sock",
                   LUNA_DATABASE_URL=f"host={stack} user=luna_app dbname=luna",
                   LUNA_DATABASE_OWNER_URL=f"host={stack} user=luna_owner dbname=luna",
                   LUNA_KEY_SECRET="0123456789abcdef0123456789abcdef")
        self.bash = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     text=True, errors="replace", env=env, cwd=self.folder)

    def furnish(self, stack):
        for name in os.listdir(ROOT):
            if name not in (".luna", "dev"):
                os.symlink(os.path.join(ROOT, name), os.path.join(self.folder, name))
        os.makedirs(os.path.join(self.folder, ".luna"))
        os.symlink(stack, os.path.join(self.folder, ".luna", "run"))
        with open(os.path.join(self.folder, "dev"), "w", encoding="utf-8") as f:
            f.write(STAND_IN)
        os.chmod(os.path.join(self.folder, "dev"), 0o755)

    def run(self, command):
        """The lines that it prints."""
        url = os.environ["LUNA_GATEWAY_URL"]
        command = command.replace(page.REST, url).replace(page.REST.removeprefix("http://"), url.removeprefix("http://"))
        self.bash.stdin.write(command + f"\necho; echo {END}\n")
        self.bash.stdin.flush()
        lines = []
        for line in self.bash.stdout:
            if line.rstrip("\n") == END:
                break
            lines.append(line.replace("\r", "").rstrip("\n"))
        while lines and not lines[-1].strip():
            lines.pop()
        return lines

    def close(self):
        self.bash.stdin.close()
        self.bash.wait()
        shutil.rmtree(self.folder)
        # One that `./dev up` has started.
        subprocess.run(["redis-cli", "-s", os.environ["LUNA_STACK"] + "/redis.sock", "shutdown", "nosave"], check=False,
                       capture_output=True)


def load_demo(luna):
    owner = f"host={os.environ['LUNA_STACK']} user=luna_owner dbname=luna"
    subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-v", "account=demo", "-f",
                    f"{ROOT}/client/samples/floor_plan.sql", owner], check=True, capture_output=True)
    subprocess.run([luna, "--server", os.environ["LUNA_GRPC"], "--key", os.environ["LUNA_KEY"], "counts", "import",
                    "--dedupe", "none", f"{ROOT}/client/samples/dpu_data.csv"], check=True, capture_output=True)


def report(command, why, shown, printed):
    print(f"--- {command}\n{why}; shown:\n{shown}\nprinted:\n{printed[:4000]}")
    return 1


def run_commands(shell, lines, options):
    """(commands, those that differ, the page as it would be with what was printed)."""
    out, failed, count = [], 0, 0
    for part in page.parts(lines):
        shown = "\n".join(part.output)
        if not part.command or (options.only and options.only not in part.words()):
            out += part.text + part.command + [part.indent + line for line in part.output]
            continue
        printed = shell.run(part.words())
        count += 1
        why = page.agree(shown, "\n".join(printed))
        if why and not options.write:
            failed += report(part.words(), why, shown, "\n".join(printed))
        out += part.command + [part.indent + line for line in page.shorten(printed)]
    return count, failed, out


def run_rows(shell, lines):
    failed, count = 0, 0
    for call, answer in page.rows(lines):
        printed = "\n".join(shell.run(page.curl_of(call)))
        why = page.is_answer(answer, printed)
        count += 1
        if why:
            failed += report(page.curl_of(call), why, answer, printed)
    return count, failed


def run_page(path, options):
    """True: all is as the page says."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    shell = Shell(options.server)
    count, failed, out = run_commands(shell, lines, options)
    calls, differ = run_rows(shell, lines)
    shell.close()
    if options.write:
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(out))
    print(f"{path}: {count} commands, {failed} differ; {calls} calls in tables, {differ} differ")
    return failed + differ == 0 and count > 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--server")
    parser.add_argument("--demo")
    parser.add_argument("--only")
    parser.add_argument("pages", nargs="+")
    options = parser.parse_args()
    texts = [open(path, encoding="utf-8").read() for path in options.pages]
    if any("grpcurl" in text for text in texts) and not shutil.which("grpcurl") and not os.path.exists(
            os.path.join(ROOT, ".luna/bin/grpcurl")):
        print("SKIPPED: grpcurl missing, run ./dev deps")
        return 1 if os.environ.get("CI") == "true" else 77
    signal.alarm(SECONDS)
    if options.demo:
        load_demo(options.demo)
    return 0 if all([run_page(path, options) for path in options.pages]) else 1


if __name__ == "__main__":
    sys.exit(main())
