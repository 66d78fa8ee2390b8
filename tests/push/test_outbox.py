"""The outbox: who gets a row, what raises, puts off, closes and cancels it (pages 4.1 I7, 4.4)."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from imd.domain.ids import UserId
from imd.domain.participant import Mark, Seat
from imd.domain.push import Channel, Claim, Failure, Outbound, State
from imd.domain.user import Device
from tests.push.world import GRACE, LATER, World
from tests.storage.ground import NOW, together


async def chat(world: World, *members: str) -> None:
    await world.patient("P1")
    await world.ground.session("s1", "P1", "D1", *members)


async def device(world: World, user_id: str, client_id: str, state: str = "background") -> None:
    await world.write(
        lambda tx: tx.users.register_device(Device(user_id, client_id, 0, "t", state, NOW))
    )


@pytest_twisted.ensureDeferred
async def test_a_patient_gets_one_row_that_later_messages_raise_without_postponing(world) -> None:
    await chat(world)
    first = await world.send("s1", "D1")
    assert await world.outbox() == [("s1", "P1", "wechat", 1, 1, first.timestamp + GRACE)]
    world.clock.time += 1000
    await world.send("s1", "D1")
    await world.send("s1", "D1")
    assert await world.outbox() == [("s1", "P1", "wechat", 1, 3, first.timestamp + GRACE)]


@pytest_twisted.ensureDeferred
async def test_no_row_for_the_sender_for_strangers_and_for_uncounted_messages(world) -> None:
    await chat(world)
    await world.patient("P2")
    await device(world, "D9", "c9")
    await world.send("s1", "P1")
    await world.send("s1", "D1", type=2105)
    assert await world.outbox() == []


@pytest_twisted.ensureDeferred
async def test_a_member_with_a_device_gets_an_app_push_and_one_without_nothing(world) -> None:
    await chat(world, "D2")
    await device(world, "D1", "c1")
    await world.send("s1", "P1")
    assert [(row[1], row[2]) for row in await world.outbox()] == [("D1", "app")]


@pytest_twisted.ensureDeferred
async def test_a_patient_with_a_device_too_is_told_once(world) -> None:
    await chat(world)
    await device(world, "P1", "c1")
    await world.send("s1", "D1")
    assert [(row[1], row[2]) for row in await world.outbox()] == [("P1", "wechat")]


@pytest_twisted.ensureDeferred
async def test_a_batch_of_several_senders_leaves_each_only_what_others_said(world) -> None:
    await chat(world)
    await device(world, "D1", "c1")
    await together([world.ground.send("s1", who) for who in ("D1", "P1", "D1", "P1")])
    assert [(row[1], row[4]) for row in await world.outbox() if row[1] == "D1"] == [("D1", 4)]
    patient = [row for row in await world.outbox() if row[1] == "P1"]
    facts = await world.office.facts(await claimed(world)) if patient else []
    assert all(known.oldest is None for known in facts)


async def claimed(world: World) -> list[Claim]:
    world.clock.time += LATER
    return await world.claim()


@pytest_twisted.ensureDeferred
async def test_nothing_is_written_where_no_channel_is_configured(migrated_url) -> None:
    world = await World(migrated_url, ()).open()
    await chat(world)
    await device(world, "D1", "c1")
    await world.send("s1", "D1")
    await world.send("s1", "P1")
    assert await world.outbox() == []
    await world.close()


@pytest_twisted.ensureDeferred
async def test_only_configured_channels_get_rows(migrated_url) -> None:
    world = await World(migrated_url, {Channel.APP}).open()
    await chat(world)
    await device(world, "D1", "c1")
    await world.send("s1", "D1")
    await world.send("s1", "P1")
    assert [row[1:3] for row in await world.outbox()] == [("D1", "app")]
    await world.close()


@pytest_twisted.ensureDeferred
async def test_what_was_refused_for_good_gets_no_rows_until_the_entry_changes(world) -> None:
    await chat(world)
    await world.office.refuse("P1", "43004")
    await world.send("s1", "D1")
    assert await world.outbox() == []
    await world.patient("P1", "o-new")
    await world.send("s1", "D1")
    assert [row[1] for row in await world.outbox()] == ["P1"]


@pytest_twisted.ensureDeferred
async def test_a_claim_is_due_rows_only_and_of_one_process(world) -> None:
    await chat(world)
    await world.send("s1", "D1")
    assert await world.claim() == []
    world.clock.time += LATER
    (claim,) = await world.claim()
    assert (claim.user_id, claim.first_seq, claim.upto_seq) == ("P1", 1, 1)
    assert await world.claim() == []
    world.clock.time += 30_000
    (again,) = await world.claim()
    assert again.name != claim.name


@pytest_twisted.ensureDeferred
async def test_eight_claimers_never_share_a_row(world) -> None:
    for n in range(40):
        await world.patient(f"P{n}")
        await world.ground.session(f"s{n:02}", f"P{n}", "D1")
        await world.send(f"s{n:02}", "D1")
    world.clock.time += LATER
    taken = await together([ensureDeferred(world.claim(limit=7)) for _ in range(8)])
    users = [claim.user_id for claims in taken for claim in claims]
    while more := await world.claim():
        users += [claim.user_id for claim in more]
    assert sorted(users) == sorted(f"P{n}" for n in range(40))


@pytest_twisted.ensureDeferred
async def test_marks_close_what_was_seen_and_put_off_what_is_younger(world) -> None:
    await chat(world)
    await world.send("s1", "D1")
    world.clock.time += 2000
    second = await world.send("s1", "D1")
    await world.ground.mark("s1", "P1", 1)
    world.clock.time += 1010
    (facts,) = await world.office.facts(await world.claim())
    assert facts.oldest == second.timestamp
    await world.ground.mark("s1", "P1", 2)
    world.clock.time += 30_000
    (facts,) = await world.office.facts(await world.claim())
    assert (facts.oldest, facts.recalled) == (None, False)


@pytest_twisted.ensureDeferred
async def test_an_ack_counts_from_an_inside_socket_only(world) -> None:
    await chat(world)
    await world.send("s1", "D1")
    world.clock.time += LATER
    claims = await world.claim()
    await world.ground.store.writer.mark(Mark("s1", "P1", 1, read=False, seen=False))
    (facts,) = await world.office.facts(claims)
    assert facts.oldest is not None
    await world.ground.store.writer.mark(Mark("s1", "P1", 1, read=False, seen=True))
    (facts,) = await world.office.facts(claims)
    assert facts.oldest is None


@pytest_twisted.ensureDeferred
async def test_a_recalled_message_is_not_pushed(world) -> None:
    await chat(world)
    message = await world.send("s1", "D1")
    await world.write(lambda tx: tx.messages.recall(message, "D1", NOW))
    world.clock.time += LATER
    (facts,) = await world.office.facts(await world.claim())
    assert (facts.oldest, facts.recalled) == (None, True)


@pytest_twisted.ensureDeferred
async def test_a_removal_cancels_in_its_transaction(world) -> None:
    await chat(world)
    await world.send("s1", "D1")
    world.clock.time += LATER
    claims = await world.claim()
    await world.write(lambda tx: tx.participants.remove("s1", ["P1"]))
    assert await world.outbox() == []
    (facts,) = await world.office.facts(claims)
    assert not facts.member


@pytest_twisted.ensureDeferred
async def test_who_comes_back_starts_with_everything_read(world) -> None:
    await chat(world)
    await world.send("s1", "D1")

    def again(tx) -> None:
        head = tx.sessions.lock("s1")
        tx.participants.remove("s1", ["P1"])
        tx.participants.add(head, [Seat(UserId("P1"), "0")], world.clock.time)

    await world.write(again)
    assert await world.outbox() == []
    message = await world.send("s1", "D1")
    world.clock.time += LATER
    (facts,) = await world.office.facts(await world.claim())
    assert facts.oldest == message.timestamp


@pytest_twisted.ensureDeferred
async def test_a_mute_cancels_and_keeps_away_what_follows(world) -> None:
    await chat(world)
    await world.send("s1", "D1")
    await world.write(lambda tx: tx.participants.set_muted("s1", "P1", True))
    assert await world.outbox() == []
    await world.send("s1", "D1")
    assert await world.outbox() == []
    await world.write(lambda tx: tx.participants.set_muted("s1", "P1", False))
    await world.send("s1", "D1")
    assert [row[3:5] for row in await world.outbox()] == [(3, 3)]


@pytest_twisted.ensureDeferred
async def test_what_came_while_a_push_was_under_way_has_a_push_of_its_own(world) -> None:
    await chat(world)
    await world.send("s1", "D1")
    world.clock.time += LATER
    (claim,) = await world.claim()
    later = await world.send("s1", "D1")
    await world.office.end(claim, State.SENT, "0")
    assert await world.ended() == [("s1", "P1", "wechat", 1, 1, "sent", "0")]
    assert await world.outbox() == [("s1", "P1", "wechat", 2, 2, later.timestamp + GRACE)]


@pytest_twisted.ensureDeferred
async def test_a_claim_that_was_lost_changes_nothing(world) -> None:
    await chat(world)
    await world.send("s1", "D1")
    world.clock.time += LATER
    (lost,) = await world.claim()
    world.clock.time += 30_000
    (held,) = await world.claim()
    await world.office.retry(lost, NOW + 999_999, Failure.OUTAGE, "x")
    await world.office.put_off(lost, NOW + 999_999)
    assert [row[5] for row in await world.outbox()] == [world.clock.time + 30_000]
    await world.office.end(held, State.SENT, "0")
    assert await world.outbox() == []


@pytest_twisted.ensureDeferred
async def test_a_parked_channel_gives_out_nothing_in_any_process(world) -> None:
    await chat(world)
    await world.send("s1", "D1")
    world.clock.time += LATER
    await world.office.park("wechat", world.clock.time + 60_000, "45009")
    assert await world.claim() == []
    assert await world.office.next_due("wechat") == world.clock.time + 60_000
    world.clock.time += 60_000
    assert len(await world.claim()) == 1


@pytest_twisted.ensureDeferred
async def test_a_message_and_its_row_are_one_transaction(world) -> None:
    """Whatever becomes of the batch, a row stands exactly where a message does."""
    await chat(world)
    outbound = Outbound(frozenset({Channel.WECHAT}), GRACE)
    assert world.ground.store.database._outbound.grace == outbound.grace

    def fails(tx) -> None:
        head = tx.sessions.lock("s1")
        tx.log.append(head, [world.ground.draft("s1", "D1")], world.clock.time)
        raise RuntimeError("after the message")

    with pytest.raises(RuntimeError):
        await world.write(fails)
    assert await world.outbox() == []
    assert await world.ground.log("s1") == []
