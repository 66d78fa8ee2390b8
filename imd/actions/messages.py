"""Messages: sending, reading, changing, recalling, and unread counts (page 2.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from imd.actions.access import enter, own_session
from imd.actions.marks import move
from imd.actions.pages import Bounds, ascending, fetch
from imd.actions.ports import (
    Committed,
    House,
    Posted,
    Transaction,
)
from imd.actions.queries import MessageQuery
from imd.domain.audit import Act, Note, digest
from imd.domain.caller import Caller
from imd.domain.errors import MessageNotFound, RateLimited, TopicNotFound
from imd.domain.ids import TopicId, UserId
from imd.domain.message import Card, Draft, Message, check_edit, check_recall
from imd.domain.message_types import MessageType, check_sendable
from imd.domain.session import OwnSession
from imd.wire import answers, messages
from imd.wire.codec import encode
from imd.wire.content import read_content


async def post_message(
    house: House, caller: Caller, request: messages.PostMessage, origin: object = None
) -> Posted:
    """Store a message; answered when it is durable, delivered after that (pages 2.5 and 4).

    ``origin`` is handed to the courier, for a socket to know its own.
    """
    return await house.writer.post(draft_of(house, caller, request), origin)


def draft_of(house: House, caller: Caller, request: messages.PostMessage) -> Draft:
    """The message that is to be stored, when this caller may send it (page 2.5).

    Raises what page 2.5 says of a send, but for what the store alone knows.
    """
    sender = caller.acting_for(request.sender_id or request.user_id, "sender_id")
    if not caller.is_service:
        caller.acting_for(request.user_id)
        wait = house.rates.sends.take(sender, house.clock.now())
        if wait:
            raise RateLimited(wait)
    caller.check_session(request.session_id)
    check_sendable(request.type, by_user=not caller.is_service, extra=house.rules.extra_types)
    return Draft(
        id=house.new_id(),
        session_id=request.session_id,
        sender_id=sender,
        type=request.type,
        content=read_content(request.type, request.content, house.rules.content),
        sender_name=request.sender_name,
        client_msg_id=request.client_msg_id,
        topic_id=request.topic_id,
        business_type=request.business_type,
        token_role=caller.role,
        member="named" if caller.is_service else "self",
    )


# ---- reading


async def list_messages(
    house: House, caller: Caller, request: messages.ListMessages
) -> answers.Page[Message]:
    """A page of a session's log; a plain first page moves the reader's marks (page 2.5)."""
    return await _list(house, caller, request, request.session_id, None)


async def list_session_topic_messages(
    house: House, caller: Caller, request: messages.ListSessionTopicMessages
) -> answers.Page[Message]:
    """A page of a topic's messages, by the session and topic of the path (page 2.5)."""
    return await _list(house, caller, request, request.session_id, request.topic_id)


async def list_topic_messages(
    house: House, caller: Caller, request: messages.ListTopicMessages
) -> answers.Page[Message]:
    """A page of a topic's messages, by the topic alone (page 2.5)."""
    return await _list(house, caller, request, None, request.topic_id)


class _Read(NamedTuple):
    page: answers.Page[Message]
    session_id: str
    read_seq: int


async def _list(
    house: House,
    caller: Caller,
    request: messages.MessagePage,
    session_id: str | None,
    topic_id: TopicId | None,
) -> answers.Page[Message]:
    viewer = caller.viewer(request.user_id)
    found = await house.db.read(_read, caller, request, session_id, topic_id, viewer)
    newest = found.page.items[0].seq if found.page.items else 0
    moves = topic_id is None and request.plain and not request.peek and caller.may_move_marks()
    if viewer is not None and moves and newest > found.read_seq:
        await move(house, caller, found.session_id, viewer, newest)
    await _note_read(house, caller, found.session_id, viewer, found.page.items)
    return found.page


async def _note_read(
    house: House,
    caller: Caller,
    session_id: str,
    viewer: UserId | None,
    read: Sequence[Message],
) -> None:
    """A service that reads messages is noted in the audit trail before it gets them."""
    if not caller.is_service or not read:
        return
    detail: dict[str, object] = {
        "user_id": viewer,
        "first_seq": min(message.seq for message in read),
        "last_seq": max(message.seq for message in read),
        "count": len(read),
    }
    await house.writer.note(
        Note(house.clock.now(), caller.actor, Act.MESSAGES_READ, session_id, detail)
    )


def _read(
    transaction: Transaction,
    caller: Caller,
    request: messages.MessagePage,
    session_id: str | None,
    topic_id: TopicId | None,
    viewer: UserId | None,
) -> _Read:
    if topic_id is not None:
        topic = transaction.topics.get(topic_id)
        if topic is None or session_id not in (None, topic.session_id):
            if session_id is not None:
                enter(transaction, caller, session_id, viewer)
            raise TopicNotFound()
        where = topic.session_id
    else:
        where = session_id or ""
    if session_id is None and not _may_see(transaction, caller, where, viewer):
        raise TopicNotFound()
    head, member = enter(transaction, caller, where, viewer)
    bounds = Bounds(request.before, request.after, request.start_msg_id, request.end_msg_id)
    above, below = bounds.seqs(transaction, head.id)
    query = MessageQuery(
        head.id,
        topic_id=topic_id,
        above=above,
        below=below,
        types=request.type,
        ascending=ascending(bounds, request.order, request.cursor),
        limit=request.size,
    )
    page = fetch(transaction, query, request.cursor)
    return _Read(page, head.id, member.read_seq if member else 0)


