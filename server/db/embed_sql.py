#!/usr/bin/env python3
"""Turns .sql files into C: named statements for db/db.h, or the list of migrations.

    embed_sql.py statements quota.sql <folder of the output> <include path of the header>
    embed_sql.py migrations <folder with NNNN_name.up.sql> out.c

A statement file is a sequence of

    -- name: quota_get_account :one
    -- params: int8, text
    -- row: account
    -- error: account_account_name_key ACCOUNT_EXISTS
    SELECT account_id, account_name FROM account WHERE account_id = $1 AND account_name = $2;

`:one :maybe :many :exec :stream :copy :text` say which verb it is for. `params` names the types of $1, $2, ...
(db.h lists them; an array is `int8[]`). `row` names the row map. Further marks, one a line: `read` and
`write` overrule the guess (a SELECT without FOR UPDATE and without a writing WITH reads), `system`,
`replica`, `idempotent` as in enum db_flags, `bounded: why` excuses a :many from its LIMIT. Other
comments are left out of the text that is sent.

A list that callers may filter and sort (db/list.h) says where conditions and order go, and on what:

    -- name: quota_list_keys :many
    -- params: int8, int8, int8
    -- row: api_key
    -- list: key_id
    -- column: key_id int8
    -- column: prefix text as key_prefix = key_prefix
    -- column: role text values ROLE_ADMIN=admin,ROLE_MEMBER=member
    -- column: scopes text[] nosort
    -- column: expires_at timestamptz null
    SELECT ... FROM api_key WHERE account_id = $1 AND /* where */ ORDER BY /* order */ LIMIT $2 OFFSET $3;

`list` is the order that makes rows distinct: columns, each may be followed by ` desc`. The last two params are the
limit and the offset. A column is `name type marks = expression`; without an expression it is the name. Marks: `null`
(may be NULL), `nosort`, `nofilter`, `as x` (the row map's name of it, which sorting needs), `unit s|ms|us` (numbers
that durations are compared with), `values A=a,B=b` (the names callers use for stored texts).
"""
import hashlib
import os
import re
import sys

KINDS = ("one", "maybe", "many", "exec", "stream", "copy", "text")
TYPES = ("bool", "int2", "int4", "int8", "float4", "float8", "text", "bytea", "uuid",
         "timestamptz", "date", "jsonb")
FLAGS = ("system", "replica", "idempotent")
MAX_PARAMS = 64
MAX_COLUMNS = 24
UNITS = {"s": 1000000, "ms": 1000, "us": 1}
COLUMN_TYPES = ("DB_BOOL", "DB_INT2", "DB_INT4", "DB_INT8", "DB_FLOAT4", "DB_FLOAT8", "DB_TEXT", "DB_UUID",
                "DB_TIMESTAMPTZ", "DB_DATE", "DB_TEXT_ARRAY", "DB_INT8_ARRAY")


class Bad(Exception):
    """A line that names what is wrong in a file."""


def c_string(text):
    """One C literal a line of text."""
    lines = []
    for line in text.split("\n"):
        escaped = line.replace("\\", "\\\\").replace('"', '\\"')
        lines.append('"%s\\n"' % escaped.replace("\t", "\\t").replace("??", "?\\?"))
    lines[-1] = lines[-1][:-3] + '"'
    return "\n    ".join(lines)


def param_type(word, where):
    base = word[:-2] if word.endswith("[]") else word
    if base not in TYPES:
        raise Bad("%s: no such parameter type: %s" % (where, word))
    return "DB_%s%s" % (base.upper(), "_ARRAY" if word.endswith("[]") else "")


def without_literals(sql):
    """The text without its strings, quoted names and comments, for looking at keywords."""
    sql = re.sub(r"/\*.*?\*/", " ", sql, flags=re.S)
    return re.sub(r"'(?:[^']|'')*'|\"[^\"]*\"", " ", sql)


