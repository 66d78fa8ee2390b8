"""A storm of returning sockets, and what everybody else notices of it.

After a roll thousands of pages come back within a second. One process of raw sockets is the crowd:
it connects all at once, shakes hands, logs in. Another probes REST at a steady rate, before and in
the storm, with sends, marks and lists in turn. Neither shares an interpreter with the server or
with the other, so that what the probe measures is the server's.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import time
from base64 import b64encode
from collections import deque
from contextlib import ExitStack
from typing import Any

from bench import requests
from bench.entries import Figures, Setting
from bench.lanes import HttpLane, frame
from bench.load import PLACE
from bench.measured import cpu_seconds
from bench.servers import ROOT, environment, imd
from tests.e2e.rawsocket import raise_open_files
from tests.e2e.server import die_with_parent, token

#: sockets that come back at once, how often, and the probe's requests a second on how many lanes
CROWD, ROUNDS = 3000, 3
RATE, LANES = 100, 16
#: seconds of rest before each storm, and within which a storm must be over
REST, LIMIT = 4.0, 60.0


class Newcomer:
    """One socket on its way in."""

    __slots__ = ("begun", "data", "login", "socket")

    def __init__(self, port: int, login: bytes) -> None:
        self.login, self.data, self.begun = login, b"", time.perf_counter()
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(("127.0.0.1", port))

    def connected(self, port: int) -> None:
        key = b64encode(os.urandom(16)).decode()
        self.socket.send(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def readable(self) -> bool:
        """True once it is logged in."""
        part = self.socket.recv(1 << 16)
        assert part, "the server turned a newcomer away"
        self.data += part
        if self.login:
            head, end, rest = self.data.partition(b"\r\n\r\n")
            if not end:
                return False
            assert head.startswith(b"HTTP/1.1 101"), head
            self.socket.send(frame(self.login))
            self.login, self.data = b"", rest
        return b'"result"' in self.data


def crowd(spec: dict[str, Any]) -> None:
    """The crowd's process: at each line all come at once, and go when all were in."""
    port, logins = spec["port"], [login.encode() for login in spec["logins"]]
    raise_open_files(len(logins) + 1000)
    print("READY", flush=True)
    for _ in sys.stdin:
        poll, started = select.epoll(), time.perf_counter()
        coming = {}
        for login in logins:
            one = Newcomer(port, login)
            coming[one.socket.fileno()] = one
            poll.register(one.socket.fileno(), select.EPOLLOUT)
        there: list[Newcomer] = []
        waits: list[float] = []
        while coming:
            assert time.perf_counter() < started + LIMIT, f"{len(coming)} did not get in"
            for number, event in poll.poll(1.0):
                one = coming[number]
                if event & select.EPOLLOUT:
                    poll.modify(number, select.EPOLLIN)
                    one.connected(port)
                elif one.readable():
                    waits.append(time.perf_counter() - one.begun)
                    there.append(coming.pop(number))
                    poll.unregister(number)
        took = time.perf_counter() - started
        print(json.dumps({"seconds": took, "waits": waits}), flush=True)
        for one in there:
            one.socket.close()
        poll.close()


class Probe:
    """Asks REST at a steady rate, whatever the server does; times count from when it was due."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._poll, self._numbers = select.epoll(), itertools.count(time.time_ns())
        # The longest idle one is next, or the server would close those that are never needed.
        self._free = deque(HttpLane(spec["port"], self._answered) for _ in range(LANES))
        self._lanes = {lane.socket.fileno(): lane for lane in self._free}
        for number in self._lanes:
            self._poll.register(number, select.EPOLLIN)
        self._requests = itertools.cycle([text.encode() for text in spec["requests"]])
        self._due: dict[HttpLane, float] = {}
        self.waits: list[float] = []

    def _answered(self, lane: HttpLane, status: int, body: bytes) -> None:
        assert status in (200, 201), (status, body)
        self.waits.append(time.perf_counter() - self._due[lane])
        self._free.append(lane)

    def turn(self, until: float) -> None:
        for number, _ in self._poll.poll(max(0.0, until - time.perf_counter())):
            self._lanes[number].readable()

    def until_told(self) -> list[float]:
        """Ask until the next line comes; the seconds that each answer took."""
        self.waits = []
        started, sent = time.perf_counter(), 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            due = started + sent / RATE
            self.turn(due)
            if self._free and time.perf_counter() >= due:
                lane = self._free.popleft()
                self._due[lane] = due
                lane.put(next(self._requests).replace(PLACE, b"%016x" % next(self._numbers)))
                sent += 1
        sys.stdin.readline()
        while len(self._free) < LANES:
            self.turn(time.perf_counter() + 1)
        return self.waits


def probe(spec: dict[str, Any]) -> None:
    """The probe's process: a line begins a measurement, the next one ends it."""
    asking = Probe(spec)
    print("READY", flush=True)
    while sys.stdin.readline():
        print(json.dumps(asking.until_told()), flush=True)


