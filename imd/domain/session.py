"""A session: members, an ordered log, at most one live topic (pages 1.2 and 2.4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from imd.domain.caller import Caller
from imd.domain.errors import (
    FieldError,
    Forbidden,
    InvalidInput,
    NoLiveTopic,
    SessionTypeRetired,
    TopicActive,
)
from imd.domain.message import LastMessage
from imd.domain.participant import Seat
from imd.domain.session_types import (
    MADE_BY_DOCTORS,
    SESSION_TYPES,
    IdRule,
    holds_topics,
    names_a_patient,
)

WITHOUT_PATIENT, WITH_PATIENT = 1, 2
IDLE, ACTIVE = 0, 1


@dataclass(frozen=True, slots=True)
class Session:
    """What is the same for every member; the fields are the wire's."""

    id: str
    name: str | None
    type: int
    business_type: int
    status: int
    create_time: int
    last_seq: int
    last_message_time: int | None
    last_message: LastMessage | None
    current_topic_id: str | None


class Head(NamedTuple):
    """The end of a session's log: what the next message and the next mark start from.

    ``counted`` is how many counted messages the session ever had; ``first_message_id`` is the id
    that its first message must take (type 4), None once used or where there is none; ``roster``
    is how often it has changed who is a member.
    """

    id: str
    name: str | None
    type: int
    business_type: int
    status: int
    create_time: int
    last_seq: int
    counted: int
    last_timestamp: int
    last_message_seq: int | None
    last_message_time: int | None
    current_topic_id: str | None
    first_message_id: str | None
    roster: int


@dataclass(frozen=True, slots=True)
class OwnSession(Session):
    """A session as one member sees it."""

    role: str
    sticky: bool
    unread: int
    last_fetch_time: int
    read_seq: int


def unread(counted: int, read_counted: int) -> int:
    """Unread messages of a member (page 2.5), from the two running totals.

    ``counted`` is how many counted messages the session ever had, ``read_counted`` how many of
    them stand at or before the member's read mark. A member's own messages never lie beyond its
    mark, because sending moves it.
    """
    return max(0, counted - read_counted)


def check_creation(caller: Caller, type_: int, seats: Iterable[Seat]) -> None:
    """Whether this caller may make a new session of this type (page 2.4)."""
    if type_ not in SESSION_TYPES:
        raise InvalidInput.of("session_type", f"{type_} is no session type (0..17)")
    if SESSION_TYPES[type_].rule is IdRule.NONE:
        said = f"type {type_} is retired; no new session can be made"
        raise SessionTypeRetired(FieldError("session_type", said))
    if caller.is_service:
        return
    if caller.role != "doctor":
        raise Forbidden("A patient's token makes no sessions.")
    if type_ not in MADE_BY_DOCTORS:
        raise Forbidden("A doctor's token makes sessions of the types 2, 3, 4 and 5 only.")
    if caller.user_id not in {seat.user_id for seat in seats}:
        raise Forbidden("A doctor makes sessions only with itself among the participants.")


def business_type(type_: int, seats: Iterable[Seat], patients: Iterable[str]) -> int:
    """The default business type; ``patients`` are the members that the directory calls so."""
    known = set(patients)
    if names_a_patient(type_) or any(s.role == "patient" or s.user_id in known for s in seats):
        return WITH_PATIENT
    return WITHOUT_PATIENT


def check_status(type_: int, status: int, live_topic: str | None) -> None:
    """Whether a session's status may be set (page 2.4, ``/status``)."""
    if not holds_topics(type_):
        return
    if status == IDLE and live_topic is not None:
        raise TopicActive(topic_id=live_topic)
    if status == ACTIVE and live_topic is None:
        raise NoLiveTopic()
