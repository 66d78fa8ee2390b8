"""Many silent sockets and some that never read: nobody else notices them (pages 3.4 and 4.3).

``IMD_TEST_SOCKETS=5000`` is the full measure.
"""

from __future__ import annotations

import asyncio
import select
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import Note, size
from tests.e2e.page import Page
from tests.e2e.rawsocket import CLOSE, PING, PONG, TEXT, RawSocket, masked, raise_open_files
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, Imd, running, token, until

DOCTOR, PATIENT, SESSION = "D1", "p1", "p1_t1_2"
CROWD_SESSION = "p2_t1_2"
LARGE = "长" * 20_000
#: above ``limits.socket_buffer``
BUFFER = 3 << 19


@pytest.mark.timeout(300)
def test_slow_ones_are_closed_and_harm_nobody(
    tmp_path: Path, postgres_url: str, note: Note
) -> None:
    idle = size("IMD_TEST_SOCKETS")
    slow = max(5, idle // 100)
    raise_open_files(2 * (idle + slow) + 500)
    with running(tmp_path / "state", postgres_url, **NO_LIMITS) as imd:
        asyncio.run(_crowd(imd, idle, slow, note))


async def _crowd(imd: Imd, idle: int, slow: int, note: Note) -> None:
    patient, doctor = token(PATIENT, "patient"), token(DOCTOR, "doctor")
    async with Rest(imd.port, doctor) as rest:
        await rest.open_session(SESSION, f"{DOCTOR}:doctor", f"{PATIENT}:patient")
        await rest.open_session(CROWD_SESSION, f"{DOCTOR}:doctor", f"{PATIENT}:patient")
        before = imd.rss
        crowd = Crowd()
        await asyncio.to_thread(crowd.log_in, imd.port, patient, idle)
        each = (imd.rss - before) / idle
        note(f"{idle} idle sockets take {each / 1024:.1f} KiB each of the server's memory")
        reader = Page(imd.port, patient, "patient", SESSION)
        await reader.opened()
        stalled = await asyncio.to_thread(_log_in, imd.port, patient, SESSION, slow, 4096)
        try:
            await _fill(rest, reader, stalled)
            assert await asyncio.to_thread(_closed_by_the_server, imd.port) == {"4408": slow}
            sent = (await rest.post(SESSION, "之后", "after")).must(201)
            await reader.reached(sent["seq"])
            # The crowd is untouched, and still gets what is meant for it.
            news = (await rest.post(CROWD_SESSION, "大家好", "all")).must(201)
            await asyncio.to_thread(
                until, lambda: len(crowd.said) >= idle, 30, "everybody in the crowd to get it"
            )
            assert crowd.said == [news] * idle
            assert crowd.lost == 0
            assert reader.faults == []
            assert len(reader.logins) == 1
        finally:
            await reader.close()
            await asyncio.to_thread(crowd.close)
            for socket in stalled:
                socket.close()


class Crowd:
    """Sockets that say nothing but pong; a thread reads them, and keeps what they were told."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.lost = 0
        self._sockets: dict[int, RawSocket] = {}
        self._poll = select.epoll()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def log_in(self, port: int, credential: str, count: int) -> None:
        for _ in range(count):
            (one,) = _log_in(port, credential, CROWD_SESSION, 1, 0)
            self._sockets[one.socket.fileno()] = one
            self._poll.register(one.socket, select.EPOLLIN)

    def _read(self) -> None:
        while not self._closing.is_set():
            for number, _ in self._poll.poll(0.2):
                self._take(self._sockets[number])

    def _take(self, one: RawSocket) -> None:
        try:
            frame = one.frame()
            if frame.kind == PING:
                one.put(masked(frame.payload, PONG))
            elif frame.kind == TEXT and frame.json.get("method") == "message":
                self.said.append(frame.json["params"])
            elif frame.kind == CLOSE:
                raise EOFError
        except (EOFError, OSError):
            self.lost += 1
            self._poll.unregister(one.socket)

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        for one in self._sockets.values():
            one.close()


def _log_in(
    port: int, credential: str, session_id: str, count: int, buffer: int
) -> list[RawSocket]:
    sockets = []
    for _ in range(count):
        socket = RawSocket(port, receive_buffer=buffer)
        socket.log_in(credential, "patient", session_id)
        sockets.append(socket)
    return sockets


async def _fill(rest: Rest, reader: Page, stalled: list[RawSocket]) -> None:
    """A burst that no kernel holds for them; half look at once why they were closed, half never."""
    number, reading, deaf = 0, stalled[::2], stalled[1::2]
    while number * len(LARGE.encode()) < _kernel_holds() + BUFFER:
        number += 1
        sent = (await rest.post(SESSION, LARGE, f"large-{number}")).must(201)
        await reader.reached(sent["seq"])
    # The close stands behind what they did not read; it is there for whoever reads now.
    with ThreadPoolExecutor(len(reading)) as threads:
        loop = asyncio.get_running_loop()
        codes = await asyncio.gather(
            *(loop.run_in_executor(threads, one.until_closed) for one in reading)
        )
    # Who comes too late finds a dead connection; nobody finds any other reason.
    assert 4408 in codes and set(codes) <= {4408, 1006}, codes
    await asyncio.to_thread(
        until, lambda: all(_is_dead(one) for one in deaf), 30, "the deaf ones to be dropped"
    )


def _closed_by_the_server(port: int) -> dict[str, float]:
    """How many sockets by close code, as an operator sees it."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        sample.labels["code"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "imd_socket_closes_total"
    }


def _kernel_holds() -> int:
    """The most that the kernel keeps for one connection's reader."""
    return int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2]) + (1 << 16)


def _is_dead(one: RawSocket) -> bool:
    """Whether the peer has given the connection up; nothing is read."""
    looking = select.poll()
    looking.register(one.socket, 0)
    return bool(looking.poll(0))
