"""Which messages outer sockets have been told of: a span of seqs for each session, without holes.

Several processes store messages, and word of them comes in any order, twice, or not at all. So
:mod:`imd.delivery.notices` asks here what an event makes due: the messages that lie between the
span and the event too, and none a second time. It does no I/O, and forgets the session that was
silent longest when there are too many.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from imd.actions.ports import Committed

#: sessions that are remembered
MOST = 20_000


class Run(Protocol):
    """Messages ``first`` to ``seq`` of a session; those of others before ``since`` are no news."""

    @property
    def session_id(self) -> str: ...
    @property
    def entry(self) -> Committed | None: ...
    @property
    def frame(self) -> bytes: ...
    @property
    def seq(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def since(self) -> int: ...


class Span(NamedTuple):
    """Told of ``low`` to ``high``."""

    low: int
    high: int


class Spans:
    def __init__(self) -> None:
        self._spans: dict[str, Span] = {}

    def clear(self) -> None:
        """Forget everything: the next event of a session is its first."""
        self._spans.clear()

    def missing(self, runs: Iterable[Run], most: int) -> list[tuple[str, int]]:
        """After which seq of each session ``most`` messages must be read to tell these runs."""
        due: dict[str, set[int]] = {}
        here: set[tuple[str, int]] = set()
        for run in runs:
            if run.entry is not None:
                here.add((run.session_id, run.seq))
            if not run.frame:
                seqs = self._due(self._spans.get(run.session_id), run, most)
                due.setdefault(run.session_id, set()).update(seqs)
        found = []
        for session_id, wanted in due.items():
            lacking = [seq for seq in wanted if (session_id, seq) not in here]
            if lacking:
                found.append((session_id, max(min(lacking), max(lacking) - most + 1) - 1))
        return found

    def due(self, run: Run, most: int = 1000) -> list[tuple[int, int]]:
        """The seqs that the run makes due, in order, each with the time (ms) since when it is news.

        Whoever tells of one says so to :meth:`told`: a run may promise messages that do not exist.
        """
        span = self._spans.get(run.session_id)
        since = run.since if run.entry is None else 0
        sure = span.high if span is not None else run.seq
        return [(seq, 0 if seq > sure else since) for seq in self._due(span, run, most)]

    def told(self, session_id: str, seq: int) -> None:
        """Outer sockets were told of this message, or had no need to be."""
        low, high = self._spans.pop(session_id, (seq, seq))
        self._spans[session_id] = Span(min(low, seq), max(high, seq))
        if len(self._spans) > MOST:
            del self._spans[next(iter(self._spans))]

    def forget(self, session_id: str) -> None:
        """Nobody here is a member: who comes later wants nothing of before."""
        self._spans.pop(session_id, None)

    @staticmethod
    def _due(span: Span | None, run: Run, most: int) -> list[int]:
        if span is None:
            return list(range(max(run.first, run.seq - most + 1), run.seq + 1))
        below = range(run.first, span.low) if run.first < span.low else range(0)
        above = range(max(span.high + 1, run.seq - most + 1), run.seq + 1)
        return [*below[-most:], *above]
