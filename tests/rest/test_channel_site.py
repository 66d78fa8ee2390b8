"""Seats, drain, failing resources and Klein on the hardened site."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from klein import Klein
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request
from zope.interface import directlyProvides, implementer

from imd.rest.channel import Limits
from imd.rest.channel_seats import Seats, seat_key
from tests.rest.test_channel import CANARY, GET, HOST, Peer, Recorder, Slow, assert_refused, body_of


@pytest.fixture
def caught_errors() -> Iterator[list[Failure]]:
    """The failures logged meanwhile."""
    failures: list[Failure] = []

    @implementer(ILogObserver)
    def observe(event: dict[str, Any]) -> None:
        if isinstance(event.get("log_failure"), Failure):
            failures.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    yield failures
    globalLogPublisher.removeObserver(observe)


def test_connections_over_the_cap_are_answered_and_closed() -> None:
    first = Peer(Limits(connections_per_address=2))
    second = Peer(site=first.site)
    third = Peer(site=first.site)
    (answer,) = third.answers()
    assert (answer.status, answer.problem["code"]) == (503, "too_many_connections")
    assert answer.headers[b"retry-after"] == b"10"
    assert third.closed
    third.send(GET)
    third.hang_up()
    assert first.seen() == []
    other = Peer(site=first.site, address=IPv4Address("TCP", "192.0.2.2", 1))
    assert not other.closed
    second.hang_up()
    assert not Peer(site=first.site).closed


def test_a_flood_over_the_cap_is_cut_unanswered() -> None:
    first = Peer(Limits(connections_per_address=1))
    turned_away = [Peer(site=first.site) for _ in range(300)]
    assert sum(1 for peer in turned_away if peer.wire.value()) == 256
    assert turned_away[-1].cut
    for peer in turned_away:
        peer.hang_up()
    assert Peer(site=first.site).answers()[0].status == 503
    first.hang_up()
    assert not Peer(site=first.site).closed


@pytest.mark.parametrize(
    "address", [IPv4Address("TCP", "127.0.0.1", 1), IPv6Address("TCP", "::1", 1)]
)
def test_loopback_is_capped_as_well(address: object) -> None:
    first = Peer(Limits(connections_per_address=1), address=address)
    assert Peer(site=first.site, address=address).closed


def test_no_cap_and_no_address() -> None:
    first = Peer(Limits(connections_per_address=0))
    assert not any(Peer(site=first.site).closed for _ in range(50))
    local = UNIXAddress("/run/imd.sock")
    first = Peer(Limits(connections_per_address=1), address=local)
    assert not Peer(site=first.site, address=local).closed


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::9", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_seat_key(host: str, key: str) -> None:
    assert seat_key(host) == key


def test_seats_forget_addresses_without_any() -> None:
    seats = Seats(1)
    assert seats.take("a")
    assert not seats.take("a")
    seats.leave("a")
    assert seats.taken("a") == 0
    assert not seats._taken


def test_drain_closes_the_idle_and_ends_the_busy_after_their_answer() -> None:
    slow = Slow()
    busy = Peer(resource=slow).send(GET)
    idle = Peer(site=busy.site)
    reading = Peer(site=busy.site).send(GET[:5])
    late = Peer(site=busy.site)
    busy.site.drain()
    assert not idle.closed
    late.send(GET)
    busy.clock.advance(busy.site.limits.last_call)
    assert idle.closed
    slow.finish(b"first")
    assert not busy.closed  # its answer had promised to go on
    slow.finish(b"last")
    assert late.answers()[0].headers[b"connection"] == b"close"
    assert late.closed
    busy.clock.advance(busy.site.limits.last_call)
    assert busy.closed
    reading.send(GET[5:])
    slow.finish(b"second")
    assert reading.answers()[0].headers[b"connection"] == b"close"
    assert reading.closed


def test_http_2_is_not_offered() -> None:
    assert Peer().site.acceptableProtocols() == [b"http/1.1"]


def test_forms_are_not_parsed() -> None:
    args: list[object] = []

    class Form(Recorder):
        def render(self, request: Request) -> bytes:
            args.append(request.args)
            return super().render(request)

    peer = Peer(resource=Form())
    peer.send(
        b"POST /?q=1 HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 3\r\n" + HOST + b"\r\na=1"
    )
    assert args == [{b"q": [b"1"]}]
    assert peer.seen()[0][2] == b"a=1"


def test_no_log_and_no_timer_of_the_factory() -> None:
    peer = Peer()
    peer.hang_up()
    peer.site.doStart()
    assert peer.clock.getDelayedCalls() == []
    peer.site.doStop()


def test_a_resource_that_raises_is_a_json_500_and_logged_once(
    caught_errors: list[Failure],
) -> None:
    class Broken(Resource):
        isLeaf = True

        def render(self, request: Request) -> bytes:
            raise ZeroDivisionError("secret")

    (answer,) = Peer(resource=Broken()).send(GET).answers()
    assert (answer.status, answer.problem["code"]) == (500, "internal")
    assert answer.headers[b"content-type"] == b"application/problem+json"
    assert answer.headers[b"x-request-id"] == b"fresh-1"
    assert b"secret" not in answer.body
    assert [failure.type for failure in caught_errors] == [ZeroDivisionError]


def test_a_resource_that_raises_in_the_middle_of_its_answer_is_closed(
    caught_errors: list[Failure],
) -> None:
    class Broken(Resource):
        isLeaf = True

        def render(self, request: Request) -> bytes:
            request.write(b"half")
            raise ZeroDivisionError

    peer = Peer(resource=Broken()).send(GET + CANARY)
    assert peer.closed
    assert peer.wire.value().count(b"HTTP/1.1") == 1
    assert len(caught_errors) == 1


def test_a_resource_that_raises_after_taking_the_connection_is_cut(
    caught_errors: list[Failure],
) -> None:
    class Broken(Resource):
        isLeaf = True

        def render(self, request: Request) -> bytes:
            request.channel.transport = None
            raise ZeroDivisionError

    peer = Peer(resource=Broken()).send(GET)
    assert peer.cut
    assert peer.wire.value() == b""
    assert peer.site.channels == set()
    assert len(caught_errors) == 1


def test_a_failure_after_the_caller_has_gone_is_only_logged(caught_errors: list[Failure]) -> None:
    slow = Slow()
    peer = Peer(resource=slow).send(GET)
    peer.hang_up()
    slow.waiting[0].processingFailed(Failure(ZeroDivisionError()))
    assert len(caught_errors) == 1
    assert peer.wire.value() == b""


def test_tls_is_closed_by_its_own_farewell() -> None:
    """Half-closing the TCP connection below it would cut the answer off."""
    peer = Peer()
    directlyProvides(peer.wire, ISSLTransport)
    peer.wire.loseWriteConnection = lambda: pytest.fail("half-closed")  # type: ignore[attr-defined]
    assert_refused(peer.send(b"nonsense\r\n\r\n"), 400, "bad_request")


class Application:
    app = Klein()

    def __init__(self) -> None:
        self.later: Deferred[bytes] = Deferred()

    @app.route("/one", methods=["GET", "POST"])
    def one(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", b"application/json")
        return body_of(request) or b"{}"

    @app.route("/canary", methods=["GET"])
    def canary(self, request: Request) -> Deferred[bytes]:
        return self.later


def test_klein_resources_work() -> None:
    application = Application()
    peer = Peer(resource=application.app.resource())
    peer.send(CANARY + b"POST /one HTTP/1.1\r\nContent-Length: 7\r\n" + HOST + b'\r\n{"a":1}' + GET)
    assert peer.wire.value() == b""
    application.later.callback(b"canary")
    values = peer.answers()
    assert [answer.body for answer in values] == [b"canary", b'{"a":1}', b"{}"]