class Process:
    """One of the two, started from this file."""

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.storm", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(),
            preexec_fn=die_with_parent,
            text=True,
        )
        self.tell(json.dumps(spec))
        assert self.line() == "READY\n", f"the {name} did not start"

    def tell(self, line: str = "") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def line(self) -> str:
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said, "a process of the bench gave up"
        return said

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def _probes() -> list[str]:
    """What a doctor's page asks: a send, a mark, two lists."""
    doctor = token("D-probe", "doctor")
    head = f"HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {doctor}\r\n\r\n"
    return [
        requests.post("/api/v2/sessions/probe/messages", requests.send_body(), doctor),
        f"GET /api/v2/sessions/recent?user_id=D-probe {head}",
        "PUT" + requests.post("/api/v2/sessions/probe/read", "{}", doctor).removeprefix("POST"),
        f"GET /api/v2/sessions/probe/messages?peek=1&size=20 {head}",
    ]


def measure(setting: Setting) -> list[Figures]:
    """A rest and a storm in turns: REST's times in both, and what the crowd cost."""
    found: list[Figures] = []
    with ExitStack() as stack:
        server = stack.enter_context(imd(setting.folder / "storm", setting.postgres))
        names = [f"storm{number}" for number in range(CROWD // 2)]
        requests.open_pairs(server.port, [*names, "probe"])
        logins = [
            requests.login(f"{who}-{name}", role, name)
            for name in names
            for who, role in (("D", "doctor"), ("p", "patient"))
        ]
        asking = Process("probe", {"port": server.port, "requests": _probes()})
        stack.callback(asking.close)
        coming = Process("crowd", {"port": server.port, "logins": logins})
        stack.callback(coming.close)
        for number in range(ROUNDS):
            asking.tell()
            time.sleep(REST)
            asking.tell()
            rest = json.loads(asking.line())
            asking.tell()
            before = cpu_seconds(server.pid), cpu_seconds(setting.postgres.pid)
            coming.tell()
            came = json.loads(coming.line())
            app = cpu_seconds(server.pid) - before[0]
            database = cpu_seconds(setting.postgres.pid) - before[1]
            asking.tell()
            storm = json.loads(asking.line())
            found.append(_figures(rest, storm, came, app, database))
            setting.say(f"storm {number + 1}/{ROUNDS} {_shown(found[-1])}")
    return found


def _figures(
    rest: list[float], storm: list[float], came: dict[str, Any], app: float, database: float
) -> Figures:
    figures = {
        "per_second": CROWD / came["seconds"],
        "per_app_second": CROWD / app,
        "app": 1000 * app / CROWD,
        "db": 1000 * database / CROWD,
        "in_ms_p50": 1000 * statistics.median(came["waits"]),
    }
    for name, waits in (("rest", rest), ("storm", storm)):
        ordered = sorted(waits)
        for place in (50, 99):
            figures[f"{name}_ms_p{place}"] = 1000 * ordered[len(ordered) * place // 100]
    return figures


def _shown(figures: Figures) -> str:
    return (
        f"{figures['per_second']:5.0f}/s  {figures['per_app_second']:5.0f}/s and core"
        f"  app {figures['app']:.2f}  db {figures['db']:.2f} ms each"
        f"  REST p50 {figures['rest_ms_p50']:.1f} -> {figures['storm_ms_p50']:.1f}"
        f"  p99 {figures['rest_ms_p99']:.1f} -> {figures['storm_ms_p99']:.1f} ms"
    )


if __name__ == "__main__":
    {"crowd": crowd, "probe": probe}[sys.argv[1]](json.loads(sys.stdin.readline()))
