"""Page 4.3: what processes ask the store on behalf of their sockets, on both databases."""

from __future__ import annotations

import pytest_twisted

from imd.domain.participant import Seat
from tests.storage.ground import Ground


async def fill(ground: Ground) -> None:
    await ground.session("s", "D:doctor", "p")
    await ground.session("t", "D:doctor", "q")
    for number in range(5):
        await ground.send("s", "p", f"s{number}")
    await ground.send("t", "q", "t0")


@pytest_twisted.ensureDeferred
async def test_ranges_of_many_sessions_come_in_one_query(ground: Ground) -> None:
    await fill(ground)
    read = ground.store.database.read
    found = await read(lambda tx: tx.messages.ranges([("t", 0), ("s", 1), ("none", 0)], 3))
    assert [(e.message.session_id, e.message.seq, e.counted) for e in found] == [
        ("s", 2, 2), ("s", 3, 3), ("s", 4, 4), ("t", 1, 1)
    ]  # fmt: skip
    assert {entry.session_type for entry in found} == {1}
    assert await read(lambda tx: tx.messages.ranges([], 3)) == []
    assert await read(lambda tx: tx.messages.ranges([("s", 5)], 3)) == []


@pytest_twisted.ensureDeferred
async def test_a_range_brings_the_topic_that_a_message_answered(ground: Ground) -> None:
    await ground.session("s", "D:doctor", "p")
    await ground.topic("c1", "s", "p")
    await ground.send("s", "p", "痛")
    await ground.send("s", "D", "哪里")
    await ground.send("s", "D", "多久")
    found = await ground.store.database.read(lambda tx: tx.messages.ranges([("s", 0)], 10))
    answered = {entry.message.seq: entry.answered for entry in found}
    assert [seq for seq, topic in answered.items() if topic is not None] == [3]
    (announced,) = [entry.answered for entry in ground.commits if entry.answered is not None]
    assert answered[3] == announced


@pytest_twisted.ensureDeferred
async def test_which_sessions_went_on(ground: Ground) -> None:
    await fill(ground)
    read = ground.store.database.read
    known = [("s", 5), ("t", 0), ("none", 0)]
    assert await read(lambda tx: tx.sessions.beyond(known)) == [("t", 1)]
    assert await read(lambda tx: tx.sessions.beyond([("s", 4)])) == [("s", 5)]
    assert await read(lambda tx: tx.sessions.beyond([])) == []


@pytest_twisted.ensureDeferred
async def test_who_is_no_member_and_how_far_members_read(ground: Ground) -> None:
    await fill(ground)
    await ground.mark("s", "D", 2)
    read = ground.store.database.read
    pairs = [("s", "D"), ("s", "q"), ("t", "q"), ("none", "D")]
    strangers = await read(lambda tx: tx.participants.strangers(pairs))
    assert sorted(strangers) == [("none", "D"), ("s", "q")]
    seqs = await read(lambda tx: tx.participants.read_seqs(pairs))
    assert sorted(seqs) == [("s", "D", 2), ("t", "q", 1)]
    assert await read(lambda tx: tx.participants.strangers([])) == []
    assert await read(lambda tx: tx.participants.read_seqs([])) == []
    await ground.store.database.write(lambda tx: tx.participants.remove("s", ["D"]))
    assert await read(lambda tx: tx.participants.strangers([("s", "D")])) == [("s", "D")]
    head = await read(lambda tx: tx.sessions.head("s"))
    assert head is not None
    seat = [Seat("D", "doctor")]  # type: ignore[arg-type]
    await ground.store.database.write(lambda tx: tx.participants.add(head, seat, 1))
    assert await read(lambda tx: tx.participants.strangers([("s", "D")])) == []


@pytest_twisted.ensureDeferred
async def test_where_something_was_said_since(ground: Ground) -> None:
    await fill(ground)
    read, now = ground.store.database.read, ground.clock.now()
    said = await read(lambda tx: tx.sessions.spoken_since(["D", "q"], now - 1))
    assert sorted(said) == [("s", 5), ("t", 1)]
    assert await read(lambda tx: tx.sessions.spoken_since(["q"], now - 1)) == [("t", 1)]
    assert await read(lambda tx: tx.sessions.spoken_since(["D"], now + 60_000)) == []
