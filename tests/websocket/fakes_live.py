"""A house in memory: sessions, members, a store and a writer that commit when they are told to.

Tests of the socket and of delivery stand on it; they use the real actions.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from imd.actions.ports import (
    Committed,
    House,
    Posted,
    Rates,
    Rules,
)
from imd.actions.queries import MessageQuery, SessionQuery
from imd.domain.caller import Caller
from imd.domain.errors import NotAMember, SessionNotFound, Unauthenticated, Unavailable
from imd.domain.message import Draft, LastMessage, Message
from imd.domain.message_types import counts
from imd.domain.participant import Mark, Marked, Membership
from imd.domain.rates import Rate
from imd.domain.session import Head, OwnSession, Session
from imd.domain.session import unread as unread_of
from imd.domain.topic import Topic

NOW = 1_700_000_000_000


def message(session_id: str, seq: int, sender: str = "d", **changes: Any) -> Message:
    """A stored text."""
    made = Message(
        id=f"{session_id}-{seq}",
        session_id=session_id,
        seq=seq,
        topic_id=None,
        sender_id=sender,
        sender_name=None,
        type=1,
        content=f"第{seq}",
        timestamp=NOW + seq,
        client_msg_id=None,
        business_type=2,
        version=0,
        recalled=False,
    )
    return replace(made, **changes)


class Member:
    """A seat in a session and its marks."""

    def __init__(self, role: str = "0") -> None:
        self.role, self.read_seq, self.delivered_seq = role, 0, 0


class World:
    """The store's contents, which double as a transaction."""

    def __init__(self) -> None:
        self.logs: dict[str, list[Message]] = {}
        self.members: dict[str, dict[str, Member]] = {}
        #: the topic that a message answered, by session and seq
        self.answered: dict[tuple[str, int], Topic] = {}
        #: how often a session's members changed, and how often they had when a message was stored
        self.rosters: Counter[str] = Counter()
        self.stored_at: dict[tuple[str, int], int] = {}
        self.sessions, self.participants = Sessions(self), Participants(self)
        self.messages, self.topics = Messages(self), Topics()

    def open(self, session_id: str, *members: str) -> str:
        self.logs[session_id] = []
        self.members[session_id] = {name: Member() for name in members}
        return session_id

    def seat(self, session_id: str, user_id: str) -> None:
        self.members[session_id][user_id] = Member()
        self.rosters[session_id] += 1

    def unseat(self, session_id: str, user_id: str) -> None:
        del self.members[session_id][user_id]
        self.rosters[session_id] += 1

    def store(self, session_id: str, sender: str = "d", **changes: Any) -> Message:
        """Append a message as a commit would, telling nobody."""
        log = self.logs[session_id]
        made = message(session_id, len(log) + 1, sender, **changes)
        log.append(made)
        self.stored_at[session_id, made.seq] = self.rosters[session_id]
        if sender in self.members[session_id]:
            self.members[session_id][sender].read_seq = made.seq
        return made

    def counted(self, session_id: str, upto: int) -> int:
        return sum(counts(m.type) for m in self.logs[session_id] if m.seq <= upto)

    def committed(self, made: Message, origin: object = None) -> Committed:
        place = made.session_id, made.seq
        return Committed(made, 9, self.counted(*place), self.stored_at[place], origin=origin)