class Column:
    """What a caller may filter and sort by."""

    def __init__(self, text, where):
        head, _, expression = text.partition(" = ")
        words = head.split()
        if len(words) < 2 or not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", words[0]):
            raise Bad("%s: want `column: name type marks = expression`, not: %s" % (where, text))
        self.name, self.type = words[0], param_type(words[1], where)
        self.sql = expression.strip() or self.name
        self.result, self.unit_us, self.values = self.name, 0, []
        marks, rest = set(), words[2:]
        while rest:
            word = rest.pop(0)
            if word in ("null", "nosort", "nofilter"):
                marks.add(word)
            elif word == "as" and rest:
                self.result = rest.pop(0)
            elif word == "unit" and rest and rest[0] in UNITS and self.type in ("DB_INT4", "DB_INT8", "DB_FLOAT8"):
                self.unit_us = UNITS[rest.pop(0)]
            elif word == "values" and rest and self.type == "DB_TEXT":
                self.values = [pair.split("=") for pair in rest.pop(0).split(",")]
            else:
                raise Bad("%s: column %s: what is `%s`?" % (where, self.name, word))
        if any(len(pair) != 2 for pair in self.values):
            raise Bad("%s: column %s: want values A=a,B=b" % (where, self.name))
        if self.type not in COLUMN_TYPES or (self.type.endswith("_ARRAY") and "nosort" not in marks):
            raise Bad("%s: column %s: nobody can compare a %s (arrays are `nosort`)" % (where, self.name, words[1]))
        self.flags = [flag for mark, flag in (("nosort", "DB_COLUMN_SORTS"), ("nofilter", "DB_COLUMN_FILTERS"))
                      if mark not in marks]
        self.flags += ["DB_COLUMN_NULL"] if "null" in marks else []


class Statement:
    def __init__(self, name, kind, where):
        self.name, self.kind, self.where = name, kind, where
        self.params, self.row, self.errors = [], None, []
        self.marks, self.lines = set(), []
        self.list, self.columns = None, []

    def mark(self, text):
        """Takes a header comment; False: an ordinary comment."""
        key, colon, value = text.partition(":")
        key, value = key.strip(), value.strip()
        if colon and key == "params":
            self.params = [param_type(w.strip(), self.where) for w in value.split(",")]
        elif colon and key == "row":
            if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
                raise Bad("%s: bad row map: %s" % (self.where, value))
            self.row = value
        elif colon and key == "error":
            words = value.split()
            if len(words) != 2 or not re.fullmatch(r"[A-Z][A-Z0-9_]*", words[1]):
                raise Bad("%s: want `error: key REASON`, not: %s" % (self.where, value))
            self.errors.append(words)
        elif colon and key == "list":
            self.list = [w.split() for w in value.split(",")]
        elif colon and key == "column":
            self.columns.append(Column(text.partition(":")[2].strip(), self.where))
        elif colon and key == "bounded" and value:
            self.marks.add("bounded")
        elif not colon and key in FLAGS + ("read", "write"):
            self.marks.add(key)
        else:
            return False
        return True

    def finish(self):
        self.sql = "\n".join(self.lines).strip()
        if not self.sql.endswith(";"):
            raise Bad("%s: %s does not end with a semicolon" % (self.where, self.name))
        self.sql = self.sql[:-1].rstrip()
        bare = without_literals(self.sql)
        if not self.sql or ";" in bare:
            raise Bad("%s: %s is not exactly one statement" % (self.where, self.name))
        self.check_params(bare)
        self.check_rows(bare)
        self.classify(bare)
        if self.list is not None or self.columns:
            self.finish_list()

    def finish_list(self):
        def bad(what):
            raise Bad("%s: %s %s" % (self.where, self.name, what))
        names = [c.name for c in self.columns]
        if self.list is None or not self.columns:
            bad("needs both `list` and `column` lines")
        if self.kind != "many" or self.flags[:1] != ["DB_READ"]:
            bad("is a list and must be a :many that reads")
        if len(set(names)) != len(names) or len(names) > MAX_COLUMNS:
            bad("names a column twice or has more than %d" % MAX_COLUMNS)
        self.keys = []
        for words in self.list:
            by_name = [i for i, c in enumerate(self.columns) if c.name == words[0]]
            if not by_name or words[1:] not in ([], ["desc"]) or "DB_COLUMN_SORTS" not in self.columns[by_name[0]].flags:
                bad("is in the order of something that is no sortable column: %s" % " ".join(words))
            self.keys.append((by_name[0], len(words) > 1))
        if self.params[-2:] != ["DB_INT8", "DB_INT8"] or "LIMIT $%d OFFSET $%d" % (
                len(self.params) - 1, len(self.params)) not in self.sql:
            bad("must end with LIMIT $n-1 OFFSET $n, both int8")
        parts = re.split(r"/\* (?:where|order) \*/", self.sql)
        if len(parts) != 3 or not re.search(r"/\* where \*/.*/\* order \*/", self.sql, re.S):
            bad("needs /* where */ and then /* order */, once each")
        self.parts = parts
        order = ", ".join(self.columns[i].sql + (" DESC" if down else "") for i, down in self.keys)
        self.sql = parts[0] + "true" + parts[1] + order + parts[2]

    def check_params(self, bare):
        used = {int(n) for n in re.findall(r"\$(\d+)", bare)}
        if self.kind == "copy":
            used = set(range(1, len(self.params) + 1))
            if not self.params:
                raise Bad("%s: %s needs params: the types of its columns" % (self.where, self.name))
        if used != set(range(1, len(self.params) + 1)):
            raise Bad("%s: %s declares %d params but uses %s" %
                      (self.where, self.name, len(self.params),
                       ", ".join("$%d" % n for n in sorted(used)) or "none"))
        if len(self.params) > MAX_PARAMS:
            raise Bad("%s: %s has more than %d params" % (self.where, self.name, MAX_PARAMS))

    def check_rows(self, bare):
        wants_row = self.kind in ("one", "maybe", "many", "stream")
        if wants_row != (self.row is not None):
            raise Bad("%s: %s (:%s) %s a row map" %
                      (self.where, self.name, self.kind, "needs" if wants_row else "cannot have"))
        limited = re.search(r"\bLIMIT\b|\bFETCH\s+FIRST\b", bare, re.I)
        if self.kind == "many" and not limited and "bounded" not in self.marks:
            raise Bad("%s: %s is :many without a LIMIT" % (self.where, self.name))

    def classify(self, bare):
        reads = re.match(r"\s*(SELECT|WITH|VALUES|TABLE)\b", bare, re.I)
        writes = re.search(r"\b(INSERT|UPDATE|DELETE|MERGE|FOR\s+(NO\s+KEY\s+)?UPDATE|"
                           r"FOR\s+(KEY\s+)?SHARE)\b", bare, re.I)
        guess = "read" if reads and not writes else "write"
        if {"read", "write"} <= self.marks:
            raise Bad("%s: %s is marked read and write" % (self.where, self.name))
        if guess == "read" and "write" in self.marks:
            guess = "write"
        elif guess == "write" and "read" in self.marks:
            if writes or not reads:
                raise Bad("%s: %s is marked read but writes" % (self.where, self.name))
        if "replica" in self.marks and guess != "read":
            raise Bad("%s: %s writes and cannot go to a replica" % (self.where, self.name))
        if "idempotent" in self.marks and guess == "read":
            raise Bad("%s: %s reads and needs no `idempotent`" % (self.where, self.name))
        flags = ["DB_READ"] if guess == "read" else []
        self.flags = flags + ["DB_" + f.upper() for f in FLAGS if f in self.marks]


