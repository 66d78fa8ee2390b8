"""A town for the tests of topics: a real store, the real actions, and somebody who takes notes.

Sessions, people and topics are made with the actions or, where a test is about something else,
with the store. Test modules name it in ``pytest_plugins`` and ask for the fixture ``town``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest_twisted

from imd.actions import messages, sessions, topic_lists, topic_start, topics, users
from imd.actions.ports import Committed, House, Rates, Rules
from imd.domain.caller import SCOPES, Caller
from imd.domain.ids import UserId
from imd.domain.message import Message
from imd.domain.participant import Marked
from imd.domain.rates import Rate
from imd.domain.session import Session
from imd.domain.topic import Topic
from imd.wire import messages as asked_messages
from imd.wire import sessions as asked_sessions
from imd.wire import topics as asked
from imd.wire import users as asked_users
from imd.wire.codec import convert
from tests.storage.ground import (
    Ground,
    HandClock,
    migrated_postgres,
    migrated_sqlite,
    migrated_url,
    postgres_copy,
    sqlite_copy,
)

__all__ = ["migrated_postgres", "migrated_sqlite", "migrated_url", "postgres_copy", "sqlite_copy"]

SERVICE = Caller(scopes=SCOPES["write"], name="his")
#: what nobody may find where only ids and counts belong
CANARY = "金丝雀-canary"


def doctor(user_id: str, sid: Collection[str] | None = None) -> Caller:
    return _user(user_id, "doctor", sid)


def patient(user_id: str, sid: Collection[str] | None = None) -> Caller:
    return _user(user_id, "patient", sid)


def _user(user_id: str, role: str, sid: Collection[str] | None) -> Caller:
    limit = None if sid is None else frozenset(sid)
    return Caller(user_id=UserId(user_id), role=role, sid=limit, fingerprint=f"f-{user_id}")


class TakesNotes:
    """A courier and presence that only write down, in order, what they were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def take(self) -> list[tuple[str, Any]]:
        """What was told since the last time."""
        told, self.told = self.told, []
        return told

    def committed(self, entries: Sequence[Committed]) -> None:
        self.told.append(("messages", [entry.message for entry in entries]))

    def updated(self, message: Message) -> None:
        self.told.append(("update", message))

    def session_changed(self, session: Session) -> None:
        self.told.append(("session", session))

    def topic_changed(self, topic: Topic) -> None:
        self.told.append(("topic", topic))

    def marked(self, marked: Marked) -> None:
        self.told.append(("marked", marked))

    def typing(self, session_id: str, user_id: str, origin: object) -> None:
        self.told.append(("typing", user_id))

    def expelled(self, session_id: str, user_ids: Collection[str]) -> None:
        self.told.append(("expelled", list(user_ids)))

    def revoked(self, fingerprint: str) -> None:
        self.told.append(("revoked", fingerprint))

    async def clients(self, user_ids: Collection[str]) -> dict[str, list[str]]:
        return {}


class Keys:
    """A doorkeeper that makes tokens of names."""

    trusted = False

    def identify(self, credential: str) -> Caller:
        raise NotImplementedError(credential)

    def issue(
        self, user_id: str, role: str, now: int, sid: Collection[str] | None = None
    ) -> tuple[str, int]:
        return f"token-{user_id}", now + 1

    def revoke(self, fingerprint: str) -> None:
        pass


