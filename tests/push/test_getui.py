"""App push by Getui: every device, its exact badge, never where the app shows itself."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import pytest_twisted

from imd.domain.user import Device
from imd.push.getui import request_id, signature
from tests.push.world import LATER, MINUTE, World
from tests.storage.ground import NOW

PUSH = "/v2/gt-app/push/single/cid"
AUTH = "/v2/gt-app/auth"


async def doctor(world: World, *devices: tuple[str, int, str]) -> None:
    """A doctor with these devices and two sessions, one unread message in the second."""
    await world.ground.session("s1", "P1", "D1")
    await world.ground.session("s2", "P1", "D1")
    for n, (client_id, platform, state) in enumerate(devices or [("c1", 0, "background")]):
        device = Device("D1", client_id, platform, "t", state, NOW + n)
        await world.register(device)


async def say(world: World, session_id: str = "s1") -> None:
    await world.send(session_id, "P1", content="胸口疼")
    world.clock.time += LATER


def test_the_signature_is_getuis() -> None:
    expected = hashlib.sha256(b"key1700000000000secret").hexdigest()
    assert signature("key", "1700000000000", "secret") == expected


@pytest_twisted.ensureDeferred
async def test_a_doctor_is_told_on_every_device_with_the_exact_badge(world) -> None:
    await doctor(world, ("ios", 0, "background"), ("android", 1, "background"))
    await say(world, "s2")
    carrier = world.app()
    postman = world.postman(carrier)
    await world.round(postman)
    await say(world)
    await say(world)
    await world.round(postman)
    sent = {(m["audience"]["cid"][0], m["time"]): m for m in world.getui.sent}
    last = [m for m in world.getui.sent if m["time"] == world.clock.time / 1000]
    assert len(sent) == 4
    (ios,) = [m for m in last if "ios" in m["push_channel"]]
    assert ios["push_channel"]["ios"]["auto_badge"] == "3"
    assert ios["push_channel"]["ios"]["aps"]["thread-id"] == "s1"
    assert "胸口疼" not in str(world.getui.sent)
    assert world.getui.calls[AUTH] == 1
    assert {row[5] for row in await world.ended()} == {"sent"}


@pytest_twisted.ensureDeferred
async def test_the_request_id_is_the_same_for_each_attempt_so_nobody_is_told_twice(quick) -> None:
    await doctor(quick, ("a", 0, "background"), ("b", 1, "background"))
    await say(quick)
    carrier = quick.app()
    postman = quick.postman(carrier)
    (claim,) = await quick.claim("app")
    assert request_id(claim.send_id, "a") == request_id(claim.send_id, "a")
    assert len(request_id(claim.send_id, "a")) == 32
    assert request_id(claim.send_id, "a") != request_id(claim.send_id, "b")
    quick.clock.time += 30_000
    await quick.round(postman)
    await quick.write(lambda tx: tx.connection.run("DELETE FROM pushes"))
    # As if the process had died before it wrote the result down.
    await quick.write(
        lambda tx: tx.connection.run(
            "INSERT INTO outbox (session_id, user_id, channel, first_seq, upto_seq, due,"
            " create_time) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (*claim[:3], claim.first_seq, claim.upto_seq, 0, claim.create_time),
        )
    )
    await quick.round(postman)
    assert quick.getui.calls[PUSH] == 4
    assert len(quick.getui.sent) == 2


@pytest_twisted.ensureDeferred
async def test_a_device_that_getui_knows_no_more_is_forgotten(world) -> None:
    await doctor(world, ("gone", 0, "background"), ("here", 1, "background"))
    world.getui.unknown.add("gone")
    await say(world)
    await world.round(world.postman(world.app()))
    assert [row[5] for row in await world.ended()] == ["sent"]
    rows = await world.ground.rows("SELECT client_id FROM devices")
    assert rows == [("here",)]


@pytest_twisted.ensureDeferred
async def test_without_any_device_left_nobody_can_be_told(quick) -> None:
    await doctor(quick)
    quick.getui.unknown.add("c1")
    await say(quick)
    await quick.round(quick.postman(quick.app()))
    assert [row[5:] for row in await quick.ended()] == [("unreachable", "20001")]
    await say(quick)
    assert await quick.outbox() == []


@pytest.mark.parametrize(
    ("state", "online", "told"),
    [
        ("foreground", True, False), ("foreground", False, True),
        ("background", True, True), ("background", False, True),
    ],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_the_app_in_the_foreground_with_a_socket_is_not_pushed(
    quick, state, online, told
) -> None:
    await doctor(quick, ("c1", 0, state))
    if online:
        quick.online.users.add("D1")
    await say(quick)
    await quick.round(quick.postman(quick.app()))
    assert bool(quick.getui.sent) is told
    assert [row[5] for row in await quick.ended()] == ["sent" if told else "foreground"]


@pytest_twisted.ensureDeferred
async def test_of_several_devices_only_the_one_in_the_foreground_is_left_out(quick) -> None:
    await doctor(quick, ("shown", 0, "foreground"), ("pocket", 1, "background"))
    quick.online.users.add("D1")
    await say(quick)
    await quick.round(quick.postman(quick.app()))
    assert [m["audience"]["cid"] for m in quick.getui.sent] == [["pocket"]]


@pytest_twisted.ensureDeferred
async def test_an_expired_token_is_renewed_and_the_push_repeated_at_once(quick) -> None:
    await doctor(quick)
    postman = quick.postman(quick.app())
    await say(quick)
    await quick.round(postman)
    quick.getui.expire_tokens()
    await say(quick)
    await quick.round(postman)
    assert quick.getui.calls[AUTH] == 2
    assert [row[5] for row in await quick.ended()] == ["sent", "sent"]


ODD: dict[str, Any] = {
    "500": (500, {}, b""), "html": (200, {}, b"<html>"), "empty": (200, {}, b""),
    "no data": (200, {}, b'{"code":0}'),
    "other cid": (200, {}, b'{"code":0,"data":{"t":{"x":"y"}}}'),
    "busy": 10009, "quota": 10010, "code": 99999, "silence": None,
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
@pytest_twisted.ensureDeferred
async def test_an_odd_answer_is_tried_again(quick, name) -> None:
    await doctor(quick)
    await say(quick)
    quick.getui.script.append(ODD[name])
    postman = quick.postman(quick.app())
    for _ in range(4):
        await quick.round(postman)
    assert quick.getui.calls[PUSH] == 1
    quick.clock.time += 11 * MINUTE
    await quick.round(postman)
    assert [row[5] for row in await quick.ended()] == ["sent"]


@pytest_twisted.ensureDeferred
async def test_a_wrong_master_secret_is_an_outage_and_no_loss(quick) -> None:
    await doctor(quick)
    carrier = quick.app()
    carrier._application = carrier._application._replace(master_secret="wrong")
    await say(quick)
    await quick.round(quick.postman(carrier))
    rows = await quick.ground.rows("SELECT failure, code FROM outbox")
    assert rows == [("outage", "10003")]
