from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from imd.service.drain import GRACE, Drain
from tests.service.fakes import Recorded


class Port:
    def __init__(self, did: list[str]) -> None:
        self.did = did

    def stopListening(self) -> None:
        self.did.append("port")


class Party:
    def __init__(self, seconds: float = 10.0) -> None:
        self.clock = Clock()
        self.did: list[object] = []
        self.sockets: Deferred[None] = Deferred()
        self.requests: Deferred[None] = Deferred()
        self.left = 0
        self.done: list[object] = []
        self.drain = Drain(
            last_call=lambda: self.did.append("last call"),
            shut=lambda: self.did.append("shut"),
            port=Port(self.did),  # type: ignore[arg-type]
            sockets=self.close_sockets,
            idle=lambda: self.requests,
            connections=lambda: self.left,
            seconds=lambda: seconds,
            clock=self.clock,
        )

    def close_sockets(self, seconds: float) -> Deferred[None]:
        self.did.append(f"sockets {seconds}")
        return self.sockets

    def go(self) -> None:
        Deferred.fromCoroutine(self.drain()).addBoth(self.done.append)


def test_with_nobody_there_it_ends_at_once():
    party = Party()
    party.sockets.callback(None)
    party.requests.callback(None)
    party.go()
    assert party.done == [None]
    assert party.did == ["last call", "port", "sockets 10.0"]
    assert party.clock.getDelayedCalls() == []


def test_it_waits_for_requests_connections_and_sockets():
    party = Party()
    party.left = 1
    party.go()
    party.clock.pump([0.1] * 20)
    party.requests.callback(None)
    party.clock.pump([0.1] * 20)
    party.left = 0
    party.clock.pump([0.02] * 2)
    assert party.done == []
    party.sockets.callback(None)
    assert party.done == [None] and party.clock.getDelayedCalls() == []


def test_it_ends_when_the_time_is_over():
    party = Party()
    party.left = 1
    with Recorded() as events:
        party.go()
        party.clock.advance(10 + GRACE - 0.1)
        assert party.done == []
        party.clock.pump([0.1] * 3)
    assert party.done == [None] and party.clock.getDelayedCalls() == []
    assert {event["what"] for event in events if "what" in event} == {
        "sockets", "requests", "connections",
    }  # fmt: skip


def test_a_party_that_fails_does_not_spoil_it():
    party = Party()
    party.requests.errback(RuntimeError("no"))
    party.sockets.callback(None)
    with Recorded() as events:
        party.go()
    assert party.done == [None]
    assert [event["what"] for event in events if "what" in event] == ["requests"]


def test_no_time_at_all():
    party = Party(seconds=0.0)
    party.go()
    party.clock.pump([0.0, GRACE])
    assert party.done == [None]