class Town:
    """The actions, each asked with the fields of a request."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.clock, self.courier = ground, ground.clock, TakesNotes()
        self.house = House(
            db=ground.store.database,
            writer=ground.store.writer,
            courier=self.courier,
            presence=self.courier,
            doorkeeper=Keys(),
            clock=ground.clock,
            new_id=ground.new_id,
            rules=Rules(),
            rates=Rates(Rate(0, 1), Rate(0, 1), Rate(0, 1)),
        )

    # ---- topics

    async def start(self, session_id: str, topic_id: str, by: str = "P", caller=SERVICE, **more):
        fields = {"session_id": session_id, "topic_id": topic_id, "start_by": by, **more}
        return await topic_start.start_topic(self.house, caller, convert(fields, asked.StartTopic))

    async def start_in(self, topic_id: str, by: str = "P", caller=SERVICE, **more):
        request = convert(
            {"topic_id": topic_id, "start_by": by, **more}, asked.StartTopicInSession
        )
        return await topic_start.start_topic_in_session(self.house, caller, request)

    async def end(self, session_id: str, topic_id: str = "current", caller=SERVICE, **more):
        fields = {"session_id": session_id, "topic_id": topic_id, **more}
        if caller.is_service and "user_id" not in fields:
            fields.setdefault("end_by", "D")
        return await topics.end_topic(self.house, caller, convert(fields, asked.EndTopic))

    async def enter(self, session_id: str, topic_id: str = "current", caller=SERVICE, **more):
        fields = {"session_id": session_id, "topic_id": topic_id, **more}
        return await topics.enter_topic(self.house, caller, convert(fields, asked.EnterTopic))

    async def ended(self, session_id: str, topic_id: str = "current", caller=SERVICE, **more):
        fields = {"session_id": session_id, "topic_id": topic_id, **more}
        return await topics.topic_ended(self.house, caller, convert(fields, asked.TopicEnded))

    async def topic(self, topic_id: str, caller=SERVICE, **more) -> Topic:
        request = convert({"topic_id": topic_id, **more}, asked.GetTopic)
        return await topics.get_topic(self.house, caller, request)

    async def update(self, topic_id: str, caller=SERVICE, **fields) -> Topic:
        request = convert({"topic_id": topic_id, **fields}, asked.UpdateTopic)
        return await topics.update_topic(self.house, caller, request)

    # ---- lists

    async def listed(self, caller=SERVICE, **fields):
        return await topic_lists.list_topics(self.house, caller, convert(fields, asked.ListTopics))

    async def health(self, caller=SERVICE, **fields):
        request = convert(fields, asked.ListHealthTopics)
        return await topic_lists.list_health_topics(self.house, caller, request)

    async def teams(self, caller=SERVICE, **fields):
        request = convert(fields, asked.ListHealthTeamTopics)
        return await topic_lists.list_health_team_topics(self.house, caller, request)

    async def by_type(self, caller=SERVICE, **fields):
        request = convert(fields, asked.ListTopicsByType)
        return await topic_lists.list_topics_by_type(self.house, caller, request)

    async def counts(self, caller=SERVICE, **fields):
        request = convert(fields, asked.CountTopicsByType)
        return await topic_lists.count_topics_by_type(self.house, caller, request)

    async def replies(self, caller=SERVICE, **fields):
        request = convert(fields, asked.CountTopicReplies)
        return await topic_lists.count_topic_replies(self.house, caller, request)

    # ---- the rest

    async def open(self, session_id: str, *members: str, type_: int = 9, name: str = "n") -> str:
        """A session made by a service; members as ``"userId:role"``."""
        fields = {
            "session_id": session_id,
            "session_name": name,
            "session_type": type_,
            "participants": list(members or ("P:patient", "D:doctor")),
        }
        request = convert(fields, asked_sessions.OpenSession)
        await sessions.open_session(self.house, SERVICE, request)
        return session_id

    async def send(self, session_id: str, sender: str, content: Any = "x", caller=SERVICE, **more):
        fields = {"session_id": session_id, "sender_id": sender, "type": 1, "content": content}
        request = convert({**fields, **more}, asked_messages.PostMessage)
        return (await messages.post_message(self.house, caller, request)).message

    async def person(self, user_id: str, kind: str, **more: Any) -> None:
        """A directory entry."""
        request = convert({"user_id": user_id, "kind": kind, **more}, asked_users.PutUser)
        admin = Caller(scopes=SCOPES["admin"], name="his")
        await users.put_user(self.house, admin, request)

    async def session(self, session_id: str) -> Session:
        request = convert({"session_id": session_id}, asked_sessions.GetSession)
        return await sessions.get_session(self.house, SERVICE, request)

    async def types(self, session_id: str) -> list[int]:
        return [message.type for message in await self.ground.log(session_id)]

    async def count(self, table: str) -> int:
        return (await self.ground.rows(f"SELECT count(*) FROM {table}"))[0][0]


async def check_intervals(town: Town, session_id: str) -> None:
    """I6: a topic's interval of seq holds exactly its messages."""
    owners: dict[str | None, set[int]] = {}
    for message in await town.ground.log(session_id):
        owners.setdefault(message.topic_id, set()).add(message.seq)
    owners.pop(None, None)
    rows = await town.ground.rows(
        "SELECT t.id, t.start_seq, coalesce(t.end_seq, s.last_seq) FROM topics t"
        " JOIN sessions s ON s.id = t.session_id WHERE s.id = %s",
        session_id,
    )
    assert owners == {row[0]: set(range(row[1], row[2] + 1)) for row in rows}


@pytest_twisted.async_yield_fixture
async def town(migrated_url):
    """A town on each kind of database in turn."""
    ground = await Ground(migrated_url, HandClock()).open()
    yield Town(ground)
    await ground.close()
