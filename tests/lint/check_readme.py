#!/usr/bin/env python3
"""check_readme.py BINARY README [--write]: is README's table of settings the one that the server prints?

It stands between the lines <!-- settings --> and <!-- /settings -->; --write puts it there."""
import difflib
import subprocess
import sys

import sources


BEGIN = "<!-- settings -->"
END = "<!-- /settings -->"


def table_at(lines):
    """Where the lines between the two marks stand: (start, end), or None."""
    if BEGIN not in lines or END not in lines:
        return None
    return lines.index(BEGIN) + 1, lines.index(END)


def main():
    binary, readme = sys.argv[1:3]
    said = subprocess.run([binary, "--print-config-markdown"], capture_output=True, text=True, check=True)
    wanted = said.stdout.splitlines()
    with open(readme, encoding="utf-8") as f:
        lines = f.read().splitlines()
    place = table_at(lines)
    if place is None:
        sources.finish("readme", [f"{readme}: no lines {BEGIN} and {END}"], 1)
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
