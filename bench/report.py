"""The tables at the end: ratios with their spread and what they are held to; text and Markdown.

A ratio of one run on one machine is what may be compared; the absolute figures stand beside it for
orientation.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from bench.entries import Figures


class Goal(NamedTuple):
    """What a ratio must not pass, and what it should reach one day."""

    sign: Literal["<=", ">="]
    target: float
    stretch: float | None

    def reached(self, ratio: float, bound: float) -> bool:
        return ratio <= bound if self.sign == "<=" else ratio >= bound

    def shown(self, bound: float | None) -> str:
        return "" if bound is None else f"{'≤' if self.sign == '<=' else '≥'} {bound:g}"


class Row(NamedTuple):
    """One comparison: ``values`` against ``floors``, round by round.

    Without floors the goal is held against the values; without a goal it is only told.
    """

    what: str
    values: list[float]
    floors: list[float] | None
    unit: str
    goal: Goal | None

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def floor(self) -> float | None:
        return None if self.floors is None else statistics.median(self.floors)

    @property
    def ratios(self) -> list[float]:
        """Of each round; one that was measured less often gives its median to all."""
        if self.floors is None:
            return self.values
        if len(self.floors) != len(self.values):
            base = statistics.median(self.floors)
            return [_ratio(value, base) for value in self.values]
        return [_ratio(*pair) for pair in zip(self.values, self.floors, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest round."""
        return min(self.ratios), max(self.ratios)

    @property
    def verdict(self) -> Literal["", "stretch", "met", "missed"]:
        if self.goal is None:
            return ""
        if self.goal.stretch is not None and self.goal.reached(self.ratio, self.goal.stretch):
            return "stretch"
        return "met" if self.goal.reached(self.ratio, self.goal.target) else "missed"

    def told(self) -> dict[str, Any]:
        """For JSON: what was measured and what came of it."""
        return {
            **self._asdict(),
            "goal": None if self.goal is None else self.goal._asdict(),
            "ratio": self.ratio,
            "spread": self.spread,
            "verdict": self.verdict,
        }


def _ratio(value: float, floor: float) -> float:
    return value / floor if floor else float("inf") if value else 1.0


def medians(rounds: Mapping[str, Sequence[Figures]]) -> dict[str, Figures]:
    """The median of each figure over the rounds of each entry."""
    return {
        name: {figure: statistics.median(one[figure] for one in found) for figure in found[0]}
        for name, found in rounds.items()
        if found
    }


HEAD = ("", "imd", "other", "unit", "ratio", "spread", "target", "stretch", "")


def _cells(row: Row) -> tuple[str, ...]:
    goal, low, high = row.goal, *row.spread
    alone = len(row.ratios) < 2
    return (
        row.what,
        _short(row.value),
        "" if row.floor is None else _short(row.floor),
        row.unit,
        "" if row.floor is None else _short(row.ratio),
        "" if alone else f"{_short(low)} – {_short(high)}",
        "" if goal is None else goal.shown(goal.target),
        "" if goal is None else goal.shown(goal.stretch),
        row.verdict,
    )


def _short(value: float) -> str:
    """Three digits that count."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3 if abs(value) >= 0.1 else 4
    return f"{value:.{digits}f}"


def table(made: Sequence[Row]) -> str:
    """The rows as text."""
    lines = [HEAD, *(_cells(row) for row in made)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in (0, 3, 8) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in lines
    )


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table for the documents; all but the first column stand to the right."""
    rule = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def markdown_rows(made: Sequence[Row]) -> str:
    return markdown(HEAD, [_cells(row) for row in made])


RATES = ("", "msg/s", "app", "database", "MiB", "answer p50 / p99", "delivery p50 / p99")


def _rates(found: Mapping[str, Figures]) -> list[tuple[str, ...]]:
    lines = []
    for name, one in found.items():
        if "per_second" not in one:
            continue
        times = [
            f"{one[f'{kind}_p50']:.1f} / {one[f'{kind}_p99']:.1f}" if f"{kind}_p50" in one else ""
            for kind in ("answer_ms", "delivery_ms")
        ]
        memory = f"{one['mib']:.0f}" if "mib" in one else ""
        cpu = (f"{one['app']:.4f}", f"{one['db']:.4f}")
        lines.append((name, f"{one['per_second']:.0f}", *cpu, memory, *times))
    return lines


def rates(found: Mapping[str, Figures]) -> str:
    """What each entry did, for orientation only: CPU seconds per 1000 messages, ms, MiB."""
    return "\n".join(
        f"{cells[0]:18}{cells[1]:>8}{cells[2]:>9}{cells[3]:>9}{cells[4]:>6}{cells[5]:>18}"
        f"{cells[6]:>20}"
        for cells in (RATES, *_rates(found))
    )


def markdown_rates(found: Mapping[str, Figures]) -> str:
    return markdown(RATES, _rates(found))
