"""How long what was said is kept, and how much of a session may go (retention).

Each session type belongs to a class of records; a class has a least time by law. The storage room
asks what of a session's log is old enough, the settings are checked against the least times. A
log only ever loses its beginning, and a consult goes whole or stays whole. No clock, no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

#: ms; a year counts a day too many rather than one too few
YEAR: Final = 366 * 86_400_000


class RecordClass(StrEnum):
    """What a record is before the law; ``forever`` is never deleted."""

    FOREVER = "forever"
    PROCESS = "process"
    MEDICAL = "medical"


#: years below which a class may not be kept: the record of how a consultation went (过程记录), and
#: an outpatient's medical record (病历)
LEAST_YEARS: Final[dict[RecordClass, int]] = {RecordClass.PROCESS: 3, RecordClass.MEDICAL: 15}
#: an operator who writes more means for ever
MOST_YEARS: Final = 100


class HoldKind(StrEnum):
    """On what a legal hold may lie."""

    SESSION = "session"
    USER = "user"


class Hold(NamedTuple):
    """A legal hold: nothing of this session, or of sessions of this user, is deleted."""

    kind: HoldKind
    id: str
    reason: str
    time: int


class Limit(NamedTuple):
    """What is older than ``before`` (ms) may go.

    ``by_patient``: only once the patient's last visit is as old, because the time of a medical
    record runs from there.
    """

    before: int
    by_patient: bool = False


class Terms(NamedTuple):
    """What the settings say: years by class, and the class of each session type."""

    years: Mapping[RecordClass, int]
    classes: Mapping[int, RecordClass]

    def class_of(self, session_type: int) -> RecordClass:
        """The class of a session type; what nobody named is kept for ever."""
        return self.classes.get(session_type, RecordClass.FOREVER)

    def limit(self, session_type: int, now: int) -> Limit | None:
        """What may go at ``now`` (ms) of sessions of this type; None where nothing may."""
        kind = self.class_of(session_type)
        years = self.years.get(kind)
        return None if years is None else Limit(now - years * YEAR, kind is RecordClass.MEDICAL)

    @property
    def delete_nothing(self) -> bool:
        """Whether every session type is kept for ever."""
        return all(named is RecordClass.FOREVER for named in self.classes.values())


class Consult(NamedTuple):
    """A topic as retention sees it: live or not, its messages from ``first`` to ``last``.

    Both are None for a topic without messages. ``time`` (ms) is its end, or its beginning where
    nobody knows the end.
    """

    id: str
    live: bool
    first: int | None
    last: int | None
    time: int

    def stays(self, boundary: int, cutoff: int) -> bool:
        """Whether the topic is live, or not all of it is older than the cutoff."""
        return self.live or self.time >= cutoff or (self.last or 0) > boundary


class Portion(NamedTuple):
    """What goes: messages ``first`` to ``upto`` (none where upto < first) and these topics."""

    first: int
    upto: int
    topics: tuple[str, ...]

    @property
    def messages(self) -> int:
        return max(0, self.upto - self.first + 1)

    def __bool__(self) -> bool:
        return self.messages > 0 or bool(self.topics)


def portion(first: int, boundary: int, consults: Sequence[Consult], cutoff: int) -> Portion:
    """What of a log may go.

    ``first`` is the oldest message that is there, ``boundary`` the newest that is older than the
    cutoff. What goes ends before every topic that has to stay.
    """
    upto = boundary
    staying = [consult for consult in consults if consult.stays(boundary, cutoff)]
    while True:
        before = [c.first - 1 for c in staying if c.first is not None and c.first <= upto]
        if not before:
            break
        upto = min(before)
        # What is cut in two by that stays too.
        staying += [c for c in consults if c not in staying and (c.last or 0) > upto]
    kept = {consult.id for consult in staying}
    return Portion(first, max(upto, first - 1), tuple(c.id for c in consults if c.id not in kept))


def part(whole: Portion, consults: Iterable[Consult], most: int) -> Portion:
    """The beginning of a portion, at most ``most`` messages of it, for one transaction.

    It ends where a topic ends, unless one alone is longer than that; then the topic's row goes with
    the first of its messages. Topics without messages go with the first part.
    """
    if whole.messages <= most:
        return whole
    upto = whole.first + most - 1
    going = [c for c in consults if c.id in set(whole.topics)]
    cut = [c.first - 1 for c in going if c.first is not None and c.first <= upto < (c.last or 0)]
    if cut and min(cut) >= whole.first:
        upto = min(cut)
    names = tuple(c.id for c in going if c.first is None or c.first <= upto)
    return Portion(whole.first, upto, names)
