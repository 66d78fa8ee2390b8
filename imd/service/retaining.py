"""A run of retention over the whole store: what would go, and deleting it (``imdctl retention``).

Sessions are looked at by id, some hundred at a time. Each part that goes is a small transaction,
and after each the run rests as long as that took, so that a server beside it is never held up for
long. A run that was killed is begun again: what is gone is gone, the rest is found anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from imd.domain.retention import Limit, RecordClass, Terms
from imd.storage.retention import Candidate, Done, Measured, Moving, Retainer

#: sessions that are looked at in one snapshot
_STRIDE: Final = 300
#: seconds: the least and the longest rest after a transaction
_REST: Final = (0.005, 1.0)
_MOVING: Final = "import-legacy is not at its end: complete its run first"


class Refused(Exception):
    """Nothing may be deleted now; the sentence says why."""


@dataclass(slots=True)
class Figures:
    """How much of one class goes."""

    sessions: int = 0
    sessions_deleted: int = 0
    topics: int = 0
    messages: int = 0

    def value(self) -> dict[str, int]:
        """As it is printed as JSON."""
        return {
            "sessions": self.sessions,
            "sessions_deleted": self.sessions_deleted,
            "topics": self.topics,
            "messages": self.messages,
        }


class Item(NamedTuple):
    """One session of which something goes; seqs are None where no message does."""

    session_id: str
    type: int
    record_class: RecordClass
    first_seq: int | None
    last_seq: int | None
    messages: int
    topics: int
    deleted: bool

    def value(self) -> dict[str, Any]:
        """As it is printed as JSON."""
        return {
            "session_id": self.session_id, "type": self.type, "class": str(self.record_class),
            "first_seq": self.first_seq, "last_seq": self.last_seq, "messages": self.messages,
            "topics": self.topics, "deleted": self.deleted,
        }  # fmt: skip


@dataclass(slots=True)
class Found:
    """What a run found or did; ``items`` are the first ``limit`` sessions by id."""

    terms: Terms
    now: int
    limit: int = 0
    #: sessions of which something is old enough, but which are held
    held: int = 0
    figures: dict[RecordClass, Figures] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)

    def add(self, item: Item) -> None:
        """Count what goes of one session."""
        of = self.figures.setdefault(item.record_class, Figures())
        of.sessions += 1
        of.sessions_deleted += item.deleted
        of.topics += item.topics
        of.messages += item.messages
        if len(self.items) < self.limit:
            self.items.append(item)

    @property
    def anything(self) -> bool:
        """Whether anything goes."""
        return bool(self.figures)

    def counts(self) -> dict[str, dict[str, int]]:
        """The figures by class, of those that have any."""
        return {str(name): of.value() for name, of in sorted(self.figures.items())}

    def value(self) -> dict[str, Any]:
        """As it is printed as JSON."""
        classes: dict[str, Any] = {}
        for name, years in self.terms.years.items():
            types = sorted(n for n, named in self.terms.classes.items() if named is name)
            limit = self.terms.limit(types[0], self.now) if types else None
            before = None if limit is None else limit.before
            figures = self.figures.get(name, Figures()).value()
            classes[str(name)] = {"years": years, "types": types, "before": before, **figures}
        items = [item.value() for item in self.items]
        return {"now": self.now, "classes": classes, "held": self.held, "items": items}


def plan(retainer: Retainer, terms: Terms, now: int, limit: int) -> Found:
    """What would be deleted at ``now`` (ms); deletes nothing."""
    found = Found(terms, now, limit)
    for candidate, limit_of in _candidates(retainer, terms, now):
        measured = _measure(retainer, candidate, limit_of)
        if measured is None or not measured:
            continue
        if measured.held:
            found.held += 1
            continue
        going = measured.portion
        seqs = (going.first, going.upto) if going.messages else (None, None)
        topics = len(going.topics)
        found.add(_item(candidate, terms, seqs, going.messages, topics, measured.whole))
    return found


class Pace(NamedTuple):
    """How fast is deleted: messages in one transaction, and the clock and the rest in seconds."""

    most: int
    seconds: Callable[[], float]
    pause: Callable[[float], None]


def apply(retainer: Retainer, terms: Terms, now: int, pace: Pace) -> Found:
    """Delete it; what was deleted.

    Raises Refused, and StorageError for what the database says: then a part is done, and another
    run goes on.
    """
    if retainer.look(lambda store: store.moving()):
        raise Refused(_MOVING)
    found = Found(terms, now)
    for candidate, limit_of in _candidates(retainer, terms, now):
        measured = _measure(retainer, candidate, limit_of)
        if measured is None or not measured:
            continue
        if measured.held:
            found.held += 1
            continue
        parts = list(_parts(retainer, candidate, limit_of, now, pace))
        if parts:
            messages, topics = sum(p.messages for p in parts), sum(p.topics for p in parts)
            deleted = any(p.deleted for p in parts)
            found.add(_item(candidate, terms, (None, None), messages, topics, deleted))
    limits = [limit for type_ in terms.classes if (limit := terms.limit(type_, now)) is not None]
    before = max((limit.before for limit in limits), default=0)
    while retainer.do(lambda store: store.events(before, pace.most)):
        pace.pause(_REST[0])
    if found.anything:
        retainer.do(lambda store: store.note(now, {**found.counts()}))
    return found


def _parts(
    retainer: Retainer, candidate: Candidate, limit: Limit, now: int, pace: Pace
) -> Iterator[Done]:
    """Delete one session's part after part."""
    while True:
        begun = pace.seconds()
        try:
            done = retainer.do(lambda store: store.cut(candidate.session_id, limit, pace.most, now))
        except Moving as error:
            raise Refused(_MOVING) from error
        if done is None:
            return
        yield done
        shortest, longest = _REST
        pace.pause(min(max(pace.seconds() - begun, shortest), longest))
        if not done.more:
            return


def _candidates(retainer: Retainer, terms: Terms, now: int) -> Iterator[tuple[Candidate, Limit]]:
    """Sessions that are worth a closer look, each with its limit."""
    after = ""
    while not terms.delete_nothing:
        last = after
        page = retainer.look(lambda store: store.candidates(last, _STRIDE))  # noqa: B023
        for candidate in page:
            limit = terms.limit(candidate.type, now)
            if limit is not None and candidate.reaches(limit.before):
                yield candidate, limit
        if len(page) < _STRIDE:
            return
        after = page[-1].session_id


def _measure(retainer: Retainer, candidate: Candidate, limit: Limit) -> Measured | None:
    return retainer.look(lambda store: store.measure(candidate.session_id, limit))


def _item(
    candidate: Candidate,
    terms: Terms,
    seqs: tuple[int | None, int | None],
    messages: int,
    topics: int,
    deleted: bool,
) -> Item:
    kind = terms.class_of(candidate.type)
    return Item(candidate.session_id, candidate.type, kind, *seqs, messages, topics, deleted)
