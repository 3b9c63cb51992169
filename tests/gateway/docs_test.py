#!/usr/bin/env python3
"""docs_test.py LUNA PAGE...: the commands of documentation pages do what the pages say.

Runs beside a Luna of its own (browser_stack.py), with what `./dev up` puts into the account demo. In an indented
block of a page a line that begins with `$ ` is a command (`\\` at its end continues it), and what follows is its
output: white space aside the same, with `...` for anything; commands that do not call the gateway are left out. In a table whose head is `| call | answer |` the first
cell is what is added to curl (a path of its own, or the Filter call's), and the second begins with the status.
"""
import os
import re
import subprocess
import sys
import unittest

REST = "http://127.0.0.1:8080"
URL = os.environ.get("LUNA_GATEWAY_URL", REST)
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILTER = f"curl -s -i {REST}/api/v1/kalman:filter"
KEY = ' -H "x-api-key: $KEY"'


def run(command):
    command = command.replace(REST, URL).replace("127.0.0.1:8080", URL.removeprefix("http://"))
    env = dict(os.environ, KEY=os.environ["LUNA_KEY"])
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, timeout=60, cwd=ROOT)
    return done.stdout + done.stderr


def blocks(text):
    """(command, expected output) of each command in the indented blocks."""
    command, output, open_command = None, [], False
    for line in text.splitlines() + ["end"]:
        if not line.startswith("    "):
            if line.strip() and command:
                yield command, "\n".join(output)
                command, output = None, []
            continue
        line = line[4:]
        if open_command:
            command += "\n" + line
        elif line.startswith("$ "):
            if command:
                yield command, "\n".join(output)
            command, output = line[2:], []
        elif command:
            output.append(line)
        open_command = command is not None and not output and line.endswith("\\")


def rows(text):
    """(what is added to curl, answer) of the tables of calls."""
    on = False
    for line in text.splitlines():
        if line.startswith("| call |"):
            on = True
        elif not line.startswith("|"):
            on = False
        elif on and not line.startswith("|---"):
            call, answer = [cell.strip() for cell in line.strip("|").split(" | ", 1)]
            yield call.replace("\\|", "|"), answer


def pattern(expected):
    """A regular expression for the output, blind to white space."""
    squeezed = re.sub(r"\s+", "", expected)
    return ".*".join(re.escape(part) for part in squeezed.split("..."))


def of_pages(parts):
    """(page, part) of all pages."""
    for page in sys.argv[2:]:
        with open(page) as f:
            for part in parts(f.read()):
                yield os.path.basename(page), part


class Pages(unittest.TestCase):
    maxDiff = None

    def test_commands(self):
        count = 0
        for page, (command, expected) in of_pages(blocks):
            if REST not in command:
                continue
            count += 1
            with self.subTest(page, command=command):
                got = re.sub(r"\s+", "", run(command))
                self.assertRegex(got, "^" + pattern(expected) + "$")
        self.assertGreaterEqual(count, 14)

    def test_mistakes(self):
        count = 0
        for page, (call, answer) in of_pages(rows):
            count += 1
            with self.subTest(page, call=call):
                self.mistake(call.strip("`"), answer)
        self.assertGreater(count, 8)

    def mistake(self, call, answer):
        words = answer.split()
        command = f"curl -s -i {REST}{call}" if call.startswith("/") else f"{FILTER} {call}"
        if "x-api-key" not in call:
            command += KEY
        if "content-type" not in call:
            command += " -H 'content-type: application/json'"
        got = run(command)
        self.assertEqual(got.split()[1], words[0].strip(",;:"), f"{command}\n{got}")
        for said in re.findall(r"`([^`]*)`", answer):
            self.assertIn(said, got)
        for reason in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", re.sub(r"`[^`]*`", "", answer)):
            self.assertIn(f'"reason":"{reason}"', got)


def load_demo():
    """What ./dev up puts into the account demo: a floor plan and a week of two sensors."""
    owner = f"host={os.environ['LUNA_STACK']} user=luna_owner dbname=luna"
    subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-v", "account=demo", "-f",
                    f"{ROOT}/client/samples/floor_plan.sql", owner], check=True, capture_output=True)
    subprocess.run([sys.argv[1], "--server", f"unix:{os.environ['LUNA_STACK']}/luna.sock", "--key",
                    os.environ["LUNA_KEY"], "counts", "import", "--dedupe", "none",
                    f"{ROOT}/client/samples/dpu_data.csv"], check=True, capture_output=True)


if __name__ == "__main__":
    load_demo()
    unittest.main(argv=sys.argv[:1], verbosity=2)
