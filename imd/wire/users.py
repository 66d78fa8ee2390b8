"""What may be asked about users and their devices (pages 2.2 and 2.3)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from imd.domain.ids import UserId
from imd.wire.fields import Address, Name, Request, Word


class GetBadge(Request, frozen=True):
    user_id: UserId | None = None


class Login(Request, frozen=True):
    user_id: UserId | None = None
    client_id: Word | None = None
    token: Address | None = None
    platform: Literal[0, 1] | None = None
    role: Literal["doctor", "patient"] | None = None


class Logout(Request, frozen=True):
    user_id: UserId | None = None
    client_id: Word | None = None


class GetUser(Request, frozen=True):
    user_id: UserId


class PutUser(Request, frozen=True):
    """A field that is not given stays as it is; null empties it."""

    #: the fields of the directory's entry
    ENTRY: ClassVar = ("kind", "name", "sex", "birthdate", "avatar", "openid", "team_code", "title")

    user_id: UserId
    kind: Literal["doctor", "patient"] | None | UnsetType = UNSET
    name: Name | None | UnsetType = UNSET
    sex: Annotated[int, Meta(ge=0, le=9)] | None | UnsetType = UNSET
    birthdate: Annotated[str, Meta(min_length=1, max_length=32)] | None | UnsetType = UNSET
    avatar: Address | None | UnsetType = UNSET
    openid: Word | None | UnsetType = UNSET
    team_code: Word | None | UnsetType = UNSET
    title: Name | None | UnsetType = UNSET


class GetUserStatus(Request, frozen=True):
    user_id: UserId


class SetUserStatus(Request, frozen=True):
    user_id: UserId
    app_state: Literal["foreground", "background"]
    client_id: Word | None = None


class GetConsultTime(Request, frozen=True):
    user_id: UserId
