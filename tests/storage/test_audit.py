"""The audit trail: in the act's transaction, one chain whoever writes, and a touched row shows."""

from __future__ import annotations

import random
import threading
from contextlib import closing

import pytest
import pytest_twisted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from imd.domain.audit import GENESIS, Act, Note
from imd.storage.audit import Audit, chained
from imd.storage.engine import Connection, Row, connector
from imd.storage.transaction import transact
from tests.storage.ground import NOW, Ground, outcomes, together


def note(number: int = 0, act: Act = Act.SESSION_RENAMED, target: str = "s") -> Note:
    return Note(NOW + number, "service:his", act, target, {"number": number, "词": "é"})


async def write(ground: Ground, *notes: Note) -> None:
    def work(transaction) -> None:
        for one in notes:
            transaction.audit.note(one)

    await ground.store.database.write(work)


async def entries(ground: Ground) -> list[Row]:
    return await ground.rows(
        "SELECT seq, time, actor, action, object, detail, hash FROM audit ORDER BY seq"
    )


async def verify(ground: Ground):
    return await ground.store.database.read(lambda tx: tx.audit.verify())


async def spoil(ground: Ground, *statements: str) -> None:
    """Do to the trail what nobody may."""

    def work(transaction) -> None:
        for statement in statements:
            transaction.connection.run(statement)

    await ground.store.database.write(work)


# ---- in the act's transaction


@pytest_twisted.ensureDeferred
async def test_notes_are_chained_in_their_order(ground: Ground) -> None:
    assert await verify(ground) == (0, None)
    await write(ground, note(1), note(2))
    await write(ground, note(3, Act.USER_PUT, "u"))
    rows = await entries(ground)
    assert [row[:5] for row in rows] == [
        (1, NOW + 1, "service:his", "session.renamed", "s"),
        (2, NOW + 2, "service:his", "session.renamed", "s"),
        (3, NOW + 3, "service:his", "user.put", "u"),
    ]
    assert rows[0][5] == '{"number":1,"词":"é"}'
    before = GENESIS
    for row in rows:
        before = chained(before, *row[:6])
        assert row[6] == before
    assert await ground.rows("SELECT seq, hash FROM audit_end") == [(3, before)]
    assert await verify(ground) == (3, None)


@pytest_twisted.ensureDeferred
async def test_an_act_that_is_rolled_back_leaves_none(ground: Ground) -> None:
    await write(ground, note())

    def work(transaction) -> None:
        transaction.audit.note(note(1))
        raise LookupError

    (error,) = await outcomes([ground.store.database.write(work)])
    assert isinstance(error, LookupError)
    assert await verify(ground) == (1, None)
    assert len(await entries(ground)) == 1


@pytest_twisted.ensureDeferred
async def test_a_note_that_cannot_be_written_undoes_the_act(ground: Ground) -> None:
    await ground.session("s", "A")
    bad = Note(NOW, None, Act.SESSION_RENAMED, "s", {})  # type: ignore[arg-type]

    def work(transaction) -> None:
        transaction.sessions.rename("s", "changed")
        transaction.audit.note(bad)

    (error,) = await outcomes([ground.store.database.write(work)])
    assert isinstance(error, Exception)
    assert await ground.rows("SELECT name FROM sessions") == [("s",)]


@pytest_twisted.ensureDeferred
async def test_a_transaction_without_notes_leaves_the_end_alone(ground: Ground) -> None:
    await ground.session("s", "A")
    await ground.send("s", "A")
    assert await ground.rows("SELECT seq, hash FROM audit_end") == [(0, GENESIS)]


@pytest_twisted.ensureDeferred
async def test_the_writer_groups_notes_with_sends(ground: Ground) -> None:
    await ground.session("s", "A")
    wishes = [ground.send("s", "A") for _ in range(5)]
    notes = [ground.store.writer.note(note(n, Act.MESSAGES_READ)) for n in range(5)]
    await together([*wishes, *notes, *[ground.send("s", "A") for _ in range(5)]])
    rows = await entries(ground)
    assert sorted(row[1] - NOW for row in rows) == list(range(5))
    assert await verify(ground) == (5, None)
    assert len(await ground.log("s")) == 10
    if ground.postgres:  # the first send and note went alone, all that gathered meanwhile together
        for table in ("messages", "audit"):
            (batches,) = (await ground.rows(f"SELECT count(DISTINCT xmin::text) FROM {table}"))[0]
            assert batches <= 2


@pytest_twisted.ensureDeferred
async def test_a_bad_send_does_not_fail_the_note_beside_it(ground: Ground) -> None:
    await ground.session("s", "A")
    found = await outcomes(
        [ground.send("s", "A"), ground.send("s", "X"), ground.store.writer.note(note())]
    )
    assert isinstance(found[1], Exception) and found[2] == note()
    assert await verify(ground) == (1, None)


