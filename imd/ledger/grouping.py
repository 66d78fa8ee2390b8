"""One session after another, from several streams that are in the order of its id.

The run walks over these families; a stream that has rows of no session gives a family without one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from imd.actions.arrivals import Standing
from imd.ledger.reading import MemberRow, MessageRow, PlacedTopic, Reading, SessionRow

#: sessions that are looked up in imd at a time
_AHEAD = 200


class Family(NamedTuple):
    """What has one session id; ``messages`` can be read once, before the next family."""

    key: str
    sessions: list[SessionRow]
    members: list[MemberRow]
    topics: list[PlacedTopic]
    messages: Iterator[MessageRow]
    standing: Standing | None


class _Groups:
    """A stream cut where its key changes."""

    def __init__(self, rows: Iterable[Any], key: Callable[[Any], str]) -> None:
        self._groups = groupby(rows, key)
        self.key: str | None = None
        self._group: Iterator[Any] = iter(())
        self._go_on()

    def _go_on(self) -> None:
        self.key, self._group = next(self._groups, (None, iter(())))

    def take(self, key: str) -> Iterator[Any]:
        """The rows with this key, which is not behind the stream; all of them must be read."""
        if self.key == key:
            yield from self._group
            self._go_on()


def families(
    reading: Reading, standing: Callable[[Collection[str]], dict[str, Standing]]
) -> Iterator[Family]:
    """All sessions, and what belongs to none, by the bytes of the id."""
    known: dict[str, Standing] = {}
    by_session = attrgetter("session_id")
    sessions = _Groups(_looked_up(reading.sessions(), standing, known), by_session)
    members = _Groups(reading.members(), by_session)
    topics = _Groups(reading.topics(), attrgetter("row.session_id"))
    messages = _Groups(reading.messages(), by_session)
    streams = (sessions, members, topics, messages)
    while keys := [stream.key for stream in streams if stream.key is not None]:
        key = min(keys)
        rest = messages.take(key)
        yield Family(
            key,
            list(sessions.take(key)),
            list(members.take(key)),
            list(topics.take(key)),
            rest,
            known.pop(key, None),
        )
        for _ in rest:
            pass


def _looked_up(
    rows: Iterator[SessionRow],
    standing: Callable[[Collection[str]], dict[str, Standing]],
    known: dict[str, Standing],
) -> Iterator[SessionRow]:
    """The rows; ``known`` is told what imd holds of them, some hundred ahead."""
    ahead: list[SessionRow] = []
    for row in rows:
        ahead.append(row)
        if len(ahead) == _AHEAD:
            known |= standing({row.session_id for row in ahead})
            yield from ahead
            ahead = []
    known |= standing({row.session_id for row in ahead})
    yield from ahead
