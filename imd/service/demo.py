"""The demo: a small hospital told from ``demo_story.json``, for a first look (page 5.3).

``imdctl demo`` and the console's button call :func:`tell_demo`. Everything goes through the
actions, under a clock that stands where the story is, so a first look finds yesterday's consults
too. It may be told again: ids and keys are the story's own, and what is there is left alone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred

from imd.actions import marks, messages, sessions, topic_start, topics, users
from imd.actions.ports import House, Posted
from imd.actions.ports import Transaction as Acts
from imd.domain.audit import Note
from imd.domain.caller import TRUSTED
from imd.domain.errors import ImError, TopicActive, Unavailable
from imd.domain.ids import UserId
from imd.domain.message import Draft
from imd.domain.participant import Mark, Marked
from imd.storage.batch import Job, Outcome, carry_out
from imd.wire import messages as m
from imd.wire import sessions as s
from imd.wire import topics as t
from imd.wire import users as u
from imd.wire.codec import convert

_STORY: Final = Path(__file__).with_name("demo_story.json")
_MINUTE: Final = 60_000

Step = Mapping[str, Any]


@cache
def story() -> dict[str, Any]:
    """What is told; ``ago`` is minutes before the telling."""
    told: dict[str, Any] = json.loads(_STORY.read_text("utf-8"))
    return told


class StoryClock:
    """Stands where the story is; implements the port ``Clock``."""

    def __init__(self, told_at: int) -> None:
        self._told_at = self._now = told_at

    def now(self) -> int:
        return self._now

    def go(self, minutes_ago: float) -> None:
        """Stand this long before the telling."""
        self._now = self._told_at - round(minutes_ago * _MINUTE)


class Scribe:
    """Implements the port ``Writer``, one wish a transaction, at the story's time."""

    def __init__(self, house: House, clock: StoryClock) -> None:
        self._house, self._clock = house, clock

    def post(self, draft: Draft, origin: object = None) -> Deferred[Posted]:
        return Deferred.fromCoroutine(self._post(draft, origin))

    async def _post(self, draft: Draft, origin: object) -> Posted:
        outcome = await self._write(Job(draft, origin))
        assert isinstance(outcome, Posted)
        return outcome

    async def mark(self, mark: Mark, named: bool = False) -> Marked:
        outcome = await self._write(Job(mark, None, named))
        assert isinstance(outcome, Marked)
        return outcome

    async def note(self, note: Note) -> object:
        return await self._write(Job(note))

    async def _write(self, job: Job) -> Outcome:
        now = self._clock.now()

        def work(transaction: Acts) -> Any:
            if not isinstance(job.wish, Note):  # waits for whoever holds it, unlike the writer
                transaction.sessions.lock(job.wish.session_id)
            return carry_out(transaction, [job], now)  # type: ignore[arg-type]

        result = await self._house.db.write(work)
        if result.committed:
            self._house.courier.committed(result.committed)
        outcome: Outcome = result.outcomes[0]
        if isinstance(outcome, ImError):
            raise outcome
        if not isinstance(outcome, Posted | Marked | Note):
            raise Unavailable()
        return outcome


async def tell_demo(house: House) -> dict[str, Any]:
    """Tell the story where it has not been told; which doctor, patient and session to look at."""
    told = story()
    clock = StoryClock(house.clock.now())
    stage = replace(house, clock=clock, writer=Scribe(house, clock))
    for user in told["users"]:
        await users.put_user(stage, TRUSTED, convert(user, u.PutUser))
    made = 0
    for place, chapter in enumerate(told["sessions"]):
        made += await Chapter(stage, clock, chapter, f"demo-{place}").tell()
    shown = {name: told[name] for name in ("doctor", "patient", "session")}
    counts = {"users": len(told["users"]), "sessions": len(told["sessions"]), "made": made}
    return {**shown, **counts}


class Chapter:
    """One session of the story."""

    def __init__(self, house: House, clock: StoryClock, chapter: Step, key: str) -> None:
        self._house, self._clock, self._chapter, self._key = house, clock, chapter, key
        self._id = str(chapter["id"])

    async def tell(self) -> bool:
        """Make the session and what happened in it; False when that was told before."""
        chapter, house = self._chapter, self._house
        self._clock.go(chapter["steps"][0]["ago"] + 1)
        fields = {
            "session_id": self._id,
            "session_type": chapter["type"],
            "session_name": chapter["name"],
            "participants": chapter["members"],
        }
        opened = await sessions.open_session(house, TRUSTED, convert(fields, s.OpenSession))
        self._id = opened.session.id
        if opened.session.last_seq >= len(chapter["steps"]):
            return False
        for user_id in chapter["sticky"]:
            pin = s.PinSession(session_id=opened.session.id, user_id=user_id)  # type: ignore[arg-type]
            await sessions.pin_session(house, TRUSTED, pin)
        for number, step in enumerate(chapter["steps"]):
            self._clock.go(step["ago"])
            await self._carry_out(step, f"{self._key}-{number}")
        for user_id in chapter.get("read", ()):
            await marks.move(house, TRUSTED, self._id, UserId(user_id), None)
        return True

    async def _carry_out(self, step: Step, key: str) -> None:
        if "start" in step:
            await self._start(step)
        elif "end" in step:
            fields = {"session_id": self._id, "topic_id": step["end"], "end_by": step["by"]}
            if "note" in step:
                fields["note"] = step["note"]
            await topics.end_topic(self._house, TRUSTED, convert(fields, t.EndTopic))
        else:
            await self._say(step, key)

    async def _start(self, step: Step) -> None:
        fields = {
            "session_id": self._id,
            "topic_id": step["start"],
            "start_by": step["by"],
            "name": step["name"],
            "description": step["description"],
            "team_code": "T0601",
        }
        try:
            await topic_start.start_topic(self._house, TRUSTED, convert(fields, t.StartTopic))
        except TopicActive:
            return  # somebody who plays with the demo has started one meanwhile

    async def _say(self, step: Step, key: str) -> None:
        fields = {
            "session_id": self._id,
            "sender_id": step["by"],
            "type": step["type"],
            "content": _content(step["content"]),
            "client_msg_id": key,
        }
        posted = await messages.post_message(self._house, TRUSTED, convert(fields, m.PostMessage))
        if step.get("recall") and not posted.message.recalled:
            recall = {"session_id": self._id, "message_id": posted.message.id}
            await messages.recall_message(self._house, TRUSTED, convert(recall, m.RecallMessage))


def _content(content: Any) -> Any:
    """A picture of the story as the address that an image message holds."""
    if isinstance(content, dict) and "picture" in content:
        drawn = base64.b64encode(story()["pictures"][content["picture"]].encode()).decode("ascii")
        return f"data:image/svg+xml;base64,{drawn}"
    return content