class Sessions:
    def __init__(self, world: World) -> None:
        self.world = world

    def head(self, session_id: str) -> Head | None:
        log = self.world.logs.get(session_id)
        if log is None:
            return None
        last = len(log)
        roster = self.world.rosters[session_id]
        return Head(session_id, "名", 9, 2, 0, NOW, last, last, NOW, last, NOW, None, None, roster)

    def session(self, session_id: str) -> Session:
        log = self.world.logs[session_id]
        last = LastMessage.of(log[-1]) if log else None
        return Session(session_id, "名", 9, 2, 0, NOW, len(log), None, last, None)

    def rosters(self, session_ids: Collection[str]) -> dict[str, int]:
        logs, rosters = self.world.logs, self.world.rosters
        return {name: rosters[name] for name in session_ids if name in logs}

    def own(self, session_id: str, user_id: str) -> tuple[OwnSession, int] | None:
        seat = self.world.members.get(session_id, {}).get(user_id)
        if seat is None:
            return None
        shared = self.session(session_id)
        fields = {name: getattr(shared, name) for name in Session.__slots__}
        number = self.unread(user_id).get(session_id, 0)
        own = OwnSession(
            **fields,
            role=seat.role,
            sticky=False,
            unread=number,
            last_fetch_time=NOW,
            read_seq=seat.read_seq,
        )
        return own, self.world.rosters[session_id]

    def unread(self, user_id: str, only: Collection[str] | None = None) -> dict[str, int]:
        world, found = self.world, {}
        for session_id, members in world.members.items():
            if user_id in members and (only is None or session_id in only):
                total = world.counted(session_id, len(world.logs[session_id]))
                number = total - world.counted(session_id, members[user_id].read_seq)
                if number:
                    found[session_id] = number
        return found

    def view(self, session_id: str) -> Session | None:
        return self.session(session_id) if session_id in self.world.logs else None

    def beyond(self, known: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        logs = self.world.logs
        return [(name, len(logs[name])) for name, seq in known if len(logs[name]) > seq]

    def spoken_since(self, user_ids: Collection[str], since: int) -> list[tuple[str, int]]:
        world = self.world
        return [
            (name, log[-1].seq)
            for name, log in world.logs.items()
            if log and log[-1].timestamp > since and set(user_ids) & world.members[name].keys()
        ]

    def page(self, query: SessionQuery, after: Any, limit: int, sticky_first: bool) -> list[Any]:
        own = [self.own(name, query.user_id) for name in self.world.logs]
        return [(one[0], (0, NOW, one[0].id)) for one in own if one is not None][:limit]


class Participants:
    def __init__(self, world: World) -> None:
        self.world = world

    def get(self, session_id: str, user_id: str) -> Membership | None:
        seat = self.world.members.get(session_id, {}).get(user_id)
        if seat is None:
            return None
        return Membership(session_id, user_id, seat.role, False, seat.read_seq, 0, 0, NOW)

    def audience(
        self, session_ids: Collection[str], user_ids: Collection[str]
    ) -> list[tuple[str, str, int]]:
        world = self.world
        return [
            (session_id, user_id, world.counted(session_id, seat.read_seq))
            for session_id in session_ids
            for user_id, seat in world.members.get(session_id, {}).items()
            if user_id in user_ids
        ]

    def read_seqs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, int]]:
        members = self.world.members
        return [(s, u, members[s][u].read_seq) for s, u in pairs if u in members.get(s, {})]

    def strangers(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(s, u) for s, u in pairs if u not in self.world.members.get(s, {})]


class Messages:
    def __init__(self, world: World) -> None:
        self.world = world

    def page(self, query: MessageQuery) -> list[Message]:
        found = [
            one
            for one in self.world.logs[query.session_id]
            if (query.above is None or one.seq > query.above)
            and (query.below is None or one.seq < query.below)
        ]
        return (found if query.ascending else found[::-1])[: query.limit]

    def get(self, session_id: str, message_id: str) -> Message | None:
        return next((m for m in self.world.logs.get(session_id, []) if m.id == message_id), None)

    def ranges(self, wanted: Sequence[tuple[str, int]], most: int) -> list[Committed]:
        world = self.world
        return [
            world.committed(one)._replace(
                answered=world.answered.get((session_id, one.seq)),
                roster=world.rosters[session_id],
            )
            for session_id, after in wanted
            for one in world.logs[session_id][after : after + most]
        ]


class Topics:
    known: Topic | None = None

    def get(self, topic_id: str, *, lock: bool = False) -> Topic | None:
        return self.known if self.known is not None and self.known.id == topic_id else None


class FakeDatabase:
    """Answers at once; with ``patient`` it waits for :meth:`go`, with ``away`` it fails."""

    epoch = "e1"

    def __init__(self, world: World) -> None:
        self.world, self.reads = world, 0
        self.away = self.patient = False
        #: what a read fails with while it is away
        self.failure: type[Exception] = Unavailable
        self.waiting: list[Callable[[], None]] = []

    def read(self, work: Any, *args: Any, **kw: Any) -> Deferred[Any]:
        self.reads += 1
        answer: Deferred[Any] = Deferred()

        def run() -> None:
            if self.away:
                answer.errback(self.failure())
                return
            try:
                result = work(self.world, *args, **kw)
            except Exception as error:
                answer.errback(error)
            else:
                answer.callback(result)

        if self.patient:
            self.waiting.append(run)
        else:
            run()
        return answer

    def write(self, work: Any, *args: Any, **kw: Any) -> Deferred[Any]:
        return self.read(work, *args, **kw)

    def go(self) -> None:
        """Answer the oldest waiting read."""
        self.waiting.pop(0)()


