"""The rows of the bench: each compares imd with a floor under the same load, in turns.

An entry yields one round at a time, so that the caller can interleave entries: what else the
machine does then weighs on both sides alike. Figures are CPU seconds per 1000 messages (``app``,
``db``) and times in ms.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench import requests
from bench.measured import cpu_seconds, resident_bytes
from bench.servers import Generator, Served, floor, imd
from tests.e2e.rawsocket import RawSocket, raise_open_files
from tests.e2e.server import token
from tests.servers import PostgresServer

PAIRS = 64
LIGHT_PAIRS, LIGHT_RATE = 16, 100
CROWD = 1000

Figures = dict[str, float]
Say = Callable[[str], None]


class Setting(NamedTuple):
    """What all entries share."""

    folder: Path
    postgres: PostgresServer
    seconds: float
    say: Say


class Side:
    """One side of a comparison: a server with its load, ready to be measured again and again."""

    def __init__(self, name: str, served: Served, generator: Generator) -> None:
        self.name, self._served, self._generator = name, served, generator

    def round(self) -> Figures:
        counted = self._generator.measure(self._served)
        many = counted["deliveries"] if self.name.startswith("fan-out") else counted["count"]
        figures = {
            "per_second": many / counted["seconds"],
            "app": 1000 * counted["app"] / many,
            "db": 1000 * counted["db"] / many,
        }
        for kind in ("answer_ms", "delivery_ms"):
            for name, value in zip(("p50", "p95", "p99"), counted[kind], strict=False):
                figures[f"{kind}_{name}"] = value
        return figures


def spec_of(
    mode: str, port: int, seconds: float, senders: list[dict[str, Any]], **more: Any
) -> Any:
    """What a load generator is told."""
    warm_up = min(1.0, seconds / 4)
    fixed = {"mode": mode, "port": port, "seconds": seconds, "warm_up": warm_up}
    return {**fixed, "senders": senders, **more}


def sides(setting: Setting, stack: ExitStack) -> list[Side]:
    """Start every server and its load; ``stack`` ends them."""
    made: list[Side] = []
    seconds, database = setting.seconds, setting.postgres.pid

    def add(name: str, served: Served, spec: dict[str, Any]) -> None:
        setting.say(f"starting {name}")
        made.append(Side(name, served, stack.enter_context(Generator(spec))))

    names = [f"s{number}" for number in range(PAIRS)]
    klein = stack.enter_context(floor("klein_json"))
    body = requests.send_body()
    plain = [
        {"kind": "http", "request": requests.post(f"/sessions/{n}/messages", body, None)}
        for n in names
    ]
    add("klein", klein, spec_of("closed", klein.port, seconds, plain))
    echo = stack.enter_context(floor("autobahn_echo"))
    said = requests.socket_senders(names)[0]["request"]
    echoed = [{"kind": "socket", "login": None, "request": said} for _ in names]
    add("echo", echo, spec_of("closed", echo.port, seconds, echoed))
    url = setting.postgres.create_database()
    naive = stack.enter_context(floor("naive", url, database=database))
    logins = [requests.call("login", "login", session_id=name) for name in names]
    add("naive", naive, spec_of("closed", naive.port, seconds, plain, receivers=logins))
    light = [f"s{number}" for number in range(100, 100 + LIGHT_PAIRS)]
    few = [
        {"kind": "http", "request": requests.post(f"/sessions/{n}/messages", body, None)}
        for n in light
    ]
    logins = [requests.call("login", "login", session_id=name) for name in light]
    more = {"rate": LIGHT_RATE, "receivers": logins}
    add("naive light", naive, spec_of("open", naive.port, seconds, few, **more))

    server = stack.enter_context(imd(setting.folder / "load", setting.postgres))
    served = Served(server.port, server.pid, database)
    _add_imd(served, seconds, add)
    return made


def _add_imd(served: Served, seconds: float, add: Callable[[str, Served, Any], None]) -> None:
    port = served.port
    by_rest, by_socket = (
        [f"{kind}{number}" for number in range(PAIRS)] for kind in ("rest", "socket")
    )
    light = [f"light{number}" for number in range(LIGHT_PAIRS)]
    requests.open_pairs(port, [*by_rest, *by_socket, *light, "crowd"])
    receivers = requests.patients(by_rest)
    senders = requests.rest_senders(by_rest)
    add("imd rest", served, spec_of("closed", port, seconds, senders, receivers=receivers))
    receivers = requests.patients(by_socket)
    senders = requests.socket_senders(by_socket)
    add("imd socket", served, spec_of("closed", port, seconds, senders, receivers=receivers))
    senders, receivers = requests.rest_senders(light), requests.patients(light)
    add("imd light", served,
        spec_of("open", port, seconds, senders, receivers=receivers, rate=LIGHT_RATE))  # fmt: skip
    senders, receivers = requests.rest_senders(["crowd"]), requests.patients(["crowd"]) * CROWD
    add("fan-out imd", served, spec_of("fan_out", port, seconds, senders, receivers=receivers))


class Kernel:
    """The fan-out's floor: it is commanded by single bytes, so it needs no generator."""

    name = "fan-out kernel"

    def __init__(self, setting: Setting, stack: ExitStack) -> None:
        self._seconds = setting.seconds
        self._served = stack.enter_context(floor("socket_send"))
        self._commander = stack.enter_context(self._connect())
        self._commander.sendall(b"%d" % CROWD)
        self._others = [stack.enter_context(self._connect()) for _ in range(CROWD)]
        assert self._commander.recv(1) == b"r"

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._served.port), timeout=60)

    def round(self) -> Figures:
        before, count = cpu_seconds(self._served.pid), 0
        started = time.perf_counter()
        while time.perf_counter() < started + self._seconds:
            self._commander.sendall(b"g")
            for one in self._others:
                assert one.recv(1 << 16)
            count += 1
        many, took = count * CROWD, time.perf_counter() - started
        cpu = cpu_seconds(self._served.pid) - before
        return {"per_second": many / took, "app": 1000 * cpu / many, "db": 0.0}


def memory(setting: Setting, connections: int) -> Figures:
    """A fresh server's resident memory, and what each silent logged-in socket adds to it."""
    raise_open_files(3 * connections + 1000)
    with imd(setting.folder / "memory", setting.postgres) as server:
        # The first start makes the schema, which takes libraries that a later start leaves alone.
        first = resident_bytes(server.pid)
        server.stop()
        fresh = resident_bytes(server.start().pid)
        names = [f"idle{number}" for number in range(connections // 2)]
        requests.open_pairs(server.port, names)
        before = resident_bytes(server.pid)
        started, used = time.perf_counter(), cpu_seconds(server.pid)
        sockets = []
        for name in names:
            for user, role in ((f"D-{name}", "doctor"), (f"p-{name}", "patient")):
                sockets.append(one := RawSocket(server.port))
                one.log_in(token(user, role), role, name)
        took, used = time.perf_counter() - started, cpu_seconds(server.pid) - used
        after = resident_bytes(server.pid)
        for one in sockets:
            one.close()
    return {
        "first_mib": first / (1 << 20),
        "fresh_mib": fresh / (1 << 20),
        "idle_kib": (after - before) / len(sockets) / 1024,
        "logins_per_second": len(sockets) / took,
        "login_cpu_ms": 1000 * used / len(sockets),
    }
