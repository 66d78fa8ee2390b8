"""The hardened HTTP channel on an imitated transport and clock: limits, deadlines, order, seats."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from imd.rest.channel import HardenedSite, Limits
from imd.rest.framing import DEFAULTS, ChunkedBody

HOST = b"Host: im.example\r\n"
GET = b"GET /one HTTP/1.1\r\n" + HOST + b"\r\n"
CANARY = b"GET /canary HTTP/1.1\r\n" + HOST + b"\r\n"


def body_of(request: Request) -> bytes:
    assert request.content is not None
    return bytes(request.content.read())


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def problem(self) -> dict[str, object]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


class Recorder(Resource):
    """Answers every request at once and remembers it."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bytes, bytes, bytes]] = []
        self.answer = b"{}"

    def render(self, request: Request) -> bytes:
        self.seen.append((request.method, request.uri, body_of(request)))
        request.setHeader(b"Content-Length", b"%d" % len(self.answer))
        return self.answer


class Slow(Resource):
    """Answers when it is told to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Request] = []

    def render(self, request: Request) -> int:
        self.waiting.append(request)
        return NOT_DONE_YET

    def finish(self, body: bytes) -> None:
        request = self.waiting.pop(0)
        request.setHeader(b"Content-Length", b"%d" % len(body))
        request.write(body)
        request.finish()


class Wire(StringTransport):
    aborted = False
    paused = 0

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()

    def pauseProducing(self) -> None:
        self.paused += 1
        super().pauseProducing()


class Peer:
    """One connection to a site, seen from the other end."""

    def __init__(
        self,
        limits: Limits = DEFAULTS,
        resource: Resource | None = None,
        site: HardenedSite | None = None,
        address: object = IPv4Address("TCP", "192.0.2.1", 40000),
    ) -> None:
        self.resource = Recorder() if resource is None else resource
        self.refusals: list[str] = []
        self.clock = Clock()
        self.site = site or HardenedSite(
            self.resource,
            limits,
            reactor=self.clock,
            fresh_id=lambda: "fresh-1",
            refused=lambda refusal, host: self.refusals.append(refusal.code),
        )
        self.wire = Wire(peerAddress=address)
        self.channel = self.site.buildProtocol(None)
        self.channel.makeConnection(self.wire)

    def send(self, data: bytes, piece: int = 0) -> Peer:
        for at in range(0, len(data), piece or len(data)):
            self.channel.dataReceived(data[at : at + (piece or len(data))])
        return self

    @property
    def closed(self) -> bool:
        return self.wire.disconnecting

    @property
    def cut(self) -> bool:
        return self.wire.aborted

    def hang_up(self) -> None:
        self.channel.connectionLost(Failure(ConnectionDone()))

    def answers(self) -> list[Answer]:
        """Every answer so far."""
        rest, found = self.wire.value(), []
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(b": ") for line in lines)}
            status = int(first.split(b" ")[1])
            if headers.get(b"transfer-encoding") == b"chunked":
                decoder = ChunkedBody(DEFAULTS)
                after = decoder.feed(rest)
                assert after is not None
                body, rest = bytes(decoder.content), after
            else:
                length = 0 if status == 100 else int(headers[b"content-length"])
                body, rest = rest[:length], rest[length:]
            found.append(Answer(status, headers, body))
        return found

    def seen(self) -> list[tuple[bytes, bytes, bytes]]:
        assert isinstance(self.resource, Recorder)
        return self.resource.seen


def assert_refused(peer: Peer, status: int, code: str) -> None:
    """One problem+json answer, the connection closed, and nothing after it read."""
    (answer,) = peer.answers()
    assert answer.status == status
    assert answer.problem["status"] == status
    assert answer.problem["code"] == code
    assert peer.closed
    before = len(peer.wire.value())
    peer.send(CANARY)
    assert len(peer.wire.value()) == before
    assert not any(uri == b"/canary" for _, uri, _ in peer.seen())


def test_refusal_is_a_problem_document() -> None:
    peer = Peer().send(b"GET / HTTP/1.1\r\n\r\n")
    (answer,) = peer.answers()
    assert list(answer.problem) == ["type", "title", "status", "detail", "code"]
    assert answer.problem["type"] == "about:blank"
    assert answer.headers[b"content-type"] == b"application/problem+json"
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert answer.headers[b"connection"] == b"close"
    assert answer.headers[b"x-request-id"] == b"fresh-1"
    assert b"date" in answer.headers
    assert b"server" not in answer.headers
    assert peer.refusals == ["bad_request"]


def test_answers_name_no_software_and_forbid_sniffing() -> None:
    (answer,) = Peer().send(GET).answers()
    assert b"server" not in answer.headers
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert not answer.headers[b"content-type"].startswith(b"text/html")


def test_head_has_no_body() -> None:
    peer = Peer().send(GET.replace(b"GET", b"HEAD") + CANARY)
    first, _, second = peer.wire.value().partition(b"\r\n\r\n")
    assert b"Content-Length: 2" in first
    assert second.startswith(b"HTTP/1.1 200")


def test_twisted_s_own_bad_request_is_a_problem_document() -> None:
    peer = Peer()
    peer.channel._respondToBadRequestAndDisconnect()
    assert_refused(peer, 400, "bad_request")


# Limits.


def test_declared_body_over_the_limit_is_refused_at_its_head() -> None:
    peer = Peer(Limits(body=10))
    peer.send(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 11\r\n" + HOST + b"\r\n")
    assert_refused(peer, 413, "too_large")


def test_body_of_exactly_the_limit_passes() -> None:
    peer = Peer(Limits(body=10))
    peer.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n" + HOST + b"\r\n0123456789", piece=3)
    assert peer.seen() == [(b"POST", b"/", b"0123456789")]


def test_chunked_body_is_refused_at_the_size_that_passes_the_limit() -> None:
    peer = Peer(Limits(body=10))
    peer.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n")
    peer.send(b"a\r\n0123456789\r\n")
    assert not peer.closed
    peer.send(b"1\r\n")
    assert_refused(peer, 413, "too_large")


def test_endless_chunked_body_is_never_kept_beyond_the_limit() -> None:
    peer = Peer(Limits(body=1000))
    peer.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\nFFFFFFFF\r\n")
    assert_refused(peer, 413, "too_large")


def test_chunk_overhead_is_limited() -> None:
    peer = Peer()
    peer.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n")
    peer.send((b"1;" + b"e" * 200 + b"\r\nx\r\n") * 400)
    assert_refused(peer, 400, "bad_request")


def test_trailers_are_limited() -> None:
    peer = Peer()
    peer.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n0\r\n")
    peer.send((b"X-T: " + b"t" * 1000 + b"\r\n") * 70)
    assert_refused(peer, 400, "bad_request")


@pytest.mark.parametrize("piece", [0, 1000])
def test_head_over_its_limit(piece: int) -> None:
    peer = Peer().send(b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 20_000, piece)
    assert_refused(peer, 431, "headers_too_large")


def test_whole_head_over_its_limit() -> None:
    peer = Peer().send(b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 20_000 + b"\r\n\r\n")
    assert_refused(peer, 431, "headers_too_large")


def test_too_many_fields() -> None:
    fields = b"".join(b"X-%d: 1\r\n" % n for n in range(100))
    peer = Peer().send(b"GET / HTTP/1.1\r\n" + HOST + fields + b"\r\n")
    assert_refused(peer, 431, "headers_too_large")


@pytest.mark.parametrize("end", [b"", b" HTTP/1.1\r\n" + HOST + b"\r\n"])
def test_request_line_over_its_limit(end: bytes) -> None:
    assert_refused(Peer().send(b"GET /" + b"a" * 9_000 + end), 414, "uri_too_long")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n3\nabc\n0\n\n",
    ],
)
def test_bare_line_feeds_are_refused_without_waiting_for_more(raw: bytes) -> None:
    assert_refused(Peer().send(raw), 400, "bad_request")


def test_memory_of_a_large_refused_peer_is_bounded() -> None:
    """A refused peer on a TCP transport is drained, but not for ever."""
    peer = Peer()
    peer.wire.loseWriteConnection = lambda: None  # type: ignore[attr-defined]
    peer.send(b"\0\r\n\r\n")
    for _ in range(257):
        peer.send(b"x" * 65_536)
    assert peer.cut
    assert peer.channel._held == b""


# Order.


def test_pipelined_requests_are_answered_in_order() -> None:
    slow = Slow()
    peer = Peer(resource=slow).send(GET + CANARY + GET)
    assert len(slow.waiting) == 1
    slow.finish(b"first")
    slow.finish(b"second")
    slow.finish(b"third")
    assert [answer.body for answer in peer.answers()] == [b"first", b"second", b"third"]


def test_thousands_of_pipelined_requests_do_not_recurse() -> None:
    peer = Peer().send(GET * 5_000)
    assert len(peer.seen()) == 5_000
    assert len(peer.answers()) == 5_000


def test_refusal_waits_for_the_answers_before_it() -> None:
    slow = Slow()
    peer = Peer(resource=slow).send(GET + b"GET / HTTP/1.1\r\n\r\n" + CANARY)
    assert peer.answers() == []
    slow.finish(b"first")
    assert [answer.status for answer in peer.answers()] == [200, 400]
    assert slow.waiting == []
    assert peer.closed


def test_reading_pauses_while_a_request_is_answered_and_more_comes() -> None:
    slow = Slow()
    peer = Peer(resource=slow).send(GET)
    peer.send(b"x" * 20_000)
    assert peer.wire.producerState == "paused"


def test_nothing_is_executed_after_a_request_that_closes() -> None:
    peer = Peer().send(b"GET / HTTP/1.1\r\nConnection: x, Close\r\n" + HOST + b"\r\n" + CANARY)
    assert [uri for _, uri, _ in peer.seen()] == [b"/"]
    assert peer.closed
    assert peer.answers()[0].headers[b"connection"] == b"close"


def test_nothing_is_executed_after_a_resource_closed_the_transport() -> None:
    slow = Slow()
    peer = Peer(resource=slow).send(GET + CANARY)
    peer.wire.loseConnection()
    slow.finish(b"first")
    assert slow.waiting == []


def test_resource_may_close_the_connection() -> None:
    slow = Slow()
    peer = Peer(resource=slow).send(GET + CANARY)
    slow.waiting[0].loseConnection()
    assert peer.closed
    slow.finish(b"late")
    assert slow.waiting == []


def test_unread_answers_hold_back_the_next_request() -> None:
    """A stream of small requests with large answers must not fill the memory."""
    peer = Peer(resource=Recorder())

    def full(data: bytes) -> None:
        StringTransport.write(peer.wire, data)
        peer.channel.pauseProducing()

    peer.wire.write = full  # type: ignore[method-assign]
    peer.send(GET * 10)
    assert len(peer.seen()) == 1
    assert peer.wire.producerState == "paused"
    peer.channel.resumeProducing()
    assert len(peer.seen()) == 2


def test_expect_continue_is_answered_once_and_only_when_the_body_is_awaited() -> None:
    head = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" + HOST + b"\r\n"
    peer = Peer().send(head)
    assert peer.wire.value() == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(b"ok")
    assert [answer.status for answer in peer.answers()] == [100, 200]
    assert [answer.status for answer in Peer().send(head + b"ok").answers()] == [200]
