"""People of the directory and their devices (page 1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

DOCTOR, PATIENT = "doctor", "patient"
FOREGROUND, BACKGROUND = "foreground", "background"
#: what may become of an entry of the directory that is put
Result = Literal["created", "updated", "unchanged", "refused"]
CREATED: Final = "created"
UPDATED: Final = "updated"
UNCHANGED: Final = "unchanged"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class User:
    """A directory entry; ``kind`` is ``doctor``, ``patient`` or None (a mere participant)."""

    id: str
    kind: str | None
    name: str | None
    sex: int | None
    birthdate: str | None
    avatar: str | None
    openid: str | None
    team_code: str | None
    title: str | None
    last_active_time: int | None


@dataclass(frozen=True, slots=True)
class Device:
    """A place that app push can reach; the ids are addresses, not credentials."""

    user_id: str
    client_id: str
    platform: int | None
    token: str | None
    app_state: str
    login_time: int


@dataclass(frozen=True, slots=True)
class ConsultTime:
    """When a user last did something that concerns consults; None where never."""

    user_id: str
    last_active_time: int | None
    last_consult_time: int | None
    last_reply_time: int | None
