"""Where topics lie in a session's log, told from one pass over its messages (page 7.1).

The roll of a session asks for each message in turn. A message lies in the topic that started
latest among those that enclose it. Topics that were live beside a later one are ended before it.
It knows times and ids of messages and never what they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from imd.domain.topic import ENDED, LIVE
from imd.ledger.reading import Key, PlacedTopic

#: after every message
_OPEN: Final[Key] = (1 << 62, "")
_LAST_ID: Final = "\U0010ffff"


class Stop(NamedTuple):
    """A message as a place in imd's log."""

    id: str
    seq: int
    timestamp: int
    sender_id: str


@dataclass(slots=True)
class Span:
    """One topic: from which message to which, by the original's times, and what was met there."""

    topic: PlacedTopic
    #: the place from which it begins; None for one that cannot be placed
    begin: Key | None
    end: Key
    #: live in the original, though another one became live after it
    overtaken: bool = False
    first: Stop | None = None
    last: Stop | None = None
    reply: Stop | None = None

    @property
    def live(self) -> bool:
        return self.topic.row.status == LIVE and not self.overtaken


@dataclass(slots=True)
class Findings:
    """What is reported of topics."""

    overlaps: int = 0
    starts_replaced: int = 0
    ends_replaced: int = 0
    without_messages: int = 0
    overtaken: int = 0

    def add(self, other: Findings) -> None:
        """Count another session's in."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Spans:
    """The topics of one session while its messages pass in their order."""

    def __init__(self, topics: Sequence[PlacedTopic], findings: Findings) -> None:
        self._findings = findings
        self.all = sorted((_span(topic) for topic in topics), key=_order)
        self._overtake()
        placed = [span for span in self.all if span.begin is not None]
        self._waiting = placed[::-1]
        self._running: list[Span] = []
        #: the earliest place at which anything changes
        self.next: Key = (placed[0].begin or _OPEN) if placed else _OPEN
        self.now: Span | None = None

    def _overtake(self) -> None:
        live = [span for span in self.all if span.topic.row.status == LIVE]
        for span, later in pairwise(live):
            span.overtaken = True
            span.end = later.begin or (0, "")
            self._findings.overtaken += 1

    def at(self, key: Key, stop: Stop, before: Stop | None) -> Span | None:
        """The topic in which the message at ``key`` lies; ``before`` is the message before it.

        Need not be called while ``key`` is before ``next``: nothing changes until there.
        """
        ended = [span for span in self._running if span.end < key]
        ended += [s for s in self._running if s.overtaken and s.end == key and s not in ended]
        for span in ended:
            self._running.remove(span)
            span.last = before
        while self._waiting and (self._waiting[-1].begin or _OPEN) <= key:
            span = self._waiting.pop()
            if span.end < key or (span.overtaken and span.end == key):
                continue  # nothing lies between its ends
            self._findings.overlaps += bool(self._running)
            span.first = stop
            self._running.append(span)
        changes = [_after(span) for span in self._running]
        changes += [self._waiting[-1].begin or _OPEN] if self._waiting else []
        self.next = min(changes, default=_OPEN)
        self.now = self._running[-1] if self._running else None
        return self.now

    def close(self, last: Stop | None) -> None:
        """The log has ended with ``last``."""
        for span in self._running:
            if not span.live:
                span.last = last
        for span in self.all:
            row = span.topic.row
            if span.first is None:
                self._findings.without_messages += 1
                continue
            self._findings.starts_replaced += span.first.id != row.start_message_id
            if row.status == ENDED and span.last is not None:
                self._findings.ends_replaced += span.last.id != row.end_message_id


def _after(span: Span) -> Key:
    """The first place at which the span may have to be taken away."""
    time, id_ = span.end
    return span.end if span.overtaken else (time, id_ + "\0")


def _span(topic: PlacedTopic) -> Span:
    row = topic.row
    begin = topic.start
    if begin is None and row.create_time is not None:
        begin = (row.create_time, "")
    if row.status == LIVE:
        return Span(topic, begin, _OPEN)
    if topic.end is not None:
        return Span(topic, begin, topic.end)
    if row.end_time is not None:
        return Span(topic, begin, (row.end_time, _LAST_ID))
    return Span(topic, None, _OPEN)


def _order(span: Span) -> tuple[Key, int, str]:
    row = span.topic.row
    return span.begin or (-1, ""), row.create_time or 0, row.id
