"""What embed_sql.py accepts, guesses and refuses: python3 embed_sql_test.py <folder of embed_sql.py>."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, sys.argv.pop(1))
import embed_sql  # noqa: E402


def parse(text):
    with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        return embed_sql.parse(f.name)


def flags(sql, kind="exec", marks=""):
    row = "-- row: x\n" if kind in ("one", "maybe", "many", "stream") else ""
    return parse("-- name: abc :%s\n%s%s%s" % (kind, row, marks, sql))[0].flags


class EmbedSql(unittest.TestCase):
    def test_tells_reads_from_writes(self):
        self.assertEqual(flags("SELECT 1;", "one"), ["DB_READ"])
        self.assertEqual(flags("WITH a AS (SELECT 1) SELECT * FROM a;", "one"), ["DB_READ"])
        self.assertEqual(flags("SELECT 'UPDATE' AS \"DELETE\";", "one"), ["DB_READ"])
        self.assertEqual(flags("SELECT updated_at FROM t;", "one"), ["DB_READ"])
        for sql in ("SELECT 1 FROM t FOR UPDATE;", "SELECT 1 FROM t FOR NO KEY UPDATE;",
                    "SELECT 1 FROM t FOR SHARE;",
                    "WITH a AS (DELETE FROM t RETURNING 1) SELECT * FROM a;",
                    "INSERT INTO t VALUES (1) RETURNING 1;", "update t set a = 1 returning 1;"):
            self.assertEqual(flags(sql, "one"), [], sql)
        self.assertEqual(flags("SELECT f();", "one", "-- write\n"), [])

    def test_reads_marks(self):
        self.assertEqual(flags("SELECT 1;", "one", "-- system\n-- replica\n"),
                         ["DB_READ", "DB_SYSTEM", "DB_REPLICA"])
        self.assertEqual(flags("DELETE FROM t;", "exec", "-- idempotent\n"), ["DB_IDEMPOTENT"])
        s = parse("-- name: abc :exec\n-- a remark: free text\n-- params: int8, text[]\n"
                  "-- error: unique BAD_FIELD\nDELETE FROM t -- why\nWHERE a = $1 AND b = ANY($2);\n")[0]
        self.assertEqual(s.params, ["DB_INT8", "DB_TEXT_ARRAY"])
        self.assertEqual(s.errors, [["unique", "BAD_FIELD"]])

    def test_keeps_the_text(self):
        s = parse("-- about the file\n\n-- name: abc :one\n-- row: x\nSELECT 1,\n"
                  "-- in the middle\n    '\"q\\' AS a;\n\n-- name: def :exec\nDELETE FROM t;\n")
        self.assertEqual([x.name for x in s], ["abc", "def"])
        self.assertEqual(s[0].sql, "SELECT 1,\n    '\"q\\' AS a")
        self.assertEqual(embed_sql.c_string('a "b"\n\\'), '"a \\"b\\"\\n"\n    "\\\\"')

    def test_refuses(self):
        for text, says in (
                ("SELECT 1;", "before the first"),
                ("-- name: abc one\nSELECT 1;", "want `-- name"),
                ("-- name: Abc :one\nSELECT 1;", "bad name"),
                ("-- name: abc :two\nSELECT 1;", "bad name or kind"),
                ("-- name: abc :exec\nDELETE FROM t", "semicolon"),
                ("-- name: abc :exec\nDELETE FROM t; DELETE FROM u;", "exactly one"),
                ("-- name: abc :exec\nDELETE FROM t WHERE a = $1;", "declares 0 params"),
                ("-- name: abc :exec\n-- params: int8\nDELETE FROM t;", "declares 1 params"),
                ("-- name: abc :exec\n-- params: int8, int8\nDELETE FROM t WHERE a = $2;", "declares 2"),
                ("-- name: abc :exec\n-- params: int9\nDELETE FROM t WHERE a = $1;", "no such parameter"),
                ("-- name: abc :one\nSELECT 1;", "needs a row map"),
                ("-- name: abc :exec\n-- row: x\nDELETE FROM t;", "cannot have a row map"),
                ("-- name: abc :many\n-- row: x\nSELECT 1 FROM t;", "without a LIMIT"),
                ("-- name: abc :many\n-- row: x\nSELECT 'LIMIT' FROM t;", "without a LIMIT"),
                ("-- name: abc :exec\n-- replica\nDELETE FROM t;", "cannot go to a replica"),
                ("-- name: abc :exec\n-- read\nDELETE FROM t;", "marked read but writes"),
                ("-- name: abc :exec\n-- error: unique\nDELETE FROM t;", "error: key REASON"),
                ("-- name: abc :copy\nCOPY t FROM STDIN;", "needs params"),
                ("-- name: abc :exec\nDELETE FROM t;\n-- name: abc :exec\nDELETE FROM t;", "two abc"),
                ("\n", "no statements")):
            with self.assertRaises(embed_sql.Bad, msg=text) as caught:
                parse(text)
            self.assertIn(says, str(caught.exception))

    def test_migrations_are_numbered_pairs(self):
        with tempfile.TemporaryDirectory() as d:
            def put(name, text):
                with open(os.path.join(d, name), "w", encoding="utf-8") as f:
                    f.write(text)
            out = os.path.join(d, "out.c")
            put("0001_a.up.sql", "CREATE TABLE a ();")
            with self.assertRaises(OSError):
                embed_sql.embed_migrations(d, out)
            put("0001_a.down.sql", "DROP TABLE a;")
            embed_sql.embed_migrations(d, out)
            with open(out, encoding="utf-8") as f:
                first = f.read()
            self.assertIn('.name = "0001_a"', first)
            put("0001_a.down.sql", "DROP TABLE  a;")
            embed_sql.embed_migrations(d, out)
            with open(out, encoding="utf-8") as f:
                self.assertNotEqual(first, f.read(), "the checksum covers both files")
            put("0003_c.up.sql", "SELECT 1;")
            with self.assertRaises(embed_sql.Bad):
                embed_sql.embed_migrations(d, out)


if __name__ == "__main__":
    unittest.main()
