"""Whatever bytes come, the channel answers 2xx, 4xx, or closes, and logs no failure."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from zope.interface import implementer

from imd.rest.framing import DEFAULTS, ChunkedBody, Refusal, SizedBody
from tests.rest.test_channel import CANARY, HOST, Peer
from tests.rest.test_channel_vectors import BAD, GOOD

SEEDS = [raw for raw in BAD.values() if len(raw) < 400]
SEEDS += [raw for raw, *_ in GOOD.values() if len(raw) < 400]
SCRAPS = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b"0", b"0\r\n\r\n", b"\xff", b"GET / ",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Content-Length: 4\r\n", HOST,
    b"HTTP/1.1", b"HTTP/1.0", b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"%00", b"?",
    b"Upgrade: websocket\r\n", b"9" * 400, b"/" * 30, b"Cookie: a=b; c\r\n", b"//", b"[", b"*",
]  # fmt: skip

mutation = st.tuples(
    st.sampled_from(("insert", "replace", "delete", "repeat")),
    st.integers(0, 500),
    st.integers(1, 12),
    st.one_of(st.sampled_from(SCRAPS), st.binary(min_size=1, max_size=8)),
)


def mutate(raw: bytes, changes: list[tuple[str, int, int, bytes]]) -> bytes:
    for kind, where, size, scrap in changes:
        at = where % (len(raw) + 1)
        if kind == "insert":
            raw = raw[:at] + scrap + raw[at:]
        elif kind == "replace":
            raw = raw[:at] + scrap + raw[at + len(scrap) :]
        elif kind == "delete":
            raw = raw[:at] + raw[at + size :]
        else:
            raw = raw[:at] + raw[at : at + size] + raw[at:]
    return raw


def verdict(raw: bytes, cuts: list[int]) -> tuple[list[int], bool, list[object]]:
    """The statuses, whether the connection was closed, and what was executed."""
    failures: list[object] = []

    @implementer(ILogObserver)
    def observe(event: dict[str, Any]) -> None:
        if "log_failure" in event or event.get("log_level") in (LogLevel.error, LogLevel.critical):
            failures.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        peer = Peer()
        edges = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
        for start, end in pairwise(edges):
            peer.send(raw[start:end])
        peer.clock.pump([1] * 100)
        peer.hang_up()
    finally:
        globalLogPublisher.removeObserver(observe)
    assert failures == []
    statuses = [int(s) for s in re.findall(rb"HTTP/1\.[01] (\d+) ", peer.wire.value())]
    return statuses, peer.closed, list(peer.seen())


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(mutation, min_size=1, max_size=6),
    st.lists(st.integers(0, 600), max_size=5),
)
@example(b"\r\n\r\n", [("insert", 0, 1, b"\r\n")], [])
def test_mutants_are_answered_or_closed_alike_however_they_are_cut(
    seed: bytes, changes: list[tuple[str, int, int, bytes]], cuts: list[int]
) -> None:
    raw = mutate(seed, changes) + CANARY
    statuses, closed, executed = verdict(raw, [])
    assert closed
    assert all(s == 100 or 200 <= s < 300 or 400 <= s < 500 for s in statuses)
    if any(s >= 400 for s in statuses):
        assert [s for s in statuses if s >= 400] == statuses[-1:]
    cut_statuses, _, cut_executed = verdict(raw, cuts)
    assert cut_executed == executed
    assert [s for s in cut_statuses if 200 <= s < 300] == [s for s in statuses if 200 <= s < 300]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_noise_is_answered_or_closed(raw: bytes, cuts: list[int]) -> None:
    statuses, closed, _ = verdict(raw, cuts)
    assert closed
    assert all(s == 100 or 200 <= s < 300 or 400 <= s < 500 for s in statuses)


def chunked(pieces: list[bytes]) -> bytes:
    sizes = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return sizes + b"0\r\n\r\n"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    st.binary(max_size=20),
    st.integers(1, 60),
)
def test_bodies_are_the_same_however_they_are_cut(
    pieces: list[bytes], after: bytes, size: int
) -> None:
    whole = b"".join(pieces)
    for wire, body in (
        (chunked(pieces), ChunkedBody(DEFAULTS)),
        (whole, SizedBody(len(whole))),
    ):
        if not wire:
            continue
        data, rest = wire + after, None
        for at in range(0, len(data), size):
            rest = body.feed(data[at : at + size])
            if rest is not None:
                rest += data[at + size :]
                break
        assert bytes(body.content) == whole
        assert rest == after


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_chunk_noise_is_refused_or_waits(data: bytes) -> None:
    body = ChunkedBody(DEFAULTS)
    try:
        body.feed(data)
    except Refusal as refusal:
        assert refusal.code in ("bad_request", "too_large")
