"""What is compared with what, and how good it has to be.

A comparison takes one figure of two entries, round by round: both were measured within the same
minute, so their ratio means something even where neither figure does. The median of the rounds'
ratios is held to the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from bench.entries import FAULTS, Figures
from bench.report import Goal, Row


class Comparison(NamedTuple):
    """``figure`` of ``one`` against that of ``other``; None is held against nothing."""

    what: str
    one: str
    other: str | None
    figure: str
    unit: str
    goal: Goal | None


def most(target: float, stretch: float | None = None) -> Goal:
    return Goal("<=", target, stretch)


def least(target: float, stretch: float | None = None) -> Goal:
    return Goal(">=", target, stretch)


CPU, RATE = ("total", "s/1000"), ("per_second", "msg/s")
#: the table of docs/performance.md
TARGETS = (
    Comparison("REST send, 64 pairs: CPU / Node.js", "imd rest", "node", *CPU, most(0.30, 0.15)),
    Comparison("REST send, 64 pairs: rate / Node.js", "imd rest", "node", *RATE, least(2.5, 5)),
    Comparison(
        "socket send, 64 pairs: CPU / Node.js REST", "imd socket", "node", *CPU, most(0.18, 0.12)
    ),
    Comparison(
        "socket send, 64 pairs: rate / Node.js REST", "imd socket", "node", *RATE, least(4.5, 6)
    ),
    Comparison(
        "REST send, 16 pairs: rate / Synapse", "imd rest 16", "synapse", *RATE, least(35, 60)
    ),
    Comparison(
        "REST send, 16 pairs: CPU / Synapse", "imd rest 16", "synapse", *CPU, most(0.02, 0.01)
    ),
    Comparison(
        "fan-out: CPU / bare socket.send",
        "fan-out imd", "fan-out kernel", "app", "s/1000", most(1.6, 1.35),
    ),
    Comparison(
        "database CPU / a transaction each", "imd rest", "naive", "db", "s/1000", most(0.15, 0.10)
    ),
    Comparison(
        "light load: end-to-end p50 / Node.js",
        "imd light", "node light", "delivery_ms_p50", "ms", most(0.8, 0.6),
    ),
    Comparison(
        "light load: end-to-end p99 / Node.js",
        "imd light", "node light", "delivery_ms_p99", "ms", most(0.6, 0.4),
    ),
    Comparison("idle logged-in socket", "idle", None, "kib", "KiB", most(14, 11)),
    Comparison(
        "SQLite instead of PostgreSQL: CPU", "imd sqlite", "imd rest", *CPU, most(1.0, 0.8)
    ),
    Comparison("idle sockets: the reactor", "idle", None, "busy_percent", "% core", most(1.0)),
    Comparison(
        "start to first answer, 10M rows / bare + 0.3 s",
        "start full", "start bare", "seconds", "s", most(1.0),
    ),
    Comparison("30 minutes: memory", "soak", None, "mib_per_10_min", "MiB/10m", most(1.0)),
    Comparison("30 minutes: files, threads, timers", "soak", None, "grown", "", most(0)),
)  # fmt: skip
#: how far everything is from the floors, and what more processes bring
FLOORS = (
    Comparison("REST send: app CPU / bare Klein", "imd rest", "klein", "app", "s/1000", most(2.5)),
    Comparison("REST send: app CPU / twisted.web", "imd rest", "twisted", "app", "s/1000", None),
    Comparison("socket send: app CPU / echo", "imd socket", "echo", "app", "s/1000", most(3.0)),
    Comparison(
        "REST send: database CPU / inserts of 50", "imd rest", "inserts 50", "db", "s/1000", None
    ),
    Comparison(
        "REST send: database CPU / inserts of 200",
        "imd rest", "inserts 200", "db", "s/1000", None,
    ),
    Comparison(
        "REST send: CPU / log level warn", "imd rest", "imd rest terse", *CPU, None
    ),
    Comparison("REST send: CPU / naive", "imd rest", "naive", *CPU, most(1.0)),
    Comparison(
        "fan-out: CPU / prepared frames", "fan-out imd", "fan-out prepared", "app", "s/1000", None
    ),
    Comparison("fan-out: CPU / Node.js", "fan-out imd", "fan-out node", "app", "s/1000", None),
    Comparison("memory under load / Node.js", "imd rest", "node", "mib", "MiB", None),
    Comparison("memory under load / Synapse", "imd rest 16", "synapse", "mib", "MiB", None),
    Comparison("2 workers / 1: rate", "workers 2", "workers 1", *RATE, None),
    Comparison("4 workers / 1: rate", "workers 4", "workers 1", *RATE, None),
    Comparison("2 workers / 1: CPU", "workers 2", "workers 1", *CPU, None),
    Comparison("4 workers / 1: CPU", "workers 4", "workers 1", *CPU, None),
    Comparison("a fresh server, first start", "idle", None, "first_mib", "MiB", most(80)),
    Comparison("a fresh server, later start", "idle", None, "fresh_mib", "MiB", most(80)),
    Comparison("pushes by WeChat / none: CPU", "push taken", "push none", *CPU, most(1.15)),
    Comparison("WeChat hangs / no pushes: CPU", "push hung", "push none", *CPU, most(1.15)),
    Comparison(
        "WeChat hangs / no pushes: p99 of a send",
        "push hung steady", "push none steady", "answer_ms_p99", "ms", most(1.1),
    ),
    Comparison("live topic (answered) / none: CPU", "answered", "none", *CPU, most(1.15)),
    Comparison("live topic (waiting) / none: CPU", "waiting", "none", *CPU, most(1.15)),
)  # fmt: skip


def rows(rounds: Mapping[str, Sequence[Figures]], wanted: Sequence[Comparison]) -> list[Row]:
    """The comparisons whose entries were measured."""
    made = []
    for what, one, other, figure, unit, goal in wanted:
        if not rounds.get(one) or (other is not None and not rounds.get(other)):
            continue
        values = [figures[figure] for figures in rounds[one]]
        floors = None if other is None else [figures[figure] for figures in rounds[other]]
        made.append(Row(what, values, floors, unit, goal))
    return made


def every(told: Mapping[str, Any]) -> tuple[list[Row], list[Row]]:
    """The table of the targets, and what else a result has to compare."""
    rounds = told["rounds"]
    return (
        [*rows(rounds, TARGETS), *faults(rounds)],
        [*rows(rounds, FLOORS), *pages(told["pages"]), *flat(told["lists"])],
    )


def faults(rounds: Mapping[str, Sequence[Figures]]) -> list[Row]:
    """What was lost, doubled or turned around in all rounds of imd together: one row."""
    ours = [found for name, found in rounds.items() if _ours(name)]
    counted = [
        sum(figures[fault] for fault in FAULTS)
        for found in ours
        for figures in found
        if FAULTS[0] in figures
    ]
    if not counted:
        return []
    return [Row("lost, doubled, out of order", [sum(counted)], None, "", most(0))]


def _ours(name: str) -> bool:
    return name.startswith(("imd", "workers", "push", "fan-out imd", "soak")) or name in _LIVE


_LIVE: tuple[Literal["none", "answered", "waiting"], ...] = ("none", "answered", "waiting")


def flat(listed: Mapping[str, Mapping[str, Figures]]) -> list[Row]:
    """What lists of the large stores cost beside the small one, and a message in a live topic."""
    made = [
        Row(f"{what} ({layout})", [one[layout]], [one["small"]], "cpu ms", goal)
        for kind, goal in (("log", most(1.2)), ("lists", most(1.2)), ("growing", None))
        for what, one in listed.get(kind, {}).items()
        for layout in ("spread", "own")
        if layout in one
    ]
    made += [
        Row(f"{what}, live topic / none", [one["live"]], [one["none"]], "cpu ms", most(1.15))
        for what, one in listed.get("sends", {}).items()
    ]
    return made


def pages(found: Mapping[str, Figures]) -> list[Row]:
    """A session of a million messages beside one of a thousand, through REST and the socket."""
    return [
        Row(f"{what}, 1000000 / 1000", [one["million"]], [one["thousand"]], "ms", most(1.3))
        for what, one in found.items()
    ]
