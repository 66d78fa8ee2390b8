"""What a look at one thing finds: its verdict, what was seen, and what is to be done.

The checks of ``imdctl doctor-check`` give findings, the command prints them. It refuses to know any
check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from imd.cli.line import Line
from imd.config import Settings


class Verdict(StrEnum):
    """From the best to the worst."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """One line of the report; ``todo`` is empty where nothing is to be done."""

    verdict: Verdict
    name: str
    seen: str
    todo: str = ""


def ok(name: str, seen: str) -> Finding:
    """As it should be."""
    return Finding(Verdict.OK, name, seen)


def warn(name: str, seen: str, todo: str) -> Finding:
    """It works, and will hurt some day."""
    return Finding(Verdict.WARN, name, seen, todo)


def fail(name: str, seen: str, todo: str) -> Finding:
    """Something of the service cannot work, or what it keeps is in danger."""
    return Finding(Verdict.FAIL, name, seen, todo)


@dataclass(frozen=True, slots=True)
class Examined:
    """What is looked at: the settings, where they came from, and how many sockets are expected.

    ``now`` gives the time of this machine in ms.
    """

    line: Line
    settings: Settings
    sockets: int
    now: Callable[[], int]


Check = Callable[[Examined], Iterable[Finding]]


def drift(name: str, milliseconds: float, whose: str) -> Finding:
    """How far this machine's clock is from another's; tokens bear 30 s (page 2.1)."""
    seen = f"{abs(milliseconds) / 1000:.1f} s {'after' if milliseconds > 0 else 'before'} {whose}"
    if abs(milliseconds) < 5_000:
        return ok(name, f"within 5 s of {whose}")
    todo = "let NTP set the clocks (timedatectl set-ntp true)"
    return warn(name, seen, todo) if abs(milliseconds) < 30_000 else fail(name, seen, todo)
