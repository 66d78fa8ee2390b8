"""I7 of page 4.1 held against random histories: who is told, once, and who is not.

Members send, read, acknowledge, leave and come back while providers fail; afterwards each push that
a provider took is compared with what its receiver had seen, and when.
"""

from __future__ import annotations

import os
from collections import defaultdict
from random import Random
from typing import Any

import pytest
import pytest_twisted

from imd.domain.ids import UserId
from imd.domain.participant import Mark, Seat
from imd.domain.push import Failure
from imd.domain.user import Device
from imd.push.ports import Failed, Job, Outcome, Sent
from tests.push.world import GRACE, World

MEMBERS = ("P1", "P2", "D1", "D2")
SESSIONS = ("a", "b")
STEPS = 120
SEEDS = range(int(os.environ.get("IMD_TEST_SEEDS", "4")))


class Flaky:
    """A provider that fails as chance wants; ``taken`` is what it took, and when."""

    def __init__(self, channel: str, world: World, chance: Random) -> None:
        self.channel, self._world, self._chance = channel, world, chance
        self.taken: list[tuple[int, Job]] = []
        self.failing = 0.3

    async def send(self, job: Job) -> Outcome:
        if self._chance.random() < self.failing:
            failure = self._chance.choice([Failure.OUTAGE, Failure.BUSY, Failure.QUOTA])
            return Failed(failure, "x", 1.0)
        self.taken.append((self._world.clock.time, job))
        return Sent()


class History:
    """What happened, by session: messages, and when each member had seen up to where."""

    def __init__(self, world: World, chance: Random) -> None:
        self.world, self.chance = world, chance
        self.messages: dict[str, list[Any]] = defaultdict(list)
        #: (session, member) -> [(time, seq up to which it was seen)]
        self.seen: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        self.gone: set[tuple[str, str]] = set()

    def seen_at(self, session: str, member: str, seq: int) -> int | None:
        times = [time for time, upto in self.seen[(session, member)] if upto >= seq]
        return min(times, default=None)

    async def step(self) -> None:
        session, member = self.chance.choice(SESSIONS), self.chance.choice(MEMBERS)
        there = (session, member) not in self.gone
        act = self.chance.random()
        if act < 0.45 and there:
            await self._send(session, member)
        elif act < 0.75 and there and self.messages[session]:
            await self._see(session, member)
        elif act < 0.80:
            await self._move(session, member)
        self.world.clock.time += self.chance.choice([1, 200, 900, 2500])

    async def _send(self, session: str, member: str) -> None:
        type_ = 2105 if self.chance.random() < 0.1 else 1
        message = await self.world.send(session, member, type=type_)
        self.messages[session].append(message)
        self.seen[(session, member)].append((self.world.clock.time, message.seq))

    async def _see(self, session: str, member: str) -> None:
        seq = self.chance.choice(self.messages[session]).seq
        read, seen = self.chance.choice([(True, True), (False, True), (False, False)])
        await self.world.ground.store.writer.mark(Mark(session, member, seq, read, seen))
        if seen:
            self.seen[(session, member)].append((self.world.clock.time, seq))

    async def _move(self, session: str, member: str) -> None:
        """Leave, or come back with everything before read."""
        if (session, member) in self.gone:

            def back(tx: Any) -> None:
                head = tx.sessions.lock(session)
                tx.participants.add(head, [Seat(UserId(member), "0")], self.world.clock.time)

            await self.world.write(back)
            self.gone.discard((session, member))
            last = len(self.messages[session])
            self.seen[(session, member)].append((self.world.clock.time, last))
        elif sum(place[0] == session for place in self.gone) < 2:
            await self.world.write(lambda tx: tx.participants.remove(session, [member]))
            self.gone.add((session, member))
            # What it was not told of before it left, it is not told of any more.
            now, last = self.world.clock.time, len(self.messages[session])
            self.seen[(session, member)].append((now, last))


def check(history: History, taken: list[tuple[int, Job]]) -> None:
    """The four sentences of I7."""
    covered: dict[tuple[str, str, int], int] = defaultdict(int)
    for time, job in taken:
        claim = job.claim
        mine = [
            m
            for m in history.messages[claim.session_id]
            if claim.first_seq <= m.seq <= claim.upto_seq
            and m.type != 2105
            and m.sender_id != claim.user_id
        ]
        for message in mine:
            covered[(claim.session_id, claim.user_id, message.seq)] += 1
            assert message.timestamp <= time
        late = [
            m
            for m in mine
            if (at := history.seen_at(claim.session_id, claim.user_id, m.seq)) is None
            or at > m.timestamp + GRACE
        ]
        assert late, f"{claim} at {time}: all had been seen in time"
    assert max(covered.values(), default=0) <= 1, "a message was told of twice"
    for session in SESSIONS:
        for member in [m for m in MEMBERS if (session, m) not in history.gone]:
            for message in history.messages[session]:
                if message.type == 2105 or message.sender_id == member:
                    continue
                if history.seen_at(session, member, message.seq) is None:
                    assert covered[(session, member, message.seq)] == 1, (session, member, message)


@pytest.mark.parametrize("seed", SEEDS)
@pytest_twisted.ensureDeferred
async def test_i7_holds_in_random_histories(world, seed) -> None:
    chance = Random(seed)
    await world.patient("P1")
    await world.patient("P2")
    for doctor in ("D1", "D2"):
        await world.register(Device(doctor, f"c-{doctor}", 0, "t", "background", 1))
    for session in SESSIONS:
        await world.ground.session(session, *MEMBERS)
    carriers = [Flaky(channel, world, chance) for channel in ("wechat", "app")]
    postmen = [world.postman(carrier) for carrier in carriers]
    history = History(world, chance)
    for _ in range(STEPS):
        await history.step()
        for postman in postmen:
            postman.breaker.succeeded()
            await world.round(postman)
    for carrier in carriers:
        carrier.failing = 0.0
    for _ in range(30):
        world.clock.time += 60_000
        for postman in postmen:
            postman.breaker.succeeded()
            await world.round(postman)
    assert await world.outbox() == []
    taken = sorted(
        (entry for carrier in carriers for entry in carrier.taken), key=lambda entry: entry[0]
    )
    assert taken
    check(history, taken)
