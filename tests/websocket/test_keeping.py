"""Pings, silence, slow consumers, origins and farewells, over real connections (page 3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import crypto
from pytest_twisted import ensureDeferred
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import SSL4ClientEndpoint, TCP4ClientEndpoint, connectProtocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater

from imd.websocket.room import SocketSettings
from tests.websocket.client import Client
from tests.websocket.conftest import S, Server, T
from tests.websocket.test_socket import server_has

reactor: Any = _reactor


@ensureDeferred
async def test_a_quiet_peer_is_pinged_and_kept(server: Server) -> None:
    client = await server.login()
    for number in range(1, 6):
        server.seconds(25)
        await client.until(lambda n=number: client.pings == n)
        await client.result("topic")
    assert client.closed is None


@ensureDeferred
async def test_pongs_alone_keep_a_peer(server: Server) -> None:
    client = await server.login()
    (link,) = server.sockets._links
    for _ in range(5):
        server.seconds(25)
        await server_has(client, lambda: link.heard == server.sockets.room.tick)
    assert not client.lost


@ensureDeferred
async def test_a_silent_peer_is_dropped_after_sixty_seconds(server: Server) -> None:
    client, other = await server.login(), await server.login("d")
    client.answers_pings = False
    server.seconds(59)
    await other.result("topic")
    assert not client.lost
    server.seconds(1)
    await client.ends()
    await other.result("topic")


@ensureDeferred
async def test_a_peer_is_pinged_in_time_where_a_login_may_take_longer(make_server: Any) -> None:
    server = make_server(heartbeat=25.0, peer_timeout=60.0, login_timeout=120.0)
    client = await server.login()
    for number in range(1, 4):
        server.seconds(25)
        await client.until(lambda n=number: client.pings == n)
        await client.result("topic")
    assert not client.lost


@ensureDeferred
async def test_a_ping_is_answered(server: Server) -> None:
    client = await server.login()
    pongs: list[bytes] = []
    client.ponged = pongs.append
    client.frame(b"hi", 9)
    await client.until(lambda: pongs)
    assert pongs == [b"hi"]


@ensureDeferred
async def test_a_peer_that_does_not_answer_the_close_is_dropped(server: Server) -> None:
    client = await server.login()
    client.answers_close = False
    client.ask("logout")
    await client.until(lambda: client.closed)
    server.seconds(3)
    assert not client.lost
    server.seconds(1)
    await client.ends(1000)


# ---- slow consumers


def flood(server: Server, frames: int, size: int = 60_000) -> None:
    for _ in range(frames):
        server.send(content="x" * size)


@ensureDeferred
async def test_a_client_that_never_reads_is_closed_and_others_are_unharmed(
    server: Server,
) -> None:
    slow, other = await server.login(), await server.login("d")
    slow.transport.pauseProducing()  # type: ignore[union-attr]
    link = next(one for one in server.sockets._links if one.user_id == "p")
    sent = 0
    while not link.is_gone:
        flood(server, 5)
        sent += 5
        await other.until(lambda n=sent: len(other.told("message")) == n)
        assert sent < 2000
    assert link.wire._waiting() < (1 << 20) + 130_000  # type: ignore[attr-defined]
    server.seconds(2)
    await server_has(other, lambda: len(server.sockets) == 1)
    await other.result("topic")
    assert other.told("message")[-1]["seq"] == sent


@ensureDeferred
async def test_a_slow_client_that_reads_again_sees_4408(server: Server) -> None:
    slow = await server.login()
    slow.transport.pauseProducing()  # type: ignore[union-attr]
    (link,) = server.sockets._links
    while not link.is_gone:
        flood(server, 5)
        await deferLater(reactor, 0)
    slow.transport.resumeProducing()  # type: ignore[union-attr]
    await slow.ends(4408)
    seqs = [m["seq"] for m in slow.told("message")]
    assert seqs == list(range(1, len(seqs) + 1))


@ensureDeferred
async def test_a_client_that_does_not_read_its_answers_gets_no_more(server: Server) -> None:
    for _ in range(15):
        server.world.store(S, content="x" * 60_000)
    client = await server.login("p", T)
    client.transport.pauseProducing()  # type: ignore[union-attr]
    (link,) = server.sockets._links
    ids = [client.ask("history", session_id=S) for _ in range(100)]
    await server_has(client, lambda: link.stalled is not None)
    await deferLater(reactor, 0.05)
    assert link.wire._waiting() < 2 << 20  # type: ignore[attr-defined]
    assert not link.is_gone, "it is not a slow consumer of what it asked for"
    client.transport.resumeProducing()  # type: ignore[union-attr]
    await client.until(lambda: client.answers(ids[-1]), 20)
    assert client.closed is None


@ensureDeferred
async def test_a_client_that_never_reads_its_answers_is_closed_in_the_end(
    server: Server,
) -> None:
    for _ in range(15):
        server.world.store(S, content="x" * 60_000)
    client = await server.login("p", T)
    client.transport.pauseProducing()  # type: ignore[union-attr]
    (link,) = server.sockets._links
    for _ in range(400):
        client.ask("history", session_id=S)
    await server_has(client, lambda: link.stalled is not None and link.reading is not None)
    server.seconds(63)
    await server_has(client, lambda: len(server.sockets) == 0)


@ensureDeferred
async def test_pings_of_a_client_that_does_not_read_are_not_queued_for_ever(
    server: Server,
) -> None:
    client = await server.login()
    client.transport.pauseProducing()  # type: ignore[union-attr]
    (link,) = server.sockets._links
    for _ in range(400):
        for _ in range(500):
            client.frame(b"p" * 125, 9)
        await deferLater(reactor, 0)
        if link.is_gone:
            break
    assert link.is_gone
    assert link.wire._waiting() < (1 << 20) + 1000  # type: ignore[attr-defined]


@ensureDeferred
async def test_a_large_answer_reaches_a_client_that_reads(server: Server) -> None:
    for _ in range(30):
        server.world.store(S, content="x" * 60_000)
    client = await server.login("p", T)
    page = await client.result("history", session_id=S, size=30)
    assert page["next"]
    assert client.closed is None


# ---- the handshake


ORIGINS = [
    ("", 101),
    ("Origin: http://im.test\r\n", 101),
    ("Origin: https://portal.example\r\n", 101),
    ("Origin: https://im.test\r\n", 403),
    ("Origin: http://im.test:81\r\n", 403),
    ("Origin: http://evil.test\r\n", 403),
    ("Origin: http://im.test.evil\r\n", 403),
    ("Origin: null\r\n", 403),
    ("Origin: \r\n", 403),
    ("Origin: nonsense\r\n", 403),
    ("Origin: file:///x\r\n", 403),
    ("Origin: http://im.test\r\nOrigin: http://im.test\r\n", 403),
    ("Origin: http://im.test, http://im.test\r\n", 403),
    ("Origin: http://im.test#\r\n", 403),
    ("Sec-WebSocket-Version: 13\r\n", 400),
]


@pytest.mark.parametrize(("headers", "status"), ORIGINS)
@ensureDeferred
async def test_handshake(make_server: Any, headers: str, status: int) -> None:
    server: Server = make_server(allowed_origins=frozenset({"https://portal.example"}))
    client = await server.connect(headers)
    assert client.head.startswith(f"HTTP/1.1 {status} "), client.head
    if status == 403:
        assert "application/problem+json" in client.head


@ensureDeferred
async def test_null_is_taken_when_it_is_listed(make_server: Any) -> None:
    server: Server = make_server(allowed_origins=frozenset({"null"}))
    client = await server.connect("Origin: null\r\n")
    assert client.head.startswith("HTTP/1.1 101 ")
    assert "Server:" not in client.head


@ensureDeferred
async def test_a_plain_request_is_told_to_upgrade(server: Server) -> None:
    class Plain(Client):
        def connectionMade(self) -> None:
            get = b"GET /ws HTTP/1.1\r\nHost: im.test\r\n\r\n"
            self.transport.write(get)  # type: ignore[union-attr]

    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", server.port.getHost().port)
    client: Client = await connectProtocol(endpoint, Plain())
    server.clients.append(client)
    await client.until(lambda: client.head)
    assert client.head.startswith("HTTP/1.1 426 ")
    assert "Autobahn" not in client.head + client._data.decode()


@ensureDeferred
async def test_options_stand_in_the_class_and_not_in_each_connection(server: Server) -> None:
    await server.login()
    (link,) = server.sockets._links
    made: Any = link.wire
    assert made.maxMessagePayloadSize == SocketSettings().frame
    assert (made.failByDrop, made.webStatus, made.autoPingInterval) == (False, False, 0)
    assert made.transport.producer is made
    assert not {"failByDrop", "http_headers", "http_request_data"} & set(vars(made))


DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


@ensureDeferred
async def test_deflate_is_declined_unless_configured(server: Server) -> None:
    client = await server.connect(DEFLATE)
    assert "permessage-deflate" not in client.head


@ensureDeferred
async def test_deflate_without_context_takeover(make_server: Any) -> None:
    server: Server = make_server(compression=True)
    client = await server.connect(DEFLATE)
    assert "permessage-deflate; client_no_context_takeover" in client.head
    await client.result("login", token="p", client_type="patient", session_id=S)
    (link,) = server.sockets._links
    assert link.wire._perMessageCompress.server_no_context_takeover  # type: ignore[attr-defined]
    server.send(content="重复" * 1000)
    server.send(content="重复" * 1000)
    await client.until(lambda: len(client.told("message")) == 2)
    assert client.deflated == 3


# ---- farewell


@ensureDeferred
async def test_drain_spreads_its_closes_and_tells_when_to_come_back(server: Server) -> None:
    clients = [await server.login("dp"[n % 2]) for n in range(12)]
    clients.append(await server.login("p", None))
    clients.append(await server.connect())
    done: list[None] = []
    server.sockets.drain(10).addCallback(done.append)
    open_after = []
    for _ in range(10):
        server.seconds(1)
        await deferLater(reactor, 0.02)
        open_after.append(sum(client.closed is None for client in clients))
    for client in clients:
        await client.ends(4503)
    assert open_after[0] > 7, "not all at once"
    assert open_after[4] < 14, "not all at the end"
    assert open_after == sorted(open_after, reverse=True)
    waits = [int(re.fullmatch(r"reconnect_in=(\d+)", c.closed[1])[1]) for c in clients]  # type: ignore[index]
    assert len(set(waits)) > 7
    assert all(0 <= wait <= 10_000 for wait in waits)
    await server_has(clients[0], lambda: done)


@ensureDeferred
async def test_drain_answers_what_is_in_flight_and_begins_nothing(server: Server) -> None:
    client = await server.login()
    server.writer.patient = True
    sent = client.ask("send", type=1, content="x", client_msg_id="k")
    waiting = client.ask("topic")
    await server_has(client, lambda: server.writer.waiting)
    server.sockets.drain(10)
    server.seconds(9)
    later = client.ask("topic")
    await deferLater(reactor, 0.02)
    assert client.closed is None
    server.writer.commit()
    await client.ends(4503)
    assert client.answers(sent)[0]["result"]["message"]["seq"] == 1
    assert client.answers(waiting) == client.answers(later) == []


@ensureDeferred
async def test_drain_does_not_wait_for_ever(server: Server) -> None:
    client = await server.login()
    server.writer.patient = True
    client.ask("send", type=1, content="x", client_msg_id="k")
    await server_has(client, lambda: server.writer.waiting)
    server.sockets.drain(5)
    server.seconds(5)
    await client.ends(4503)


@ensureDeferred
async def test_who_comes_while_draining_is_sent_away(server: Server) -> None:
    stays, early = await server.login(), await server.connect()
    server.sockets.drain(10)
    client = await server.connect()
    await client.ends(4503)
    early.ask("login", token="p", client_type="patient", session_id=S)
    await early.ends(4503)
    assert early.frames == []
    assert stays.closed is None
    for _ in range(10):
        server.seconds(1)
        await deferLater(reactor, 0.01)
    await stays.ends(4503)


@ensureDeferred
async def test_draining_nobody_is_done_at_once(server: Server) -> None:
    done: list[None] = []
    server.sockets.drain(10).addCallback(done.append)
    assert done == [None]


# ---- TLS


@ensureDeferred
async def test_over_tls_everything_goes_through_the_transport(server: Server) -> None:
    tls = reactor.listenSSL(0, server.site, certificate(), interface="127.0.0.1")
    made = Client()
    port = tls.getHost().port
    endpoint = SSL4ClientEndpoint(reactor, "127.0.0.1", port, CertificateOptions())
    await connectProtocol(endpoint, made)
    server.clients.append(made)
    await made.until(lambda: made.head)
    await made.result("login", token="p", client_type="patient", session_id=S)
    (link,) = server.sockets._links
    assert link.wire._straight is None  # type: ignore[attr-defined]
    flood(server, 10)
    await made.until(lambda: len(made.told("message")) == 10)
    made.transport.pauseProducing()  # type: ignore[union-attr]
    while not link.is_gone:
        flood(server, 5)
        await deferLater(reactor, 0)
    assert link.wire._waiting() < (1 << 20) + 200_000  # type: ignore[attr-defined]
    await tls.stopListening()


def certificate() -> CertificateOptions:
    """A certificate of the test's own, for im.test."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "im.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(key),
        certificate=crypto.X509.from_cryptography(made),
    )
