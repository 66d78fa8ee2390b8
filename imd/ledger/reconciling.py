"""Two ledgers of the same consults, compared and mended (pages 4.5 and 7.2).

``imdctl reconcile`` and the service's timer call :func:`reconcile`. One pass goes over the
platform's window, one over imd's; each looks the other side up by code, some hundred at a time, so
memory does not grow with the number of consults. A repair is one transaction with its note; what
was repaired is equal to the next run.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from imd.actions.consults import Consult, ConsultBook
from imd.domain.topic import ENDED
from imd.ledger.platform import Entry, Platform

CLASSES: Final = (
    "missing_in_imd", "missing_in_platform", "missing_team_row", "ended_in_imd_only",
    "ended_in_platform_only", "fields_differ",
)  # fmt: skip
_STRIDE: Final = 500
#: ms by which two times may differ and be the same
_TOLERANCE: Final = 1_000


class Item(NamedTuple):
    """One difference; ``fields`` is name -> (imd's, the platform's)."""

    code: str
    cls: str
    session_id: str | None
    fields: dict[str, tuple[Any, Any]]
    repair: str | None

    def value(self) -> dict[str, Any]:
        """As it is printed as JSON."""
        fields = {name: list(pair) for name, pair in self.fields.items()}
        return {
            "class": self.cls, "code": self.code, "session_id": self.session_id,
            "fields": fields, "repair": self.repair,
        }  # fmt: skip


class Difference(NamedTuple):
    """A difference with what is known on either side, for whoever repairs it."""

    cls: str
    consult: Consult | None
    entry: Entry | None
    fields: dict[str, tuple[Any, Any]]

    @property
    def code(self) -> str:
        known = self.consult or self.entry
        assert known is not None
        return known.code


#: what is done about a difference, and whether it is done
Outcome = tuple[str | None, bool]
Repair = Callable[[Difference], Outcome]


@dataclass(slots=True)
class Found:
    """What a run found; ``applied`` counts the repairs that were made."""

    since: int
    until: int
    limit: int
    compared: int = 0
    applied: int = 0
    differences: Counter[str] = field(default_factory=Counter)
    _kept: list[_Kept] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Differences that were not repaired."""
        return sum(self.differences.values()) - self.applied

    def add(self, item: Item, repaired: bool) -> None:
        """Count a difference; it is listed while it is among the first by code."""
        self.differences[item.cls] += 1
        self.applied += repaired
        if len(self._kept) < self.limit:
            heapq.heappush(self._kept, _Kept(item))
        elif self._kept and _Kept(item) > self._kept[0]:
            heapq.heapreplace(self._kept, _Kept(item))

    def items(self) -> list[Item]:
        """The listed differences by code and class."""
        return [kept.item for kept in sorted(self._kept, reverse=True)]

    def value(self) -> dict[str, Any]:
        """The answer of page 7.2."""
        return {
            "window": {"since": self.since, "until": self.until},
            "compared": self.compared,
            "differences": {name: self.differences[name] for name in CLASSES},
            "items": [item.value() for item in self.items()],
            "applied": self.applied,
        }


class _Kept(NamedTuple):
    """An item in a heap whose first is the last by code."""

    item: Item

    def __lt__(self, other: Any) -> bool:
        return bool(self._key > other._key)

    def __gt__(self, other: Any) -> bool:
        return bool(self._key < other._key)

    @property
    def _key(self) -> tuple[str, str]:
        return self.item.code, self.item.cls


def reconcile(
    book: ConsultBook,
    platform: Platform,
    window: tuple[int, int],
    limit: int,
    repair: Repair,
) -> Found:
    """Compare the consults made in the window [since, until) in ms, and repair them.

    ``repair`` says of each difference what is done about it, and does it where that is wanted.
    Raises ForeignFailed, BadNames, and what imd's own database says.
    """
    found = Found(*window, limit)
    for entries in platform.window(*window):
        consults = book.named([entry.code for entry in entries])
        gone = book.deleted([entry.code for entry in entries if entry.code not in consults])
        for entry in entries:
            if entry.code not in gone:
                _judge(found, consults.get(entry.code), entry, repair)
    for page in _pages(book, window):
        there = platform.named([consult.code for consult in page])
        for consult in page:
            other = there.get(consult.code)
            if other is not None and _inside(other.czrq, window):
                continue  # the first pass met it
            _judge(found, consult, other, repair)
    return found


def _pages(book: ConsultBook, window: tuple[int, int]) -> Iterator[list[Consult]]:
    after: tuple[int, str] | None = None
    while page := book.page(*window, after, _STRIDE):
        yield page
        after = (page[-1].create_time, page[-1].code)


def _inside(time: int | None, window: tuple[int, int]) -> bool:
    return time is not None and window[0] <= time < window[1]


def _judge(found: Found, consult: Consult | None, entry: Entry | None, repair: Repair) -> None:
    found.compared += 1
    for difference in differences(consult, entry):
        done, repaired = repair(difference)
        session_id = consult.session_id if consult is not None else None
        found.add(
            Item(difference.code, difference.cls, session_id, difference.fields, done), repaired
        )


def differences(consult: Consult | None, entry: Entry | None) -> Iterator[Difference]:
    """In what the two sides of one consult differ, at most one of each class."""
    if consult is None or entry is None:
        cls = "missing_in_imd" if consult is None else "missing_in_platform"
        yield Difference(cls, consult, entry, {})
        return
    if not entry.teams:
        yield Difference("missing_team_row", consult, entry, {})
    ended = consult.status == ENDED
    if ended != entry.ended:
        cls = "ended_in_imd_only" if ended else "ended_in_platform_only"
        yield Difference(cls, consult, entry, {"status": (consult.status, int(entry.ended))})
    if fields := _fields(consult, entry):
        yield Difference("fields_differ", consult, entry, fields)


def _fields(consult: Consult, entry: Entry) -> dict[str, tuple[Any, Any]]:
    fields: dict[str, tuple[Any, Any]] = {}
    if entry.patient not in consult.patients:
        fields["patient"] = (consult.patients[0] if consult.patients else None, entry.patient)
    if consult.type != entry.type:
        fields["type"] = (consult.type, entry.type)
    teams = [team.admin_team_code for team in entry.teams]
    if teams and consult.team_code not in teams:
        fields["team_code"] = (consult.team_code, teams[0])
    for name, ours, theirs in (
        ("create_time", consult.create_time, entry.czrq),
        ("end_time", consult.end_time, entry.end_time),
    ):
        if ours is not None and theirs is not None and abs(ours - theirs) > _TOLERANCE:
            fields[name] = (ours, theirs)
    return fields
