"""Consults as two ledgers see them (pages 4.5, 7.2 and 7.3): what passes from storage to ledger.

imd's topics and the platform's consults are the same things under one code. The ledger room
compares and counts, storage reads and repairs imd's side. Neither knows more of the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from imd.domain.audit import Note
from imd.domain.consult_days import Summed
from imd.domain.session import Head
from imd.domain.topic import Topic


class Consult(NamedTuple):
    """A topic of imd; ``patients`` are the members of its session that are patients."""

    code: str
    session_id: str
    type: int | None
    status: int
    reply: int
    team_code: str | None
    create_time: int
    end_time: int | None
    reply_by: str | None
    reply_time: int | None
    patients: tuple[str, ...] = ()


class NewConsult(NamedTuple):
    """A topic to be made with its session; ``members`` are (user id, role)."""

    head: Head
    members: Sequence[tuple[str, str]]
    topic: Topic


class ConsultBook(Protocol):
    """imd's side of the two ledgers; every call is a transaction and waits for the database."""

    def named(self, codes: Collection[str]) -> dict[str, Consult]: ...

    def deleted(self, codes: Collection[str]) -> set[str]:
        """Which of these consults retention has deleted: they are not missing."""

    def page(
        self, since: int, until: int, after: tuple[int, str] | None, limit: int
    ) -> list[Consult]:
        """Topics made in [since, until), by (create_time, code), after that key."""

    def summed(self, first: int, last: int) -> Summed:
        """What is summed up of the days in [first, last), which are numbered as in
        :mod:`imd.domain.consult_days`; perhaps not of all, see ``upto``."""

    def doctors_of(self, codes: Collection[str]) -> dict[str, str]:
        """Of these consults, a doctor who is a member of the session."""

    def make(self, new: NewConsult, note: Note) -> bool:
        """Make it; False when another topic is live there, or the code is taken meanwhile."""

    def end(self, code: str, time: int, note: Note) -> bool:
        """End a topic where it stands; False when it is not live any more."""

    def change(self, code: str, fields: Mapping[str, Any], patient: str | None, note: Note) -> bool:
        """Set fields of a topic; ``patient`` becomes a member of its session, as its patient.

        False for a patient who is a member already, and something else.
        """

    def turn(self, now: int, every: int) -> tuple[bool, Mapping[str, int]]:
        """Whether to compare by the clock now, and the differences that were found last.

        One process of all may in ``every`` ms, which begin with its turn.
        """

    def end_turn(self, found: Mapping[str, int]) -> None:
        """Keep for all processes what a turn found."""

    def note(self, note: Note, work: Callable[[], None]) -> None:
        """Do ``work`` elsewhere, and note it where that goes well."""


class Statistics(Protocol):
    """Where the statistics of consults come from."""

    def consults(
        self,
        by: str,
        org: str | None,
        type_: int | None,
        window: tuple[str | int | None, str | int | None],
        listed: bool,
    ) -> Awaitable[Any]:
        """The answer of page 7.3 as plain values.

        InvalidInput for a time or a group that is none, Unavailable when it cannot be counted now.
        """
