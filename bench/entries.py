"""What is measured in turns: a server with its load, ready for one round after the other.

The caller interleaves entries, so that what else the machine does weighs on all of them alike.
Figures are CPU seconds per 1000 messages (``app``, ``db``, ``total``), times in ms, memory in MiB,
and what was lost, came twice or out of order. What there is to measure stands in
:mod:`bench.contest`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bench.measured import cpu_seconds, share_bytes, until_quiet
from bench.servers import Generator, Served, floor, seeded
from tests.servers import PostgresServer

Figures = dict[str, float]
Say = Callable[[str], None]
#: what no run may have any of
FAULTS = ("lost", "duplicated", "reordered")


class Scale(NamedTuple):
    """How large and long everything is; ``quick`` is for seeing that it works at all."""

    rounds: int = 3
    seconds: float = 4.0
    connections: int = 10_000
    idle_seconds: float = 60.0
    crowd: int = 1000
    #: sessions of the large store
    sessions: int = 100_000
    soak_seconds: float = 1800.0


QUICK = Scale(
    rounds=1, seconds=1.0, connections=500, idle_seconds=5.0, crowd=100, sessions=5_000,
    soak_seconds=30.0,
)  # fmt: skip


class Setting(NamedTuple):
    """What all entries share; ``left_out`` takes why something cannot be measured here."""

    folder: Path
    postgres: PostgresServer
    scale: Scale
    say: Say
    left_out: list[str]

    @property
    def seconds(self) -> float:
        return self.scale.seconds


class Entry(Protocol):
    """One row of the contest."""

    name: str

    def round(self) -> Figures: ...


class Side:
    """A server and a load generator upon it."""

    def __init__(self, name: str, served: Served, generator: Generator) -> None:
        self.name, self._served, self._generator = name, served, generator

    def round(self) -> Figures:
        counted = self._generator.measure(self._served)
        many = counted["deliveries"] if self.name.startswith("fan-out") else counted["count"]
        assert many, f"nothing came of {self.name}"
        figures = {
            "per_second": many / counted["seconds"],
            "app": 1000 * counted["app"] / many,
            "db": 1000 * counted["db"] / many,
            "total": 1000 * (counted["app"] + counted["db"]) / many,
            "mib": counted["bytes"] / (1 << 20),
            **{fault: counted[fault] for fault in FAULTS},
        }
        for kind in ("answer_ms", "delivery_ms"):
            for name, value in zip(("p50", "p95", "p99"), counted[kind], strict=False):
                figures[f"{kind}_{name}"] = value
        return figures


def spec_of(
    mode: str, port: int, seconds: float, senders: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """What a load generator is told."""
    warm_up = min(1.0, seconds / 4)
    fixed = {"mode": mode, "port": port, "seconds": seconds, "warm_up": warm_up}
    return {**fixed, "senders": senders, **more}


def in_turns(setting: Setting, entries: list[Entry]) -> dict[str, list[Figures]]:
    """Every entry's rounds, each round measuring all of them."""
    found: dict[str, list[Figures]] = {one.name: [] for one in entries}
    for number in range(setting.scale.rounds):
        for one in entries:
            until_quiet(setting.postgres.pid, 10.0)
            figures = one.round()
            found[one.name].append(figures)
            setting.say(
                f"round {number + 1}/{setting.scale.rounds} {one.name:18}"
                f" {figures['per_second']:8.0f}/s"
                f"  app {figures['app']:.4f}  db {figures['db']:.4f} s/1000"
            )
    return found


class Kernel:
    """The fan-out's floor: it is commanded by single bytes, so it needs no generator."""

    name = "fan-out kernel"

    def __init__(self, setting: Setting, stack: ExitStack) -> None:
        self._seconds, self._crowd = setting.seconds, setting.scale.crowd
        self._served = stack.enter_context(floor("socket_send"))
        self._commander = stack.enter_context(_connected(self._served))
        self._commander.sendall(b"%d" % self._crowd)
        self._others = [stack.enter_context(_connected(self._served)) for _ in range(self._crowd)]
        assert self._commander.recv(1) == b"r"

    def round(self) -> Figures:
        before, count = cpu_seconds(self._served.pid), 0
        started = time.perf_counter()
        while time.perf_counter() < started + self._seconds:
            self._commander.sendall(b"g")
            for one in self._others:
                assert one.recv(1 << 16)
            count += 1
        many, took = count * self._crowd, time.perf_counter() - started
        cpu = 1000 * (cpu_seconds(self._served.pid) - before) / many
        return {
            "per_second": many / took, "app": cpu, "db": 0.0, "total": cpu,
            "mib": share_bytes(self._served.pid) / (1 << 20),
        }  # fmt: skip


class Inserts:
    """Storing's floor: rows of one process, ``group`` a commit."""

    def __init__(self, setting: Setting, stack: ExitStack, group: int) -> None:
        self.name = f"inserts {group}"
        self._group, self._seconds = group, setting.seconds
        database = setting.postgres.pid
        self._served = stack.enter_context(
            floor("inserts", seeded(setting.postgres), database=database)
        )
        commander = stack.enter_context(_connected(self._served))
        self._lines = stack.enter_context(commander.makefile("rw"))

    def round(self) -> Figures:
        assert self._served.database
        before = cpu_seconds(self._served.pid), cpu_seconds(self._served.database)
        self._lines.write(f"{self._group} {self._seconds}\n")
        self._lines.flush()
        many = int(self._lines.readline())
        app = 1000 * (cpu_seconds(self._served.pid) - before[0]) / many
        db = 1000 * (cpu_seconds(self._served.database) - before[1]) / many
        return {
            "per_second": many / self._seconds, "app": app, "db": db, "total": app + db,
            "mib": share_bytes(self._served.pid) / (1 << 20),
        }  # fmt: skip


def _connected(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=60)
