"""Webhooks: every event, signed, in order within a session, until it is taken (page 4.4)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

from imd.domain.ids import UserId
from imd.domain.participant import Seat
from imd.domain.push import Outbound, Terms
from imd.push.breaker import Stage
from imd.push.http import Answer, HttpPoster, Unreachable
from imd.push.webhooks import Herald, Hook, name_of, signature
from imd.storage.post_office import PostOffice
from tests.push.certificate import self_signed
from tests.push.world import HOUR, MINUTE
from tests.storage.ground import Ground, HandClock, together

URL, SECRET = "https://his.example/imd", "a-secret-of-the-platform"
NAME = name_of(URL)


class Endpoint:
    """The platform: answers what it is told to; ``got`` is what it took, ``asked`` every post."""

    def __init__(self) -> None:
        self.answers: deque[int | Exception] = deque()
        self.asked: list[tuple[dict[str, Any], Mapping[str, str], bytes]] = []
        self.got: list[dict[str, Any]] = []

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        assert url == URL
        event = json.loads(body)
        self.asked.append((event, headers, body))
        answer = self.answers.popleft() if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        if 200 <= answer < 300:
            self.got.append(event)
        return Answer(answer, b"", None)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.got]


class Platform:
    """A store with one endpoint, and its herald."""

    def __init__(self, url: str, events: tuple[str, ...] = ("*",)) -> None:
        self.clock = HandClock()
        self.ground = Ground(url, self.clock)
        self.endpoint = Endpoint()
        self._outbound = Outbound(
            endpoints=((NAME, frozenset(events)),), now=lambda: self.clock.time
        )

    async def open(self) -> Platform:
        await self.ground.open(outbound=self._outbound)
        self.office = PostOffice(self.ground.store.database, self.clock)
        self.herald = self.new_herald()
        return self

    def new_herald(self) -> Herald:
        return Herald(
            reactor, self.clock, self.office, self.endpoint, Hook(NAME, URL, SECRET), Terms(),
            chance=lambda: 0.5, new_id=self.ground.new_id,
        )  # fmt: skip

    async def round(self, times: int = 1) -> None:
        for _ in range(times):
            await self.herald.look()
            await self.herald.grounded()

    async def write(self, work: Any) -> Any:
        return await self.ground.store.database.write(work)

    async def waiting(self) -> int:
        ((number,),) = await self.ground.rows("SELECT count(*) FROM webhook_outbox WHERE dead = 0")
        return int(number)


@pytest_twisted.async_yield_fixture
async def platform(migrated_url):
    opened = await Platform(migrated_url).open()
    yield opened
    await opened.ground.close()


@pytest_twisted.async_yield_fixture
async def quick(sqlite_copy):
    opened = await Platform(sqlite_copy).open()
    yield opened
    await opened.ground.close()


@pytest_twisted.ensureDeferred
async def test_each_change_is_an_event_with_the_object_of_page_1(platform) -> None:
    ground = platform.ground
    await ground.session("s1", "P1:patient", "D1:doctor")
    message = (await ground.send("s1", "D1", content="您好", type=15)).message
    await platform.write(lambda tx: tx.messages.edit(message))
    await platform.round(10)
    await platform.write(lambda tx: tx.messages.recall(message, "D1", platform.clock.time))
    await platform.write(lambda tx: tx.sessions.rename("s1", "新"))
    await ground.topic("t1", "s1", "P1")
    await ground.send("s1", "D1")
    await platform.write(lambda tx: tx.participants.remove("s1", ["D1"]))
    await platform.round(20)
    assert await platform.waiting() == 0
    types = platform.endpoint.types
    assert types == [
        "session.created", "participant.added", "participant.added", "message.created",
        "message.updated", "message.recalled", "session.updated", "session.updated",
        "message.created", "topic.started", "message.created", "topic.replied",
        "participant.removed",
    ]  # fmt: skip
    by_type = {event["type"]: event for event in platform.endpoint.got}
    created = next(e for e in platform.endpoint.got if e["type"] == "message.created")
    assert created["data"]["content"] == "您好"
    assert created["data"]["id"] == message.id
    assert created["time"] == message.timestamp
    assert by_type["message.recalled"]["data"]["content"] is None
    assert by_type["session.created"]["data"]["id"] == "s1"
    assert by_type["participant.removed"]["data"]["participant_id"] == "D1"
    assert by_type["participant.removed"]["data"]["role"] == "doctor"
    assert by_type["topic.started"]["data"]["id"] == "t1"
    assert all(set(event) == {"id", "type", "time", "data"} for event in platform.endpoint.got)


@pytest_twisted.ensureDeferred
async def test_a_body_is_signed_with_its_time(quick) -> None:
    await quick.ground.session("s1", "P1", "D1")
    await quick.round()
    _, headers, body = quick.endpoint.asked[0]
    time, _, digest = headers["X-Imd-Signature"].partition(",v1=")
    assert time == f"t={quick.clock.time}"
    signed = f"{quick.clock.time}.".encode() + body
    assert digest == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert signature("k", 1, b"b") != signature("k", 2, b"b")


@pytest_twisted.ensureDeferred
async def test_an_endpoint_gets_only_what_it_wants(migrated_url) -> None:
    platform = await Platform(migrated_url, ("message.created",)).open()
    await platform.ground.session("s1", "P1", "D1")
    await platform.ground.send("s1", "D1")
    await platform.round(3)
    assert platform.endpoint.types == ["message.created"]
    await platform.ground.close()


@pytest_twisted.ensureDeferred
async def test_events_of_a_session_are_in_order_whatever_fails(platform) -> None:
    for session in ("a", "b", "c"):
        await platform.ground.session(session, "P1", "D1")
    await together(
        [platform.ground.send(s, "D1", content=str(n)) for n in range(8) for s in ("a", "b", "c")]
    )
    platform.endpoint.answers.extend([500, 200, 404, 200, 200, 302, 200, 500, 200] * 3)
    for _ in range(200):
        await platform.round()
        platform.clock.time += 11 * MINUTE // 4
        platform.herald.breaker.succeeded()
        if not await platform.waiting():
            break
    assert await platform.waiting() == 0
    for session in ("a", "b", "c"):
        contents = [
            event["data"]["content"]
            for event in platform.endpoint.got
            if event["type"] == "message.created" and event["data"]["session_id"] == session
        ]
        seqs = [
            event["data"]["seq"]
            for event in platform.endpoint.got
            if event["type"] == "message.created" and event["data"]["session_id"] == session
        ]
        assert seqs == sorted(seqs)
        assert sorted(contents) == [str(n) for n in range(8)]


@pytest_twisted.ensureDeferred
async def test_a_repeat_has_the_same_id_and_nothing_is_hot(quick) -> None:
    await quick.ground.session("s1", "D1")
    quick.endpoint.answers.extend([500, Unreachable("timeout")])
    await quick.round(10)
    assert len(quick.endpoint.asked) == 1
    quick.clock.time += 2000
    await quick.round(10)
    assert len(quick.endpoint.asked) == 2
    quick.clock.time += HOUR
    await quick.round()
    assert len({event["id"] for event, _, _ in quick.endpoint.asked[:3]}) == 1


@pytest_twisted.ensureDeferred
async def test_what_is_not_taken_in_its_time_is_dead_and_can_be_replayed_in_order(platform) -> None:
    await platform.ground.session("s1", "D1", "P1")
    platform.endpoint.answers.extend([400] * 400)
    for _ in range(60):
        await platform.round()
        platform.clock.time += HOUR // 2
        if not await platform.waiting():
            break
        platform.herald.breaker.succeeded()
    dead = await platform.ground.rows("SELECT type FROM webhook_outbox WHERE dead = 1")
    assert dead
    platform.endpoint.answers.clear()
    await platform.write(lambda tx: tx.webhooks.enable(NAME))
    assert await platform.write(lambda tx: tx.webhooks.replay(None, platform.clock.time)) == 3
    platform.herald.breaker.succeeded()
    await platform.round(5)
    assert platform.endpoint.types == [
        "session.created", "participant.added", "participant.added",
    ]  # fmt: skip


@pytest_twisted.ensureDeferred
async def test_after_a_day_of_failures_an_endpoint_is_given_up_until_enabled(platform) -> None:
    ground = platform.ground
    await ground.session("s1", "D1", "P1")
    platform.endpoint.answers.extend([Unreachable("unreachable")] * 500)
    await platform.round()
    platform.clock.time += 24 * HOUR
    platform.herald.breaker.succeeded()
    await ground.send("s1", "D1")
    await platform.round()
    assert await platform.waiting() == 0
    (standing,) = await platform.write(lambda tx: tx.webhooks.standing())
    assert (standing.disabled, standing.waiting) == (True, 0)
    assert standing.dead >= 3
    await ground.send("s1", "D1")  # costs no row any more
    assert await platform.waiting() == 0
    asked = len(platform.endpoint.asked)
    await platform.round(3)
    assert len(platform.endpoint.asked) == asked
    assert await platform.write(lambda tx: tx.webhooks.enable(NAME))
    platform.endpoint.answers.clear()
    platform.herald.breaker.succeeded()
    await ground.send("s1", "D1")
    await platform.round()
    assert platform.endpoint.types == ["message.created"]


@pytest_twisted.ensureDeferred
async def test_two_processes_deliver_in_order_too(platform) -> None:
    await platform.ground.session("s1", "D1", "P1")
    for n in range(10):
        await platform.ground.send("s1", "D1", content=str(n))
    other = platform.new_herald()
    for _ in range(20):
        await together([platform.herald.look(), other.look()])
        await together([platform.herald.grounded(), other.grounded()])
    sent = [e["data"]["seq"] for e in platform.endpoint.got if e["type"] == "message.created"]
    assert sent == list(range(1, 11))


@pytest_twisted.ensureDeferred
async def test_nothing_is_written_where_no_endpoint_is(migrated_url) -> None:
    ground = await Ground(migrated_url, HandClock()).open()
    await ground.session("s1", "D1")
    await ground.send("s1", "D1")
    assert await ground.rows("SELECT count(*) FROM webhook_outbox") == [(0,)]
    await ground.close()


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_is_not_trusted_is_an_outage(tmp_path) -> None:
    """TLS is verified: a server that anybody could be is not spoken to."""
    pem = self_signed(tmp_path, "localhost")
    server = endpoints.serverFromString(
        reactor, f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
    )
    port = await server.listen(Site(Resource()))
    poster = HttpPoster(reactor, seconds=5.0)
    with pytest.raises(Unreachable) as caught:
        await poster.post(f"https://localhost:{port.getHost().port}/", b"{}", {})
    assert caught.value.code == "bad_certificate"
    await poster.close()
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_who_comes_and_goes_in_one_transaction_is_told_in_order(quick) -> None:
    await quick.ground.session("s1", "D1", "P1")
    await quick.round(5)
    quick.endpoint.got.clear()

    def replace_(tx: Any) -> None:
        head = tx.sessions.lock("s1")
        tx.participants.remove("s1", ["P1"])
        tx.participants.add(head, [Seat(UserId("P2"), "0")], quick.clock.time)

    await quick.write(replace_)
    await quick.round(5)
    assert quick.endpoint.types == ["participant.removed", "participant.added"]


async def overdue(platform: Platform) -> int:
    """Notes what waits for an hour; how many that are."""
    number: int = await platform.office.note_overdue({1: platform.clock.time - HOUR})
    return number


async def waiting_topic(platform: Platform, session: str = "s1", topic: str = "t1") -> None:
    await platform.ground.session(session, "P1:patient", "D1:doctor")
    await platform.ground.topic(topic, session, "P1")
    await platform.round(10)
    platform.endpoint.got.clear()


@pytest_twisted.ensureDeferred
async def test_an_unanswered_topic_is_overdue_once(platform) -> None:
    await waiting_topic(platform)
    assert await overdue(platform) == 0
    platform.clock.time += 2 * HOUR
    assert await platform.office.count_overdue({1: platform.clock.time - HOUR}) == 1
    assert await platform.office.note_overdue({2: platform.clock.time}) == 0
    assert await overdue(platform) == 1
    assert await overdue(platform) == 0
    assert await platform.office.count_overdue({1: platform.clock.time - HOUR}) == 1
    await platform.round(3)
    (event,) = platform.endpoint.got
    assert (event["type"], event["data"]["id"]) == ("topic.overdue", "t1")


@pytest.mark.parametrize("meanwhile", ["answered", "ended"])
@pytest_twisted.ensureDeferred
async def test_what_is_not_true_any_more_when_it_is_sent_is_dropped(platform, meanwhile) -> None:
    await waiting_topic(platform)
    platform.clock.time += 2 * HOUR
    assert await overdue(platform) == 1
    if meanwhile == "answered":
        await platform.ground.send("s1", "D1")
    else:
        await platform.ground.end_topic("t1", "s1")
    await platform.round(6)
    assert "topic.overdue" not in platform.endpoint.types
    assert ("message.created" in platform.endpoint.types) == (meanwhile == "answered")
    assert await platform.waiting() == 0


@pytest_twisted.ensureDeferred
async def test_a_topic_that_is_answered_between_two_attempts_is_not_told_of(platform) -> None:
    await waiting_topic(platform)
    platform.clock.time += 2 * HOUR
    assert await overdue(platform) == 1
    platform.endpoint.answers.append(500)
    await platform.round()
    assert [event["type"] for event, *_ in platform.endpoint.asked][-1] == "topic.overdue"
    await platform.ground.send("s1", "D1")
    asked = len(platform.endpoint.asked)
    for _ in range(4):
        platform.clock.time += HOUR // 60
        await platform.round()
    told = [event["type"] for event, *_ in platform.endpoint.asked[asked:]]
    assert told and "topic.overdue" not in told
    assert await platform.waiting() == 0


@pytest_twisted.ensureDeferred
async def test_a_probe_that_has_nothing_true_to_tell_lets_the_next_one_go(platform) -> None:
    await waiting_topic(platform)
    platform.clock.time += 2 * HOUR
    assert await overdue(platform) == 1
    await platform.ground.end_topic("t1", "s1")
    breaker = platform.herald.breaker
    for _ in range(5):
        breaker.failed(-100.0)
    assert breaker.stage is Stage.DOWN
    await platform.round()
    assert breaker.stage is Stage.DOWN, "still probing, for ever"
    left = await platform.ground.rows("SELECT type FROM webhook_outbox")
    assert left == [("session.updated",)]


@pytest_twisted.ensureDeferred
async def test_processes_that_look_at_once_tell_once(platform) -> None:
    for n in range(30):
        await platform.ground.session(f"s{n}", "P1:patient", "D1:doctor")
        await platform.ground.topic(f"t{n}", f"s{n}", "P1")
    platform.clock.time += 2 * HOUR
    told = await together([overdue(platform) for _ in range(4)])
    assert sum(told) + await overdue(platform) == 30
    rows = await platform.ground.rows(
        "SELECT data FROM webhook_outbox WHERE type = 'topic.overdue'"
    )
    assert len({json.loads(data)["id"] for (data,) in rows}) == len(rows) == 30


@pytest_twisted.ensureDeferred
async def test_a_topic_that_waits_again_is_told_of_again(platform) -> None:
    await waiting_topic(platform)
    platform.clock.time += 2 * HOUR
    assert await overdue(platform) == 1
    await platform.ground.send("s1", "D1")
    assert await overdue(platform) == 0
    await platform.write(
        lambda tx: tx.connection.run("UPDATE topics SET reply = 0 WHERE id = 't1'")
    )
    assert await overdue(platform) == 1


@pytest_twisted.ensureDeferred
async def test_who_comes_online_and_goes_is_told_with_the_users_object(quick) -> None:
    await quick.write(lambda tx: tx.users.put("P1", {"kind": "patient", "name": "张"}, 1))
    await quick.office.note_presence({"P1": True})
    await quick.office.note_presence({"P1": False})
    await quick.round(3)
    assert quick.endpoint.types == ["user.online", "user.offline"]
    assert quick.endpoint.got[0]["data"]["name"] == "张"


@pytest_twisted.ensureDeferred
async def test_a_session_of_five_hundred_is_told_of_whole_and_in_order(platform) -> None:
    await platform.ground.session("s1", *(f"P{n:03}" for n in range(500)))
    rows = await platform.ground.rows("SELECT type, data FROM webhook_outbox ORDER BY position")
    assert rows[0][0] == "session.created"
    members = [json.loads(data)["participant_id"] for _, data in rows[1:]]
    assert members == [f"P{n:03}" for n in range(500)]


@pytest_twisted.ensureDeferred
async def test_what_was_recalled_is_not_told_any_more(platform) -> None:
    await platform.ground.session("s1", "P1", "D1")
    message = (await platform.ground.send("s1", "D1", content="写错了")).message
    await platform.ground.send("s1", "D1", content="对的")
    await platform.write(lambda tx: tx.messages.recall(message, "D1", platform.clock.time))
    await platform.round(10)
    assert "写错了" not in str(platform.endpoint.got)
    assert "对的" in str(platform.endpoint.got)
    assert platform.endpoint.types.count("message.created") == 2


@pytest_twisted.ensureDeferred
async def test_events_of_an_endpoint_that_is_configured_no_more_become_dead_letters(
    platform,
) -> None:
    """Else they would be the oldest that is due, and keep what was said, for ever."""
    now = platform.clock.time

    def note(tx: Any) -> None:
        for endpoint in ("gone", NAME):
            for due in (now - 49 * HOUR, now - HOUR):
                tx.connection.run(
                    "INSERT INTO webhook_outbox (endpoint, key, id, type, time, data, due)"
                    " VALUES (%s, 's', 'i', 'message.created', %s, '{}', %s)",
                    (endpoint, due, due),
                )

    async def dead() -> list[tuple[str, int]]:
        rows = await platform.ground.rows(
            "SELECT endpoint, due FROM webhook_outbox WHERE dead = 1 ORDER BY due"
        )
        return [(row[0], row[1]) for row in rows]

    await platform.write(note)
    week, stale = now - 168 * HOUR, now - 48 * HOUR
    while await platform.office.purge(week, stale, (NAME,)):
        pass
    assert await dead() == [("gone", now - 49 * HOUR)]
    assert await platform.waiting() == 3
    while await platform.office.purge(now - 48 * HOUR, stale, ()):
        pass
    assert await dead() == []
    assert await platform.waiting() == 2
