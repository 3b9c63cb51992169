#!/usr/bin/env python3
"""check_layers.py ROOT [RULES]: does every #include of server/, client/ and gateway/ keep to layers.txt?"""
import fnmatch
import os
import re
import sys

import sources

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]')
PLACES = ("", "server", "client", "client/include")  # where the compiler looks for "x/y.h"


def read_rules(path):
    """{section: {who: [what]}}; [libc] is a list of names."""
    rules = {"libc": []}
    section = None
    with open(path, encoding="utf-8") as f:
        for line in f:
            line = line.split("#")[0].strip()
            if not line:
                continue
            if line.startswith("["):
                section = line.strip("[]")
                rules.setdefault(section, {})
            elif section == "libc":
                rules["libc"] += line.split()
            else:
                who, what = line.split(":", 1)
                rules[section][who.strip()] = what.split()
    return rules


def stands_in(path, place):
    """Is `path` the file, below the folder, or of the file pattern `place`?"""
    return path == place or path.startswith(place + "/") or fnmatch.fnmatch(path, place)


class Layers:
    def __init__(self, root, rules):
        self.root = root
        self.rules = rules

    def folder_of(self, path):
        """The line of [folders] that speaks for `path`: the longest name that it stands below."""
        for service in self.rules["services"]:
            if path.startswith(f"server/{service}/"):
                return f"server/{service}"
        if os.path.dirname(path) == "server":
            return "server"
        # A folder of server/ that has no line must not pass for app.c's.
        names = [f for f in self.rules["folders"] if path.startswith(f + "/") and f != "server"]
        return max(names, key=len, default=None)

    def may_include(self, folder):
        if folder.removeprefix("server/") in self.rules["services"]:
            return self.rules["folders"]["service"]
        return self.rules["folders"][folder]

    def find(self, includer, name):
        """The path in the tree that "name" means, or None."""
        places = (os.path.dirname(includer),) + PLACES
        for place in places:
            path = os.path.normpath(os.path.join(place, name))
            if os.path.isfile(os.path.join(self.root, path)):
                return path
        return None

    def check_ours(self, includer, target):
        folder, other = self.folder_of(includer), self.folder_of(target)
        if other is None:
            return f"{target} belongs to no folder of layers.txt"
        if other == folder:
            return None
        services = self.rules["services"]
        own, its = folder.removeprefix("server/"), other.removeprefix("server/")
        if own in services and its in services:
            if its in services[own] and target == f"server/{its}/{its}.h":
                return None
            return f"service {own} may not include {target} of service {its}"
        if any(stands_in(target, place) for place in self.may_include(folder)):
            return None
        return f"{folder} may not include {target}"

    def check_generated(self, includer, name):
        for pattern, places in self.rules["generated"].items():
            if fnmatch.fnmatch(name, pattern):
                if any(stands_in(includer, p) for p in places):
                    return None
                return f"{name} is only for {' '.join(places)}"
        # x.sql.h and others that belong to the folder they are named after
        guess = "server/" + name
        if "/" in name and self.folder_of(guess):
            return self.check_ours(includer, guess)
        return f"{name} is neither in the tree nor in layers.txt"

    def check_foreign(self, includer, name):
        if includer.endswith(".cc") and "." not in name:
            return None
        if any(name == h or (h.endswith("/") and name.startswith(h)) for h in self.rules["libc"]):
            return None
        for header, places in self.rules["headers"].items():
            if name == header or (header.endswith("/") and name.startswith(header)):
                if any(stands_in(includer, p) for p in places):
                    return None
                return f"<{name}> is only for {' '.join(places)}"
        return f"<{name}> is not in layers.txt"

    def check_include(self, includer, mark, name):
        if mark == "<":
            return self.check_foreign(includer, name)
        target = self.find(includer, name)
        if target is None:
            return self.check_generated(includer, name)
        return self.check_ours(includer, target)

    def check_words(self, path, line):
        for word, places in self.rules["words"].items():
            if re.search(rf"\b{word}\b", line) and not any(stands_in(path, p) for p in places):
                yield f"{word} is only for {' '.join(places)}"

    def check_file(self, path):
        text = sources.read(self.root, path)
        if self.folder_of(path) is None:
            yield f"{path}: belongs to no folder of layers.txt"
            return
        for number, line in sources.numbered(sources.without_comments(text)):
            m = INCLUDE.match(line)
            problem = self.check_include(path, m[1], m[2]) if m else None
            if problem:
                yield f"{path}:{number}: {problem}"
        for number, line in sources.numbered(sources.code(text)):
            for problem in self.check_words(path, line):
                yield f"{path}:{number}: {problem}"


def main():
    root = sys.argv[1]
    here = os.path.dirname(os.path.abspath(__file__))
    rules = read_rules(sys.argv[2] if len(sys.argv) > 2 else os.path.join(here, "layers.txt"))
    layers = Layers(root, rules)
    paths = sources.files(root, ("server", "client", "gateway"), sources.C_ENDINGS)
    problems = [p for path in paths for p in layers.check_file(path)]
    sources.finish("layers", problems, len(paths))


if __name__ == "__main__":
    main()
