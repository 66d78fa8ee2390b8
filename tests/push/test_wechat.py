"""WeChat as it answers: every code and every oddity, one token for all, no secret in any log."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import provider

from imd.domain.push import Outbound
from imd.push.fitting import fitting
from imd.push.http import HttpPoster, Unreachable
from imd.push.templates import Template, data, link
from imd.push.wechat import SubscribeMessages, TemplateMessages
from imd.storage.post_office import PostOffice
from imd.storage.store import open_store
from tests.push.world import LATER, MINUTE, SECRET, TEMPLATE, World
from tests.storage.ground import together


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Everything that was logged, with all its fields."""
    events: list[str] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure")
        events.append(repr(event) + (failure.getTraceback() if failure else ""))

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


async def due(world: World, content: str = "x") -> Any:
    """A patient with one unseen message whose time has come."""
    await world.patient("P1")
    await world.ground.session("s1", "P1", "D1")
    message = await world.send("s1", "D1", content=content)
    world.clock.time += LATER
    return message


@pytest_twisted.ensureDeferred
async def test_the_patient_is_told_without_the_text(world) -> None:
    message = await due(world, "您的化验结果")
    await world.round(world.postman(world.wechat()))
    (sent,) = world.fake.sent
    assert (sent["touser"], sent["template_id"]) == ("o-P1", "T1")
    assert sent["url"] == f"https://h5.example/chat?s=s1&m={message.id}&seq=1"
    assert sent["data"]["thing1"] == {"value": "s1"}
    assert sent["data"]["number3"] == {"value": "1"}
    assert "化验" not in str(sent)
    assert len(sent["client_msg_id"]) == 32
    assert [row[5] for row in await world.ended()] == ["sent"]


@pytest_twisted.ensureDeferred
async def test_the_text_goes_along_only_where_it_is_configured(quick) -> None:
    await due(quick, "请按时服药")
    template = Template("T1", "", (("thing1", "{text}"),))
    carrier = TemplateMessages(
        quick.account, quick.poster, quick.keeper(), template, {}, include_text=True
    )
    await quick.round(quick.postman(carrier))
    assert quick.fake.sent[0]["data"] == {"thing1": {"value": "请按时服药"}}


@pytest_twisted.ensureDeferred
async def test_a_session_type_may_have_a_template_of_its_own(quick) -> None:
    await quick.patient("P1")
    await quick.ground.session("s8", "P1", "D1", type_=8)
    await quick.send("s8", "D1")
    quick.clock.time += LATER
    special = {
        8: Template(
            "T8", "https://h5.example/{session_type}/{type_name}", (("thing1", "{session_kind}"),)
        )
    }
    carrier = TemplateMessages(
        quick.account, quick.poster, quick.keeper(), TEMPLATE, special, False
    )
    await quick.round(quick.postman(carrier))
    (sent,) = quick.fake.sent
    assert (sent["template_id"], sent["url"]) == ("T8", "https://h5.example/8/TEXT")
    assert sent["data"] == {"thing1": {"value": "续方咨询"}}


def test_values_are_quoted_and_cut_as_wechat_takes_them() -> None:
    words = {"session_id": "a/b?c&d=张", "session_name": "张" * 40}
    assert link("https://h/{session_id}", words) == "https://h/a%2Fb%3Fc%26d%3D%E5%BC%A0"
    template = Template("T", "", (("thing1", "{session_name}"), ("phrase2", "{session_name}")))
    found = data(template, words)
    assert found["thing1"]["value"] == "张" * 19 + "…"
    assert found["phrase2"]["value"] == "张" * 5
    assert fitting("thing1", " \n ") == "-"
    assert fitting("first", "x" * 300) == "x" * 199 + "…"


# ---- codes (page 4.4)

RETRIED = "retried"