class FakeWriter:
    """Stores at once, or, when ``patient``, everything that gathered at :meth:`commit`."""

    def __init__(self, world: World, told: Callable[[Sequence[Committed]], None]) -> None:
        self.world, self.told = world, told
        self.patient = False
        self.waiting: list[tuple[Draft, object, Deferred[Posted]]] = []
        #: how many sends each commit held
        self.groups: list[int] = []
        self.keys: dict[tuple[str, str, str], Message] = {}

    def post(self, draft: Draft, origin: object = None) -> Deferred[Posted]:
        answer: Deferred[Posted] = Deferred()
        self.waiting.append((draft, origin, answer))
        if not self.patient:
            self.commit()
        return answer

    def commit(self) -> None:
        batch, self.waiting = self.waiting, []
        self.groups.append(len(batch))
        entries: list[Committed] = []
        answers: list[tuple[Callable[[Any], None], Any]] = []
        for draft, origin, answer in batch:
            key = (draft.session_id, draft.sender_id, draft.client_msg_id or draft.id)
            if draft.sender_id not in self.world.members.get(draft.session_id, {}):
                error = NotAMember() if draft.member == "named" else SessionNotFound()
                answers.append((answer.errback, error))
            elif key in self.keys:
                answers.append((answer.callback, Posted(self.keys[key], True)))
            else:
                made = self.world.store(
                    draft.session_id,
                    draft.sender_id,
                    type=draft.type,
                    content=draft.content,
                    client_msg_id=draft.client_msg_id,
                )
                self.keys[key] = made
                entries.append(self.world.committed(made, origin))
                answers.append((answer.callback, Posted(made, False)))
        self.told(entries)
        for fire, value in answers:
            fire(value)

    def mark(self, mark: Mark, named: bool = False) -> Deferred[Marked]:
        seat = self.world.members[mark.session_id][mark.user_id]
        newest = len(self.world.logs[mark.session_id])
        seq = newest if mark.seq is None else min(mark.seq, newest)
        before = seat.read_seq
        seat.delivered_seq = max(seat.delivered_seq, seq)
        if mark.read:
            seat.read_seq = max(seat.read_seq, seq)
        number = unread_of(
            self.world.counted(mark.session_id, newest),
            self.world.counted(mark.session_id, seat.read_seq),
        )
        moved = seat.read_seq > before
        read, delivered = seat.read_seq, seat.delivered_seq
        roster = self.world.rosters[mark.session_id]
        return succeed(
            Marked(mark.session_id, mark.user_id, read, delivered, number, moved, roster)
        )


class FakeDoorkeeper:
    """Knows the tokens that a test gives it."""

    def __init__(self, trusted: bool = False) -> None:
        self.trusted = trusted
        self.tokens: dict[str, Caller] = {}

    def identify(self, credential: str) -> Caller:
        if credential not in self.tokens:
            raise Unauthenticated()
        return self.tokens[credential]

    def issue(self, user_id: str, role: str, now: int, sid: Any = None) -> tuple[str, int]:
        raise NotImplementedError

    def revoke(self, fingerprint: str) -> None:
        raise NotImplementedError


class FakeClock:
    """Wall time that follows a reactor's clock."""

    def __init__(self, reactor: Any) -> None:
        self._reactor, self._start = reactor, reactor.seconds()

    def now(self) -> int:
        passed: float = self._reactor.seconds() - self._start
        return NOW + round(passed * 1000)


def make_house(
    world: World, db: FakeDatabase, writer: Any, courier: Any, presence: Any, reactor: Any = None
) -> House:
    """A house with generous rates and a doorkeeper that knows nobody."""
    numbers = itertools.count(1)
    return House(
        db=db,
        writer=writer,
        courier=courier,
        presence=presence,
        doorkeeper=FakeDoorkeeper(),
        clock=FakeClock(reactor or Clock()),
        new_id=lambda: f"{next(numbers):032x}",
        rules=Rules(),
        rates=Rates(sends=Rate(0, 1), requests=Rate(0, 1), failures=Rate(0, 1)),
    )
