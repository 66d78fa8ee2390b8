"""Page 4.2: a connection that dies during COMMIT, before and after the server applied it."""

from __future__ import annotations

import threading
from contextlib import closing

import psycopg2
import pytest
import pytest_twisted

from imd.domain.errors import Unavailable
from tests.storage.cutting import proxied
from tests.storage.ground import Ground, HandClock, check_order, outcomes, together, until

each_way = pytest.mark.parametrize("mode", ["before", "after"])


@each_way
@pytest.mark.parametrize("cuts", [1, 3])
@pytest_twisted.ensureDeferred
async def test_it_is_settled_without_loss_or_repeat(postgres_copy: str, mode, cuts) -> None:
    with proxied(postgres_copy) as (proxy, url):
        ground = await Ground(url, HandClock()).open()
        await ground.session("s", "A", "B")
        await ground.session("t", "A", "B")
        await ground.send("s", "A", "first")
        proxy.mode, proxy.armed = mode, cuts
        plan = [("st"[n % 2], "AB"[n % 3 % 2], f"{n}") for n in range(40)]
        keys = [{"client_msg_id": f"k{n}"} if n % 2 else {} for n in range(40)]
        found = await together(
            [ground.send(*send, **key) for send, key in zip(plan, keys, strict=True)]
        )
        # The first send of each session goes alone, the others together: that is three commits.
        assert proxy.cut == cuts
        assert [posted.message.content for posted in found] == [text for _, _, text in plan]
        for session in "st":
            log = await ground.log(session)
            check_order(log)
            # A commit that died is made again behind nothing and before nothing of its sender.
            said = [m.content for m in log if m.content != "first"]
            assert sorted(said, key=lambda text: int(str(text))) == said
            assert said == [text for where, _, text in plan if where == session]
            assert {m.id for m in log} >= {
                p.message.id for p in found if p.message.session_id == session
            }
            assert all(a == b for a, b in (await ground.recount(session)).values())
        again = await ground.send(*plan[1], client_msg_id="k1")
        assert again == (found[1].message, True)
        await ground.close()


@each_way
@pytest_twisted.ensureDeferred
async def test_the_first_message_of_an_ad_hoc_group_is_settled_too(
    postgres_copy: str, mode
) -> None:
    with proxied(postgres_copy) as (proxy, url):
        ground = await Ground(url, HandClock()).open()
        await ground.session("m1", "A", "B", type_=4, adhoc=True)
        proxy.mode, proxy.armed = mode, 1
        posted = await ground.send("m1", "A", "hello")
        assert proxy.cut == 1
        assert posted.message.id == "m1"
        assert [m.id for m in await ground.log("m1")] == ["m1"]
        await ground.close()


@each_way
@pytest_twisted.ensureDeferred
async def test_marks_are_settled_too(postgres_copy: str, mode) -> None:
    with proxied(postgres_copy) as (proxy, url):
        ground = await Ground(url, HandClock()).open()
        await ground.session("s", "A", "B")
        await together([ground.send("s", "B", f"{n}") for n in range(3)])
        proxy.matches = lambda data: b"marks_move" in data and b"COMMIT" in data
        proxy.mode, proxy.armed = mode, 1
        marked = await ground.mark("s", "A", 2)
        assert proxy.cut == 1
        assert (marked.read_seq, marked.unread) == (2, 1)
        assert (await ground.recount("s"))["A"] == (1, 1)
        await ground.close()


@each_way
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_settled_is_unavailable_and_safe_to_repeat(
    postgres_copy: str, mode
) -> None:
    with proxied(postgres_copy) as (proxy, url):
        ground = await Ground(url, HandClock()).open(timeout=1.5)
        await ground.session("s", "A", "B")
        proxy.mode, proxy.armed = mode, 1
        first = proxy.matches

        def matches(data: bytes) -> bool:
            """After the first cut nothing gets through any more."""
            if not proxy.cut and first(data):
                proxy.armed = 10**6
                return True
            return bool(proxy.cut) and data[:1] == b"Q"

        proxy.matches = matches
        found = await outcomes([ground.send("s", "A", "x", client_msg_id="k")])
        assert type(found[0]) is Unavailable
        proxy.armed = 0
        repeated = await ground.send("s", "A", "x", client_msg_id="k")
        assert repeated.message.content == "x"
        assert len(await ground.log("s")) == 1
        await ground.close()


@each_way
@pytest_twisted.ensureDeferred
async def test_an_action_of_unknown_outcome_is_unavailable(postgres_copy: str, mode) -> None:
    with proxied(postgres_copy) as (proxy, url):
        ground = await Ground(url, HandClock()).open()
        await ground.session("s", "A")
        proxy.matches = lambda data: b"COMMIT" in data and b"renamed" in data
        proxy.mode, proxy.armed = mode, 1
        rename = ground.store.database.write(lambda tx: tx.sessions.rename("s", "renamed"))
        found = await outcomes([rename])
        assert type(found[0]) is Unavailable
        rows = await ground.rows("SELECT name FROM sessions")
        assert rows == [("renamed" if mode == "after" else "s",)]
        await ground.close()


