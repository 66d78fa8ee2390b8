"""How imd is broken on purpose, and the run that must find it out.

A mutant is a few exact replacements in a copy of the source; one whose text is not there any more
fails loudly, so that the kit (:mod:`tests.faults.mutants`) moves with the code.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.checks.everything import judge
from tests.faults.running import Run, run
from tests.faults.story import Violation
from tests.redis_server import RedisServer
from tests.servers import PostgresServer

ROOT: Final = Path(__file__).parents[2]


class Moved(Exception):
    """The text that a mutant replaces is not in the source, or more than once."""


class Change(NamedTuple):
    """``old`` stands exactly once in ``file``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """``breaks`` are promises one of which must be found broken."""

    name: str
    breaks: frozenset[str]
    changes: Sequence[Change]
    #: what it takes: ``sqlite`` (one node), ``postgres`` (one), ``bus`` (two on one PostgreSQL) or
    #: ``workers`` (a supervisor and two)
    ground: str = "sqlite"
    faults: tuple[str, ...] = ()
    seconds: float = 3.0
    peace: float = 0.0
    #: where messages are many, the next one shows the hole that one left
    pace: float = 0.08
    longest: float = 3.0


def broken(mutant: Mutant) -> dict[str, str]:
    """The files that the mutant changes, as they are then; Moved when the source has changed."""
    texts: dict[str, str] = {}
    for file, old, new in mutant.changes:
        text = texts.get(file) or (ROOT / file).read_text("utf-8")
        if text.count(old) != 1:
            raise Moved(f"{mutant.name}: {text.count(old)} times in {file}")
        texts[file] = text.replace(old, new)
    return texts


def apply(mutant: Mutant, folder: Path) -> Path:
    """Copy imd into ``folder`` and break it there; the copy's folder."""
    source = folder / "source"
    for package in ("imd", "twisted"):
        ignored = shutil.ignore_patterns("__pycache__", "dropin.cache")
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    for file, text in broken(mutant).items():
        (source / file).write_text(text, "utf-8")
    return source


def run_of(mutant: Mutant, folder: Path, seed: int) -> Run:
    """The run that is to find it out: short, and with little patience for what stays broken."""
    return Run(
        seed=seed,
        seconds=mutant.seconds,
        nodes=2 if mutant.ground == "bus" else 1,
        workers=2 if mutant.ground == "workers" else 0,
        faults=mutant.faults,
        pairs=0.0,
        pace=mutant.pace,
        longest=mutant.longest,
        peace=mutant.peace,
        healing=8.0,
        catching_up=4.0,
        source=apply(mutant, folder),
    )


async def found_out(
    mutant: Mutant,
    folder: Path,
    postgres: PostgresServer | None,
    redis: RedisServer | None,
    seed: int = 1,
) -> list[Violation]:
    """Run the mutant once; what was found, of the promises that it breaks."""
    what = run_of(mutant, folder, seed)
    bus = redis if mutant.ground in ("bus", "workers") else None
    database = None if mutant.ground == "sqlite" else postgres
    events = await run(what, folder / "run", database, bus)
    return [violation for violation in judge(events) if violation.promise in mutant.breaks]
