"""The life of a topic: start, enter, change, end (page 2.6).

A topic's messages, its row and the session's status move in one transaction under the session's
lock, so two topics can never be live and its interval of seq holds exactly its messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from msgspec import UNSET, structs

from imd.actions.access import enter, member
from imd.actions.ports import Committed, House, Transaction
from imd.actions.sessions import Opening, open_in
from imd.domain.caller import Caller
from imd.domain.errors import (
    FieldError,
    Forbidden,
    InvalidInput,
    SessionNotFound,
    TopicActive,
    TopicEnded,
    TopicIdTaken,
    TopicNotFound,
    TopicsNotAllowed,
)
from imd.domain.ids import UserId
from imd.domain.message import Card, Content, Draft, Message
from imd.domain.message_types import MessageType, check_sendable
from imd.domain.session import ACTIVE, IDLE, Head, Session
from imd.domain.session_types import holds_topics
from imd.domain.topic import ENDED, LIVE, EndedTopic, Topic
from imd.wire import answers, topics
from imd.wire.codec import convert, encode
from imd.wire.content import read_content

#: ms in which a second entry by the same user is the first one again
ENTRY_WINDOW = 60_000


class Started(NamedTuple):
    """A topic that is there now, and whether this call made it."""

    topic: Topic
    created: bool


class Entered(NamedTuple):
    """The TOPIC_INTO of a user, and whether this call stored it."""

    message: Message
    created: bool


class _Effects(NamedTuple):
    """What to tell after the commit."""

    topic: Topic | None
    committed: Sequence[Committed]
    session: Session | None


class _Wish(NamedTuple):
    """A topic to be started: its row's fields, and its first messages as drafts."""

    topic_id: str
    start_by: UserId
    name: str | None
    description: str | None
    type: int | None
    team_code: str | None
    drafts: list[Draft]
    start_id: str
    now: int


def _tell(house: House, effects: _Effects) -> None:
    if effects.committed:
        house.courier.committed(effects.committed)
    if effects.topic is not None:
        house.courier.topic_changed(effects.topic)
    if effects.session is not None:
        house.courier.session_changed(effects.session)


# ---- start


async def start_topic(house: House, caller: Caller, request: topics.StartTopic) -> Started:
    """Start a topic in a session that is there (page 2.6)."""
    viewer = caller.viewer(request.user_id)
    wish = _wish(house, caller, request)

    def work(transaction: Transaction) -> tuple[Started, _Effects]:
        head, _ = enter(transaction, caller, request.session_id, viewer, lock=True)
        return _start(transaction, caller, head, wish)

    started, effects = await house.db.write(work)
    _tell(house, effects)
    return started


async def start_topic_in_session(
    house: House, caller: Caller, request: topics.StartTopicInSession
) -> Started:
    """Start a topic, making the session first where it is not there, in one transaction."""
    wish = _wish(house, caller, request)
    new_id = house.new_id()

    def work(transaction: Transaction) -> tuple[Started, _Effects, bool]:
        head, changed = _head_for(transaction, caller, request, new_id, wish.now)
        started, effects = _start(transaction, caller, head, wish)
        return started, effects, changed

    started, effects, changed = await house.db.write(work)
    if changed and effects.session is None:
        session_id = started.topic.session_id
        told = await house.db.read(lambda transaction: transaction.sessions.view(session_id))
        effects = effects._replace(session=told)
    _tell(house, effects)
    return started


def _head_for(
    transaction: Transaction,
    caller: Caller,
    request: topics.StartTopicInSession,
    new_id: str,
    now: int,
) -> tuple[Head, bool]:
    """The session's head, made by the rules of page 2.4 where needed; whether members changed."""
    if request.session_type is None or request.participants is None:
        if request.session_id is None:
            raise InvalidInput(
                *(
                    FieldError(name, "is needed where there is no session_id")
                    for name in ("session_type", "participants")
                    if getattr(request, name) is None
                )
            )
        head, _ = enter(transaction, caller, request.session_id, caller.user_id, lock=True)
        return head, False
    there = request.session_id is not None and transaction.sessions.head(request.session_id)
    if request.session_name is None and not there:
        raise InvalidInput.of("session_name", "is needed to make the session")
    place = open_in(
        transaction,
        caller,
        Opening(
            request.session_type,
            request.session_name or "",
            request.participants,
            request.session_id,
            request.business_type,
            request.parts(),
            new_id,
            now,
        ),
    )
    return place.head, bool(place.added) and not place.created


