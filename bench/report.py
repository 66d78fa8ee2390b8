"""The table at the end: imd beside its floors, as ratios, and the targets they are held to.

A ratio of one run on one machine is what may be compared; the absolute figures stand beside it for
orientation.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.entries import Figures


class Row(NamedTuple):
    """One comparison: ``value`` against ``floor``, and the most that their ratio may be.

    Without a floor, ``most`` is held against the value itself.
    """

    what: str
    value: float
    unit: str
    floor: float | None
    most: float

    @property
    def ratio(self) -> float:
        return self.value if self.floor is None else self.value / self.floor

    @property
    def good(self) -> bool:
        return self.ratio <= self.most


def medians(rounds: Mapping[str, Sequence[Figures]]) -> dict[str, Figures]:
    """The median of each figure over the rounds of each entry."""
    return {
        name: {figure: statistics.median(one[figure] for one in found) for figure in found[0]}
        for name, found in rounds.items()
        if found
    }


def rows(found: Mapping[str, Figures], pages: Mapping[str, Figures]) -> list[Row]:
    """The comparisons that the figures allow."""
    made: list[Row] = []

    def compare(what: str, one: str, floor: str, figure: str, unit: str, most: float) -> None:
        if one in found and floor in found:
            value, base = found[one][figure], found[floor][figure]
            made.append(Row(what, value, unit, base, most))

    compare("REST send, app CPU / bare Klein", "imd rest", "klein", "app", "s/1000", 2.5)
    compare("REST send, db CPU / a transaction each", "imd rest", "naive", "db", "s/1000", 0.2)
    compare("REST send, app + db CPU / naive", "imd rest", "naive", "total", "s/1000", 1.0)
    compare("socket send, app CPU / bare echo", "imd socket", "echo", "app", "s/1000", 3.0)
    compare("socket send, db CPU / a transaction each", "imd socket", "naive", "db", "s/1000", 0.2)
    light = ("imd light", "naive light")
    compare("light load, delivery p50 / naive", *light, "delivery_ms_p50", "ms", 1.0)
    fan_out = ("fan-out imd", "fan-out kernel")
    compare("1 to 1000, CPU / bare socket.send", *fan_out, "app", "s/1000", 2.0)
    for kind in ("answered", "waiting"):
        what = f"REST send, live topic ({kind}) / none"
        compare(what, kind, "none", "total", "s/1000", 1.15)
    if "memory" in found:
        made.append(Row("an idle logged-in socket", found["memory"]["idle_kib"], "KiB", None, 16))
        for name, what in (("first_mib", "first start"), ("fresh_mib", "later start")):
            made.append(Row(f"a fresh server, {what}", found["memory"][name], "MiB", None, 80))
    for what, times in pages.items():
        made.append(Row(f"{what}, 1000000 / 1000", times["million"], "ms", times["thousand"], 1.3))
    return made


def flat(listed: Mapping[str, Mapping[str, Figures]]) -> list[Row]:
    """What lists of the large stores cost beside the small one, and a message in a live topic."""
    made = [
        Row(f"{what} ({layout})", one[layout], "cpu ms", one["small"], most)
        for kind, most in (("lists", 1.2), ("growing", 100))
        for what, one in listed.get(kind, {}).items()
        for layout in ("spread", "own")
    ]
    made += [
        Row(f"{what}, live topic / none", one["live"], "cpu ms", one["none"], 1.15)
        for what, one in listed.get("sends", {}).items()
    ]
    return made


def table(made: Sequence[Row]) -> str:
    """The rows as text."""
    lines = [f"{'':52} {'imd':>10} {'floor':>10} {'':7} {'ratio':>7} {'target':>8}"]
    for row in made:
        floor = "" if row.floor is None else f"{row.floor:.3f}"
        ratio = "" if row.floor is None else f"{row.ratio:.2f}"
        verdict = "" if row.good else "  MISSED"
        lines.append(
            f"{row.what:52} {row.value:10.3f} {floor:>10} {row.unit:7} {ratio:>7}"
            f" {'<= ' + format(row.most, 'g'):>8}{verdict}"
        )
    return "\n".join(lines)


def rates(found: Mapping[str, Figures]) -> str:
    """What each entry did, for orientation only."""
    lines = [
        f"{'':16} {'per s':>9} {'app':>8} {'db':>8} {'answer p50/p99':>18} {'delivery p50/p99':>18}"
    ]
    for name, one in found.items():
        if "per_second" not in one:
            continue
        times = [
            f"{one[f'{kind}_p50']:.1f} / {one[f'{kind}_p99']:.1f}" if f"{kind}_p50" in one else ""
            for kind in ("answer_ms", "delivery_ms")
        ]
        lines.append(
            f"{name:16} {one['per_second']:9.0f} {one['app']:8.4f} {one['db']:8.4f}"
            f" {times[0]:>18} {times[1]:>18}"
        )
    return "\n".join(lines)