@pytest.mark.parametrize(
    ("code", "state", "refused"),
    [
        (40003, "dead", True), (43004, "dead", True), (43101, "dead", True),
        (40037, "dead", False), (47001, "dead", False), (47003, "dead", False),
        (45168, "dead", False), (-1, RETRIED, False), (40013, RETRIED, False),
        (40125, RETRIED, False), (40164, RETRIED, False), (48001, RETRIED, False),
        (45009, RETRIED, False), (45011, RETRIED, False), (99999, RETRIED, False),
    ],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_each_code_has_its_consequence(quick, code, state, refused) -> None:
    await due(quick)
    quick.fake.script.append(code)
    postman = quick.postman(quick.wechat())
    await quick.round(postman)
    for _ in range(5):
        await quick.round(postman)  # nothing is tried before its time
    assert quick.fake.calls["/cgi-bin/message/template/send"] == 1
    if state == RETRIED:
        assert len(await quick.outbox()) == 1
        quick.clock.time += 10 * MINUTE
        await quick.round(postman)
        assert [row[5] for row in await quick.ended()] == ["sent"]
    else:
        assert [row[5:] for row in await quick.ended()] == [(state, str(code))]
    (row,) = await quick.ground.rows("SELECT push_refused FROM users WHERE id = 'P1'")
    assert row[0] == (str(code) if refused else None)


@pytest.mark.parametrize("code", [40001, 40014, 42001])
@pytest_twisted.ensureDeferred
async def test_a_refused_token_is_renewed_and_the_send_repeated_at_once(quick, code) -> None:
    await due(quick)
    quick.fake.script.append(code)
    await quick.round(quick.postman(quick.wechat()))
    assert [row[5] for row in await quick.ended()] == ["sent"]
    # The stable token was the same, so a wholly new one was asked for.
    assert quick.fake.calls["/cgi-bin/stable_token"] == 3


@pytest_twisted.ensureDeferred
async def test_a_token_that_stays_refused_is_no_hot_loop(quick) -> None:
    await due(quick)
    quick.fake.script.extend([40001] * 100)
    postman = quick.postman(quick.wechat())
    for _ in range(10):
        await quick.round(postman)
    assert quick.fake.calls["/cgi-bin/message/template/send"] == 2
    assert quick.fake.calls["/cgi-bin/stable_token"] <= 3


# ---- oddities

HTML = (200, {"Content-Type": "text/html"}, b"<html>maintenance</html>")
ODD: dict[str, Any] = {
    "500": (500, {}, b""), "502 with HTML": (502, {}, b"<html>"), "503": (503, {}, b"{}"),
    "200 with HTML": HTML, "empty": (200, {}, b""), "no object": (200, {}, b"[1]"),
    "no code": (200, {}, b"{}"), "code as text": (200, {}, b'{"errcode":"0"}'),
    "code true": (200, {}, b'{"errcode":true}'), "code null": (200, {}, b'{"errcode":null}'),
    "deep": (200, {}, b"[" * 60_000), "bad UTF-8": (200, {}, b'{"errcode":\xff}'),
    "huge": (200, {}, b"x" * 200_000), "redirect": (302, {"Location": "/elsewhere"}, b""),
    "moved": (301, {"Location": "http://127.0.0.1:1/"}, b""), "403": (403, {}, b"no"),
    "404": (404, {}, b""), "429": (429, {"Retry-After": "120"}, b""), "204": (204, {}, b""),
    "no gzip": (200, {"Content-Encoding": "gzip"}, b"not gzip"), "silence": None,
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
@pytest_twisted.ensureDeferred
async def test_an_odd_answer_is_tried_again_and_nothing_else_happens(quick, said, name) -> None:
    await due(quick)
    quick.fake.script.append(ODD[name])
    postman = quick.postman(quick.wechat())
    for _ in range(5):
        await quick.round(postman)
    assert quick.fake.calls["/cgi-bin/message/template/send"] == 1
    assert "/elsewhere" not in quick.fake.calls
    ((*_, again),) = await quick.outbox()
    assert again > quick.clock.time + (119_000 if name == "429" else 0)
    quick.clock.time = again
    await quick.round(postman)
    assert [row[5] for row in await quick.ended()] == ["sent"]
    assert len(quick.fake.sent) == 1
    text = "".join(said)
    for secret in (SECRET, "token-", "o-P1"):
        assert secret not in text


@pytest_twisted.ensureDeferred
async def test_an_endless_answer_is_cut_off(quick) -> None:
    quick.fake.script.append(ODD["huge"])
    url = f"{quick.base}/cgi-bin/message/template/send"
    with pytest.raises(Unreachable) as caught:
        await quick.poster.post(url, b"{}", {})
    assert caught.value.code == "too_large"


class Dripping(Protocol):
    """Sends the beginning of an answer, then a byte now and then, or hangs up."""

    begin = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(self.begin)
        if self.begin.endswith(b"!"):
            self.transport.loseConnection()

    lost = 0

    def connectionLost(self, *_: Any) -> None:
        Dripping.lost += 1


@pytest.mark.parametrize(
    "begin",
    [Dripping.begin, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx!", b"!", b"nonsense!"],
)
@pytest_twisted.ensureDeferred
async def test_a_slow_or_broken_answer_ends_at_its_deadline(quick, monkeypatch, begin) -> None:
    monkeypatch.setattr(Dripping, "begin", begin)
    tcp: Any = reactor
    port = tcp.listenTCP(0, Factory.forProtocol(Dripping), interface="127.0.0.1")
    quick.base = f"http://127.0.0.1:{port.getHost().port}"
    await due(quick)
    poster = HttpPoster(reactor, seconds=0.5)
    account = quick.account._replace(base_url=quick.base)
    carrier = TemplateMessages(account, poster, quick.keeper(), TEMPLATE, {}, False)
    await quick.round(quick.postman(carrier))
    ((*_, again),) = await quick.outbox()
    assert again > quick.clock.time
    await poster.close()
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_provider_that_is_not_there_is_an_outage(quick) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    await due(quick)
    account = quick.account._replace(base_url=nobody)
    keeper = quick.keeper()
    carrier = TemplateMessages(account, quick.poster, keeper, TEMPLATE, {}, False)
    postman = quick.postman(carrier)
    await quick.round(postman)
    (row,) = await quick.ground.rows("SELECT failure, code FROM outbox")
    assert row == ("outage", "unreachable")


# ---- one token for all processes


@pytest_twisted.ensureDeferred
async def test_eight_processes_with_an_expired_token_refresh_it_once(world) -> None:
    quiet = lambda _: None  # noqa: E731
    stores = [
        await open_store(
            world.ground.url, reactor=reactor, clock=world.clock, on_commit=quiet, pool=1,
            outbound=Outbound(),
        )
        for _ in range(8)
    ]  # fmt: skip
    keepers = []
    for store in stores:
        world.office = PostOffice(store.database, world.clock)
        keepers.append(world.keeper())
    first = await together([ensureDeferred(keeper.get()) for keeper in keepers for _ in range(3)])
    assert (len(set(first)), world.fake.calls["/cgi-bin/stable_token"]) == (1, 1)
    world.fake.expire_tokens()
    again = await together([ensureDeferred(keeper.get(stale=first[0])) for keeper in keepers])
    assert (len(set(again)), world.fake.calls["/cgi-bin/stable_token"]) == (1, 2)
    assert again[0] != first[0]
    world.clock.time += 3 * 3_600_000
    last = await together([ensureDeferred(keeper.get()) for keeper in keepers])
    assert (len(set(last)), world.fake.calls["/cgi-bin/stable_token"]) == (1, 3)
    for store in stores:
        await store.close(5)


@pytest.mark.parametrize("odd", [500, 40164, "html", 45009])
@pytest_twisted.ensureDeferred
async def test_without_a_token_the_push_waits(quick, odd) -> None:
    await due(quick)
    script: dict[Any, Any] = {500: (500, {}, b""), "html": HTML}
    quick.fake.token_script.append(script.get(odd, odd))
    postman = quick.postman(quick.wechat())
    await quick.round(postman)
    assert len(await quick.outbox()) == 1
    quick.clock.time += 11 * MINUTE
    await quick.round(postman)
    assert [row[5] for row in await quick.ended()] == ["sent"]


@pytest_twisted.ensureDeferred
async def test_who_dies_while_fetching_a_token_is_waited_for_no_longer_than_its_lease(
    quick,
) -> None:
    taken = await quick.office.take_token("wechat:x", None, 15_000)
    assert taken.fetch
    assert not (await quick.office.take_token("wechat:x", None, 15_000)).fetch
    quick.clock.time += 15_001
    assert (await quick.office.take_token("wechat:x", None, 15_000)).fetch


# ---- the mini-program


@pytest_twisted.ensureDeferred
async def test_a_subscribe_message_spends_a_credit_and_none_is_sent_without(quick) -> None:
    await quick.ground.session("s1", "P1", "D1")
    await quick.write(
        lambda tx: tx.connection.run("INSERT INTO push_credits VALUES ('P1', 'mini-P1', 2)")
    )
    quick.fake.credits["mini-P1"] = 1
    carrier = SubscribeMessages(
        quick.account, quick.poster, quick.keeper(),
        Template("T9", "pages/chat?s={session_id}", (("thing1", "{type_name}"),)), False,
    )  # fmt: skip
    postman = quick.postman(carrier)
    states = []
    for _ in range(3):
        await quick.send("s1", "D1")
        quick.clock.time += LATER
        await quick.round(postman)
        states = [row[5:] for row in await quick.ended()]
    assert states == [("sent", "0"), ("dead", "43101")]
    assert quick.fake.sent[0]["page"] == "pages/chat?s=s1"
    rows = await quick.ground.rows("SELECT credits FROM push_credits")
    assert rows == [(0,)]
