"""What may be asked about sessions (page 2.4)."""

from __future__ import annotations

from typing import Literal

from imd.domain.ids import SessionId, UserId
from imd.wire.fields import (
    DEFAULT_SIZE,
    Cursor,
    IntList,
    Millis,
    Name,
    Number,
    Request,
    Seats,
    Size,
    Word,
)


class IdParts(Request, frozen=True, kw_only=True):
    """The fields from which a session's id can be made (page 1.3)."""

    patient: UserId | None = None
    team_code: Word | None = None
    consult_code: Word | None = None
    consult_type: Word | None = None
    doctor: UserId | None = None
    gp: UserId | None = None
    specialist: UserId | None = None

    def parts(self) -> dict[str, str | None]:
        return {
            "patient": self.patient,
            "team_code": self.team_code,
            "consult_code": self.consult_code,
            "consult_type": self.consult_type,
            "doctor": self.doctor,
            "gp": self.gp,
            "specialist": self.specialist,
        }


class OpenSession(IdParts, frozen=True, kw_only=True):
    empty_is_absent = ("session_id",)
    session_type: Number
    session_name: Name
    participants: Seats = Seats()
    session_id: SessionId | None = None
    business_type: Literal[1, 2] | None = None


class ListSessions(Request, frozen=True):
    user_id: UserId | None = None
    type: IntList | None = None
    business_type: Literal[1, 2] | None = None
    status: Literal[0, 1] | None = None
    cursor: Cursor | None = None
    size: Size = DEFAULT_SIZE


class ListSessionsByType(Request, frozen=True):
    type: IntList
    user_id: UserId | None = None
    status: Literal[0, 1] | None = None
    cursor: Cursor | None = None
    size: Size = DEFAULT_SIZE


class CountSessionsByType(Request, frozen=True):
    type: IntList
    user_id: UserId | None = None
    status: Literal[0, 1] | None = None


class ListRecentSessions(Request, frozen=True):
    user_id: UserId | None = None
    business_type: Literal[1, 2] | None = None
    kind: Literal["patient", "doctor"] | None = None
    type: IntList | None = None
    since: Millis | None = None
    cursor: Cursor | None = None
    size: Size = DEFAULT_SIZE


class GetSession(Request, frozen=True):
    session_id: SessionId
    user_id: UserId | None = None


class SessionExists(Request, frozen=True):
    session_id: SessionId
    user_id: UserId | None = None


class PinSession(Request, frozen=True):
    session_id: SessionId
    user_id: UserId | None = None


class MuteSession(Request, frozen=True):
    session_id: SessionId
    user_id: UserId | None = None


class SetSessionStatus(Request, frozen=True):
    session_id: SessionId
    status: Literal[0, 1]
    user_id: UserId | None = None


class RenameSession(Request, frozen=True):
    session_id: SessionId
    name: Name
    user_id: UserId | None = None
