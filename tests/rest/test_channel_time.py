"""Deadlines of the HTTP channel under a ``Clock``: absolute, one timer, none left behind."""

from __future__ import annotations

import pytest
from twisted.python.failure import Failure

from tests.rest.test_channel import GET, HOST, Peer, Slow, assert_refused


def test_head_deadline_is_absolute() -> None:
    peer = Peer()
    peer.send(b"GET / HTTP/1.1\r\n")
    for _ in range(9):
        peer.clock.advance(1)
        peer.send(b"X: 1\r\n")
    assert not peer.closed
    peer.clock.advance(1)
    assert_refused(peer, 408, "request_timeout")


def test_a_new_connection_that_says_nothing_is_closed_without_a_word() -> None:
    peer = Peer()
    peer.clock.advance(9.9)
    assert not peer.closed
    peer.clock.advance(0.1)
    assert peer.closed
    assert peer.wire.value() == b""


def test_idle_connection_is_closed_without_a_word() -> None:
    peer = Peer().send(GET)
    peer.wire.clear()
    peer.clock.pump([1] * 59)
    assert not peer.closed
    peer.clock.advance(1)
    assert peer.closed
    assert peer.wire.value() == b""


def test_head_deadline_counts_from_the_first_byte_after_idling() -> None:
    peer = Peer().send(GET)
    peer.wire.clear()
    peer.clock.pump([1] * 55)
    peer.send(b"G")
    peer.clock.pump([1] * 9)
    assert not peer.closed
    peer.clock.advance(1)
    assert_refused(peer, 408, "request_timeout")


@pytest.mark.parametrize(
    ("length", "drip"),
    [(b"Content-Length: 100", b"x"), (b"Transfer-Encoding: chunked", b"1\r\nx\r\n")],
)
def test_body_deadline_is_absolute(length: bytes, drip: bytes) -> None:
    peer = Peer().send(b"POST / HTTP/1.1\r\n" + length + b"\r\n" + HOST + b"\r\n")
    for _ in range(29):
        peer.clock.advance(1)
        peer.send(drip)
    assert not peer.closed
    peer.clock.advance(1)
    assert_refused(peer, 408, "request_timeout")
    assert peer.seen() == []


def test_a_slow_resource_has_no_deadline_here() -> None:
    slow = Slow()
    peer = Peer(resource=slow).send(GET)
    peer.clock.pump([10] * 100)
    assert not peer.closed
    slow.finish(b"late")
    assert peer.answers()[0].body == b"late"


@pytest.mark.parametrize("answered", [False, True])
def test_a_peer_that_takes_nothing_is_cut(answered: bool) -> None:
    slow = Slow()
    peer = Peer(resource=slow).send(GET)
    peer.channel.pauseProducing()
    if answered:
        slow.finish(b"first")
    peer.clock.pump([1] * 29)
    assert not peer.cut
    peer.clock.advance(1)
    assert peer.cut


def test_a_peer_that_takes_everything_in_time_is_kept() -> None:
    slow = Slow()
    peer = Peer(resource=slow).send(GET)
    peer.channel.pauseProducing()
    peer.clock.pump([1] * 29)
    peer.channel.resumeProducing()
    peer.clock.pump([1] * 29)
    assert not peer.cut


def test_a_peer_that_does_not_take_its_last_answer_is_cut() -> None:
    peer = Peer().send(b"GET / HTTP/1.0\r\n\r\n")
    assert peer.closed
    peer.clock.pump([1] * 29)
    assert not peer.cut
    peer.clock.advance(1)
    assert peer.cut


def test_a_refused_peer_that_lingers_is_cut() -> None:
    peer = Peer().send(b"\0\r\n\r\n")
    peer.clock.advance(1.9)
    assert not peer.cut
    peer.clock.advance(0.1)
    assert peer.cut


def test_one_timer_a_connection_and_none_after_it() -> None:
    peer = Peer()
    for _ in range(20):
        peer.send(GET[:-5]).send(GET[-5:])
        peer.clock.advance(0.5)
        assert len(peer.clock.getDelayedCalls()) == 1
    peer.hang_up()
    assert peer.clock.getDelayedCalls() == []
    assert peer.site.channels == set()


def test_loss_of_the_connection_is_told_to_the_resource() -> None:
    slow = Slow()
    peer = Peer(resource=slow).send(GET)
    lost: list[Failure] = []
    slow.waiting[0].notifyFinish().addErrback(lost.append)
    peer.hang_up()
    assert len(lost) == 1


def test_loss_in_the_middle_of_a_body_makes_no_request() -> None:
    peer = Peer().send(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n" + HOST + b"\r\nhell")
    peer.hang_up()
    assert peer.seen() == []
