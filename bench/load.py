"""The load generator: a process of its own that sends what it was told, and counts.

:mod:`bench.servers` starts it with one JSON line that describes the senders and the receivers. It
connects, warms up and says ``READY``. For each ``SOON`` it makes sure of its connections and says
so again; the ``GO`` after that it answers with one JSON line. Requests are made before they are
needed; only a key is put in.
"""

from __future__ import annotations

import json
import re
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.account import Account
from bench.lanes import HttpLane, SocketLane, frame
from tests.e2e.rawsocket import raise_open_files

#: stands in requests where the key goes, or where a long poll goes on
PLACE = b"@@@@@@@@@@@@@@@@"
_KEY = re.compile(rb'"client_msg_id": ?"([0-9a-f]{16})"')
_NEXT = re.compile(rb'"next_batch": ?"([^"]+)"')
#: seconds in which what is under way at the end must be answered
TAIL = 10.0

Lane = HttpLane | SocketLane


class Load:
    """One run of one description."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._poll = select.epoll()
        self._lanes: dict[int, Lane] = {}
        # Keys are never used twice, whichever process made them.
        self._number = time.time_ns()
        self._sent: dict[bytes, float] = {}
        self.deliveries: list[float] = []
        self.answers: list[float] = []
        self.sending = False
        self._closed = spec["mode"] == "closed"
        self._requests: dict[Lane, list[bytes]] = {}
        self._polls: dict[Lane, list[bytes]] = {}
        self.receivers = 0
        for receiver in spec.get("receivers", ()):
            self._listen(receiver)
            self.receivers += 1
            if self.receivers % 256 == 0:
                self.turn(0.0)  # who came first is pinged already
        for sender in spec["senders"]:
            self._open(sender)
        self._senders = list(self._requests)
        self._account = self._fresh()

    def _fresh(self) -> Account:
        if self._spec["mode"] == "fan_out":
            return Account(self.receivers)
        return Account(1 if self.receivers else 0)

    def _listen(self, receiver: dict[str, Any]) -> None:
        if receiver["kind"] == "socket":
            login = receiver["login"]
            self._watch(
                SocketLane(self._spec["port"], self._delivered, login.encode() if login else None)
            )
            return
        lane = HttpLane(self._spec["port"], self._polled)
        self._polls[lane] = receiver["request"].encode().split(PLACE)
        lane.put(receiver["since"].encode().join(self._polls[lane]))
        self._watch(lane)

    def _open(self, sender: dict[str, Any]) -> None:
        request = sender["request"].encode()
        lane: Lane
        if sender["kind"] == "http":
            lane = HttpLane(self._spec["port"], self._answered_http)
        else:
            login = sender["login"]
            lane = SocketLane(
                self._spec["port"], self._answered_socket, login.encode() if login else None
            )
            request = frame(request)
        self._requests[self._watch(lane)] = request.split(PLACE)

    def _watch(self, lane: Any) -> Any:
        self._lanes[lane.socket.fileno()] = lane
        self._poll.register(lane.socket.fileno(), select.EPOLLIN)
        return lane

    def send(self, lane: Lane, due: float | None = None) -> None:
        self._number += 1
        key = b"%016x" % self._number
        lane.keys.append(key)
        self._account.sent(key)
        self._sent[key] = time.perf_counter() if due is None else due
        lane.put(key.join(self._requests[lane]))

    def _answered(self, lane: Lane, key: bytes) -> None:
        self.answers.append(time.perf_counter() - self._sent[key])
        if not self.receivers:
            del self._sent[key]
        if self._closed and self.sending:
            self.send(lane)

    def _answered_http(self, lane: HttpLane, status: int, body: bytes) -> None:
        assert status in (200, 201), (status, body)
        self._answered(lane, lane.keys.popleft())

    def _answered_socket(self, lane: SocketLane, payload: bytes) -> None:
        if lane.keys and lane.keys[0] in payload:
            assert b'"error"' not in payload, payload
            self._answered(lane, lane.keys.popleft())

    def _delivered(self, lane: Lane, payload: bytes) -> None:
        for key in _KEY.findall(payload):
            if self._account.arrived(lane, key):
                self.deliveries.append(time.perf_counter() - self._sent[key])

    def _polled(self, lane: HttpLane, status: int, body: bytes) -> None:
        assert status == 200, (status, body)
        found = _NEXT.search(body)
        assert found, body
        lane.put(found[1].join(self._polls[lane]))
        self._delivered(lane, body)

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.socket.close()
        self._poll.close()

    # ---- runs

    def turn(self, until: float) -> None:
        """Wait for bytes, at most until then, and take them."""
        for number, _ in self._poll.poll(max(0.0, until - time.perf_counter())):
            self._lanes[number].readable()

    def told(self) -> str:
        """Wait for the next line of the bench, and keep the sockets alive meanwhile."""
        while not select.select([sys.stdin], [], [], 0)[0]:
            for number, _ in self._poll.poll(0.2):
                lane = self._lanes[number]
                if isinstance(lane, HttpLane) and lane in self._requests:
                    self._forget(lane)  # nothing is under way: the server has had enough of it
                else:
                    lane.readable()
        return sys.stdin.readline()

    def freshen(self) -> None:
        """Give each sender on HTTP a new connection: the idle ones may be closed at any moment."""
        for lane in self._senders:
            if isinstance(lane, HttpLane):
                if lane.socket.fileno() in self._lanes:
                    self._forget(lane)
                lane.open()
                self._watch(lane)

    def _forget(self, lane: HttpLane) -> None:
        self._poll.unregister(lane.socket.fileno())
        del self._lanes[lane.socket.fileno()]
        lane.socket.close()

    def begin(self) -> float:
        self._sent.clear()
        self.answers.clear()
        self.deliveries.clear()
        self._account = self._fresh()
        return time.perf_counter()

    def settle(self, done: Callable[[], bool]) -> None:
        end = time.perf_counter() + TAIL
        while not done() and time.perf_counter() < end:
            self.turn(min(end, time.perf_counter() + 0.1))

    def closed(self, seconds: float) -> dict[str, Any]:
        """Each sender sends again as soon as it is answered."""
        first, started = self._number, self.begin()
        self.sending = True
        for lane in self._senders:
            self.send(lane)
        while time.perf_counter() < started + seconds:
            self.turn(started + seconds)
        self.sending = False
        return self._end(started, first)

    def open(self, seconds: float) -> dict[str, Any]:
        """``rate`` sends a second, whatever the server does."""
        first, started, rate = self._number, self.begin(), self._spec["rate"]
        for number in range(round(seconds * rate)):
            due = started + number / rate
            while time.perf_counter() < due:
                self.turn(due)
            self.send(self._senders[number % len(self._senders)], due)
        return self._end(started, first)

    def fan_out(self, seconds: float) -> dict[str, Any]:
        """One message, and the next when everybody has it."""
        first, started = self._number, self.begin()
        while time.perf_counter() < started + seconds:
            self.send(self._senders[0])
            self.settle(lambda: self._account.lost <= 0)
        return self._end(started, first)

    def idle(self, seconds: float) -> dict[str, Any]:
        """Nothing but answers to pings."""
        first, started = self._number, self.begin()
        while time.perf_counter() < started + seconds:
            self.turn(started + seconds)
        return self._end(started, first)

    def _end(self, started: float, first: int) -> dict[str, Any]:
        sent = self._number - first
        self.settle(lambda: len(self.answers) >= sent and self._account.lost <= 0)
        assert len(self.answers) == sent, f"{sent - len(self.answers)} sends were not answered"
        return {
            "count": sent,
            "deliveries": len(self.deliveries),
            "seconds": time.perf_counter() - started,
            "answer_ms": _quantiles(self.answers),
            "delivery_ms": _quantiles(self.deliveries),
            **self._account.figures(),
        }


def _quantiles(values: list[float]) -> list[float]:
    """p50, p95, p99 in ms."""
    ordered = sorted(values)
    if not ordered:
        return []
    return [1000 * ordered[min(len(ordered) - 1, int(len(ordered) * q))] for q in (0.5, 0.95, 0.99)]


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    raise_open_files(20_000)
    load = Load(spec)
    runs = {"closed": load.closed, "open": load.open, "fan_out": load.fan_out, "idle": load.idle}
    run = runs[spec["mode"]]
    run(spec["warm_up"])
    print("READY", flush=True)
    while load.told():
        load.freshen()
        print("READY", flush=True)
        sys.stdin.readline()
        print(json.dumps(run(spec["seconds"])), flush=True)


if __name__ == "__main__":
    main()