@pytest_twisted.ensureDeferred
async def test_a_read_that_dies_at_its_end_is_read_again(postgres_copy: str) -> None:
    """The end of a read has no outcome: it is never an error of the caller's."""
    with proxied(postgres_copy) as (proxy, url):
        ground = await Ground(url, HandClock()).open()
        await ground.session("s", "A")
        proxy.matches = lambda data: data[5:].startswith(b"COMMIT")
        proxy.armed = 1
        assert await ground.rows("SELECT id FROM sessions") == [("s",)]
        assert proxy.cut == 1
        await ground.close()


@pytest_twisted.ensureDeferred
async def test_a_busy_session_holds_up_no_other(postgres_ground: Ground) -> None:
    """Another transaction holds one session's row; its sends wait, the others' do not."""
    ground = postgres_ground
    await ground.session("busy", "A")
    await ground.session("free", "A")
    with closing(psycopg2.connect(ground.url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM im.sessions WHERE id = 'busy' FOR UPDATE")
        held = [ground.send("busy", "A", f"{n}") for n in range(5)]
        for n in range(20):
            await ground.send("free", "A", f"{n}")
        held += [ground.send("busy", "A", f"{n}") for n in range(5, 8)]
        assert not any(send.called for send in held)
        assert await ground.log("busy") == []
        other.commit()
    await together(held)
    assert [m.content for m in await ground.log("busy")] == [f"{n}" for n in range(8)]
    assert len(await ground.log("free")) == 20


@pytest_twisted.ensureDeferred
async def test_a_small_batch_that_is_stuck_keeps_no_other_session_waiting(
    postgres_ground: Ground,
) -> None:
    """A transaction hangs at a member's row; other sessions go on, its own keeps its order."""
    ground = postgres_ground
    await ground.session("stuck", "A")
    await ground.session("free", "A")
    with closing(psycopg2.connect(ground.url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM im.participants WHERE session_id = 'stuck' FOR UPDATE")
        held = [ground.send("stuck", "A", f"{n}") for n in range(3)]
        for n in range(20):
            await ground.send("free", "A", f"{n}")
        assert not any(send.called for send in held)
        other.commit()
    await together(held)
    assert [m.content for m in await ground.log("stuck")] == ["0", "1", "2"]
    assert len(await ground.log("free")) == 20


@pytest_twisted.ensureDeferred
async def test_a_session_that_stays_busy_is_unavailable_at_the_deadline(postgres_copy: str) -> None:
    ground = await Ground(postgres_copy, HandClock()).open(timeout=1.0)
    await ground.session("busy", "A")
    with closing(psycopg2.connect(ground.url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM im.sessions WHERE id = 'busy' FOR UPDATE")
        found = await outcomes([ground.send("busy", "A", "x"), ground.mark("busy", "A")])
        assert [type(f) for f in found] == [Unavailable, Unavailable]
    assert await ground.log("busy") == []
    await ground.close()


@pytest_twisted.ensureDeferred
async def test_writers_of_several_processes_do_not_deadlock(postgres_copy: str) -> None:
    """Two stores on one database, each with batches over the same sessions."""
    one = await Ground(postgres_copy, HandClock()).open()
    two = await Ground(postgres_copy, HandClock()).open()
    two.new_id = lambda made=two.new_id: "f" + made()[1:]  # type: ignore[method-assign, misc]
    sessions = [f"s{n}" for n in range(5)]
    for session in sessions:
        await one.session(session, "A", "B")
    sends = [
        node.send(session, who, client_msg_id=f"{n}")
        for n in range(40)
        for session in sessions[:: 1 if n % 2 else -1]
        for node, who in ((one, "A"), (two, "B"), (two, "A"))
    ]
    found = await together(sends)
    assert len({posted.message.id for posted in found}) == 400
    for session in sessions:
        check_order(await one.log(session))
        assert all(a == b for a, b in (await two.recount(session)).values())
    await one.close()
    await two.close()


@pytest_twisted.ensureDeferred
async def test_a_session_being_made_elsewhere_is_not_there_yet(postgres_ground: Ground) -> None:
    ground, made = postgres_ground, threading.Event()

    def make(transaction) -> None:
        transaction.connection.run(
            "INSERT INTO sessions (id, type, business_type, create_time) VALUES ('new', 1, 1, 1)"
        )
        seen.append(True)
        made.wait(30)

    seen: list[bool] = []
    making = ground.store.database.write(make)
    await until(lambda: seen)
    found = await outcomes([ground.send("new", "A")])
    assert type(found[0]).__name__ == "SessionNotFound"
    made.set()
    await making
