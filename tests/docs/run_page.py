#!/usr/bin/env python3
"""run_page.py [--write] PAGE: runs the commands of a page and compares what they print with what it shows.

To be run by tests/gateway/browser_stack.py. A command is an indented line that begins with "$ " and goes on while lines
end in a backslash; what follows indented, up to the next command or a line that is not, is its output. All commands
of a page run in one bash, with LUNA (the gateway's URL), GRPC (the server's address) and KEY set. In an output "..."
stands for anything, white space counts as none or some, and numbers agree to 1e-6 of themselves.
--write puts what was printed into the page, shortened.
"""
import os
import re
import shutil
import subprocess
import sys

INDENT = "    "
END = "end-of-output-5bc1"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# What another run prints otherwise: times of today, tokens, etags, lags.
CHANGING = re.compile(r"20[2-9]\d-\d\d-\d\dT[\d:.]+Z|(?<=oken\":\")[^\"]+|(?<=oken\": \")[^\"]+|"
                      r"(?<=etag\":\")[^\"]+|(?<=etag\": \")[^\"]+|(?<=lagSeconds\": )[\d.e+]+")
WIDTH, HEAD, TAIL = 150, 9, 4


class Shell:
    """One bash; its commands see each other's variables and functions."""

    def __init__(self):
        here = os.path.dirname(os.path.abspath(__file__))
        root = os.path.dirname(os.path.dirname(here))
        env = dict(os.environ, LUNA=os.environ["LUNA_GATEWAY_URL"], GRPC=os.environ["LUNA_GRPC"],
                   KEY=os.environ["LUNA_KEY"], PATH=os.path.join(root, ".luna/bin") + ":" + os.environ["PATH"])
        self.bash = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     text=True, env=env, cwd=root)

    def run(self, command):
        self.bash.stdin.write(command + f"\necho; echo {END}\n")
        self.bash.stdin.flush()
        lines = []
        for line in self.bash.stdout:
            if line.rstrip("\n") == END:
                break
            lines.append(line.rstrip("\n"))
        while lines and not lines[-1].strip():
            lines.pop()
        return lines

    def close(self):
        self.bash.stdin.close()
        self.bash.wait()


def read(lines):
    """(text lines, command lines, output lines) one after another."""
    parts, i = [], 0
    while i < len(lines):
        if not lines[i].startswith(INDENT + "$ "):
            parts.append(([lines[i]], [], []))
            i += 1
            continue
        command = [lines[i]]
        while command[-1].endswith("\\"):
            i += 1
            command.append(lines[i])
        i += 1
        output = []
        while i < len(lines) and lines[i].startswith(INDENT) and not lines[i].startswith(INDENT + "$ "):
            output.append(lines[i][len(INDENT):])
            i += 1
        parts.append(([], command, output))
    return parts


def pattern(shown):
    """The regular expression of an output, and the numbers in its groups."""
    expression, numbers = "", []
    for piece in re.split(r"(\.\.\.)", shown):
        if piece == "...":
            expression += ".*?"
            continue
        at = 0
        for m in NUMBER.finditer(piece):
            expression += literal(piece[at:m.start()]) + "(" + NUMBER.pattern + ")"
            numbers.append(float(m.group()))
            at = m.end()
        expression += literal(piece[at:])
    return re.compile(expression + r"\s*", re.S), numbers


def literal(text):
    return r"\s*".join(re.escape(word) for word in re.split(r"\s+", text))


def agree(shown, printed):
    expression, numbers = pattern(shown)
    m = expression.fullmatch(printed)
    if not m:
        return "another text"
    for want, got in zip(numbers, (float(x) for x in m.groups())):
        if abs(want - got) > 1e-6 * max(abs(want), 1e-3):
            return f"{got} in place of {want}"
    return None


def shorten(lines):
    lines = [CHANGING.sub("...", line) for line in lines]
    if len(lines) > HEAD + TAIL + 1:
        lines = lines[:HEAD] + ["..."] + lines[-TAIL:]
    return [line if len(line) <= WIDTH else cut(line) for line in lines]


def cut(line):
    """Without its middle; no number is cut in two."""
    return line[:WIDTH - 40].rsplit(",", 1)[0] + ",..." + re.sub(r"^[\d.eE+-]+", "", line[-36:])


def main():
    write = sys.argv[1] == "--write"
    page = sys.argv[-1]
    if not shutil.which("grpcurl") and not os.path.exists(".luna/bin/grpcurl"):
        print("SKIPPED: grpcurl missing, run ./dev deps")
        return 1 if os.environ.get("CI") == "true" else 77
    with open(page, encoding="utf-8") as f:
        parts = read(f.read().split("\n"))
    shell, out, failed, count = Shell(), [], 0, 0
    for text, command, shown in parts:
        out += text
        if not command:
            continue
        words = "\n".join(line[len(INDENT):] for line in command)[2:]
        printed = shell.run(words)
        count += 1
        why = agree("\n".join(shown), "\n".join(printed))
        if why and not write:
            failed += 1
            print(f"--- {words}\n{why}; shown:\n" + "\n".join(shown) + "\nprinted:\n" + "\n".join(printed)[:4000])
        out += command + [INDENT + line for line in shorten(printed)]
    shell.close()
    if write:
        with open(page, "w", encoding="utf-8") as f:
            f.write("\n".join(out))
    print(f"{page}: {count} commands, {failed} differ")
    return 1 if failed or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