def _may_see(
    transaction: Transaction, caller: Caller, session_id: str, viewer: UserId | None
) -> bool:
    """Whether a user may know of a topic's session; for services :func:`enter` decides."""
    if caller.is_service or viewer is None:
        return True
    if caller.sid is not None and session_id not in caller.sid:
        return False
    return transaction.participants.get(session_id, viewer) is not None


async def list_unread(
    house: House, caller: Caller, request: messages.ListUnread
) -> answers.Page[Message]:
    """What others sent after the user's mark, oldest first; marks move to the newest returned."""
    user_id = caller.acting_for(request.user_id)

    def look(transaction: Transaction) -> answers.Page[Message]:
        _, member = enter(transaction, caller, request.session_id, user_id)
        query = MessageQuery(
            request.session_id,
            above=member.read_seq if member else 0,
            not_by=user_id,
            counted_only=True,
            ascending=True,
            limit=request.size,
        )
        return fetch(transaction, query, request.cursor)

    page = await house.db.read(look)
    if page.items and not request.peek and caller.may_move_marks():
        await move(house, caller, request.session_id, user_id, page.items[-1].seq)
    await _note_read(house, caller, request.session_id, user_id, page.items)
    return page


async def get_message(house: House, caller: Caller, request: messages.GetMessage) -> Message:
    """One message; moves no marks."""
    viewer = caller.viewer(request.user_id)

    def look(transaction: Transaction) -> Message:
        enter(transaction, caller, request.session_id, viewer)
        return _message(transaction, request.session_id, request.message_id)

    message = await house.db.read(look)
    await _note_read(house, caller, request.session_id, viewer, [message])
    return message


def _message(transaction: Transaction, session_id: str, message_id: str) -> Message:
    found = transaction.messages.get(session_id, message_id)
    if found is None:
        raise MessageNotFound()
    return found


# ---- changing


async def edit_message(house: House, caller: Caller, request: messages.EditMessage) -> Message:
    """Replace a card's content; a 2105 naming it is stored, sockets get ``update`` (page 2.5)."""
    editor = caller.viewer(request.user_id)
    refresh_id, now = house.new_id(), house.clock.now()

    def change(transaction: Transaction) -> tuple[Message, list[Committed], int]:
        head, _ = enter(transaction, caller, request.session_id, editor, lock=True)
        message = _message(transaction, request.session_id, request.message_id)
        check_edit(message, caller.user_id, request.version)
        content = read_content(message.type, request.content, house.rules.content)
        edited = replace(message, content=content, version=message.version + 1)
        transaction.messages.edit(edited)
        news = {"message_id": edited.id, "version": edited.version}
        draft = Draft(
            id=refresh_id,
            session_id=head.id,
            sender_id=editor or message.sender_id,
            type=MessageType.CARD_REFRESH,
            content=Card(encode(news).decode()),
            member="none",
        )
        detail: dict[str, object] = {"message_id": edited.id, "version": edited.version}
        transaction.audit.note(Note(now, caller.actor, Act.MESSAGE_EDITED, head.id, detail))
        return edited, transaction.log.append(head, [draft], now), head.roster

    edited, committed, roster = await house.db.write(change)
    house.courier.updated(edited, roster)
    house.courier.committed(committed)
    return edited


async def recall_message(house: House, caller: Caller, request: messages.RecallMessage) -> Message:
    """Take a message back: it stays in place without its content (page 2.5)."""
    by = caller.viewer(request.user_id)
    now = house.clock.now()

    def change(transaction: Transaction) -> tuple[Message, bool, int]:
        head, _ = enter(transaction, caller, request.session_id, by, lock=True)
        message = _message(transaction, request.session_id, request.message_id)
        check_recall(message, caller.user_id, now, house.rules.recall_window)
        if message.recalled:
            return message, False, head.roster
        detail: dict[str, object] = {"message_id": message.id, "digest": digest(message.content)}
        transaction.audit.note(
            Note(now, caller.actor, Act.MESSAGE_RECALLED, request.session_id, detail)
        )
        return transaction.messages.recall(message, by, now), True, head.roster

    message, changed, roster = await house.db.write(change)
    if changed:
        house.courier.updated(message, roster)
    return message


# ---- marks and counts


async def mark_read(house: House, caller: Caller, request: messages.MarkRead) -> answers.ReadMark:
    """Marks read up to ``seq``, the newest without one (page 2.5)."""
    user_id = caller.acting_for(request.user_id)
    marked = await move(house, caller, request.session_id, user_id, request.seq)
    return answers.ReadMark(request.session_id, user_id, marked.read_seq, marked.unread)


async def count_unread(
    house: House, caller: Caller, request: messages.CountUnread
) -> answers.Unread:
    """Unread of one user in one session."""
    user_id = caller.acting_for(request.user_id)
    session: OwnSession = await house.db.read(own_session, caller, request.session_id, user_id)
    return answers.Unread(request.session_id, user_id, session.unread)


async def count_all_unread(
    house: House, caller: Caller, request: messages.CountAllUnread
) -> answers.AllUnread:
    """Unread of one user in all sessions that have any."""
    user_id = caller.acting_for(request.user_id)

    def count(transaction: Transaction) -> dict[str, int]:
        return transaction.sessions.unread(user_id, caller.sid)

    found = await house.db.read(count)
    return answers.AllUnread(user_id, sum(found.values()), found)
