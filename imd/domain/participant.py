"""A user's place in a session (pages 1.2 and 2.7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from imd.domain.caller import Caller
from imd.domain.errors import Forbidden, InvalidInput
from imd.domain.ids import UserId

DEFAULT_ROLE = "0"
ROLE_LENGTH = 32
MOST_PARTICIPANTS = 500


class Seat(NamedTuple):
    """A place asked for: who, and as what."""

    user_id: UserId
    role: str


class Membership(NamedTuple):
    """A member's role and marks, as the store keeps them.

    ``read_counted`` is how many of the session's counted messages stand at or before ``read_seq``.
    """

    session_id: str
    user_id: str
    role: str
    sticky: bool
    read_seq: int
    delivered_seq: int
    read_counted: int
    last_fetch_time: int


class Mark(NamedTuple):
    """A wish to move marks up to ``seq`` (None: the newest); they never move back.

    ``read`` moves the read mark as well as the delivered one. ``seen`` says that it was taken in
    where the session is shown, so that no push is needed (page 4.1, I7); an outer socket is not.
    """

    session_id: str
    user_id: str
    seq: int | None
    read: bool = True
    seen: bool = True


class Marked(NamedTuple):
    """Where a member's marks stand now; ``moved`` tells whether the read mark rose.

    ``roster`` is the session's (:class:`imd.domain.session.Head`) when they were moved.
    """

    session_id: str
    user_id: str
    read_seq: int
    delivered_seq: int
    unread: int
    moved: bool
    roster: int


@dataclass(frozen=True, slots=True)
class Participant:
    """A member of a session; the fields are the wire's."""

    session_id: str
    participant_id: str
    role: str
    name: str | None
    avatar: str | None
    kind: str | None
    last_fetch_time: int
    read_seq: int
    delivered_seq: int
    online: bool


@dataclass(frozen=True, slots=True)
class Avatar:
    participant_id: str
    name: str | None
    avatar: str | None


def parse_seat(text: str) -> Seat:
    """``"userId:role"`` or ``"userId"`` (role ``"0"``); ValueError when it is neither."""
    user_id, colon, role = text.partition(":")
    return Seat(UserId.parse(user_id), check_role(role) if colon else DEFAULT_ROLE)


def check_role(role: object) -> str:
    """A role is stored as given; ValueError when it is no text of 1 to 32 characters."""
    if not isinstance(role, str) or not 1 <= len(role) <= ROLE_LENGTH:
        raise ValueError(f"Expected a role of 1 to {ROLE_LENGTH} characters")
    return role


def seats_of(seats: Iterable[Seat]) -> list[Seat]:
    """Each user once, the last role given for it winning (page 2.4)."""
    return [Seat(user_id, role) for user_id, role in dict(seats).items()]


def check_number(seats: list[Seat], field: str = "participants") -> None:
    """A new session has 1 to 500 members."""
    if not 1 <= len(seats) <= MOST_PARTICIPANTS:
        raise InvalidInput.of(field, f"a session has 1 to {MOST_PARTICIPANTS} participants")


def check_may_change(caller: Caller) -> None:
    """Membership is changed by services and by doctors who are members (page 2.7)."""
    if not caller.is_service and caller.role != "doctor":
        raise Forbidden("Only a doctor or a service changes who is a member.")


def is_doctor(kind: str | None, role: str | None) -> bool:
    """A doctor by the directory, or by the role in the session or token (page 1.2)."""
    return kind == "doctor" or role == "doctor"
