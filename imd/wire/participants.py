"""What may be asked about the members of a session (page 2.7)."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from imd.domain.ids import SessionId, UserId
from imd.domain.participant import DEFAULT_ROLE
from imd.wire.fields import Request, Role, UserIds


class ListParticipants(Request, frozen=True):
    session_id: SessionId
    user_id: UserId | None = None


class GetParticipants(Request, frozen=True):
    session_id: SessionId
    participant_ids: UserIds
    user_id: UserId | None = None


class Roled(Request, frozen=True, kw_only=True):
    """A role that may be given; members that are new without one get the default."""

    role: Role | UnsetType = UNSET

    @property
    def role_of_new(self) -> str:
        return DEFAULT_ROLE if isinstance(self.role, UnsetType) else self.role

    @property
    def changes_role(self) -> bool:
        return self.role is not UNSET


class PutParticipants(Roled, frozen=True, kw_only=True):
    session_id: SessionId
    participant_ids: UserIds
    user_id: UserId | None = None


class RemoveParticipants(Request, frozen=True):
    session_id: SessionId
    participant_ids: UserIds
    user_id: UserId | None = None


class GetAvatar(Request, frozen=True):
    session_id: SessionId
    participant_id: UserId
    user_id: UserId | None = None


class ReplaceParticipants(Roled, frozen=True, kw_only=True):
    aliases = {
        "old_participant_id": "old_participant_ids",
        "new_participant_id": "new_participant_ids",
    }
    session_id: SessionId
    old_participant_ids: UserIds
    new_participant_ids: UserIds
    user_id: UserId | None = None