def _wish(
    house: House, caller: Caller, request: topics.StartTopic | topics.StartTopicInSession
) -> _Wish:
    """The request with its first messages read and judged by the rules of page 2.5."""
    start_by = caller.acting_for(request.start_by, "start_by")
    drafts = []
    for place, fields in enumerate(request.messages):
        try:
            first = convert(fields, topics.FirstMessage)
            sender = caller.acting_for(first.sender_id or start_by, "sender_id")
            check_sendable(first.type, by_user=not caller.is_service, extra=house.rules.extra_types)
            content = read_content(first.type, first.content, house.rules.content)
        except InvalidInput as error:
            raise type(error)(
                *(FieldError(f"messages[{place}].{e.field}", e.message) for e in error.errors)
            ) from None
        drafts.append(_draft(house, "", sender, first.type, content, caller.role))
    return _Wish(
        request.topic_id,
        start_by,
        request.name,
        request.description,
        request.type,
        request.team_code,
        drafts,
        house.new_id(),
        house.clock.now(),
    )


def _draft(
    house: House,
    session_id: str,
    sender: str,
    type_: int,
    content: Content,
    role: str | None = None,
) -> Draft:
    return Draft(house.new_id(), session_id, sender, type_, content, token_role=role)


def _start(
    transaction: Transaction, caller: Caller, head: Head, wish: _Wish
) -> tuple[Started, _Effects]:
    """Start the topic in the locked session ``head``."""
    former = transaction.topics.get(wish.topic_id)
    if former is not None:
        if former.session_id != head.id:
            raise TopicIdTaken()
        return Started(former, False), _Effects(None, (), None)
    if not holds_topics(head.type):
        raise TopicsNotAllowed()
    if head.current_topic_id is not None:
        raise TopicActive(topic_id=head.current_topic_id)
    if transaction.participants.get(head.id, wish.start_by) is None:
        raise InvalidInput.of("start_by", "must be a member of the session")
    for sender in {draft.sender_id for draft in wish.drafts}:
        member(transaction, caller, head.id, UserId(sender))
    topic = _row(head, wish)
    if not transaction.topics.insert(topic):
        raise TopicIdTaken()  # another session took the id at this very moment
    opening = Draft(wish.start_id, head.id, wish.start_by, MessageType.TOPIC_START, _about(topic))
    drafts = [opening, *(replace(draft, session_id=head.id) for draft in wish.drafts)]
    transaction.sessions.set_topic(head.id, topic.id, ACTIVE)
    committed = transaction.log.append(head._replace(current_topic_id=topic.id), drafts, wish.now)
    answered = [entry.answered for entry in committed if entry.answered is not None]
    topic = answered[-1] if answered else topic
    return Started(topic, True), _Effects(topic, committed, transaction.sessions.view(head.id))


def _row(head: Head, wish: _Wish) -> Topic:
    """The new topic; its first message will have the session's next seq and timestamp."""
    return Topic(
        id=wish.topic_id,
        session_id=head.id,
        session_type=head.type,
        name=wish.name,
        description=wish.description,
        type=wish.type,
        status=LIVE,
        reply=0,
        team_code=wish.team_code,
        create_time=max(wish.now, head.last_timestamp + 1),
        start_by=wish.start_by,
        start_message_id=wish.start_id,
        start_seq=head.last_seq + 1,
        reply_by=None,
        reply_time=None,
        reply_message_id=None,
        end_by=None,
        end_time=None,
        end_message_id=None,
        end_seq=None,
    )


def _about(topic: Topic) -> Card:
    """What TOPIC_START and TOPIC_END say: which topic, and its name."""
    return Card(encode({"topic_id": topic.id, "name": topic.name}).decode())


# ---- look and change


def find(
    transaction: Transaction,
    caller: Caller,
    topic_id: str,
    viewer: UserId | None,
    session_id: str | None = None,
    *,
    lock: bool = False,
) -> tuple[Topic, Head]:
    """A topic that the caller may know of; ``current`` is the session's last one.

    ``lock`` holds its session. Raises TopicNotFound, also for one of another session.
    """
    if session_id is not None:
        head, _ = enter(transaction, caller, session_id, viewer, lock=lock)
        if topic_id == topics.CurrentTopicId.CURRENT:
            topic = transaction.topics.last_of(session_id)
        else:
            topic = transaction.topics.get(topic_id)
        if topic is None or topic.session_id != session_id:
            raise TopicNotFound()
        return topic, head
    topic = transaction.topics.get(topic_id)
    if topic is None:
        raise TopicNotFound()
    try:
        head, _ = enter(transaction, caller, topic.session_id, viewer, lock=lock)
    except SessionNotFound:
        raise TopicNotFound() from None
    # What the lock waited for may have changed the row.
    return (transaction.topics.get(topic_id) or topic) if lock else topic, head


