"""Sessions: making, naming, pinning, listing (page 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from imd.actions.access import enter, own_session, told
from imd.actions.ports import House, Transaction
from imd.actions.queries import SessionQuery
from imd.domain.audit import Act, Note
from imd.domain.caller import Caller
from imd.domain.errors import InvalidInput, SessionNotFound, SessionTypeConflict
from imd.domain.ids import SessionId, UserId, hash_of_members, id_from_parts, rule_of
from imd.domain.participant import Seat, check_may_change, check_number
from imd.domain.session import (
    IDLE,
    WITH_PATIENT,
    WITHOUT_PATIENT,
    Head,
    OwnSession,
    Session,
    business_type,
    check_creation,
    check_status,
)
from imd.domain.session_types import SESSION_TYPES, IdRule
from imd.wire import answers, cursor, sessions


class Opened(NamedTuple):
    """A session that is there now, and whether it was made."""

    session: Session
    created: bool


class Opening(NamedTuple):
    """What :func:`open_in` needs to know; ``parts`` may make the id, ``new_id`` may be it."""

    type: int
    name: str
    seats: Sequence[Seat]
    session_id: SessionId | None
    business_type: int | None
    parts: dict[str, str | None]
    new_id: str
    now: int


class Place(NamedTuple):
    """A session that :func:`open_in` made or found, locked; ``added`` are its new members."""

    head: Head
    created: bool
    added: list[str]


async def open_session(house: House, caller: Caller, request: sessions.OpenSession) -> Opened:
    """Make a session, or find it and add who is missing; nobody's marks move (page 2.4)."""
    opening = Opening(
        request.session_type,
        request.session_name,
        request.participants,
        request.session_id,
        request.business_type,
        request.parts(),
        house.new_id(),
        house.clock.now(),
    )

    def work(transaction: Transaction) -> tuple[Opened, list[str]]:
        place = open_in(transaction, caller, opening)
        return Opened(_shown(transaction, caller, place.head.id), place.created), place.added

    opened, added = await house.db.write(work)
    if added and not opened.created:
        house.courier.session_changed(*await house.db.read(told, opened.session.id))
    return opened


def open_in(transaction: Transaction, caller: Caller, opening: Opening) -> Place:
    """Make or find a session inside a transaction, and hold its lock."""
    if opening.type not in SESSION_TYPES:
        raise InvalidInput.of("session_type", f"{opening.type} is no session type (0..17)")
    if opening.session_id is None:
        check_number(list(opening.seats))
    session_id = opening.session_id or _made_id(transaction, opening)
    caller.check_session(session_id)
    head = transaction.sessions.lock(session_id)
    if head is None:
        check_creation(caller, opening.type, opening.seats)
        check_number(list(opening.seats))
        head = _insert(transaction, opening, session_id)
        if head is not None:
            added = transaction.participants.add(head, opening.seats, opening.now)
            detail: dict[str, object] = {"type": head.type, "participants": added}
            transaction.audit.note(
                Note(opening.now, caller.actor, Act.SESSION_CREATED, head.id, detail)
            )
            return Place(head, True, added)
        head = transaction.sessions.lock(session_id)  # another call made it just now
    if head is None:
        raise SessionNotFound()
    _check_may_join(transaction, caller, head)
    if head.type != opening.type:
        raise SessionTypeConflict(session_type=head.type)
    added = _add_missing(transaction, caller, head, opening)
    if added and not head.last_seq:  # the first message is to be later than every joining
        head = head._replace(last_timestamp=max(head.last_timestamp, opening.now))
    return Place(head, False, added)


def _check_may_join(transaction: Transaction, caller: Caller, head: Head) -> None:
    """A user that is no member of an existing session gets 404 and changes nothing."""
    if caller.user_id is not None:
        if transaction.participants.get(head.id, caller.user_id) is None:
            raise SessionNotFound()


def _add_missing(
    transaction: Transaction, caller: Caller, head: Head, opening: Opening
) -> list[str]:
    there = set(transaction.participants.ids(head.id))
    missing = [seat for seat in opening.seats if seat.user_id not in there]
    if missing:
        check_may_change(caller)
    added = transaction.participants.add(head, missing, opening.now)
    if added:
        detail: dict[str, object] = {"participants": added}
        transaction.audit.note(
            Note(opening.now, caller.actor, Act.PARTICIPANT_ADDED, head.id, detail)
        )
    return added


