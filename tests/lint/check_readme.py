#!/usr/bin/env python3
"""check_readme.py BINARY README [--write]: is README's table of settings the one that the server prints?

--write puts the server's table in its place."""
import difflib
import subprocess
import sys

import sources


def table_at(lines, first):
    """Where the table that begins with the line `first` stands: (start, end), or None."""
    if first not in lines:
        return None
    start = end = lines.index(first)
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    return start, end


def main():
    binary, readme = sys.argv[1:3]
    said = subprocess.run([binary, "--print-config-markdown"], capture_output=True, text=True, check=True)
    wanted = said.stdout.splitlines()
    with open(readme, encoding="utf-8") as f:
        lines = f.read().splitlines()
    place = table_at(lines, wanted[0])
    if place is None:
        sources.finish("readme", [f"{readme}: no table that begins with: {wanted[0]}"], 1)
    start, end = place
    problems = []
    if lines[start:end] != wanted:
        if "--write" in sys.argv[3:]:
            with open(readme, "w", encoding="utf-8") as f:
                f.write("\n".join(lines[:start] + wanted + lines[end:]) + "\n")
        else:
            problems = list(difflib.unified_diff(lines[start:end], wanted, "README.md",
                                                 "--print-config-markdown", lineterm="", n=0))
    sources.finish("readme", problems, 1)


if __name__ == "__main__":
    main()
