#!/usr/bin/env python3
"""check_style.py ROOT: the rules of style that a program can see."""
import re
import sys

import sources

MAX_FILE_LINES = 600
GENERATED = "migrations/schema.sql"
MAX_FUNCTION_LINES = 80
TEXT_ENDINGS = sources.C_ENDINGS + (
    ".py", ".sh", ".cmake", ".sql", ".lua", ".proto", ".md", ".txt", ".json", ".yml", ".yaml", ".html",
    ".css", ".js", ".in", "CMakeLists.txt", "Dockerfile", "/dev", "/run")
CODE_ENDINGS = sources.C_ENDINGS + (".py", ".cmake", ".sql", ".lua", "CMakeLists.txt")
VENDORED = ("proto/google/", "proto/grpc/", "tests/support/proto/grpc/", "tests/fuzz/corpus/")

# Unbounded, not thread safe, or blind to errors; the answer is what to use.
BANNED = {
    "strcpy": "buf_puts or arena_strdup", "stpcpy": "buf_puts or arena_strdup",
    "strcat": "buf_puts", "strncpy": "buf_put", "strncat": "buf_put",
    "sprintf": "snprintf or buf_printf", "vsprintf": "vsnprintf or buf_vprintf",
    "strtok": "str_cut", "gets": "fgets", "alloca": "the arena",
    "localtime": "clock_format", "gmtime": "clock_format", "asctime": "clock_format",
    "ctime": "clock_format", "atoi": "str_to_i64", "atol": "str_to_i64", "atoll": "str_to_i64",
    "atof": "str_to_f64", "rand": "random_bytes", "srand": "random_bytes", "tmpnam": "mkstemp",
    "tempnam": "mkstemp", "mktemp": "mkstemp", "setjmp": "a status", "longjmp": "a status",
}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
# In pieces, so that this file does not name them.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.\-/}])/(work|home/[\w.-]+|root|Users/[\w.-]+)/")


def guards_of(path):
    """(the guard to tell of, a pattern of those accepted): server/base/arena.h -> LUNA_BASE_ARENA_H,
    gateway/json.h -> LUNA_GATEWAY_JSON_H. Outside of what ships, folders may be left out."""
    for prefix in ("server/", "client/include/luna/"):
        path = path.removeprefix(prefix)
    if path.startswith("client/cli/"):  # included as "cli/x.h"
        path = path.removeprefix("client/")
    *folders, name = [re.sub(r"\W", "_", part).upper() for part in path.split("/")]
    full = "_".join(["LUNA", *folders, name])
    if not path.startswith(("tests/", "proto/")):
        return full, full
    return full, "LUNA_" + "".join(f"({folder}_)?" for folder in folders) + name


def check_header(path, text):
    if not re.match(r"\s*(/\*|//)", text):
        yield 1, "a header begins with a comment that says what it is for"
    body = sources.without_comments(text)
    m = re.search(r"^#ifndef (\w+)\n#define (\w+)\n", body, re.MULTILINE)
    guard, accepted = guards_of(path)
    if path.startswith("tests/") and re.search(r"^#pragma once$", body, re.MULTILINE):
        return
    if not m or m[1] != m[2] or not re.fullmatch(accepted, m[1]):
        yield 1, f"the include guard is not {guard}"


def check_functions(text):
    """Bodies stand between a { and a } in the first column, and so do those of types and namespaces."""
    start = 0
    before = ""
    for number, line in sources.numbered(sources.code(text)):
        line = line.rstrip()
        if line == "{" and not re.match(r"(namespace|class|struct|union|enum|extern)\b", before):
            start = number
        elif line.startswith("}"):
            if start and line == "}" and number - start - 1 > MAX_FUNCTION_LINES:
                yield start, f"a function of {number - start - 1} lines (at most {MAX_FUNCTION_LINES})"
            start = 0
        before = line or before


def check_calls(text):
    for number, line in sources.numbered(sources.code(text)):
        for m in BANNED_CALL.finditer(line):
            yield number, f"{m[1]} is banned: use {BANNED[m[1]]}"


def check_lines(path, text):
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "no newline at the end"
    for number, line in sources.numbered(text):
        if line != line.rstrip():
            yield number, "spaces at the end of the line"
        if "\t" in line and path.endswith(sources.C_ENDINGS + (".py", ".cmake", "CMakeLists.txt")):
            yield number, "a tab"
        if UNFINISHED.search(line):
            yield number, "unfinished: " + UNFINISHED.search(line)[0]
        if MACHINE_PATH.search(line):
            yield number, "a path of one machine: " + MACHINE_PATH.search(line)[0]


def check_file(path, text):
    yield from check_lines(path, text)
    lines = text.count("\n")
    if path.endswith(CODE_ENDINGS) and not path.endswith(GENERATED) and lines > MAX_FILE_LINES:
        yield lines, f"a file of {lines} lines (at most {MAX_FILE_LINES})"
    if path.endswith(sources.C_ENDINGS):
        yield from check_calls(text)
        yield from check_functions(text)
    if path.endswith(".h"):
        yield from check_header(path, text)


def main():
    root = sys.argv[1]
    paths = [p for p in sources.files(root)
             if ("/" + p).endswith(TEXT_ENDINGS) and not p.startswith(VENDORED)]
    problems = [f"{path}:{line}: {what}"
                for path in paths for line, what in check_file(path, sources.read(root, path))]
    sources.finish("style", problems, len(paths))


if __name__ == "__main__":
    main()
