"""What may be asked about users and their devices (pages 2.2 and 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from msgspec import UNSET, Meta, UnsetType

from imd.domain.errors import FieldError, InvalidInput
from imd.domain.ids import UserId
from imd.domain.user import Result
from imd.wire.answers import Answer
from imd.wire.codec import convert
from imd.wire.fields import Address, Listed, Name, Request, Word


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


class UserEntry(PutUser, frozen=True):
    """One of many entries; ``user_id`` is called ``id`` as well, as in the answers."""

    aliases = {"id": "user_id"}


class RefusedEntry(NamedTuple):
    """An entry that breaks a rule; ``user_id`` where one could be read."""

    user_id: str | None
    errors: tuple[FieldError, ...]


def entry_of(value: Any) -> UserEntry | RefusedEntry:
    """The entry in a JSON object or a row of a table, or what is wrong with it (page 2.3)."""
    if not isinstance(value, Mapping):
        return RefusedEntry(None, (FieldError("", "Expected an object"),))
    try:
        return convert(value, UserEntry)
    except InvalidInput as error:
        names = ("user_id", "id", "userId")
        found = next((value[name] for name in names if isinstance(value.get(name), str)), None)
        return RefusedEntry(found, tuple(_allowed(*one) for one in error.errors))


def _allowed(field: str, message: str) -> FieldError:
    """A refusal that also says what would be taken."""
    if field == "kind" and "enum" in message:
        message += ", expected doctor, patient or null"
    return FieldError(field, message)


class UserEntries(Listed):
    """Entries of the directory, each taken or refused for itself."""

    __slots__ = ()

    @classmethod
    def item(cls, value: Any) -> UserEntry | RefusedEntry:
        return entry_of(value)


class PutUsers(Request, frozen=True):
    """``mode`` ``each`` stores what can be stored, ``all`` stores all or nothing."""

    users: UserEntries
    mode: Literal["each", "all"] = "each"


class EntryProblem(Answer, frozen=True):
    """What is wrong with one field of an entry, as in a problem document."""

    field: Annotated[str, Meta(description="The entry's field; empty for all of it")]
    message: Annotated[str, Meta(description="What is allowed there")]


class PutResult(Answer, frozen=True):
    """What became of one entry; ``errors`` only where it was refused."""

    user_id: str | None
    result: Result
    errors: list[EntryProblem] | UnsetType = UNSET


class PutResults(Answer, frozen=True):
    """The entries in their order, and how many had each result."""

    items: list[PutResult]
    created: int
    updated: int
    unchanged: int
    refused: int


class GetUserStatus(Request, frozen=True):
    user_id: UserId


class SetUserStatus(Request, frozen=True):
    user_id: UserId
    app_state: Literal["foreground", "background"]
    client_id: Word | None = None


class GetConsultTime(Request, frozen=True):
    user_id: UserId