def _made_id(transaction: Transaction, opening: Opening) -> SessionId:
    """The id by the type's rule (page 1.3)."""
    rule = rule_of(opening.type)
    if rule is IdRule.PARTS:
        return id_from_parts(opening.type, opening.parts)
    if rule is IdRule.MEMBERS:
        members = sorted(seat.user_id for seat in opening.seats)
        found = transaction.sessions.with_members(opening.type, members)
        if found is not None:
            return SessionId(found)
        # A hash may be held by another type, or by a chat that has grown since: what is meant for
        # these members must not be read by a third.
        hashes = hash_of_members(members), hash_of_members(members, opening.type)
        for candidate in hashes:
            holder = transaction.sessions.head(candidate)
            if holder is None or (
                holder.type == opening.type  # made by another call just now
                and transaction.participants.ids(candidate) == members
            ):
                return SessionId(candidate)
    return SessionId(opening.new_id)


def _insert(transaction: Transaction, opening: Opening, session_id: str) -> Head | None:
    """The new session's head; None when another call was quicker."""
    by_first_message = rule_of(opening.type) is IdRule.FIRST_MESSAGE
    kind = opening.business_type
    if kind is None:
        patients = transaction.users.patients([seat.user_id for seat in opening.seats])
        kind = business_type(opening.type, opening.seats, patients)
    head = Head(
        id=session_id,
        name=opening.name,
        type=opening.type,
        business_type=kind,
        status=IDLE,
        create_time=opening.now,
        last_seq=0,
        counted=0,
        last_timestamp=opening.now,
        last_message_seq=None,
        last_message_time=None,
        current_topic_id=None,
        first_message_id=session_id if by_first_message and not opening.session_id else None,
        roster=0,
    )
    return transaction.sessions.insert(head)


def _view(transaction: Transaction, session_id: str) -> Session:
    found = transaction.sessions.view(session_id)
    if found is None:
        raise SessionNotFound()
    return found


def _shown(
    transaction: Transaction, caller: Caller, session_id: str, viewer: UserId | None = None
) -> Session:
    """The session as the viewer sees it, or without personal fields for a service alone."""
    viewer = viewer or caller.user_id
    if viewer is not None:
        return own_session(transaction, caller, session_id, viewer)
    caller.check_session(session_id)
    return _view(transaction, session_id)


async def get_session(house: House, caller: Caller, request: sessions.GetSession) -> Session:
    """One session (page 2.4)."""
    viewer = caller.viewer(request.user_id)
    return await house.db.read(_shown, caller, request.session_id, viewer)


async def session_exists(
    house: House, caller: Caller, request: sessions.SessionExists
) -> answers.Exists:
    """Whether there is such a session, or such a session of the named user; reads only."""
    viewer = caller.viewer(request.user_id)

    def look(transaction: Transaction) -> bool:
        if caller.sid is not None and request.session_id not in caller.sid:
            return False
        if viewer is not None:
            return transaction.participants.get(request.session_id, viewer) is not None
        return transaction.sessions.head(request.session_id) is not None

    return answers.Exists(request.session_id, await house.db.read(look))


# ---- lists

_KINDS = {"patient": WITH_PATIENT, "doctor": WITHOUT_PATIENT}


async def list_sessions(
    house: House, caller: Caller, request: sessions.ListSessions
) -> answers.Page[OwnSession]:
    """A user's sessions, pinned ones first, then by the newest message (page 2.4)."""
    query = SessionQuery(
        caller.acting_for(request.user_id),
        types=request.type,
        business_type=request.business_type,
        status=request.status,
        only=caller.sid,
    )
    return await _page(house, query, request.cursor, request.size, sticky_first=True)


async def list_sessions_by_type(
    house: House, caller: Caller, request: sessions.ListSessionsByType
) -> answers.Page[OwnSession]:
    """As :func:`list_sessions`, for the types that must be named."""
    query = SessionQuery(
        caller.acting_for(request.user_id),
        types=request.type,
        status=request.status,
        only=caller.sid,
    )
    return await _page(house, query, request.cursor, request.size, sticky_first=True)


async def list_recent_sessions(
    house: House, caller: Caller, request: sessions.ListRecentSessions
) -> answers.Page[OwnSession]:
    """Sessions with a message, newest first (page 2.4)."""
    kind: int | None = request.business_type
    if request.kind is not None:
        kind = _KINDS[request.kind]
        if request.business_type not in (None, kind):
            raise InvalidInput.of("kind", "says another thing than business_type")
    query = SessionQuery(
        caller.acting_for(request.user_id),
        types=request.type,
        business_type=kind,
        only=caller.sid,
        with_message=True,
        since=request.since,
    )
    return await _page(house, query, request.cursor, request.size, sticky_first=False)


