"""Who may see a session: asked inside the transaction that uses the answer (page 2.1).

A user who is no member learns nothing, not even that the session exists; a service that names a
user who is none is told so.
"""

from __future__ import annotations

from imd.actions.ports import Transaction
from imd.domain.caller import Caller
from imd.domain.errors import NotAMember, SessionNotFound
from imd.domain.ids import UserId
from imd.domain.participant import Membership
from imd.domain.session import Head, OwnSession, Session


def enter(
    transaction: Transaction,
    caller: Caller,
    session_id: str,
    viewer: UserId | None,
    *,
    lock: bool = False,
) -> tuple[Head, Membership | None]:
    """The session's head and the viewer's membership (None when a service names nobody).

    ``lock`` holds the session until the transaction ends. Raises SessionNotFound or NotAMember.
    """
    caller.check_session(session_id)
    sessions = transaction.sessions
    head = sessions.lock(session_id) if lock else sessions.head(session_id)
    if head is None:
        raise SessionNotFound()
    if viewer is None:
        return head, None
    return head, member(transaction, caller, session_id, viewer)


def member(
    transaction: Transaction, caller: Caller, session_id: str, user_id: UserId
) -> Membership:
    """The user's membership; SessionNotFound for a user's own lack of it, NotAMember for a named
    user's."""
    found = transaction.participants.get(session_id, user_id)
    if found is None:
        raise absent(caller)
    return found


def own_session(
    transaction: Transaction, caller: Caller, session_id: str, user_id: UserId
) -> OwnSession:
    """The session as this member sees it."""
    return seated(transaction, caller, session_id, user_id)[0]


def seated(
    transaction: Transaction, caller: Caller, session_id: str, user_id: UserId
) -> tuple[OwnSession, int]:
    """The session as this member sees it, and its roster."""
    caller.check_session(session_id)
    found = transaction.sessions.own(session_id, user_id)
    if found is None:
        if transaction.sessions.head(session_id) is None:
            raise SessionNotFound()
        raise absent(caller)
    return found


def told(transaction: Transaction, session_id: str) -> tuple[Session, int]:
    """The session as the sockets of all members may be told of it, and its roster."""
    session = transaction.sessions.view(session_id)
    if session is None:
        raise SessionNotFound()
    return session, transaction.sessions.rosters([session_id])[session_id]


def absent(caller: Caller) -> SessionNotFound | NotAMember:
    """The error for a user who is no member, by who asks."""
    return NotAMember() if caller.is_service else SessionNotFound()
