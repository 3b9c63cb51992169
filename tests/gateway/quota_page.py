#!/usr/bin/env python3
"""quota_page.py PAGE SERVER: runs the commands of a page and compares what they answer.

Each ```console block is lines that begin with "$ ", each followed by what it prints; "..." is any text. All of
them run in one bash, in a folder where ./dev is a stand-in for the developer script. Runs beside a whole Luna
(browser_stack.py), which sets LUNA_GATEWAY_URL and LUNA_STACK.
"""
import os
import re
import subprocess
import sys
import tempfile

SECONDS = 150
STAND_IN = """#!/bin/sh
case "$1" in
admin) exec "$SERVER" "$@" ;;
up) redis-server --port 0 --unixsocket "$LUNA_STACK/redis.sock" --save '' --dir "$LUNA_STACK" --daemonize yes ;;
esac
"""


def steps_of(page):
    steps = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.S | re.M):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append([line[2:], []])
            else:
                steps[-1][1].append(line)
    return steps


def matches(expected, output):
    pattern = ".*?".join(re.escape(part) for part in expected.split("..."))
    return re.fullmatch(pattern, output, re.S) is not None


def run(steps, folder, env):
    script = "".join(f"{command}\nprintf '\\n@@%d@@\\n' {n}\n" for n, (command, _) in enumerate(steps))
    with open(os.path.join(folder, "script"), "w", encoding="utf-8") as f:
        f.write(script)
    with open(os.path.join(folder, "output"), "w+b") as out:
        try:
            subprocess.run(["bash", "script"], cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT,
                           stdin=subprocess.DEVNULL, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            pass
        out.seek(0)
        return out.read().decode(errors="replace").replace("\r", "")


def main():
    page, server = sys.argv[1:]
    with open(page, encoding="utf-8") as f:
        text = f.read().replace("http://127.0.0.1:8080", os.environ["LUNA_GATEWAY_URL"])
    steps = steps_of(text)
    stack = os.environ["LUNA_STACK"]
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(os.path.join(folder, ".luna"))
        os.symlink(stack, os.path.join(folder, ".luna", "run"))
        with open(os.path.join(folder, "dev"), "w", encoding="utf-8") as f:
            f.write(STAND_IN)
        os.chmod(os.path.join(folder, "dev"), 0o755)
        env = dict(os.environ, SERVER=os.path.abspath(server), LC_ALL="C.UTF-8",
                   LUNA_DATABASE_URL=f"host={stack} user=luna_app dbname=luna",
                   LUNA_DATABASE_OWNER_URL=f"host={stack} user=luna_owner dbname=luna",
                   LUNA_REDIS_URL=f"unix:{stack}/redis.sock", LUNA_KEY_SECRET="0123456789abcdef0123456789abcdef")
        output = run(steps, folder, env)
        subprocess.run(["redis-cli", "-s", stack + "/redis.sock", "shutdown", "nosave"], check=False,
                       capture_output=True)
    wrong = 0
    for n, (command, expected) in enumerate(steps):
        said, mark, output = output.partition(f"\n@@{n}@@\n")
        said = said.strip("\n")
        if not mark:
            print(f"\n$ {command}\ndid not end in {SECONDS} s; it said:\n{said}")
            return 1
        if not matches("\n".join(expected), said):
            wrong += 1
            print(f"\n$ {command}\nthe page says:\n" + "\n".join(expected) + f"\nit says:\n{said}")
    print(f"{len(steps)} commands, {wrong} of them not as the page says")
    return 1 if wrong or not steps else 0


if __name__ == "__main__":
    sys.exit(main())
