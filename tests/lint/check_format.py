#!/usr/bin/env python3
"""check_format.py ROOT: is every C and C++ file as clang-format 14 would write it?

Without clang-format 14 the check is skipped (exit code 77), except where CI=true."""
import os
import re
import shutil
import subprocess
import sys

import sources

WANTED = "14"
SKIPPED = 77


def find_program():
    for name in ("clang-format-" + WANTED, "clang-format"):
        path = shutil.which(name)
        if not path:
            continue
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        version = re.search(r"version (\d+)", said)
        if version and version[1] == WANTED:
            return path
    return None


def main():
    root = sys.argv[1]
    program = find_program()
    if program is None:
        print(f"format: clang-format {WANTED} is not installed (Debian's package clang-format)")
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
    paths = sources.files(root, ("server", "client", "gateway", "tests"), (".c", ".h", ".cc"))
    said = subprocess.run([program, "--dry-run", "-Werror", "--style=file", *paths], cwd=root,
                          capture_output=True, text=True, check=False) if paths else None
    bad = sorted(set(re.findall(r"^([^\s:]+):\d+:\d+: error: ", said.stderr, re.MULTILINE))) if said else []
    if said and said.returncode and not bad:
        bad = [said.stderr.strip()]
    sources.finish("format", [f"{path}: clang-format -i would change it" for path in bad], len(paths))


if __name__ == "__main__":
    main()
