#!/usr/bin/env python3
"""Draws a day of a space by hour, from REST, as SVG:

    client/samples/draw_day.py http://127.0.0.1:8080 SPACE_ID 2018-03-01 > day.svg     (LUNA_API_KEY, or none)
"""
import datetime
import json
import os
import sys
import urllib.parse
import urllib.request

WIDTH, HEIGHT, LEFT, BASE = 760, 300, 40, 210


def buckets(base, space, day):
    end = day + datetime.timedelta(days=1)
    query = urllib.parse.urlencode({"bucket": "1h", "time_zone": "UTC", "from": f"{day}T00:00:00Z", "to": f"{end}T00:00:00Z"})
    request = urllib.request.Request(f"{base}/api/v1/counts/{space}?{query}")
    if os.environ.get("LUNA_API_KEY"):
        request.add_header("x-api-key", os.environ["LUNA_API_KEY"])
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["buckets"]


def main():
    base, space, day = sys.argv[1], sys.argv[2], datetime.date.fromisoformat(sys.argv[3])
    rows = buckets(base, space, day)
    top = max([1] + [max(b["max"], b["entrances"], b["exits"]) for b in rows])
    step = (WIDTH - LEFT) / len(rows)

    def y(value):
        return BASE - value * (BASE - 30) / top

    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">')
    print(f'<rect width="100%" height="100%" fill="white"/><text x="{LEFT}" y="18">space {space}, {day} (UTC): '
          'people (line: mean, band: least to most), in (green), out (red) by hour</text>')
    for i, b in enumerate(rows):
        x = LEFT + i * step
        print(f'<rect x="{x:.1f}" y="{y(b["max"]):.1f}" width="{step:.1f}" height="{y(b["min"]) - y(b["max"]):.1f}" fill="#cfe0f5"/>')
        print(f'<rect x="{x + 2:.1f}" y="{y(b["entrances"]):.1f}" width="{step / 2 - 3:.1f}" '
              f'height="{BASE - y(b["entrances"]):.1f}" fill="#4a9d5b"/>')
        print(f'<rect x="{x + step / 2:.1f}" y="{y(b["exits"]):.1f}" width="{step / 2 - 3:.1f}" '
              f'height="{BASE - y(b["exits"]):.1f}" fill="#c0504d"/>')
        print(f'<text x="{x + step / 2:.1f}" y="{BASE + 16}" text-anchor="middle">{b["starts_at"][11:13]}</text>')
    line = " ".join(f'{LEFT + (i + 0.5) * step:.1f},{y(b["mean"]):.1f}' for i, b in enumerate(rows))
    print(f'<polyline points="{line}" fill="none" stroke="#1f4e9c" stroke-width="2"/>')
    for value in sorted({0, top // 2, top}):
        print(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value}</text>')
        print(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#888" stroke-width="0.5"/>')
    print("</svg>")


if __name__ == "__main__":
    main()
