"""Where a run collects what it moves: the chunk that fills, the report, the thread that stores.

Shared by what moves the directory and what moves sessions. It refuses to know either.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from imd.actions.arrivals import Chunk, Progress, Row, Target
from imd.domain.ids import ID_PATTERN
from imd.ledger.report import Report

#: rows of one transaction
CHUNK: Final = 8_000
_legal: Final = re.compile(ID_PATTERN).match


def _nothing(_: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of a run.

    ``now`` is in ms. ``tick`` is told how many messages have passed since it was told last;
    ``spool`` takes the rejects of a dry run, which stores nothing.
    """

    source: str
    now: int
    merge: bool = False
    dry_run: bool = False
    tick: Callable[[int], None] = _nothing
    spool: Callable[[Sequence[Row]], None] = _nothing


def flaw(id_: str) -> str | None:
    """Why a row with this id cannot be moved, None when it can (pages 2.1 and 7.1)."""
    if not id_:
        return "empty_id"
    return None if _legal(id_) else "illegal_id"


class Left:
    """What was met of one session, and what of it is left out: counted when it is complete.

    A session that is stored slice by slice may be met again by the run that goes on.
    """

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.met: Counter[str] = Counter()
        self.rejects: list[tuple[str, str, str]] = []

    def out(self, table: str, key: str, reason: str) -> None:
        """Leave a row out."""
        self.rejects.append((table, key, reason))


class Desk:
    """The state of one run."""

    def __init__(
        self, target: Target, order: Order, report: Report, pool: ThreadPoolExecutor
    ) -> None:
        self.target, self.order, self.report = target, order, report
        self.chunk = Chunk()
        #: the last session that is complete
        self.after: str | None = None
        self.doctors: set[str] = set()
        #: topic ids that the original has more than once, and those of them that are moved
        self.topic_twins: set[str] = set()
        self.used_topics: set[str] = set()
        self._pool = pool
        self._under_way: Future[tuple[int, int]] | None = None
        self._clock = time.monotonic()

    def reject(self, table: str, key: str | None, session_id: str | None, reason: str) -> None:
        """Leave a row out, and say so."""
        self.report.rejected[reason] += 1
        number = sum(self.report.rejected.values())
        self.chunk.rejects.append((number, table, key or None, session_id or None, reason))

    def count(self, left: Left) -> None:
        """A session is complete, or what belongs to none is."""
        self.report.source.update(left.met)
        for table, key, reason in left.rejects:
            self.reject(table, key, left.session_id, reason)

    @property
    def full(self) -> bool:
        """Whether the chunk is large enough for a transaction of its own."""
        return self.chunk.size >= CHUNK or len(self.chunk.rejects) >= CHUNK

    def store(self) -> None:
        """Give the chunk to the thread that stores, when that is done with the former one."""
        self.settle()
        chunk, self.chunk = self.chunk, Chunk()
        now = time.monotonic()
        self.report.seconds += now - self._clock
        self._clock = now
        if self.order.dry_run:
            self.order.spool(chunk.rejects)
            return
        progress = Progress(True, self.after, self.report.kept())
        self._under_way = self._pool.submit(self.target.put, chunk, self.order.source, progress)

    def settle(self) -> tuple[int, int]:
        """Wait for what is being stored; how many users and devices of it were new."""
        under_way, self._under_way = self._under_way, None
        return under_way.result() if under_way is not None else (0, 0)
