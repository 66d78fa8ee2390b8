"""The life of a topic after its start: look, change, enter, end (page 2.6).

A topic's messages, its row and the session's status move in one transaction under the session's
lock, so its interval of seq holds exactly its messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from imd.actions.access import enter
from imd.actions.ports import Committed, House, Transaction
from imd.actions.topic_effects import Effects, about, tell
from imd.domain.audit import Act, Note
from imd.domain.caller import Caller
from imd.domain.errors import Forbidden, InvalidInput, SessionNotFound, TopicEnded, TopicNotFound
from imd.domain.ids import UserId
from imd.domain.message import Content, Draft, Message
from imd.domain.message_types import MessageType
from imd.domain.session import IDLE, Head
from imd.domain.topic import ENDED, EndedTopic, Topic
from imd.wire import answers, topics
from imd.wire.content import read_content

#: ms in which a second entry by the same user is the first one again
ENTRY_WINDOW = 60_000


class Entered(NamedTuple):
    """The TOPIC_INTO of a user, and whether this call stored it."""

    message: Message
    created: bool


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
    now = house.clock.now()
    fields = request.given("name", "description", "team_code", "type", "reply")
    if fields.get("reply") == 0:
        fields |= {"reply_by": None, "reply_time": None, "reply_message_id": None}

    def change(transaction: Transaction) -> tuple[Topic, int]:
        topic, head = find(transaction, caller, request.topic_id, request.user_id, lock=True)
        changed = replace(topic, **fields)
        if changed != topic:
            transaction.topics.update(changed)
            detail: dict[str, object] = {"topic_id": topic.id, "fields": sorted(fields)}
            transaction.audit.note(
                Note(now, caller.actor, Act.TOPIC_UPDATED, topic.session_id, detail)
            )
        return changed, head.roster

    topic, roster = await house.db.write(change)
    house.courier.topic_changed(topic, roster)
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
    given = request.given("note").get("note")
    if given not in (None, ""):
        note = _note(given, house.rules.content)
    note_id, end_id, now = house.new_id(), house.new_id(), house.clock.now()

    def work(transaction: Transaction) -> tuple[Topic, Effects]:
        topic, head = find(transaction, caller, request.topic_id, by, request.session_id, lock=True)
        if topic.status == ENDED:
            return topic, Effects(None, (), None, head.roster)
        drafts = [_draft(end_id, topic, by, MessageType.TOPIC_END, about(topic))]
        if note is not None:
            drafts.insert(0, _draft(note_id, topic, by, MessageType.TOPIC_END_NOTE, note))
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
        session = transaction.sessions.view(head.id)
        return ended, Effects(ended, committed, session, head.roster)

    topic, effects = await house.db.write(work)
    tell(house, effects)
    return EndedTopic.of(topic)


def _draft(id_: str, topic: Topic, sender: str, type_: int, content: Content) -> Draft:
    """What the server says in a topic; it names the topic, which the session may not know of when
    an operator put it there by hand."""
    return Draft(id_, topic.session_id, sender, type_, content, topic_id=topic.id)


def _note(value: object, limit: int) -> Content:
    try:
        return read_content(MessageType.TOPIC_END_NOTE, value, limit)
    except InvalidInput as error:
        raise InvalidInput.of("note", error.errors[0].message) from None


async def enter_topic(house: House, caller: Caller, request: topics.EnterTopic) -> Entered:
    """A member enters a live topic; within a minute the first entry stands for the second."""
    user_id = caller.acting_for(request.user_id)
    entry_id, now = house.new_id(), house.clock.now()

    def work(transaction: Transaction) -> tuple[Entered, Sequence[Committed], int]:
        topic, head = find(
            transaction, caller, request.topic_id, user_id, request.session_id, lock=True
        )
        if topic.status == ENDED:
            raise TopicEnded()
        former = transaction.topics.entry_of(topic.id, user_id, now - ENTRY_WINDOW)
        if former is not None:
            return Entered(former, False), (), head.roster
        draft = _draft(entry_id, topic, user_id, MessageType.TOPIC_INTO, about(topic))
        committed = transaction.log.append(head, [draft], now)
        return Entered(committed[0].message, True), committed, head.roster

    entered, committed, roster = await house.db.write(work)
    tell(house, Effects(None, committed, None, roster))
    return entered
