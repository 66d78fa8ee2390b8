"""What may be asked about the members of a session (page 2.7)."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from imd.domain.ids import SessionId, UserId
from imd.wire.fields import Request, Role, UserIds


class ListParticipants(Request, frozen=True):
    session_id: SessionId
    user_id: UserId | None = None


class GetParticipants(Request, frozen=True):
    session_id: SessionId
    participant_ids: UserIds
    user_id: UserId | None = None


class PutParticipants(Request, frozen=True):
    session_id: SessionId
    participant_ids: UserIds
    role: Role | UnsetType = UNSET
    user_id: UserId | None = None


class RemoveParticipants(Request, frozen=True):
    session_id: SessionId
    participant_ids: UserIds
    user_id: UserId | None = None


class GetAvatar(Request, frozen=True):
    session_id: SessionId
    participant_id: UserId
    user_id: UserId | None = None


class ReplaceParticipants(Request, frozen=True):
    aliases = {
        "old_participant_id": "old_participant_ids",
        "new_participant_id": "new_participant_ids",
    }
    session_id: SessionId
    old_participant_ids: UserIds
    new_participant_ids: UserIds
    role: Role | UnsetType = UNSET
    user_id: UserId | None = None
