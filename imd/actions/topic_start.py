"""How a topic begins (page 2.6), in a session that is there or is made on the way.

The topic's row, TOPIC_START, the first messages and the session's status are one transaction
under the session's lock, so two topics can never be live.
"""

from __future__ import annotations

from typing import NamedTuple

from imd.actions.access import enter, member, told
from imd.actions.ports import House, Transaction
from imd.actions.queries import TopicQuery
from imd.actions.sessions import Opening, open_in
from imd.actions.topic_effects import Effects, about, tell
from imd.domain.caller import Caller
from imd.domain.errors import (
    FieldError,
    InvalidInput,
    TopicActive,
    TopicIdTaken,
    TopicsNotAllowed,
)
from imd.domain.ids import UserId
from imd.domain.message import Content, Draft
from imd.domain.message_types import MessageType, check_sendable
from imd.domain.session import ACTIVE, Head
from imd.domain.session_types import holds_topics
from imd.domain.topic import LIVE, Topic
from imd.wire import topics
from imd.wire.codec import convert
from imd.wire.content import read_content


class Started(NamedTuple):
    """A topic that is there now, and whether this call made it."""

    topic: Topic
    created: bool


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


async def start_topic(house: House, caller: Caller, request: topics.StartTopic) -> Started:
    """Start a topic in a session that is there (page 2.6)."""
    viewer = caller.viewer(request.user_id)
    wish = _wish(house, caller, request)

    def work(transaction: Transaction) -> tuple[Started, Effects]:
        head, _ = enter(transaction, caller, request.session_id, viewer, lock=True)
        return _start(transaction, caller, head, wish)

    started, effects = await house.db.write(work)
    tell(house, effects)
    return started


async def start_topic_in_session(
    house: House, caller: Caller, request: topics.StartTopicInSession
) -> Started:
    """Start a topic, making the session first where it is not there, in one transaction."""
    wish = _wish(house, caller, request)
    new_id = house.new_id()

    def work(transaction: Transaction) -> tuple[Started, Effects, bool]:
        head, changed = _head_for(transaction, caller, request, new_id, wish.now)
        started, effects = _start(transaction, caller, head, wish)
        return started, effects, changed

    started, effects, changed = await house.db.write(work)
    if changed and effects.session is None:
        session_id = started.topic.session_id
        session, roster = await house.db.read(told, session_id)
        effects = effects._replace(session=session, roster=roster)
    tell(house, effects)
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
) -> tuple[Started, Effects]:
    """Start the topic in the locked session ``head``."""
    former = transaction.topics.get(wish.topic_id)
    if former is not None:
        if former.session_id != head.id:
            raise TopicIdTaken()
        return Started(former, False), Effects(None, (), None, head.roster)
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
        # Another session took the id at this very moment, or an operator's hand put a live topic
        # into this one.
        live = transaction.topics.page(TopicQuery(session_id=head.id, status=LIVE), None, 1)
        raise TopicActive(topic_id=live[0].id) if live else TopicIdTaken()
    opening = Draft(wish.start_id, head.id, wish.start_by, MessageType.TOPIC_START, about(topic))
    drafts = [opening, *(draft._replace(session_id=head.id) for draft in wish.drafts)]
    transaction.sessions.set_topic(head.id, topic.id, ACTIVE)
    committed = transaction.log.append(head._replace(current_topic_id=topic.id), drafts, wish.now)
    answered = [entry.answered for entry in committed if entry.answered is not None]
    topic = answered[-1] if answered else topic
    session, roster = transaction.sessions.view(head.id), committed[-1].roster
    return Started(topic, True), Effects(topic, committed, session, roster)


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
