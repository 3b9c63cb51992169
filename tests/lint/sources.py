"""The files of a source tree, and C text without its comments and strings: what the checks share."""
import os
import re
import subprocess
import sys

SKIPPED_FOLDERS = {".git", ".luna", "build", "node_modules", "__pycache__"}
C_ENDINGS = (".c", ".h", ".cc", ".def")
TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def git_files(root):
    """What git tracks or would track; None when root is not the top of a checkout."""
    def git(*args):
        return subprocess.run(["git", "-C", root, *args], capture_output=True, text=True, check=False)
    try:
        top = git("rev-parse", "--show-toplevel")
        if top.returncode or os.path.realpath(top.stdout.strip()) != os.path.realpath(root):
            return None
        listed = git("ls-files", "-co", "--exclude-standard", "-z")
    except FileNotFoundError:
        return None
    return listed.stdout.split("\0")[:-1] if listed.returncode == 0 else None


def walked_files(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in SKIPPED_FOLDERS]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def files(root, folders=(), endings=None):
    """Relative paths, sorted, of the files below `folders` (all: none named) with these endings."""
    listed = git_files(root)
    chosen = []
    for path in sorted(walked_files(root) if listed is None else set(listed)):
        full = os.path.join(root, path)
        if folders and not path.startswith(tuple(f + "/" for f in folders)):
            continue
        if (endings is None or path.endswith(endings)) and os.path.isfile(full):
            chosen.append(path)
    return chosen


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace", newline="") as f:
        return f.read()


def blank(text):
    """As many lines as `text` has, and nothing on them."""
    return " " + "\n" * text.count("\n")


def without_comments(text):
    return TOKEN.sub(lambda m: blank(m[0]) if m[0].startswith("/") else m[0], text)


def code(text):
    """`text` with comments and the contents of strings and characters taken out."""
    def replace(m):
        return blank(m[0]) if m[0].startswith("/") else m[0][0] + blank(m[0])[1:] + m[0][-1]
    return TOKEN.sub(replace, text)


def strings(text):
    """(line, value) of each string literal; neighbours are one string, as for the compiler."""
    text = without_comments(text)
    found = []
    end = None
    for m in TOKEN.finditer(text):
        if m[0].startswith("'"):
            continue
        value = m[0][m[0].index('"') + 1:-1]
        if found and end is not None and not text[end:m.start()].strip():
            found[-1][1] += value
        else:
            found.append([text.count("\n", 0, m.start()) + 1, value])
        end = m.end()
    return found


def numbered(text):
    return enumerate(text.split("\n"), 1)


def finish(what, problems, checked):
    """Prints the verdict and ends the program with it."""
    for problem in problems:
        print(problem)
    print(f"{what}: {checked} files, {len(problems)} problems")
    # A check that found nothing to look at has not checked anything.
    sys.exit(1 if problems or not checked else 0)
