"""The load generator: a process of its own that sends what it was told, and counts.

:mod:`bench.entries` starts it with one JSON line that describes the senders and the receivers. It
connects, warms up, says ``READY``, waits for ``GO`` and answers with one JSON line. Requests are
made before they are needed; only a key is put in.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.lanes import HttpLane, SocketLane, frame
from tests.e2e.rawsocket import raise_open_files

#: stands in requests where the key goes
PLACE = b"@@@@@@@@@@@@@@@@"
_KEY_NAME = b'"client_msg_id":"'
#: seconds in which what is under way at the end must be answered
TAIL = 10.0


class Load:
    """One run of one description."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._poll = select.epoll()
        self._lanes: dict[int, HttpLane | SocketLane] = {}
        # Keys are never used twice, whichever process made them.
        self._number = time.time_ns()
        self._sent: dict[bytes, float] = {}
        self.deliveries: list[float] = []
        self.answers: list[float] = []
        self.sending = False
        self._closed = spec["mode"] == "closed"
        self._requests: dict[HttpLane | SocketLane, list[bytes]] = {}
        receivers = [
            self._watch(SocketLane(spec["port"], self._delivered, login.encode()))
            for login in spec.get("receivers", ())
        ]
        self.receivers = len(receivers)
        for sender in spec["senders"]:
            self._open(sender)
        self._senders = list(self._requests)

    def _open(self, sender: dict[str, Any]) -> None:
        request = sender["request"].encode()
        lane: HttpLane | SocketLane
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

    def send(self, lane: HttpLane | SocketLane, due: float | None = None) -> None:
        self._number += 1
        key = b"%016x" % self._number
        lane.key = key
        self._sent[key] = time.perf_counter() if due is None else due
        lane.put(key.join(self._requests[lane]))

    def _answered(self, lane: HttpLane | SocketLane) -> None:
        self.answers.append(time.perf_counter() - self._sent[lane.key])
        if not self.receivers:
            del self._sent[lane.key]
        if self._closed and self.sending:
            self.send(lane)

    def _answered_http(self, lane: HttpLane, status: int, body: bytes) -> None:
        assert status in (200, 201), (status, body)
        self._answered(lane)

    def _answered_socket(self, lane: SocketLane, payload: bytes) -> None:
        if lane.key in payload:
            assert b'"error"' not in payload, payload
            self._answered(lane)

    def _delivered(self, lane: SocketLane, payload: bytes) -> None:
        at = payload.find(_KEY_NAME)
        if at < 0:
            at = payload.find(b'"client_msg_id": "') + 1
            if at < 1:
                return
        start = at + len(_KEY_NAME)
        sent = self._sent.get(payload[start : start + 16])
        if sent is not None:
            self.deliveries.append(time.perf_counter() - sent)

    # ---- runs

    def turn(self, until: float) -> None:
        """Wait for bytes, at most until then, and take them."""
        for number, _ in self._poll.poll(max(0.0, until - time.perf_counter())):
            self._lanes[number].readable()

    def told(self) -> str:
        """Wait for the next line of the bench, and keep the sockets alive meanwhile."""
        while not select.select([sys.stdin], [], [], 0)[0]:
            for number, _ in self._poll.poll(0.2):
                self._lanes[number].readable()
        return sys.stdin.readline()

    def forget(self) -> None:
        self._sent.clear()
        self.answers.clear()
        self.deliveries.clear()

    def settle(self, done: Callable[[], bool]) -> None:
        end = time.perf_counter() + TAIL
        while not done():
            assert time.perf_counter() < end, "not everything was answered or delivered"
            self.turn(min(end, time.perf_counter() + 0.1))

    def closed(self, seconds: float) -> dict[str, Any]:
        """Each sender sends again as soon as it is answered."""
        self.forget()
        first = self._number
        self.sending = True
        started = time.perf_counter()
        for lane in self._senders:
            self.send(lane)
        while time.perf_counter() < started + seconds:
            self.turn(started + seconds)
        self.sending = False
        return self._end(started, first)

    def open(self, seconds: float) -> dict[str, Any]:
        """``rate`` sends a second, whatever the server does."""
        self.forget()
        first, rate = self._number, self._spec["rate"]
        started = time.perf_counter()
        for number in range(round(seconds * rate)):
            due = started + number / rate
            while time.perf_counter() < due:
                self.turn(due)
            self.send(self._senders[number % len(self._senders)], due)
        return self._end(started, first)

    def fan_out(self, seconds: float) -> dict[str, Any]:
        """One message, and the next when everybody has it."""
        self.forget()
        first, wanted = self._number, 0
        started = time.perf_counter()
        while time.perf_counter() < started + seconds:
            self.send(self._senders[0])
            wanted += self.receivers
            self.settle(lambda wanted=wanted: len(self.deliveries) >= wanted)  # type: ignore[misc]
        return self._end(started, first)

    def _end(self, started: float, first: int) -> dict[str, Any]:
        sent = self._number - first
        many = sent * (self.receivers if self._spec["mode"] == "fan_out" else 1)
        self.settle(
            lambda: (
                len(self.answers) >= sent and (not self.receivers or len(self.deliveries) >= many)
            )
        )
        assert not self.receivers or len(self.deliveries) == many, "a message came twice"
        return {
            "count": sent,
            "deliveries": len(self.deliveries),
            "seconds": time.perf_counter() - started,
            "answer_ms": _quantiles(self.answers),
            "delivery_ms": _quantiles(self.deliveries),
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
    run = {"closed": load.closed, "open": load.open, "fan_out": load.fan_out}[spec["mode"]]
    run(spec["warm_up"])
    print("READY", flush=True)
    while load.told():
        print(json.dumps(run(spec["seconds"])), flush=True)


if __name__ == "__main__":
    main()
