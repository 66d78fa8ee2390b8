"""I5 and I6 against a model: thousands of random operations, compared after each one.

After every operation the unread of every member, every badge, last_seq, last message, marks, pins
and the live topic are those of :mod:`tests.actions.model`; at the end the whole logs are.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest_twisted

from imd.actions import live
from imd.domain.errors import Conflict, ImError, NotAMember, NotEditable, SessionNotFound
from imd.domain.ids import UserId
from imd.domain.message import Card
from tests.actions.household import READER, SERVICE, Household, doctor
from tests.actions.model import Chat, Entry, Model
from tests.storage.ground import check_order

USERS = ["U1", "U2", "U3", "U4", "U5"]
#: operations on each database; the rows behind PostgreSQL's cost more to compare
STEPS = {False: 10_000, True: 2_000}
WINDOW = 120_000

Act = Callable[[Chat, str], Awaitable[None]]


class Random:
    """Does the same to the house and to the model."""

    def __init__(self, home: Household, seed: int) -> None:
        self.home, self.chance, self.model = home, random.Random(seed), Model()
        self.topics = 0
        self.times: dict[str, int] = {}
        self.acts: list[tuple[int, Act]] = [
            (30, self.send), (6, self.resend), (14, self.read), (8, self.ack), (6, self.fetch),
            (4, self.fetch_unread), (4, self.recall), (6, self.edit), (4, self.add),
            (3, self.remove),
            (2, self.replace), (3, self.reopen), (3, self.pin), (3, self.start), (3, self.end),
            (1, self.peek), (1, self.reset),
        ]  # fmt: skip
        self.weights = [weight for weight, _ in self.acts]

    async def step(self) -> Chat:
        """One operation; the chat that it was on."""
        self.home.clock.time += self.chance.choice([0, 0, 1, 1000, -3000])
        chat = self.model.chats[self.chance.choice(sorted(self.model.chats))]
        user = self.chance.choice(USERS)
        _, act = self.chance.choices(self.acts, self.weights)[0]
        await act(chat, user)
        return chat

    async def refused(self, promise: Awaitable[Any], *kinds: type[ImError]) -> None:
        try:
            await promise
        except kinds:
            return
        raise AssertionError(f"not refused with {kinds}")

    def stored(self, chat: Chat, message: Any) -> Entry:
        entry = Entry(message.id, message.seq, message.sender_id, message.type, message.content,
                      message.topic_id)  # fmt: skip
        assert entry.topic == chat.live
        self.times[entry.id] = message.timestamp
        chat.add(entry)
        return entry

    # ---- messages

    async def send(self, chat: Chat, user: str) -> None:
        type_ = self.chance.choice([1, 1, 1, 25, 2105])
        content: Any = f"{chat.last_seq}"
        if type_ == 25:
            content = {"n": chat.last_seq}
        elif type_ == 2105:
            content = {"message_id": "m", "version": 1}
        key = f"k{self.chance.randrange(10**9)}" if self.chance.random() < 0.5 else None
        asked = self.home.post(SERVICE, session_id=chat.id, sender_id=user, type=type_,
                               content=content, client_msg_id=key)  # fmt: skip
        if user not in chat.members:
            await self.refused(asked, NotAMember)
            return
        posted = await asked
        assert not posted.replayed
        entry = self.stored(chat, posted.message)
        if key is not None:
            chat.keys[user, key] = entry

    async def resend(self, chat: Chat, user: str) -> None:
        mine = [(k, e) for (who, k), e in chat.keys.items() if who == user and e.type == 1]
        if not mine or user not in chat.members:
            return
        key, entry = self.chance.choice(mine)
        post = {"session_id": chat.id, "sender_id": user, "type": 1, "client_msg_id": key}
        if self.chance.random() < 0.5:
            await self.refused(self.home.post(SERVICE, **post, content="another"), Conflict)
            return
        sent = f"{entry.seq - 1}"
        posted = await self.home.post(SERVICE, **post, content=sent)
        assert (posted.replayed, posted.message.id, posted.message.seq) == (
            True,
            entry.id,
            entry.seq,
        )

    async def recall(self, chat: Chat, user: str) -> None:
        if not chat.log:
            return
        entry = self.chance.choice(chat.log[-10:])
        by_user = self.chance.random() < 0.5
        caller = doctor(user) if by_user else SERVICE
        asked = self.home.recall(caller, session_id=chat.id, message_id=entry.id)
        if by_user:
            late = self.home.clock.time - self.times[entry.id] > WINDOW
            if user not in chat.members or user != entry.sender or late:
                await self.refused(asked, ImError)
                return
        recalled = await asked
        assert (recalled.recalled, recalled.content) == (True, None)
        entry.recalled, entry.content = True, None

    async def edit(self, chat: Chat, user: str) -> None:
        if not chat.log:
            return
        entry = self.chance.choice(chat.log[-15:])
        version = self.chance.choice([None, entry.version, entry.version + 1])
        asked = self.home.edit(SERVICE, session_id=chat.id, message_id=entry.id,
                               content={"edit": entry.version}, version=version)  # fmt: skip
        if entry.type != 25 or entry.recalled:
            await self.refused(asked, NotEditable)
        elif version == entry.version + 1:
            await self.refused(asked, Conflict)
        else:
            edited = await asked
            entry.version += 1
            entry.content = edited.content
            assert edited.version == entry.version
            news = (await self.home.list(READER, session_id=chat.id, size=1)).items[0]
            assert (news.type, news.sender_id) == (2105, entry.sender)
            self.stored(chat, news)

    # ---- marks

    async def read(self, chat: Chat, user: str) -> None:
        seq = self.chance.choice([None, self.chance.randrange(chat.last_seq + 3)])
        asked = self.home.read(SERVICE, session_id=chat.id, user_id=user, seq=seq)
        if user not in chat.members:
            await self.refused(asked, NotAMember)
            return
        answer = await asked
        chat.mark(user, seq)
        assert (answer.read_seq, answer.unread) == (chat.members[user].read, chat.unread(user))

    async def ack(self, chat: Chat, user: str) -> None:
        seq, read = self.chance.randrange(chat.last_seq + 3), self.chance.random() < 0.5
        asked = live.acknowledge(self.home.house, doctor(user), UserId(user), chat.id, seq, read)
        if user not in chat.members:
            await self.refused(asked, SessionNotFound)
            return
        await asked
        chat.mark(user, seq, read)

    async def fetch(self, chat: Chat, user: str) -> None:
        """A plain first page moves marks to the newest returned."""
        asked = self.home.list(doctor(user), session_id=chat.id, size=self.chance.choice([1, 20]))
        if user not in chat.members:
            await self.refused(asked, SessionNotFound)
            return
        page = await asked
        if page.items:
            assert page.items[0].seq == chat.last_seq
            chat.mark(user, page.items[0].seq)

    async def fetch_unread(self, chat: Chat, user: str) -> None:
        if user not in chat.members:
            return
        size = self.chance.choice([1, 3, 200])
        page = await self.home.unread_list(doctor(user), session_id=chat.id, size=size)
        read = chat.members[user].read
        others = [e for e in chat.log if e.seq > read and e.sender != user and e.counted]
        assert [m.id for m in page.items] == [e.id for e in others[:size]]
        if page.items:
            chat.mark(user, page.items[-1].seq)

    async def peek(self, chat: Chat, user: str) -> None:
        """None of these moves a mark."""
        await self.home.list(READER, session_id=chat.id)
        if user in chat.members:
            await self.home.list(READER, session_id=chat.id, user_id=user)
            for more in (
                {"peek": "1"},
                {"order": "asc"},
                {"type": "1"},
                {"before": 5},
                {"after": 0},
            ):
                await self.home.list(doctor(user), session_id=chat.id, **more)
            await self.home.unread_list(doctor(user), session_id=chat.id, peek=1)
            await self.home.unread_list(READER, session_id=chat.id, user_id=user)

    # ---- members

    async def add(self, chat: Chat, user: str) -> None:
        await self.home.add(SERVICE, session_id=chat.id, participant_ids=user)
        chat.join(user)

    async def remove(self, chat: Chat, user: str) -> None:
        asked = self.home.remove(SERVICE, session_id=chat.id, participant_ids=user)
        if user not in chat.members:
            await self.refused(asked, ImError)
            return
        await asked
        del chat.members[user]

    async def replace(self, chat: Chat, user: str) -> None:
        new = self.chance.choice(USERS)
        asked = self.home.replace(SERVICE, session_id=chat.id, old_participant_id=user,
                                  new_participant_id=new)  # fmt: skip
        if user not in chat.members:
            await self.refused(asked, ImError)
            return
        await asked
        del chat.members[user]
        chat.join(new)

    async def reopen(self, chat: Chat, user: str) -> None:
        """POST /sessions on an existing one adds who is missing and moves nobody's marks."""
        opened = await self.home.open(SERVICE, session_id=chat.id, session_name="another",
                                      session_type=1, participants=[user, "U1"])  # fmt: skip
        assert not opened.created
        chat.join(user)
        chat.join("U1")

    async def pin(self, chat: Chat, user: str) -> None:
        sticky = self.chance.random() < 0.5
        verb = self.home.pin if sticky else self.home.unpin
        asked = verb(SERVICE, session_id=chat.id, user_id=user)
        if user not in chat.members:
            await self.refused(asked, NotAMember)
            return
        await asked
        chat.members[user].sticky = sticky

    # ---- topics

    async def start(self, chat: Chat, user: str) -> None:
        self.topics += 1
        first = [{"type": 1, "content": "ill"}]
        asked = self.home.start(SERVICE, session_id=chat.id, topic_id=f"T{self.topics}",
                                start_by=user, messages=first)  # fmt: skip
        if user not in chat.members or chat.live is not None:
            await self.refused(asked, ImError)
            return
        await asked
        chat.live = f"T{self.topics}"
        for message in reversed((await self.home.list(READER, session_id=chat.id, size=2)).items):
            self.stored(chat, message)

    async def end(self, chat: Chat, user: str) -> None:
        if chat.live is None or user not in chat.members:
            return
        await self.home.end(SERVICE, session_id=chat.id, topic_id="current", end_by=user)
        self.stored(chat, (await self.home.list(READER, session_id=chat.id, size=1)).items[0])
        chat.live = None

    async def reset(self, chat: Chat, user: str) -> None:
        """A new chat now and then, so that logs stay short enough to walk through."""
        await self.make()

    async def make(self) -> None:
        number = len(self.model.chats)
        chat = Chat(f"s{number}")
        seats = self.chance.sample(USERS, 3)
        await self.home.open(SERVICE, session_id=chat.id, session_name="n", session_type=1,
                             participants=seats)  # fmt: skip
        for user in seats:
            chat.join(user)
        self.model.chats[chat.id] = chat

    # ---- comparing

    async def compare(self, chats: list[Chat]) -> None:
        ids = [chat.id for chat in chats]

        def look(tx: Any) -> Any:
            heads = {id_: tx.sessions.view(id_) for id_ in ids}
            own = {(id_, user): tx.sessions.own(id_, user) for id_ in ids for user in USERS}
            members = {id_: tx.participants.list(id_) for id_ in ids}
            return heads, own, members, {user: tx.sessions.unread(user) for user in USERS}

        heads, own, members, unread = await self.home.ground.store.database.read(look)
        for chat in chats:
            head, last = heads[chat.id], chat.last_message()
            assert head.last_seq == chat.last_seq
            assert head.current_topic_id == chat.live
            assert head.status == (chat.live is not None)
            assert (head.last_message and head.last_message.id) == (last and last.id)
            assert last is None or head.last_message.content == last.content
            marks = {p.participant_id: (p.read_seq, p.delivered_seq) for p in members[chat.id]}
            assert marks == {u: (p.read, p.delivered) for u, p in chat.members.items()}
            for user in USERS:
                place = chat.members.get(user)
                seen = own[chat.id, user]
                assert (seen is None) is (place is None)
                if place is not None:
                    assert (seen[0].unread, seen[0].sticky) == (chat.unread(user), place.sticky)
        for user in USERS:
            assert sum(unread[user].values()) == self.model.badge(user)

    async def compare_logs(self) -> None:
        for chat in self.model.chats.values():
            log = await self.home.ground.log(chat.id)
            check_order(log)
            assert [
                (m.id, m.sender_id, m.type, m.content, m.topic_id, m.version, m.recalled)
                for m in log
            ] == [
                (e.id, e.sender, e.type, e.content, e.topic, e.version, e.recalled)
                for e in chat.log
            ]
            assert all(isinstance(m.content, Card) for m in log if m.type == 25 and not m.recalled)


@pytest_twisted.ensureDeferred
async def test_ten_thousand_random_operations_equal_the_model(home: Household) -> None:
    world = Random(home, 20_260_101)
    for _ in range(3):
        await world.make()
    for _ in range(STEPS[home.ground.postgres]):
        await world.compare([await world.step()])
    await world.compare(list(world.model.chats.values()))
    await world.compare_logs()
