"""The table as a picture: how far each ratio is from its target. SVG, by hand, of a few shapes.

Left of the line is better. A row's dot is its median, the bar its lowest and highest round; both
are shares of the target on a logarithmic scale, and turned around where more is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from bench.report import Row

WIDTH, LINE, LEFT, RIGHT, TOP = 860, 26, 330, 110, 44
_LOW, _HIGH = 1 / 16, 4.0
_COLOURS = {"stretch": "#1a7f4b", "met": "#2f6fb0", "missed": "#b3372f"}


def share(row: Row, ratio: float) -> float:
    """The ratio as a share of the row's target: below 1 is better than wanted."""
    assert row.goal is not None
    if row.goal.sign == "<=":
        return ratio / row.goal.target
    return row.goal.target / ratio if ratio else math.inf


def place(value: float) -> float:
    """Where a share stands on the picture; what is beyond an edge stands at it."""
    inside = min(max(value, _LOW), _HIGH)
    part = math.log(inside / _LOW) / math.log(_HIGH / _LOW)
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def _text(x: float, y: float, words: str, anchor: str = "start", colour: str = "#333") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {where}>{escape(words)}</text>"


def plot(rows: Sequence[Row], title: str) -> str:
    """The picture of those rows that have a target above zero."""
    shown = [row for row in rows if row.goal is not None and row.goal.target > 0]
    height = TOP + LINE * len(shown) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(12, 20, title),
    ]
    bottom = height - 28
    for mark in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4):
        x, colour = place(mark), "#333" if mark == 1 else "#ddd"
        parts.append(f'<path d="M{x:.1f} {TOP - 8}V{bottom}" stroke="{colour}"/>')
        words = f"{mark:g}" if mark >= 1 else f"1/{1 / mark:g}"
        parts.append(_text(x, height - 12, "target" if mark == 1 else words, "middle", "#777"))
    for number, row in enumerate(shown):
        y, colour = TOP + LINE * number + 10, _COLOURS[row.verdict]
        ends = sorted(place(share(row, ratio)) for ratio in row.spread)
        middle = place(share(row, row.ratio))
        parts += [
            _text(LEFT - 12, y + 4, row.what, "end"),
            f'<path d="M{ends[0]:.1f} {y}H{ends[1]:.1f}" stroke="{colour}" stroke-width="3"/>',
            f'<circle cx="{middle:.1f}" cy="{y}" r="5" fill="{colour}"/>',
            _text(WIDTH - RIGHT + 14, y + 4, f"{row.ratio:.3g} {row.verdict}", colour=colour),
        ]
    return "\n".join([*parts, "</svg>", ""])
