#!/usr/bin/env python3
"""check_sql.py ROOT: statements stand in .sql files, never in the strings of C."""
import re
import sys

import sources

STATEMENT = re.compile(
    r"\bSELECT\b.*\bFROM\b|^\s*SELECT\s|\bINSERT\s+INTO\b|\bUPDATE\b.*\bSET\b|\bDELETE\s+FROM\b"
    r"|\b(CREATE|ALTER|DROP)\s+TABLE\b", re.DOTALL)


def main():
    root = sys.argv[1]
    paths = sources.files(root, ("server", "client", "gateway"), sources.C_ENDINGS)
    problems = []
    for path in paths:
        for line, value in sources.strings(sources.read(root, path)):
            if STATEMENT.search(value.replace("\\n", " ").replace("\\t", " ")):
                problems.append(f'{path}:{line}: SQL in a C string: "{value[:60]}"')
    sources.finish("sql", problems, len(paths))


if __name__ == "__main__":
    main()
