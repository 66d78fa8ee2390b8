"""Page 2.1 and 2.4: pages stay right while rows arrive; the order of a user's sessions."""

from __future__ import annotations

import random
from typing import Any

import pytest
import pytest_twisted

from imd.actions.queries import MessageQuery, SessionQuery
from tests.storage.ground import Ground, together


async def walk_sessions(
    ground: Ground, query: SessionQuery, size: int, sticky: bool, meanwhile=None
):
    """All pages of a list of sessions, with something going on between them."""
    found, after = [], None
    while True:
        page = await ground.store.database.read(
            lambda tx, key: tx.sessions.page(query, key, size, sticky), after
        )
        found += [session for session, _ in page]
        if len(page) < size:
            return found
        after = page[-1][1]
        if meanwhile is not None:
            await meanwhile()


async def walk_messages(ground: Ground, query: MessageQuery, meanwhile):
    found = []
    while True:
        page = await ground.store.database.read(lambda tx, q: tx.messages.page(q), query)
        found += page
        if len(page) < query.limit:
            return found
        edge = page[-1].seq
        query = query._replace(above=edge) if query.ascending else query._replace(below=edge)
        await meanwhile()


@pytest.mark.parametrize("seed", range(3))
@pytest_twisted.ensureDeferred
async def test_no_message_is_skipped_or_repeated_while_others_arrive(ground: Ground, seed) -> None:
    chance = random.Random(seed)
    await ground.session("s", "A", "B")
    await together([ground.send("s", chance.choice("AB"), f"{n}") for n in range(60)])

    left = iter(range(200))

    async def more() -> None:
        new = chance.randrange(4) if next(left, None) is not None else 0
        await together([ground.send("s", "A", "new") for _ in range(new)])

    for ascending in (False, True):
        for size in (1, 7, 20):
            before = await ground.log("s")
            query = MessageQuery("s", ascending=ascending, limit=size)
            seqs = [m.seq for m in await walk_messages(ground, query, more)]
            after = await ground.log("s")
            if ascending:
                assert seqs == [m.seq for m in after][: len(seqs)]
                assert len(seqs) >= len(before)
            else:
                assert seqs == [m.seq for m in reversed(before)]
    by_b = await walk_messages(ground, MessageQuery("s", not_by="A", limit=5, below=41), more)
    assert [m.seq for m in by_b] == [
        m.seq for m in reversed(await ground.log("s")) if m.sender_id == "B" and m.seq < 41
    ]


@pytest.mark.parametrize("seed", range(2))
@pytest_twisted.ensureDeferred
async def test_no_session_that_kept_its_place_is_skipped_or_repeated(ground: Ground, seed) -> None:
    chance = random.Random(seed)
    for n in range(40):
        # Few different times, so that the id must break ties.
        ground.clock.time += chance.choice([0, 0, 5])
        await ground.session(f"s{n:02}", "A", "B", type_=chance.choice([1, 2, 13]))
    written = [f"s{n:02}" for n in chance.sample(range(40), 20)]
    await together([ground.send(session, "B") for session in written])

    def pin(transaction) -> None:
        for n in range(0, 40, 7):
            transaction.participants.set_sticky(f"s{n:02}", "A", True)

    await ground.store.database.write(pin)
    busy = set(chance.sample(written, 5))

    async def more() -> None:
        ground.clock.time += 1
        await ground.send(chance.choice(sorted(busy)), "B")

    for sticky in (True, False):
        for size in (1, 3, 10):
            whole = await walk_sessions(ground, SessionQuery("A"), 100, sticky)
            keys = [
                (s.sticky and sticky, s.last_message_time or s.create_time, s.id) for s in whole
            ]
            assert keys == sorted(keys, reverse=True)
            assert len(whole) == 40
            paged = await walk_sessions(ground, SessionQuery("A"), size, sticky, more)
            quiet = [s.id for s in paged if s.id not in busy]
            assert quiet == [s.id for s in whole if s.id not in busy]
    assert {s.sticky for s in await walk_sessions(ground, SessionQuery("B"), 50, True)} == {False}


