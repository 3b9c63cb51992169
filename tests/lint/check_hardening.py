#!/usr/bin/env python3
"""check_hardening.py BINARY [OBJECT_FOLDER]: what the compiler's hardening flags must have left in it.

The mark of control-flow protection (IBT, SHSTK) is in a binary only when every object linked into it
has it, and the system's start files may not: so it is looked for in our own objects."""
import os
import re
import subprocess
import sys

import sources


def readelf(*args):
    return subprocess.run(["readelf", "--wide", *args], capture_output=True, text=True, check=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout


def segment_problems(headers):
    segments = re.findall(r"^\s+(\w+)\s+0x\w+ 0x\w+ 0x\w+ 0x\w+ 0x\w+ (.{3})", headers, re.MULTILINE)
    kinds = {kind for kind, _ in segments}
    if "GNU_RELRO" not in kinds:
        yield "no RELRO segment (-Wl,-z,relro)"
    if "GNU_STACK" not in kinds:
        yield "nothing says that the stack is not executable"
    for kind, flags in segments:
        if "W" in flags and "E" in flags:
            yield f"a segment that can be written and executed: {kind} {flags}"


def dynamic_problems(header, dynamic):
    if not re.search(r"Type:\s+DYN", header) or not re.search(r"FLAGS_1\).*\bPIE\b", dynamic):
        yield "not position independent (-pie)"
    if not re.search(r"\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*\bNOW\b|\(BIND_NOW\)", dynamic):
        yield "symbols are bound late (-Wl,-z,now)"
    if re.search(r"\(TEXTREL\)|\(FLAGS\).*TEXTREL", dynamic):
        yield "relocations in the code (TEXTREL)"
    if re.search(r"\((RPATH|RUNPATH)\)", dynamic):
        yield "libraries are looked for in a folder of its own (RPATH)"


def symbol_problems(symbols):
    imported = set(re.findall(r"\bUND (\w+)", symbols))
    if "__stack_chk_fail" not in imported:
        yield "no stack protector (-fstack-protector-strong)"
    if not any(s.endswith("_chk") for s in imported):
        yield "no fortified calls (-D_FORTIFY_SOURCE)"


# Switching stacks by hand is what a shadow stack forbids: this object must say that it has indirect branch
# tracking alone.
NO_SHADOW_STACK = {"fiber_switch.c.o"}


def object_problems(objects):
    for path in objects:
        mark = r"feature: IBT$" if os.path.basename(path) in NO_SHADOW_STACK else r"IBT, SHSTK"
        if not re.search(mark, readelf("--notes", path), re.MULTILINE):
            yield f"{os.path.basename(path)}: no control-flow protection (-fcf-protection=full)"


def objects_below(folder):
    return sorted(os.path.join(where, name)
                  for where, _, names in os.walk(folder) for name in names if name.endswith(".o"))


def main():
    binary = sys.argv[1]
    header = readelf("--file-header", binary)
    problems = [*segment_problems(readelf("--segments", binary)),
                *dynamic_problems(header, readelf("--dynamic", binary)),
                *symbol_problems(readelf("--dyn-syms", binary))]
    checked = 1
    if len(sys.argv) > 2 and "X86-64" in header:
        objects = objects_below(sys.argv[2])
        if not objects:
            problems.append(f"no objects below {sys.argv[2]}")
        problems += object_problems(objects)
        checked += len(objects)
    name = os.path.basename(binary)
    sources.finish("hardening", [f"{name}: {p}" for p in problems], checked)


if __name__ == "__main__":
    main()
