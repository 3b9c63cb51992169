#!/usr/bin/env python3
"""./dev bench [NAME ...]: measures Luna, each number beside the limit it is held against.

A limit is measured in the same run, right before or after the number itself, on the same machine that
also runs Postgres, Redis and the load generator. Rows that have a goal say `reached` or `MISSED`; the
exit code tells whether all were reached. `--json FILE` keeps the numbers.
"""
import argparse
import importlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from measure import Bench  # noqa: E402

PARTS = ["spine", "kalman", "gateway", "counts", "quota"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="the build folder with bin/")
    parser.add_argument("parts", nargs="*", help="which parts; all: " + " ".join(PARTS))
    parser.add_argument("--json", help="write the numbers there")
    args = parser.parse_args()
    for part in args.parts:
        if part not in PARTS:
            parser.error(f"there is no part '{part}'; there are: {' '.join(PARTS)}")
    bench = Bench(args.build)
    for part in args.parts or PARTS:
        importlib.import_module(f"bench_{part}").run(bench)
    bench.print_table()
    if args.json:
        with open(args.json, "w", encoding="utf-8") as out:
            json.dump(bench.rows, out, indent=1)
    return 0 if bench.all_reached() else 1


if __name__ == "__main__":
    sys.exit(main())