async def get_topic(house: House, caller: Caller, request: topics.GetTopic) -> Topic:
    """One topic."""
    viewer = caller.viewer(request.user_id)

    def look(transaction: Transaction) -> Topic:
        return find(transaction, caller, request.topic_id, viewer)[0]

    return await house.db.read(look)


async def update_topic(house: House, caller: Caller, request: topics.UpdateTopic) -> Topic:
    """A service changes what describes a topic, or its reply mark."""
    if not caller.is_service:
        raise Forbidden("Topics are changed by services.")
    given = structs.asdict(request)
    fields = {
        name: given[name]
        for name in ("name", "description", "team_code", "type", "reply")
        if given[name] is not UNSET
    }
    if fields.get("reply") == 0:
        fields |= {"reply_by": None, "reply_time": None, "reply_message_id": None}

    def change(transaction: Transaction) -> Topic:
        topic, _ = find(transaction, caller, request.topic_id, request.user_id, lock=True)
        changed = replace(topic, **fields)
        if changed != topic:
            transaction.topics.update(changed)
        return changed

    topic = await house.db.write(change)
    house.courier.topic_changed(topic)
    return topic


async def topic_ended(
    house: House, caller: Caller, request: topics.TopicEnded
) -> answers.TopicEnding:
    """Whether a topic has ended; ``current`` is the session's last one."""
    viewer = caller.viewer(request.user_id)

    def look(transaction: Transaction) -> Topic:
        return find(transaction, caller, request.topic_id, viewer, request.session_id)[0]

    topic = await house.db.read(look)
    ended = topic.status == ENDED
    return answers.TopicEnding(topic.id, topic.session_id, ended, topic.status, topic.reply)


# ---- end and enter


async def end_topic(house: House, caller: Caller, request: topics.EndTopic) -> EndedTopic:
    """End a topic, with a note where given; ending it again changes nothing (page 2.6)."""
    by = caller.acting_for(request.end_by or request.user_id, "end_by")
    if not caller.is_service:
        caller.acting_for(request.user_id)
    note: Content = None
    if request.note is not UNSET and request.note not in (None, ""):
        note = _note(request.note, house.rules.content)
    note_id, end_id, now = house.new_id(), house.new_id(), house.clock.now()

    def work(transaction: Transaction) -> tuple[Topic, _Effects]:
        topic, head = find(transaction, caller, request.topic_id, by, request.session_id, lock=True)
        if topic.status == ENDED:
            return topic, _Effects(None, (), None)
        drafts = [Draft(end_id, head.id, by, MessageType.TOPIC_END, _about(topic))]
        if note is not None:
            drafts.insert(0, Draft(note_id, head.id, by, MessageType.TOPIC_END_NOTE, note))
        committed = transaction.log.append(head, drafts, now)
        last = committed[-1].message
        ended = replace(
            topic,
            status=ENDED,
            end_by=by,
            end_time=last.timestamp,
            end_message_id=last.id,
            end_seq=last.seq,
        )
        transaction.topics.update(ended)
        transaction.sessions.set_topic(head.id, None, IDLE)
        return ended, _Effects(ended, committed, transaction.sessions.view(head.id))

    topic, effects = await house.db.write(work)
    _tell(house, effects)
    return EndedTopic.of(topic)


def _note(value: object, limit: int) -> Content:
    try:
        return read_content(MessageType.TOPIC_END_NOTE, value, limit)
    except InvalidInput as error:
        raise InvalidInput.of("note", error.errors[0].message) from None


async def enter_topic(house: House, caller: Caller, request: topics.EnterTopic) -> Entered:
    """A member enters a live topic; within a minute the first entry stands for the second."""
    user_id = caller.acting_for(request.user_id)
    entry_id, now = house.new_id(), house.clock.now()

    def work(transaction: Transaction) -> tuple[Entered, Sequence[Committed]]:
        topic, head = find(
            transaction, caller, request.topic_id, user_id, request.session_id, lock=True
        )
        if topic.status == ENDED:
            raise TopicEnded()
        former = transaction.topics.entry_of(topic.id, user_id, now - ENTRY_WINDOW)
        if former is not None:
            return Entered(former, False), ()
        draft = Draft(entry_id, head.id, user_id, MessageType.TOPIC_INTO, _about(topic))
        committed = transaction.log.append(head, [draft], now)
        return Entered(committed[0].message, True), committed

    entered, committed = await house.db.write(work)
    _tell(house, _Effects(None, committed, None))
    return entered
