"""What senders were promised, held against what the server has (page 4.1, I1 to I3 and I5).

Senders write down each message before they send it and each answer when it comes; after a crash
:meth:`Ledger.check` reads everything back through REST and names what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.e2e.rest import Rest
from tests.e2e.server import token


@dataclass
class Promise:
    """One send: what was said, by whom, and what the server answered, if it did."""

    session_id: str
    sender_id: str
    key: str
    content: str
    answer: dict[str, Any] | None = None


@dataclass
class Ledger:
    """All sends of a test, by session, sender and key."""

    port: int
    promises: dict[tuple[str, str, str], Promise] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)

    def promise(self, session_id: str, sender_id: str, key: str, content: str) -> Promise:
        made = Promise(session_id, sender_id, key, content)
        self.promises[session_id, sender_id, key] = made
        return made

    @property
    def acknowledged(self) -> int:
        return sum(promise.answer is not None for promise in self.promises.values())

    async def check(self, *, only: set[str] | None = None) -> None:
        """Read every session, or ``only`` these, and compare; AssertionError names the first."""
        for session_id, members in self.members.items():
            if only is None or session_id in only:
                await self._check_session(session_id, members)

    async def _check_session(self, session_id: str, members: list[str]) -> None:
        reader = members[0]
        async with Rest(self.port, token(reader, "doctor")) as rest:
            log = await rest.every_message(session_id)
            seqs = [message["seq"] for message in log]
            assert seqs == list(range(1, len(log) + 1)), f"{session_id}: seqs are {seqs}"
            stamps = [message["timestamp"] for message in log]
            assert stamps == sorted(set(stamps)), f"{session_id}: times do not rise"
            stored: dict[tuple[str, str, str], dict[str, Any]] = {}
            for message in log:
                name = (session_id, message["sender_id"], message["client_msg_id"])
                assert name not in stored, f"{name} is there twice"
                assert name in self.promises, f"nobody sent {message}"
                assert message["content"] == self.promises[name].content
                stored[name] = message
            for name, promise in self.promises.items():
                if promise.session_id == session_id and promise.answer is not None:
                    assert name in stored, f"LOST: {promise}"
                    assert stored[name] == promise.answer
            listed = (await rest.ask("GET", f"/sessions/{session_id}/participants")).must(200)
        marks = {one["participant_id"]: one["read_seq"] for one in listed["items"]}
        for member in members:
            await self._check_unread(session_id, member, marks[member], log)

    async def _check_unread(
        self, session_id: str, member: str, read_seq: int, log: list[dict[str, Any]]
    ) -> None:
        recount = sum(m["seq"] > read_seq and m["sender_id"] != member for m in log)
        async with Rest(self.port, token(member, "patient")) as rest:
            said = await rest.unread(session_id, member)
        assert said == recount, f"{session_id}: unread of {member} is {said}, not {recount}"

    async def retry(self, *, only: set[str] | None = None) -> int:
        """Send again whatever was not acknowledged, and some of the rest; how many were new."""
        before = {}
        for session_id in self.members:
            if only is None or session_id in only:
                reader = self.members[session_id][0]
                async with Rest(self.port, token(reader, "doctor")) as rest:
                    for message in await rest.every_message(session_id):
                        name = (session_id, message["sender_id"], message["client_msg_id"])
                        before[name] = message
        new = 0
        for place, (name, promise) in enumerate(list(self.promises.items())):
            if only is not None and promise.session_id not in only:
                continue
            if promise.answer is not None and place % 7:
                continue
            async with Rest(self.port, token(promise.sender_id, "patient")) as rest:
                answer = await rest.post(promise.session_id, promise.content, promise.key)
            message = answer.must(201)
            replayed = answer.headers.get("idempotent-replay") == "true"
            assert replayed == (name in before), f"{name}: replayed is {replayed}"
            if replayed:
                assert message == before[name]
            new += not replayed
            promise.answer = message
        return new