@pytest_twisted.ensureDeferred
async def test_a_list_of_sessions_obeys_its_filters(ground: Ground) -> None:
    for n, type_ in enumerate([1, 2, 2, 13]):
        await ground.session(f"s{n}", "A", "B", type_=type_)
    await ground.session("other", "B", type_=2)
    await ground.send("s1", "B")
    ground.clock.time += 1000
    late = await ground.send("s3", "B")

    async def ids(**filters) -> list[str]:
        found = await walk_sessions(ground, SessionQuery("A", **filters), 50, True)
        return sorted(s.id for s in found)

    assert await ids() == ["s0", "s1", "s2", "s3"]
    assert await ids(types=[2]) == ["s1", "s2"]
    assert await ids(types=[2, 13]) == ["s1", "s2", "s3"]
    assert await ids(types=[]) == []
    assert await ids(only={"s0", "other"}) == ["s0"]
    assert await ids(only=()) == []
    assert await ids(with_message=True) == ["s1", "s3"]
    assert await ids(since=late.message.timestamp) == ["s3"]
    assert await ids(since=late.message.timestamp + 1) == []
    assert await ids(business_type=2) == []
    assert await ids(status=0, business_type=1) == ["s0", "s1", "s2", "s3"]
    assert await ids(status=1) == []
    counts = await ground.store.database.read(
        lambda tx: tx.sessions.count_by_type(SessionQuery("A"))
    )
    assert counts == {1: 1, 2: 2, 13: 1}


@pytest_twisted.ensureDeferred
async def test_exactly_these_members(ground: Ground) -> None:
    await ground.session("abc", "A", "B", "C", type_=2)
    await ground.session("ab-other-type", "A", "B", type_=6)
    find = ground.store.database.read

    async def of(*members: str, type_: int = 2) -> str | None:
        return await find(lambda tx: tx.sessions.with_members(type_, members))

    assert await of("A", "B") is None
    ground.clock.time += 10
    await ground.session("ab-second", "A", "B", type_=2)
    ground.clock.time += 10
    await ground.session("ab-third", "A", "B", type_=2)
    assert await of("A", "B") == await of("B", "A") == "ab-second"
    assert await of("A", "B", type_=6) == "ab-other-type"
    assert await of("A", "B", "C") == "abc"
    assert await of("A") is None
    assert await of("A", "B", "D") is None


@pytest.mark.parametrize("seed", range(2))
@pytest_twisted.ensureDeferred
async def test_unread_counters_equal_a_recount(ground: Ground, seed) -> None:
    """I5 under a random history with batches of sends and marks in flight together."""
    chance = random.Random(seed)
    members = ["A", "B", "C", "D"]
    for session in ("s", "t"):
        await ground.session(session, *members)
    for _ in range(60):
        acts: list[Any] = []
        for _ in range(chance.randrange(1, 12)):
            session, who = chance.choice("st"), chance.choice(members)
            if chance.random() < 0.6:
                type_ = 2105 if chance.random() < 0.15 else 1
                acts.append(ground.send(session, who, type=type_, member="none"))
            else:
                seq = chance.choice([None, chance.randrange(400)])
                acts.append(ground.mark(session, who, seq, chance.random() < 0.8))
        await together(acts)
        for session in ("s", "t"):
            for who, (counter, rows) in (await ground.recount(session)).items():
                assert counter == rows, (session, who)
    badge = await ground.store.database.read(lambda tx: tx.sessions.unread("A"))
    recounted = {s: (await ground.recount(s))["A"][1] for s in ("s", "t")}
    assert badge == {s: n for s, n in recounted.items() if n}
    only = await ground.store.database.read(lambda tx: tx.sessions.unread("A", {"s"}))
    assert only == {s: n for s, n in badge.items() if s == "s"}