# ---- many writers


@pytest_twisted.ensureDeferred
async def test_parallel_writers_keep_one_chain(ground: Ground) -> None:
    await ground.session("s", "A")
    await together(
        [write(ground, note(n), note(n)) if n % 3 else ground.store.writer.note(note(n))
         for n in range(90)]
    )  # fmt: skip
    rows = await entries(ground)
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert await verify(ground) == (150, None)


@pytest_twisted.ensureDeferred
async def test_processes_keep_one_chain(postgres_ground: Ground) -> None:
    ground = postgres_ground
    other = await Ground(ground.url, ground.clock).open()
    try:
        await together([write(g, note(n)) for n in range(60) for g in (ground, other)])
    finally:
        await other.close()
    assert await verify(ground) == (120, None)


def _work_hard(url: str, seed: int, sessions: int, errors: list[BaseException]) -> None:
    """Audited transactions, each on some sessions in the order of their ids."""
    chance = random.Random(seed)
    try:
        with closing(connector(url)()) as connection:
            for turn in range(25):
                wanted = sorted(chance.sample(range(sessions), 2))

                def work(transaction, wanted=wanted, turn=turn) -> None:
                    for number in wanted:
                        transaction.audit.note(note(turn, target=f"s{number}"))
                        assert transaction.sessions.lock(f"s{number}") is not None
                        transaction.sessions.rename(f"s{number}", f"{seed}-{turn}")

                transact(connection, work, write=True)
    except BaseException as error:
        errors.append(error)


@pytest_twisted.ensureDeferred
async def test_parallel_audited_transactions_do_not_deadlock(postgres_ground: Ground) -> None:
    """The chain's end is locked last, so nobody who holds it waits for anything."""
    ground = postgres_ground
    for number in range(4):
        await ground.session(f"s{number}", "A")
    errors: list[BaseException] = []
    threads = [
        threading.Thread(target=_work_hard, args=(ground.url, seed, 4, errors)) for seed in range(6)
    ]
    for thread in threads:
        thread.start()
    sends = [ground.send(f"s{n % 4}", "A") for n in range(100)]
    await together([*sends, *[ground.store.writer.note(note(n)) for n in range(50)]])
    for thread in threads:
        thread.join()
    assert errors == []  # a deadlock would be Collided: these threads do not try again
    assert await verify(ground) == (6 * 25 * 2 + 50, None)


@pytest_twisted.ensureDeferred
async def test_the_end_is_locked_after_everything_else(postgres_ground: Ground) -> None:
    """An act that waits for a session holds nobody else's note up."""
    ground = postgres_ground
    await ground.session("s", "A")
    with closing(connector(ground.url)()) as holder:
        holder.begin(write=True)
        holder.row("SELECT 1 FROM sessions WHERE id = 's' FOR UPDATE")

        def rename(transaction) -> None:
            transaction.audit.note(note(1))
            transaction.sessions.rename("s", "new")  # waits for the holder

        waiting = ground.store.database.write(rename)
        await write(ground, note(2))
        holder.rollback()
        await waiting
    assert [row[1] - NOW for row in await entries(ground)] == [2, 1]


# ---- a touched trail shows


