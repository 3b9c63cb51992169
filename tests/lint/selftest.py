#!/usr/bin/env python3
"""selftest.py [CC]: can every check fail? Each one runs on a small good tree, which must pass, and on
trees with one fault each, which must fail with the message that names it."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

import check_format

HERE = os.path.dirname(os.path.abspath(__file__))
CC = "cc"

GOOD_TREE = {
    "server/base/str.h": "/* Text. */\n#ifndef LUNA_BASE_STR_H\n#define LUNA_BASE_STR_H\n\n"
                         "#include <string.h>\n\n#endif\n",
    "server/base/str.c": '#include "base/str.h"\n\n#include <stdio.h>\n\n/* a PGresult, <uv.h>, strcpy(a) */\n'
                         'const char *text = "PGresult strcpy(x) select";\n',
    "server/run/fiber.c": '#include "base/str.h"\n\n#include <uv.h>\n',
    "server/db/db.h": "/* Statements. */\n#ifndef LUNA_DB_DB_H\n#define LUNA_DB_DB_H\n\n#endif\n",
    "server/db/conn.c": '#include "db/db.h"\n\n#include <libpq-fe.h>\n\nPGresult *last;\n',
    "server/quota/quota.h": "/* Quotas. */\n#ifndef LUNA_QUOTA_QUOTA_H\n#define LUNA_QUOTA_QUOTA_H\n\n#endif\n",
    "server/quota/store.h": "/* Rows. */\n#ifndef LUNA_QUOTA_STORE_H\n#define LUNA_QUOTA_STORE_H\n\n#endif\n",
    "server/quota/store.c": '#include "db/db.h"\n#include "quota/quota.sql.h"\n#include "quota/store.h"\n',
    "server/quota/quota_rpc.c": '#include "luna/v1/quota.pb-c.h"\n#include "luna/v1/quota.rpc.h"\n',
    "server/main.c": '#include "base/str.h"\n#include "quota/quota.h"\n',
    "client/include/luna/client.h": "/* Calls. */\n#ifndef LUNA_CLIENT_H\n#define LUNA_CLIENT_H\n\n#endif\n",
    "client/call.c": '#include "base/str.h"\n#include "luna/client.h"\n\n#include <grpc/grpc.h>\n',
    "gateway/json.c": '#include "luna/client.h"\n\n#include <microhttpd.h>\n',
    ".clang-format": "BasedOnStyle: LLVM\nSortIncludes: Never\n",
}


class Tree:
    """A folder with these files, gone at the end."""

    def __init__(self, changes=None):
        self.temp = tempfile.TemporaryDirectory()
        self.root = self.temp.name
        for path, text in {**GOOD_TREE, **(changes or {})}.items():
            full = os.path.join(self.root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8", newline="") as f:
                f.write(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.temp.cleanup()

    def path(self, name):
        return os.path.join(self.root, name)


def run_check(script, *args, env=None):
    done = subprocess.run([sys.executable, "-B", os.path.join(HERE, script), *args], capture_output=True,
                          text=True, check=False, env={**os.environ, **(env or {})})
    return done.returncode, done.stdout + done.stderr


class CheckTest(unittest.TestCase):
    def passes(self, script, *args):
        code, said = run_check(script, *args)
        self.assertEqual(code, 0, said)

    def fails(self, wanted, script, *args):
        code, said = run_check(script, *args)
        self.assertEqual(code, 1, said)
        self.assertIn(wanted, said)

    def tree_passes(self, script, changes=None):
        with Tree(changes) as tree:
            self.passes(script, tree.root)

    def tree_fails(self, wanted, script, changes):
        with Tree(changes) as tree:
            self.fails(wanted, script, tree.root)

    def nothing_to_check_fails(self, script):
        with tempfile.TemporaryDirectory() as empty:
            self.fails("0 files", script, empty)


class Layers(CheckTest):
    def test_good_tree(self):
        self.tree_passes("check_layers.py")
        self.nothing_to_check_fails("check_layers.py")

    def refuses(self, path, text, wanted):
        self.tree_fails(wanted, "check_layers.py", {path: text})

    def test_layers(self):
        self.refuses("server/base/x.c", '#include "run/fiber.h"\n',
                     "server/base/x.c:1: server/base may not include server/run/fiber.h")
        self.refuses("server/db/x.c", '\n#include "rpc/call.h"\n', "server/db/x.c:2: server/db may not include")
        self.refuses("server/db/x.c", '#  include "quota/quota.h"\n', "may not include server/quota/quota.h")
        self.refuses("client/x.c", '#include "db/db.h"\n', "client may not include server/db/db.h")
        self.refuses("gateway/x.c", '#include "../server/db/db.h"\n', "gateway may not include server/db/db.h")

    def test_unknown_folder(self):
        self.refuses("server/attic/x.c", "int a;\n", "server/attic/x.c: belongs to no folder")
        self.refuses("server/base/x.c", '#include "attic/x.h"\n', "attic/x.h is neither in the tree nor")

    def test_services(self):
        self.refuses("server/kalman/x.c", '#include "quota/store.h"\n',
                     "service kalman may not include server/quota/store.h of service quota")
        self.refuses("server/kalman/x.c", '#include "quota/quota.h"\n', "service kalman may not include")

    def test_foreign_headers(self):
        for path, header in (("server/base/x.c", "uv.h"), ("server/quota/x.c", "libpq-fe.h"),
                             ("server/db/x.c", "hiredis/async.h"), ("server/edge/x.c", "grpc/grpc.h"),
                             ("server/rpc/x.c", "microhttpd.h"), ("client/x.c", "openssl/evp.h"),
                             ("server/kalman/x.c", "curl/curl.h"), ("server/quota/x.c", "protobuf-c/protobuf-c.h")):
            self.refuses(path, f"#include <{header}>\n", f"{path}:1: <{header}> is only for ")
        self.refuses("server/base/x.c", "#include <jansson.h>\n", "<jansson.h> is not in layers.txt")
        self.refuses("server/base/x.c", "#include <vector>\n", "<vector> is not in layers.txt")
        self.tree_passes("check_layers.py", {"gateway/x.cc": "#include <vector>\n"})

    def test_generated_headers(self):
        self.refuses("server/quota/quota.c", '#include "luna/v1/quota.pb-c.h"\n',
                     "server/quota/quota.c:1: luna/v1/quota.pb-c.h is only for *_rpc.c")
        self.refuses("server/kalman/x.c", '#include "quota/quota.sql.h"\n', "service kalman may not include")
        self.refuses("server/base/x.c", '#include "nowhere.h"\n', "nowhere.h is neither in the tree nor")

    def test_words(self):
        self.refuses("server/quota/x.c", "struct pg_result;\nvoid f(PGresult *r);\n",
                     "server/quota/x.c:2: PGresult is only for server/db")


class Sql(CheckTest):
    def test_good_tree(self):
        self.tree_passes("check_sql.py", {"server/x.c": 'char *s = "Select one FROM UPDATE, INSERT";\n'})
        self.nothing_to_check_fails("check_sql.py")

    def test_statements(self):
        for literal in ('"SELECT id FROM t"', '"SELECT id"\n  " FROM t"', '"SELECT 1"', '"INSERT INTO t"',
                        '"UPDATE t\\nSET a = 1"', '"DELETE FROM t"', '"CREATE TABLE t ()"', '"DROP TABLE t"'):
            self.tree_fails("gateway/x.c:2: SQL in a C string", "check_sql.py",
                            {"gateway/x.c": f"\nchar *s = {literal};\n"})


class Style(CheckTest):
    def test_good_tree(self):
        self.tree_passes("check_style.py")
        self.nothing_to_check_fails("check_style.py")

    def refuses(self, path, text, wanted):
        self.tree_fails(wanted, "check_style.py", {path: text})

    def test_lines(self):
        self.refuses("server/x.c", "int a; \n", "server/x.c:1: spaces at the end")
        self.refuses("server/x.c", "int a;\r\n", "server/x.c:1: spaces at the end")
        self.refuses("server/x.c", "\tint a;\n", "server/x.c:1: a tab")
        self.refuses("server/x.c", "int a;", "no newline at the end")
        self.refuses("README.md", "first\n" + "FIX" + "ME later\n", "README.md:2: unfinished")
        self.refuses("server/x.c", "/* TO" + "DO */\n", "server/x.c:1: unfinished")
        self.refuses("tests/x.py", 'a = "/ho' + 'me/ann/luna"\n', "tests/x.py:1: a path of one machine")

    def test_lengths(self):
        self.refuses("server/x.c", "int a;\n" * 601, "a file of 601 lines")
        self.tree_passes("check_style.py", {"server/x.c": "int a;\n" * 600})
        body = "static void\nf(void)\n{\n" + "    g();\n" * 81 + "}\n"
        self.refuses("server/x.c", body, "server/x.c:3: a function of 81 lines")
        self.tree_passes("check_style.py", {"server/x.c": body.replace("    g();\n", "", 1)})
        self.tree_passes("check_style.py", {"tests/x.cc": "namespace\n{\n" + "int a;\n" * 90 + "}\n"})

    def test_banned_functions(self):
        for call in ("strcpy(a, b)", "sprintf (a, b)", "atoi(a)", "strtok(a, b)", "gmtime(a)", "alloca(9)"):
            name = re.match(r"\w+", call)[0]
            self.refuses("server/x.c", f"int a;\nvoid f(void) {{ {call}; }}\n",
                         f"server/x.c:2: {name} is banned")
        self.tree_passes("check_style.py", {"server/x.c": "void f(void) { gmtime_r(a, b); x->gets(c); }\n"})

    def test_headers(self):
        guarded = "#ifndef LUNA_RUN_X_H\n#define LUNA_RUN_X_H\n\n#endif\n"
        self.refuses("server/run/x.h", guarded, "server/run/x.h:1: a header begins with a comment")
        for bad in ("", guarded.replace("RUN", "BASE"), guarded.replace("define LUNA_RUN", "define RUN")):
            self.refuses("server/run/x.h", "/* X. */\n" + bad, "the include guard is not LUNA_RUN_X_H")


class Format(CheckTest):
    def test_format(self):
        if check_format.find_program() is None:
            self.skipTest("clang-format is not installed")
        self.tree_passes("check_format.py", {"server/x.c": "int a;\n"})
        self.tree_fails("server/x.c: clang-format -i would change it", "check_format.py",
                        {"server/x.c": "int   a ;\n"})
        self.nothing_to_check_fails("check_format.py")

    def test_without_the_program(self):
        with Tree() as tree:
            for ci, wanted in (("true", 1), ("", check_format.SKIPPED)):
                code, said = run_check("check_format.py", tree.root, env={"PATH": tree.root, "CI": ci})
                self.assertEqual(code, wanted, said)
                self.assertIn("is not installed", said)


PROGRAM = """#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
    char text[64];
    memcpy(text, argv[0], (size_t)argc);
    snprintf(text, (size_t)argc, "%s", argv[0]);
    return printf("%s", text);
}
"""
HARD = ["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong",
        "-fcf-protection=full", "-fPIE"]
HARD_LINK = ["-pie", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]


class Hardening(CheckTest):
    def build(self, tree, compile_flags, link_flags):
        os.makedirs(tree.path("o"), exist_ok=True)
        for args in ([*compile_flags, "-c", tree.path("p.c"), "-o", tree.path("o/p.o")],
                     [tree.path("o/p.o"), "-o", tree.path("p"), *link_flags]):
            subprocess.run([CC, *args], check=True, capture_output=True)

    def check(self, compile_flags, link_flags, wanted=None):
        with Tree({"p.c": PROGRAM}) as tree:
            self.build(tree, compile_flags, link_flags)
            args = ("check_hardening.py", tree.path("p"), tree.path("o"))
            if wanted:
                self.fails(wanted, *args)
            else:
                self.passes(*args)

    def test_hardened(self):
        self.check(HARD, HARD_LINK)

    def test_each_flag(self):
        def compiled_without(flag, instead):
            return [instead if f == flag else f for f in HARD]
        self.check(compiled_without("-D_FORTIFY_SOURCE=2", "-O2"), HARD_LINK, "no fortified calls")
        self.check(compiled_without("-fstack-protector-strong", "-fno-stack-protector"), HARD_LINK,
                   "no stack protector")
        self.check(HARD, [*HARD_LINK, "-no-pie"], "not position independent")
        self.check(HARD, [*HARD_LINK, "-Wl,-z,lazy"], "symbols are bound late")
        self.check(HARD, [*HARD_LINK, "-Wl,-z,norelro"], "no RELRO segment")
        self.check(HARD, [*HARD_LINK, "-Wl,-z,execstack"], "written and executed: GNU_STACK")
        self.check(HARD, [*HARD_LINK, "-Wl,-rpath,/opt"], "RPATH")

    def test_objects(self):
        with Tree({"p.c": PROGRAM}) as tree:
            self.build(tree, HARD, HARD_LINK)
            os.remove(tree.path("o/p.o"))
            self.fails("no objects below", "check_hardening.py", tree.path("p"), tree.path("o"))
        if os.uname().machine == "x86_64":
            unprotected = [f for f in HARD if not f.startswith("-fcf")] + ["-fcf-protection=none"]
            self.check(unprotected, HARD_LINK, "p.o: no control-flow protection")


class Readme(CheckTest):
    TABLE = "| setting | default |\n|---|---|\n| `--a` | 1 |\n"
    PAGE = "# Luna\n\n<!-- settings -->\n%s<!-- /settings -->\n\nMore.\n"

    def tree(self, readme):
        script = "#!/bin/sh\n[ \"$1\" = --print-config-markdown ] && cat <<'END'\n" + self.TABLE + "END\n"
        tree = Tree({"server-program": script, "README.md": readme})
        os.chmod(tree.path("server-program"), 0o755)
        return tree

    def args(self, tree):
        return "check_readme.py", tree.path("server-program"), tree.path("README.md")

    def test_same(self):
        with self.tree(self.PAGE % self.TABLE) as tree:
            self.passes(*self.args(tree))

    def test_differs(self):
        for readme in (self.TABLE.replace("1", "2"), self.TABLE + "| `--b` | 1 |\n",
                       self.TABLE[:self.TABLE.index("| `--a`")], ""):
            with self.tree(self.PAGE % readme) as tree:
                self.fails("--print-config-markdown", *self.args(tree))
                self.passes(*self.args(tree), "--write")
                self.passes(*self.args(tree))
                with open(tree.path("README.md"), encoding="utf-8") as f:
                    self.assertEqual(f.read(), self.PAGE % self.TABLE)

    def test_missing(self):
        with self.tree("# Luna\n") as tree:
            self.fails("no lines <!-- settings --> and", *self.args(tree))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        CC = sys.argv.pop(1)
    unittest.main()