async def _page(
    house: House, query: SessionQuery, after: str | None, size: int, *, sticky_first: bool
) -> answers.Page[OwnSession]:
    key: tuple[int, int, str] | None = None
    if after is not None:
        sticky, time, session_id = cursor.unpack(after, int, int, str)
        key = (int(sticky), int(time), str(session_id))

    def look(transaction: Transaction) -> list[tuple[OwnSession, tuple[int, int, str]]]:
        return transaction.sessions.page(query, key, size + 1, sticky_first)

    found = await house.db.read(look)
    more = len(found) > size
    return answers.Page(
        [session for session, _ in found[:size]],
        cursor.pack(*found[size - 1][1]) if more else None,
    )


async def count_sessions_by_type(
    house: House, caller: Caller, request: sessions.CountSessionsByType
) -> answers.TypeCounts:
    """How many sessions of each named type a user has (page 2.4)."""
    query = SessionQuery(
        caller.acting_for(request.user_id),
        types=request.type,
        status=request.status,
        only=caller.sid,
    )

    def count(transaction: Transaction) -> dict[int, int]:
        return transaction.sessions.count_by_type(query)

    found = await house.db.read(count)
    by_type = {str(type_): found.get(type_, 0) for type_ in sorted(set(request.type))}
    return answers.TypeCounts(sum(by_type.values()), by_type)


# ---- changes


async def pin_session(house: House, caller: Caller, request: sessions.PinSession) -> answers.Sticky:
    """Pin for one user (page 2.4)."""
    return await _pin(house, caller, request, True)


async def unpin_session(
    house: House, caller: Caller, request: sessions.PinSession
) -> answers.Sticky:
    """Unpin for one user (page 2.4)."""
    return await _pin(house, caller, request, False)


async def _pin(
    house: House, caller: Caller, request: sessions.PinSession, sticky: bool
) -> answers.Sticky:
    user_id = caller.acting_for(request.user_id)

    def change(transaction: Transaction) -> None:
        enter(transaction, caller, request.session_id, user_id, lock=True)
        transaction.participants.set_sticky(request.session_id, user_id, sticky)

    await house.db.write(change)
    return answers.Sticky(request.session_id, sticky)


async def rename_session(house: House, caller: Caller, request: sessions.RenameSession) -> Session:
    """Give a session another name; members' sockets are told (page 2.4)."""
    viewer, now = caller.viewer(request.user_id), house.clock.now()

    def change(transaction: Transaction) -> tuple[Session, Session, int]:
        enter(transaction, caller, request.session_id, viewer, lock=True)
        transaction.sessions.rename(request.session_id, request.name)
        transaction.audit.note(Note(now, caller.actor, Act.SESSION_RENAMED, request.session_id, {}))
        return _both(transaction, caller, request.session_id, viewer)

    shown, session, roster = await house.db.write(change)
    house.courier.session_changed(session, roster)
    return shown


async def set_session_status(
    house: House, caller: Caller, request: sessions.SetSessionStatus
) -> Session:
    """Set the status; in a type with topics it must say what the topics say (page 2.4)."""
    viewer, now = caller.viewer(request.user_id), house.clock.now()

    def change(transaction: Transaction) -> tuple[Session, Session, int]:
        head, _ = enter(transaction, caller, request.session_id, viewer, lock=True)
        check_status(head.type, request.status, head.current_topic_id)
        transaction.sessions.set_status(request.session_id, request.status)
        detail: dict[str, object] = {"status": request.status}
        transaction.audit.note(
            Note(now, caller.actor, Act.SESSION_STATUS, request.session_id, detail)
        )
        return _both(transaction, caller, request.session_id, viewer)

    shown, session, roster = await house.db.write(change)
    house.courier.session_changed(session, roster)
    return shown


def _both(
    transaction: Transaction, caller: Caller, session_id: str, viewer: UserId | None
) -> tuple[Session, Session, int]:
    """The session for the answer, and as every member's socket may be told of it."""
    session, roster = told(transaction, session_id)
    if viewer is None:
        return session, session, roster
    return own_session(transaction, caller, session_id, viewer), session, roster