def parse(path):
    statements, current, in_header = [], None, False
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip()
            where = "%s:%d" % (os.path.basename(path), number)
            head = re.match(r"--\s*name:\s*(\S+)\s+:(\S+)\s*$", line)
            if head:
                if not re.fullmatch(r"[a-z][a-z0-9_]{2,62}", head[1]) or head[2] not in KINDS:
                    raise Bad("%s: bad name or kind: %s" % (where, line))
                current, in_header = Statement(head[1], head[2], where), True
                statements.append(current)
            elif re.match(r"\s*--", line):
                text = line.strip()[2:].strip()
                if re.match(r"name\b", text):
                    raise Bad("%s: want `-- name: x :kind`" % where)
                if current and in_header:
                    current.mark(text)
            elif line or (current and not in_header):
                if not current:
                    raise Bad("%s: text before the first `-- name:`" % where)
                in_header = False
                current.lines.append(line)
    names = [s.name for s in statements]
    for s in statements:
        s.finish()
        if names.count(s.name) > 1:
            raise Bad("%s: there are two %s" % (s.where, s.name))
    if not statements:
        raise Bad("%s: no statements" % path)
    return statements


def emit_header(set_name, guard, source, statements):
    out = ["/* Made from %s by embed_sql.py. */" % source, "#ifndef %s" % guard,
           "#define %s" % guard, "", '#include "db/db.h"', ""]
    out += ["extern struct db_stmt sql_%s;" % s.name for s in statements]
    out += ["", "extern const struct db_sql %s_sql;" % set_name, "", "#endif", ""]
    return "\n".join(out)


