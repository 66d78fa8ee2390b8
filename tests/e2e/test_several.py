"""Pages 4.3 and 4.6 with two real processes on one PostgreSQL and one Redis."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.page import Page
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, running, token
from tests.e2e.town import DOCTOR, PATIENT, SESSION, Town, answered, play, told
from tests.redis_server import RedisServer
from tests.servers import free_port

SWEEP = 2.0


@pytest.fixture
def town(tmp_path: Path, postgres_url: str, breakable_redis: RedisServer) -> Iterator[Town]:
    with ExitStack() as servers:
        two = [
            servers.enter_context(
                running(tmp_path / name, postgres_url, IMD_BUS_URL=breakable_redis.url, **NO_LIMITS)
            )
            for name in ("here", "there")
        ]
        yield Town(two[0], two[1], breakable_redis)


def test_messages_of_both_come_in_order_each_once_with_their_answers(town: Town) -> None:
    async def test(town: Town) -> None:
        doctor, patient = await town.page(town.here, DOCTOR), await town.page(town.there, PATIENT)
        sends = [
            page.send(f"第{number}", f"{page._client_type}-{number}")
            for number in range(100)
            for page in (doctor, patient)
        ]
        answers = await asyncio.gather(*sends)
        for page in (doctor, patient):
            await page.reached(200)
            assert page.faults == [] and len(page.shown) == 200 and len(page.logins) == 1
        assert sorted(answer["seq"] for answer in answers) == list(range(1, 201))
        assert [m["id"] for m in doctor.shown] == [m["id"] for m in patient.shown]

    play(town, test)


def test_every_notification_reaches_the_other_process(town: Town) -> None:
    async def test(town: Town) -> None:
        await town.near.ask("PUT", f"/users/{PATIENT}", {"kind": "patient"})
        inside, outer = (
            await town.page(town.there, PATIENT),
            await town.page(town.there, PATIENT, None),
        )
        mine = await town.page(town.here, DOCTOR)
        (await town.near.post(SESSION, "您好", "k1")).must(201)
        made = (await town.near.post(SESSION, "再见", "k2")).must(201)
        await outer.until(lambda: len(told(outer, "notice")) == 2)
        assert [n["unread"] for n in told(outer, "notice")] == [1, 2]
        await outer.until(lambda: told(outer, "badge"))
        (await town.near.ask("DELETE", f"/sessions/{SESSION}/messages/{made['id']}")).must(200)
        await inside.until(lambda: told(inside, "update"))
        assert told(inside, "update")[0]["recalled"] is True
        await mine.call("typing")
        await inside.until(lambda: told(inside, "typing"))
        await mine.call("read")
        await inside.call("read")
        await mine.until(lambda: {"session_id": SESSION, "user_id": PATIENT, "read_seq": 2}
                         in told(mine, "read"))  # fmt: skip
        await outer.until(lambda: told(outer, "badge")[-1]["badge_no"] == 0)
        path = f"/sessions/{SESSION}/name"
        (await town.near.ask("PUT", path, {"name": "改名"})).must(200)
        for page in (inside, outer):
            await page.until(partial(told, page, "session"))
            assert told(page, "session")[-1]["name"] == "改名"
        topic = {"topic_id": "c1", "start_by": PATIENT, "name": "咳嗽"}
        async with Rest(town.here.port, token(PATIENT, "patient")) as rest:
            (await rest.ask("POST", f"/sessions/{SESSION}/topics", topic)).must(200, 201)
        (await town.near.post(SESSION, "多喝水", "k3")).must(201)
        for page in (inside, outer):
            await page.until(partial(answered, page))
        assert inside.faults == outer.faults == mine.faults == []

    play(town, test)


def test_a_removal_closes_the_sockets_of_every_process_at_once(town: Town) -> None:
    async def test(town: Town) -> None:
        gone, stays = await town.page(town.there, PATIENT), await town.page(town.there, DOCTOR)
        begun = time.monotonic()
        path = f"/sessions/{SESSION}/participants/{PATIENT}"
        (await town.near.ask("DELETE", path)).must(200)
        await gone.until(lambda: gone.closes)
        assert gone.closes[0][0] == 4403 and time.monotonic() - begun < 1
        (await town.near.post(SESSION, "只有我们", "k")).must(201)
        await stays.reached(1)
        assert gone.shown == []

    play(town, test)


@pytest.mark.parametrize("bus", ["there", "away"])
def test_what_is_taken_away_is_taken_away_everywhere(town: Town, bus: str) -> None:
    async def test(town: Town) -> None:
        if bus == "away":
            town.redis.kill()
            await town.ready(town.near, True)
            await town.ready(town.far, True)
        secret = token(PATIENT, "patient", jti="once")
        page = Page(town.there.port, secret, "patient", SESSION)
        town.pages.append(page)
        await page.opened()
        gone = await town.page(town.there, DOCTOR)
        begun = time.monotonic()
        async with Rest(town.here.port, secret) as rest:
            (await rest.ask("POST", "/users/logout", {"user_id": PATIENT})).must(200, 204)
        await page.until(lambda: page.closes)
        assert page.closes[0][0] == 4403
        assert time.monotonic() - begun < (1 if bus == "there" else 5)
        begun = time.monotonic()
        (await town.near.ask("DELETE", f"/sessions/{SESSION}/participants/{DOCTOR}")).must(200)
        await gone.until(lambda: gone.closes)
        assert gone.closes[0][0] == 4403
        assert time.monotonic() - begun < (1 if bus == "there" else SWEEP + 1)

    play(town, test)


def test_redis_dies_and_returns_in_the_middle_of_it_all(town: Town) -> None:
    async def test(town: Town) -> None:
        pages = [await town.page(imd, user) for imd in (town.here, town.there)
                 for user in (DOCTOR, PATIENT)]  # fmt: skip
        outer = await town.page(town.there, PATIENT, None)
        late: list[float] = []

        async def send(count: int, name: str, pause: float) -> None:
            for number in range(count):
                rest = (town.near, town.far)[number % 2]
                seq = (await rest.post(SESSION, name, f"{name}{number}")).must(201)["seq"]
                begun = time.monotonic()
                if number == count - 1:
                    for page in pages:
                        await page.reached(seq)
                    late.append(time.monotonic() - begun)
                await asyncio.sleep(pause)

        for round_ in range(2):
            await send(20, f"up{round_}", 0.005)
            town.redis.kill()
            await send(40, f"down{round_}", 0.01)
            await town.ready(town.near, True)
            await send(20, f"away{round_}", 0.01)
            town.redis.start()
            await send(40, f"back{round_}", 0.01)
            await town.ready(town.near, False)
            await town.ready(town.far, False)
        await send(20, "end", 0.0)
        assert max(late) < SWEEP + 1, late
        assert late[-1] < 0.5, late
        for page in pages:
            assert page.faults == [] and len(page.logins) == 1
            assert [m["seq"] for m in page.shown] == list(range(1, 261))
        await outer.until(
            lambda: (
                told(outer, "notice") and told(outer, "notice")[-1]["last_message"]["seq"] == 260
            )
        )
        seqs = [n["last_message"]["seq"] for n in told(outer, "notice")]
        assert seqs == list(range(1, 261)), "each notice once, in order"
        assert len(outer.logins) == 1

    play(town, test)


def test_a_frozen_redis_freezes_nothing(town: Town) -> None:
    async def test(town: Town) -> None:
        page = await town.page(town.there, PATIENT)
        with town.redis.paused():
            slowest = 0.0
            for number in range(60):
                begun = time.monotonic()
                (await town.near.post(SESSION, "您好", f"k{number}")).must(201)
                status = (await town.near.ask("GET", f"/users/{PATIENT}/status")).must(200)
                slowest = max(slowest, time.monotonic() - begun)
                assert "online" in status
                await asyncio.sleep(0.05)
            assert slowest < 1.0
            begun = time.monotonic()
            await page.reached(60)
            assert time.monotonic() - begun < SWEEP + 1
            await town.ready(town.near, True)
        await town.ready(town.near, False)
        await town.ready(town.far, False)
        (await town.near.post(SESSION, "您好", "last")).must(201)
        await page.reached(61)
        assert page.faults == [] and len(page.logins) == 1

    play(town, test)


def test_presence_is_known_everywhere_and_dies_with_its_process(town: Town) -> None:
    async def test(town: Town) -> None:
        await town.page(town.there, PATIENT)
        await town.page(town.there, PATIENT, None)
        await town.page(town.here, DOCTOR)

        async def seen(user: str, clients: list[str], seconds: float) -> None:
            async with asyncio.timeout(seconds):
                while True:
                    status = (await town.near.ask("GET", f"/users/{user}/status")).must(200)
                    assert status["online"] is bool(status["clients"])
                    if status["clients"] == clients:
                        return
                    await asyncio.sleep(0.05)

        await seen(PATIENT, ["patient", "patient_system"], 3)
        members = (await town.near.ask("GET", f"/sessions/{SESSION}/participants")).must(200)
        assert [m["online"] for m in members["items"]] == [True, True]
        town.there.kill()
        await seen(PATIENT, [], 15)
        members = (await town.near.ask("GET", f"/sessions/{SESSION}/participants")).must(200)
        assert [m["participant_id"] for m in members["items"] if m["online"]] == [DOCTOR]

    play(town, test)


def test_a_start_without_redis_is_ready_and_finds_it_later(
    tmp_path: Path, postgres_url: str
) -> None:
    redis = RedisServer()
    if not redis.ours:
        pytest.skip("NOT TESTED: Redis is not ours to break")
    redis.port = free_port()
    settings = {**NO_LIMITS, "IMD_BUS_URL": redis.url}
    with (
        running(tmp_path / "here", postgres_url, **settings) as here,
        running(tmp_path / "there", postgres_url, **settings) as there,
    ):

        async def test(town: Town) -> None:
            await town.ready(town.near, True)
            page = await town.page(town.there, PATIENT)
            (await town.near.post(SESSION, "您好", "k1")).must(201)
            await page.reached(1)
            redis.start()
            await town.ready(town.near, False)
            await town.ready(town.far, False)
            begun = time.monotonic()
            (await town.near.post(SESSION, "您好", "k2")).must(201)
            await page.reached(2)
            assert time.monotonic() - begun < 1 and page.faults == []

        try:
            play(Town(here, there, redis), test)
        finally:
            redis.stop()


def test_redis_hears_no_text_and_no_name(town: Town) -> None:
    secret = "肺部阴影secret"

    async def test(town: Town) -> None:
        await town.page(town.there, PATIENT)
        heard = asyncio.create_task(_monitor(town.redis.port))
        await asyncio.sleep(0.1)
        (await town.near.ask("PUT", f"/users/{PATIENT}", {"name": secret}))
        (await town.near.post(SESSION, secret, "k1")).must(201)
        (await town.near.ask("PUT", f"/sessions/{SESSION}/name", {"name": secret})).must(200)
        await asyncio.sleep(0.3)
        text = await heard
        assert b"PUBLISH" in text and SESSION.encode() in text
        for part in (secret, "肺", "secret"):
            assert part.encode() not in text and json.dumps(part)[1:-1].encode() not in text

    async def _monitor(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"MONITOR\r\n")
        text = b""
        try:
            async with asyncio.timeout(1.5):
                while part := await reader.read(65536):
                    text += part
        except TimeoutError:
            writer.close()
        return text

    play(town, test)