@pytest.mark.parametrize(
    ("statements", "holds", "at", "why"),
    [
        (["UPDATE audit SET detail = '{}' WHERE seq = 3"], 2, 3, "changed"),
        (["UPDATE audit SET actor = 'user:X' WHERE seq = 1"], 0, 1, "changed"),
        (["UPDATE audit SET time = time + 1 WHERE seq = 5"], 4, 5, "changed"),
        (["UPDATE audit SET hash = upper(hash) WHERE seq = 4"], 3, 4, "changed"),
        (["DELETE FROM audit WHERE seq = 3"], 2, 3, "missing"),
        (["DELETE FROM audit WHERE seq = 1"], 0, 1, "missing"),
        (["DELETE FROM audit WHERE seq = 5"], 4, 5, "end"),
        (["DELETE FROM audit"], 0, 1, "end"),
        (
            ["UPDATE audit SET seq = 90 WHERE seq = 2", "UPDATE audit SET seq = 2 WHERE seq = 3",
             "UPDATE audit SET seq = 3 WHERE seq = 90"], 1, 2, "changed",
        ),
        (
            ["INSERT INTO audit SELECT 6, time, actor, action, object, detail, hash FROM audit"
             " WHERE seq = 5"], 5, 6, "changed",
        ),
        (
            ["DELETE FROM audit WHERE seq = 2", "UPDATE audit SET seq = seq - 1 WHERE seq = 3",
             "UPDATE audit SET seq = seq - 1 WHERE seq = 4",
             "UPDATE audit SET seq = seq - 1 WHERE seq = 5"], 1, 2, "changed",
        ),
        (["UPDATE audit_end SET seq = 4"], 5, 6, "end"),
        (["DELETE FROM audit_end"], 5, 6, "end"),
        (["UPDATE audit_end SET hash = upper(hash)"], 5, 6, "end"),
    ],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_a_flipped_dropped_swapped_or_added_row_shows(
    ground: Ground, statements, holds, at, why
) -> None:
    await write(ground, *[note(n) for n in range(5)])
    await spoil(ground, *statements)
    count, flaw = await verify(ground)
    assert (count, flaw.seq) == (holds, at) and why in flaw.why


@pytest_twisted.ensureDeferred
async def test_a_row_added_with_a_fitting_hash_shows_by_the_end(ground: Ground) -> None:
    await write(ground, note())
    ((last,),) = await ground.rows("SELECT hash FROM audit")
    row = (NOW, "user:X", "user.put", "u", "{}")

    def forge(transaction) -> None:
        transaction.connection.run(
            "INSERT INTO audit (seq, time, actor, action, object, detail, hash)"
            " VALUES (2, %s, %s, %s, %s, %s, %s)",
            (*row, chained(last, 2, *row)),
        )

    await ground.store.database.write(forge)
    count, flaw = await verify(ground)
    assert count == 2 and "end" in flaw.why


@pytest_twisted.ensureDeferred
async def test_a_row_rewritten_with_its_own_hash_breaks_the_next(ground: Ground) -> None:
    """Each hash covers the one before, so a forger must rewrite everything that follows."""
    await write(ground, *[note(n) for n in range(5)])
    rows = await entries(ground)
    forged = (*rows[1][1:5], "{}")

    def forge(transaction) -> None:
        transaction.connection.run(
            "UPDATE audit SET detail = '{}', hash = %s WHERE seq = 2",
            (chained(rows[0][6], 2, *forged),),
        )

    await ground.store.database.write(forge)
    count, flaw = await verify(ground)
    assert (count, flaw.seq) == (2, 3)


@pytest_twisted.ensureDeferred
async def test_a_long_trail_is_read_in_strides(ground: Ground, monkeypatch) -> None:
    monkeypatch.setattr("imd.storage.audit._STRIDE", 10)
    for size in (10, 7, 3):
        await write(ground, *[note(n) for n in range(size)])
        assert (await verify(ground))[1] is None
    await spoil(ground, "UPDATE audit SET object = 'x' WHERE seq = 11")
    assert (await verify(ground))[0] == 10


_words = some.text(some.characters(codec="utf-8", exclude_characters="\0"), max_size=9)


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(one=some.tuples(_words, _words, _words), other=some.tuples(_words, _words, _words))
def test_different_entries_have_different_hashes(one, other) -> None:
    """Fields cannot run into one another."""
    hashes = {chained(GENESIS, 1, 2, row[0], "a", row[1], row[2]) for row in (one, other)}
    assert len(hashes) == len({one, other})


# ---- reading it


@pytest_twisted.ensureDeferred
async def test_a_page_is_the_newest_entries_oldest_first(ground: Ground) -> None:
    acts = (Act.USER_PUT, Act.MESSAGES_READ, Act.MESSAGE_EDITED, Act.SESSION_RENAMED)
    await write(ground, *[note(n, act, f"o{n % 2}") for n, act in enumerate(acts)])

    async def seqs(action=None, object_=None, since=None, limit=100) -> list[int]:
        def look(transaction):
            return transaction.audit.page(action=action, object_=object_, since=since, limit=limit)

        return [entry.seq for entry in await ground.store.database.read(look)]

    assert await seqs() == [1, 2, 3, 4]
    assert await seqs(limit=2) == [3, 4]
    assert await seqs("message.*") == [3]
    assert await seqs("message*") == await seqs("MESSAGE*") == [2, 3]
    assert await seqs("*.read") == [2]
    assert await seqs("user_put") == await seqs("%") == await seqs("user!put") == []
    assert await seqs("user.put") == [1]
    assert await seqs(object_="o1") == [2, 4]
    assert await seqs(since=NOW + 2) == [3, 4]
    assert await seqs("*", "o1", NOW + 2) == [4]


def test_the_trail_knows_its_connection_only(sqlite_copy) -> None:
    """Reading the trail asks for nothing but SELECTs, so that a snapshot is enough."""
    with closing(connector(sqlite_copy)()) as connection:
        connection.begin(write=False)
        reading: Connection = connection
        assert Audit(reading).verify() == (0, None)
        connection.rollback()
