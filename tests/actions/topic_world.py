"""A town for the tests of topics: every verb on topics, asked with the fields of a request.

It stands on the household's house; tests ask for the fixture ``town``.
"""

from __future__ import annotations

from typing import Any

from imd.actions import topic_lists, topic_start, topics
from imd.domain.errors import InvalidInput
from imd.domain.session import Session
from imd.domain.topic import Topic
from imd.wire import topics as asked
from imd.wire.codec import convert
from tests.actions.household import ADMIN, READER, SERVICE, Household, doctor, patient
from tests.storage.ground import Ground

__all__ = [
    "ADMIN",
    "CANARY",
    "MAKING",
    "READER",
    "SEATS",
    "SERVICE",
    "Town",
    "check_intervals",
    "doctor",
    "fields_of",
    "nothing_stored",
    "patient",
]

#: what nobody may find where only ids and counts belong
CANARY = "金丝雀-canary"
SEATS = ["P:patient", "D:doctor"]
#: the fields that make a session
MAKING: dict[str, Any] = {"session_type": 9, "session_name": "n", "participants": SEATS}


def fields_of(error: InvalidInput) -> list[str]:
    """The fields that an error names."""
    return [e.field for e in error.errors]


class Town:
    """The actions, by a service unless another caller is named."""

    def __init__(self, ground: Ground) -> None:
        self.home = Household(ground)
        self.ground, self.clock = ground, ground.clock
        self.house, self.courier = self.home.house, self.home.courier

    def take(self) -> list[tuple[str, Any]]:
        """What the courier was told since the last time, committed messages as such."""
        told = [
            (what, [entry.message for entry in about] if what == "committed" else about)
            for what, about in self.courier.told
        ]
        self.courier.told.clear()
        return told

    # ---- topics

    async def start(self, session_id: str, topic_id: str, by: str = "P", caller=SERVICE, **more):
        fields = {"session_id": session_id, "topic_id": topic_id, "start_by": by, **more}
        return await topic_start.start_topic(self.house, caller, convert(fields, asked.StartTopic))

    async def start_in(self, topic_id: str, by: str = "P", caller=SERVICE, **more):
        request = convert({"topic_id": topic_id, "start_by": by, **more}, asked.StartTopicInSession)
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
        await self.home.open(
            SERVICE,
            session_id=session_id,
            session_name=name,
            session_type=type_,
            participants=list(members or ("P:patient", "D:doctor")),
        )
        return session_id

    async def send(self, session_id: str, sender: str, content: Any = "x", caller=SERVICE, **more):
        fields = {"session_id": session_id, "sender_id": sender, "type": 1, "content": content}
        return (await self.home.post(caller, **{**fields, **more})).message

    async def person(self, user_id: str, kind: str, **more: Any) -> None:
        """A directory entry."""
        await self.home.put_user(ADMIN, user_id=user_id, kind=kind, **more)

    async def session(self, session_id: str) -> Session:
        found: Session = await self.home.session(SERVICE, session_id=session_id)
        return found

    async def types(self, session_id: str) -> list[int]:
        return [message.type for message in await self.ground.log(session_id)]

    async def count(self, table: str) -> int:
        ((number,),) = await self.ground.rows(f"SELECT count(*) FROM {table}")
        return int(number)


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


async def nothing_stored(town: Town) -> None:
    """No session, no topic, no message, and no note of any."""
    for table in ("sessions", "participants", "topics", "messages", "topic_tallies", "audit",
                  "participant_topics"):  # fmt: skip
        assert await town.count(table) == 0, table