def emit_list(s):
    rows = []
    for i, c in enumerate(s.columns):
        if c.values:
            cells = ", ".join('{"%s", "%s"}' % (shown, stored) for shown, stored in c.values)
            rows.append("static const struct db_column_value %s_values_%d[] = {%s};" % (s.name, i, cells))
    rows.append("static const struct db_column %s_columns[] = {" % s.name)
    for i, c in enumerate(s.columns):
        values = ", .values = %s_values_%d, .n_values = %d" % (s.name, i, len(c.values)) if c.values else ""
        rows.append('    {.name = "%s", .sql = %s, .result = "%s", .type = %s, .flags = %s, .unit_us = %d%s},' %
                    (c.name, c_string(c.sql), c.result, c.type, " | ".join(c.flags) or "0", c.unit_us, values))
    rows += ["};", "static const struct db_order %s_keys[] = {" % s.name]
    rows += ["    {&%s_columns[%d], %s}," % (s.name, i, "true" if down else "false") for i, down in s.keys]
    rows += ["};", "static const struct db_list %s_list = {" % s.name]
    rows += ["    .%s = %s," % (member, c_string(text)) for member, text in zip(("head", "middle", "tail"), s.parts)]
    rows += ["    .columns = %s_columns," % s.name, "    .n_columns = %d," % len(s.columns),
             "    .keys = %s_keys," % s.name, "    .n_keys = %d," % len(s.keys), "};", ""]
    return rows


def emit_statement(s):
    rows = emit_list(s) if s.list else []
    rows += ["struct db_stmt sql_%s = {" % s.name, '    .name = "%s",' % s.name,
            "    .sql = %s," % c_string(s.sql), "    .kind = DB_KIND_%s," % s.kind.upper(),
            "    .flags = %s," % (" | ".join(s.flags) or "0")]
    if s.params:
        rows.append("    .params = (const enum db_type[]){%s}," % ", ".join(s.params))
        rows.append("    .n_params = %d," % len(s.params))
    if s.row:
        rows.append("    .row = %s_row," % s.row)
    if s.list:
        rows.append("    .list = &%s_list," % s.name)
    if s.errors:
        cells = ", ".join('{"%s", REASON_%s}' % (k, r) for k, r in s.errors)
        rows.append("    .errors = (const struct db_error[]){%s}," % cells)
        rows.append("    .n_errors = %d," % len(s.errors))
    return rows + ["};", ""]


def emit_source(set_name, include, source, statements):
    out = ["/* Made from %s by embed_sql.py. */" % source, '#include "%s"' % include, "", '#include "db/list.h"', ""]
    out += ["extern const struct db_col %s_row[];" % r
            for r in sorted({s.row for s in statements if s.row and not s.row.startswith("db_")})]
    out.append("")
    for s in statements:
        out += emit_statement(s)
    out.append("static struct db_stmt *const stmts[] = {")
    out += ["    &sql_%s," % s.name for s in statements]
    out += ["};", "", 'const struct db_sql %s_sql = {"%s", stmts, %d};' %
            (set_name, set_name, len(statements)), ""]
    return "\n".join(out)


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def embed_statements(path, folder, include):
    source = os.path.basename(path)
    set_name = source[:-4]
    guard = "LUNA_SQL_" + re.sub(r"[^A-Z0-9]", "_", include.upper())
    statements = parse(path)
    os.makedirs(folder, exist_ok=True)
    write(os.path.join(folder, source + ".h"),
          emit_header(set_name, guard, source, statements))
    write(os.path.join(folder, source + ".c"),
          emit_source(set_name, include, source, statements))


def embed_migrations(folder, out_path):
    ups = sorted(f for f in os.listdir(folder) if f.endswith(".up.sql"))
    out = ["/* Made from the migrations by embed_sql.py. */", '#include "db/db.h"', "",
           "const struct db_migration db_migrations[] = {"]
    for want, up_name in enumerate(ups, 1):
        name = up_name[:-len(".up.sql")]
        if not re.fullmatch(r"\d{4}_[a-z0-9_]+", name) or int(name[:4]) != want:
            raise Bad("%s: migrations are NNNN_name.up.sql, numbered without gaps" % up_name)
        texts = []
        for side in ("up", "down"):
            with open(os.path.join(folder, "%s.%s.sql" % (name, side)), encoding="utf-8") as f:
                texts.append(f.read().rstrip("\n") + "\n")
        checksum = hashlib.sha256("\0".join(texts).encode()).hexdigest()
        out += ["    {", "    .number = %d," % want, '    .name = "%s",' % name,
                "    .up = %s," % c_string(texts[0]), "    .down = %s," % c_string(texts[1]),
                '    .checksum = "%s",' % checksum, "    },"]
    out += ["};", "", "const size_t db_migration_count = %d;" % len(ups), ""]
    write(out_path, "\n".join(out))


def main(args):
    try:
        if len(args) == 4 and args[0] == "statements":
            embed_statements(args[1], args[2], args[3])
        elif len(args) == 3 and args[0] == "migrations":
            embed_migrations(args[1], args[2])
        else:
            sys.exit(__doc__)
    except (Bad, OSError) as e:
        sys.exit("embed_sql: %s" % e)


if __name__ == "__main__":
    main(sys.argv[1:])
