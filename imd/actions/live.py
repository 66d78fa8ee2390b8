"""What a socket asks beside the verbs that it shares with REST (page 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from imd.actions.access import absent, enter, seated
from imd.actions.marks import move
from imd.actions.pages import Bounds, ascending, fetch, fitting
from imd.actions.ports import House, Transaction
from imd.actions.queries import MessageQuery
from imd.domain.caller import Caller
from imd.domain.errors import ImError
from imd.domain.ids import UserId
from imd.domain.message import Message
from imd.domain.participant import Marked
from imd.domain.session import OwnSession
from imd.domain.topic import Topic
from imd.wire import answers
from imd.wire.fields import Place

#: the most messages, and bytes of them, that a login brings (page 3.2, Recovery)
MOST_RECOVERED, RECOVERED_BYTES = 200, 512 * 1024
#: what a login brings when there is nothing to recover from
NEWEST = 20


class Entry(NamedTuple):
    """Who wants into which session; ``epoch`` is of the store that ``after_seq`` was seen in."""

    caller: Caller
    user_id: UserId
    session_id: str
    after_seq: int | None
    epoch: object


class Joined(NamedTuple):
    """A session entered: what is shown at once, and the seq after which live goes on.

    ``roster`` is the session's when the user was found to be a member, ``unread_total`` the
    user's badge.
    """

    session: OwnSession
    messages: list[Message]
    recovered: bool
    last_seq: int
    roster: int
    unread_total: int


async def join(house: House, entries: Sequence[Entry]) -> list[Joined | ImError]:
    """Enter sessions: exactly what was missed, or the newest messages (page 3.2).

    Many at once in one look at the store; each gets its own outcome. Unavailable for all.
    """
    store = house.db.epoch

    def look(transaction: Transaction) -> list[Joined | ImError]:
        found: list[Joined | ImError] = []
        for entry in entries:
            try:
                found.append(_join(transaction, entry, entry.epoch == store))
            except ImError as refusal:
                found.append(refusal)
        return found

    return await house.db.read(look)


def _join(transaction: Transaction, entry: Entry, known: bool) -> Joined:
    caller, user_id, after_seq = entry.caller, entry.user_id, entry.after_seq
    session, roster = seated(transaction, caller, entry.session_id, user_id)
    total = sum(transaction.sessions.unread(user_id, caller.sid).values())
    if known and after_seq is not None and after_seq <= session.last_seq:
        missed = _missed(transaction, session, after_seq)
        if missed is not None:
            return Joined(session, missed, True, session.last_seq, roster, total)
    newest: list[Message] = []
    if session.last_seq:
        newest = transaction.messages.page(MessageQuery(session.id, limit=NEWEST))
    shown = fitting(newest, RECOVERED_BYTES)[::-1]
    return Joined(session, shown, False, session.last_seq, roster, total)


def _missed(transaction: Transaction, session: OwnSession, after_seq: int) -> list[Message] | None:
    """Everything after ``after_seq``; None when that is too much, or not there any more."""
    if session.last_seq == after_seq:
        return []
    if session.last_seq - after_seq > MOST_RECOVERED:
        return None
    query = MessageQuery(session.id, above=after_seq, ascending=True, limit=MOST_RECOVERED)
    missed = transaction.messages.page(query)
    if len(missed) != session.last_seq - after_seq:  # retention has deleted some of it
        return None
    return missed if len(fitting(missed, RECOVERED_BYTES)) == len(missed) else None


async def unread_total(house: House, caller: Caller, user_id: UserId) -> int:
    """The user's badge."""

    def count(transaction: Transaction) -> int:
        return sum(transaction.sessions.unread(user_id, caller.sid).values())

    return await house.db.read(count)


async def acknowledge(
    house: House,
    caller: Caller,
    user_id: UserId,
    session_id: str,
    seq: int,
    read: bool,
    inside: bool = True,
) -> Marked:
    """Delivered up to ``seq``, and read as well where ``read``; only what an ``inside`` socket
    got needs no push."""
    return await move(house, caller, session_id, user_id, seq, read=read, seen=inside)


async def read(
    house: House, caller: Caller, user_id: UserId, session_id: str, seq: int | None
) -> Marked:
    """Read up to ``seq``, the newest without one."""
    return await move(house, caller, session_id, user_id, seq)


async def history(
    house: House,
    caller: Caller,
    user_id: UserId,
    session_id: str,
    before: Place | None,
    after: Place | None,
    size: int,
) -> answers.Page[Message]:
    """A page of the log as REST gives it, moving no marks."""
    bounds = Bounds(before, after)

    def look(transaction: Transaction) -> answers.Page[Message]:
        enter(transaction, caller, session_id, user_id)
        above, below = bounds.seqs(transaction, session_id)
        query = MessageQuery(
            session_id,
            above=above,
            below=below,
            ascending=ascending(bounds, None, None),
            limit=size,
        )
        return fetch(transaction, query, None)

    return await house.db.read(look)


async def live_topic(
    house: House, caller: Caller, user_id: UserId, session_id: str
) -> Topic | None:
    """The session's live topic."""

    def look(transaction: Transaction) -> Topic | None:
        head, _ = enter(transaction, caller, session_id, user_id)
        if head.current_topic_id is None:
            return None
        return transaction.topics.get(head.current_topic_id)

    return await house.db.read(look)


async def check_member(house: House, caller: Caller, user_id: UserId, session_id: str) -> None:
    """SessionNotFound or NotAMember unless the user is a member."""
    caller.check_session(session_id)

    def look(transaction: Transaction) -> bool:
        return transaction.participants.get(session_id, user_id) is not None

    if not await house.db.read(look):
        raise absent(caller)
