"""The directory, devices, presence and the badge (pages 2.2 and 2.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from imd.actions.ports import House, Transaction
from imd.domain.audit import Act, Note
from imd.domain.caller import ADMIN, Caller
from imd.domain.errors import (
    FieldError,
    Forbidden,
    ForbiddenUser,
    InvalidInput,
    NoDevice,
    UserNotFound,
)
from imd.domain.ids import UserId
from imd.domain.user import (
    CREATED,
    FOREGROUND,
    REFUSED,
    UNCHANGED,
    UPDATED,
    ConsultTime,
    Device,
    Result,
    User,
)
from imd.wire import answers, users


class PutOutcome(NamedTuple):
    """The entry, and whether it is new."""

    user: User
    created: bool


async def get_badge(house: House, caller: Caller, request: users.GetBadge) -> answers.Badge:
    """Unread over all sessions of a user (page 2.2)."""
    user_id = caller.acting_for(request.user_id)

    def count(transaction: Transaction) -> int:
        return sum(transaction.sessions.unread(user_id, caller.sid).values())

    return answers.Badge(user_id, await house.db.read(count))


async def login(house: House, caller: Caller, request: users.Login) -> answers.Access:
    """Register a device, and hand out or renew an access token (page 2.3)."""
    caller.require(ADMIN)
    user_id = caller.acting_for(request.user_id)
    if not caller.is_service and request.role not in (None, caller.role):
        raise Forbidden("A user renews its own role only.")
    now = house.clock.now()

    def register(transaction: Transaction) -> tuple[str | None, str]:
        user = transaction.users.get(user_id)
        if user is None and caller.is_service:
            raise UserNotFound()
        if request.client_id is not None:
            transaction.users.register_device(
                Device(user_id, request.client_id, request.platform, request.token, FOREGROUND, now)
            )
        transaction.users.touch(user_id, now)
        kind = user.kind if user else None
        role = (request.role or kind) if caller.is_service else caller.role
        if role is None:
            raise InvalidInput.of("role", "is needed: the directory knows no kind of the user")
        if caller.is_service:
            detail: dict[str, object] = {"role": role}
            transaction.audit.note(Note(now, caller.actor, Act.TOKEN_ISSUED, user_id, detail))
        return kind, role

    kind, role = await house.db.write(register)
    token, expires_at = house.doorkeeper.issue(user_id, role, now, caller.sid)
    return answers.Access(user_id, kind, token, expires_at, now)


async def logout(house: House, caller: Caller, request: users.Logout) -> None:
    """Forget a device or all of them, and give the presented token back (page 2.3)."""
    user_id = caller.acting_for(request.user_id)
    fingerprint = caller.fingerprint
    ends, now = caller.expires_at or 0, house.clock.now()

    def forget(transaction: Transaction) -> None:
        transaction.users.forget_devices(user_id, request.client_id)
        if fingerprint is not None:
            transaction.users.revoke(fingerprint, ends)
            transaction.audit.note(Note(now, caller.actor, Act.TOKEN_REVOKED, user_id, {}))

    await house.db.write(forget)
    if fingerprint is not None:
        house.doorkeeper.revoke(fingerprint)
        house.courier.revoked(fingerprint)


def _visible(transaction: Transaction, caller: Caller, user_id: UserId) -> User:
    """The entry, for those who may see it: services, the user, those who share a session."""
    user = transaction.users.get(user_id)
    if user is None:
        raise UserNotFound()
    if caller.user_id is not None and caller.user_id != user_id:
        if not transaction.participants.share_session(caller.user_id, user_id, caller.sid):
            raise UserNotFound()
    return user if caller.is_service else replace(user, openid=None)


async def get_user(house: House, caller: Caller, request: users.GetUser) -> User:
    """A directory entry; ``openid`` only to services (page 2.3)."""
    return await house.db.read(_visible, caller, request.user_id)


async def put_user(house: House, caller: Caller, request: users.PutUser) -> PutOutcome:
    """Create or change a directory entry (page 2.3)."""
    if not caller.is_service:
        raise Forbidden("The directory is kept by services.")
    caller.require(ADMIN)
    fields = request.given(*users.PutUser.ENTRY)
    now = house.clock.now()

    def put(transaction: Transaction) -> PutOutcome:
        created = transaction.users.put(request.user_id, fields, now)
        user = transaction.users.get(request.user_id)
        if user is None:
            raise UserNotFound()
        detail: dict[str, object] = {"created": created, "fields": sorted(fields)}
        transaction.audit.note(Note(now, caller.actor, Act.USER_PUT, request.user_id, detail))
        return PutOutcome(user, created)

    return await house.db.write(put)


def store_entries(
    transaction: Transaction, entries: Sequence[users.UserEntry], actor: str, now: int
) -> list[Result]:
    """Put entries and note each that changed; what became of each.

    The route and ``imdctl user import`` share it.
    """
    given = [entry.given(*users.PutUser.ENTRY) for entry in entries]
    pairs = [(str(entry.user_id), one) for entry, one in zip(entries, given, strict=True)]
    told = transaction.users.put_all(pairs, now)
    for (user_id, fields), result in zip(pairs, told, strict=True):
        if result != UNCHANGED:
            detail: dict[str, object] = {"created": result == CREATED, "fields": sorted(fields)}
            transaction.audit.note(Note(now, actor, Act.USER_PUT, user_id, detail))
    return told


async def put_users(house: House, caller: Caller, request: users.PutUsers) -> users.PutResults:
    """Create or change many directory entries in one transaction (page 2.3).

    With mode ``all`` one refused entry refuses the request: InvalidInput names each.
    """
    if not caller.is_service:
        raise Forbidden("The directory is kept by services.")
    caller.require(ADMIN)
    good = [entry for entry in request.users if isinstance(entry, users.UserEntry)]
    if request.mode == "all" and len(good) < len(request.users):
        raise InvalidInput(*_problems(request.users))
    told = iter(
        await house.db.write(store_entries, good, caller.actor, house.clock.now()) if good else []
    )
    items = [
        users.PutResult(entry.user_id, REFUSED, [users.EntryProblem(*e) for e in entry.errors])
        if isinstance(entry, users.RefusedEntry)
        else users.PutResult(str(entry.user_id), next(told))
        for entry in request.users
    ]
    counts = Counter(item.result for item in items)
    return users.PutResults(
        items, counts[CREATED], counts[UPDATED], counts[UNCHANGED], counts[REFUSED]
    )


def _problems(entries: Sequence[users.UserEntry | users.RefusedEntry]) -> Iterator[FieldError]:
    for place, entry in enumerate(entries):
        if isinstance(entry, users.RefusedEntry):
            for field, message in entry.errors:
                where = f"users[{place}]"
                yield FieldError(f"{where}.{field}" if field else where, message)


async def get_user_status(
    house: House, caller: Caller, request: users.GetUserStatus
) -> answers.UserStatus:
    """Whether and how a user can be reached now (page 2.3)."""
    return await _status(house, caller, request.user_id)


async def set_user_status(
    house: House, caller: Caller, request: users.SetUserStatus
) -> answers.UserStatus:
    """Set the state of a device, the newest one where none is named (page 2.3)."""
    user_id, state = request.user_id, request.app_state
    if caller.user_id is not None and caller.user_id != user_id:
        raise ForbiddenUser()
    now = house.clock.now()

    def change(transaction: Transaction) -> None:
        _visible(transaction, caller, user_id)
        device = transaction.users.newest_device(user_id, request.client_id)
        if device is None:
            raise NoDevice()
        transaction.users.set_app_state(user_id, device.client_id, state)
        transaction.users.touch(user_id, now)

    await house.db.write(change)
    return await _status(house, caller, user_id)


async def _status(house: House, caller: Caller, user_id: UserId) -> answers.UserStatus:
    def look(transaction: Transaction) -> tuple[User, Device | None]:
        user = _visible(transaction, caller, user_id)
        return user, transaction.users.newest_device(user_id)

    user, device = await house.db.read(look)
    clients = (await house.presence.clients([user_id])).get(user_id, [])
    return answers.UserStatus(
        user_id=user_id,
        online=bool(clients),
        clients=sorted(set(clients)),
        app_state=device.app_state if device else None,
        last_active_time=user.last_active_time,
    )


async def get_consult_time(
    house: House, caller: Caller, request: users.GetConsultTime
) -> ConsultTime:
    """When a user last did something that concerns consults (page 2.3)."""

    def look(transaction: Transaction) -> ConsultTime:
        _visible(transaction, caller, request.user_id)
        return transaction.users.consult_time(request.user_id)

    return await house.db.read(look)
