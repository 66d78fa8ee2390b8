"""How often a session's members have changed is counted by whoever changes them (page 4.3)."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest
import pytest_twisted

from imd.domain.ids import UserId
from imd.domain.participant import Seat
from imd.storage.transaction import Transaction
from tests.storage.ground import Ground
from tests.storage.test_participant_topics import MEMBER, PATH


async def rosters(ground: Ground) -> dict[str, int]:
    found: dict[str, int] = await ground.store.database.read(
        lambda tx: tx.sessions.rosters(["s", "t", "none"])
    )
    return found


def _add(tx: Transaction, *user_ids: str) -> None:
    head = tx.sessions.lock("s")
    assert head is not None
    tx.participants.add(head, [Seat(UserId(user_id), "0") for user_id in user_ids], 1)


@pytest_twisted.ensureDeferred
async def test_it_rises_with_those_who_come_and_go_and_with_nothing_else(ground: Ground) -> None:
    await ground.session("s", "A", "B")
    await ground.session("t", "A")
    before = await rosters(ground)
    assert before.keys() == {"s", "t"}
    write = ground.store.database.write
    await write(lambda tx: _add(tx, "C", "D"))
    came = await rosters(ground)
    assert came["s"] > before["s"]
    await write(lambda tx: tx.participants.remove("s", ["C"]))
    went = await rosters(ground)
    assert went["s"] > came["s"]
    await write(lambda tx: _add(tx, "A", "B"))
    await write(lambda tx: tx.participants.remove("s", ["nobody"]))
    await write(lambda tx: tx.participants.set_role("s", ["A"], "doctor"))
    await write(lambda tx: tx.participants.set_sticky("s", "A", True))
    await ground.send("s", "A")
    await ground.mark("s", "B")
    assert await rosters(ground) == went
    assert went["t"] == before["t"]


@pytest_twisted.ensureDeferred
async def test_an_operators_hand_raises_it_too(ground: Ground) -> None:
    await ground.session("s", "A")
    await ground.session("t", "A", "B")

    def run(sql: str, *params: Any) -> Any:
        return ground.store.database.write(lambda tx: tx.connection.run(sql, params))

    steps = [
        (MEMBER, ("s", "C"), {"s"}),
        ("UPDATE participants SET session_id = 's' WHERE participant_id = %s", ("B",), {"s", "t"}),
        ("UPDATE participants SET participant_id = 'E' WHERE participant_id = %s", ("C",), {"s"}),
        ("DELETE FROM participants WHERE participant_id = %s", ("A",), {"s", "t"}),
    ]
    for sql, params, touched in steps:
        before = await rosters(ground)
        await run(sql, *params)
        after = await rosters(ground)
        assert {name for name in after if after[name] > before[name]} == touched, sql


@pytest_twisted.ensureDeferred
async def test_a_message_bears_the_roster_of_its_transaction(ground: Ground) -> None:
    await ground.session("s", "A", "B")
    await ground.send("s", "A")
    first = (await rosters(ground))["s"]
    assert [entry.roster for entry in ground.commits] == [first]
    assert (await ground.mark("s", "B")).roster == first

    def change(tx: Transaction) -> int:
        """What is appended after a removal, from a head that was read before it."""
        head = tx.sessions.lock("s")
        assert head is not None and head.roster == first
        tx.participants.remove("s", ["B"])
        return tx.log.append(head, [ground.draft("s", "A")], ground.clock.now())[0].roster

    appended = await ground.store.database.write(change)
    second = (await rosters(ground))["s"]
    assert first < second == appended
    read = ground.store.database.read
    found = await read(lambda tx: tx.messages.ranges([("s", 0)], 10))
    assert [entry.roster for entry in found] == [second, second], "as it is now"
    own = await read(lambda tx: tx.sessions.own("s", "A"))
    head = await read(lambda tx: tx.sessions.head("s"))
    assert own is not None and own[1] == second
    assert head is not None and head.roster == second


@pytest_twisted.ensureDeferred
async def test_many_who_come_at_once_are_counted_once(postgres_ground: Ground) -> None:
    """Not a version of the session's row for each of five hundred members."""
    await postgres_ground.session("s", "A")
    before = (await rosters(postgres_ground))["s"]
    names = [f"u{number}" for number in range(300)]
    await postgres_ground.store.database.write(lambda tx: _add(tx, *names))
    assert (await rosters(postgres_ground))["s"] == before + 1


@pytest.mark.parametrize("statement", [MEMBER, "DELETE FROM participants WHERE session_id = %s"])
@pytest_twisted.ensureDeferred
async def test_a_message_that_waits_for_a_change_bears_the_new_roster(
    postgres_ground: Ground, statement: str
) -> None:
    """An operator holds the session's row while a message is sent."""
    ground = postgres_ground
    await ground.session("s", "A", "B")
    before = (await rosters(ground))["s"]
    with psycopg2.connect(ground.url, options=PATH) as other:
        if statement is MEMBER:
            other.cursor().execute(statement, ("s", "C"))
        else:
            other.cursor().execute(f"{statement} AND participant_id = 'B'", ("s",))
        sending = ground.send("s", "A")
        assert not ground.commits
        other.commit()
    await sending
    assert [entry.roster for entry in ground.commits] == [before + 1]
