"""Whatever a caller sends, the answer is not a 5xx, the log has no traceback, the server lives.

Twenty thousand generated requests and frames against the running program, pipelined. A failure
prints the offender and the seed that makes it again (``IMD_TEST_SEED``).
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import Note, seed, size
from tests.e2e.contract import USERS
from tests.e2e.mutations import Mutations, Sent
from tests.e2e.rawsocket import CLOSE, TEXT, RawSocket, request
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, Imd, running, token

#: dev is trusted: a request without a credential is a service, so that every route is reached
SETTINGS = {**NO_LIMITS, "IM_PROFILE": "dev", "IMD_LIMITS_FAILED_LOGINS_PER_MINUTE": "0"}
CONNECTIONS, PIPELINED = 6, 12
FRAMES_AT_ONCE = 25
#: who sends the frames, and where; no generated request names them, so they stay
SPEAKER, ROOM = "D-speaker", "room"
#: what each kind has of all
WILD, FRAMES = 0.04, 0.36


@pytest.fixture(params=["sqlite", "postgres"])
def half(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Imd]:
    """A server on each database; each takes half of the requests."""
    url = request.getfixturevalue(f"{request.param}_url")
    with running(tmp_path / "state", url, **SETTINGS) as imd:
        yield imd


def _roles() -> dict[str, str]:
    return {user: token(user, "patient" if user.startswith("p") else "doctor") for user in USERS}


@pytest.mark.timeout(600)
def test_nothing_that_is_sent_breaks_it(half: Imd, note: Note) -> None:
    messages = asyncio.run(_furnish(half))
    mutations = Mutations(
        seed() + half.settings["IMD_DATABASE_URL"].startswith("s"), _roles(), messages
    )
    many = size("IMD_TEST_REQUESTS") // 2
    offenders = Offenders()
    statuses = _requests(half, mutations, round(many * (1 - WILD - FRAMES)), offenders)
    statuses += _wild_requests(half, mutations, round(many * WILD), offenders)
    closes = _frames(half, mutations, round(many * FRAMES), offenders)
    note(f"answers by status: {dict(sorted(statuses.items()))}; closes: {dict(closes)}")
    assert half.answers("/readyz")
    assert not offenders, f"seed {seed()}: {len(offenders)} offenders\n" + "\n".join(offenders[:20])
    # Most must get somewhere, or nothing was tested.
    assert statuses[200] + statuses[201] > many * 0.1
    trouble = half.trouble()
    assert not trouble, f"seed {seed()}:\n{trouble}"


async def _furnish(imd: Imd) -> list[str]:
    """A few sessions, topics and messages, so that generated ids mean something; message ids."""
    ids = []
    async with Rest(imd.port) as service:
        for name in ("s1", "s2", "s3", "p1_t1_2"):
            type_ = 1 if name.startswith("p") else 2
            await service.open_session(name, *(f"{user}:doctor" for user in USERS[:4]), type_=type_)
        await service.open_session(ROOM, f"{SPEAKER}:doctor", "p1:patient")
        topic = {"topic_id": "t1", "start_by": "p1", "name": "头痛"}
        (await service.ask("POST", "/sessions/p1_t1_2/topics", topic)).must(201)
        for type_, content in ((1, "您好"), (15, {"a": 1}), (2101, "卡片"), (1, "再见")):
            body = {"sender_id": "D1", "type": type_, "content": content}
            for name in ("s1", "p1_t1_2"):
                answer = await service.ask("POST", f"/sessions/{name}/messages", body)
                ids.append(answer.must(201)["id"])
    return ids


# ---- requests


class Offenders(list[str]):
    """What should not have been answered as it was, all of a run together."""

    def judge(self, status: int, body: bytes, sent: bytes) -> None:
        if status >= 500 or b"Traceback" in body:
            self.append(f"{status} {body[-120:]!r} for {sent[:600]!r}")


class _Answers:
    """Reads pipelined answers off one connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._data = b""

    def _more(self) -> None:
        try:
            got = self.socket.recv(1 << 16)
        except ConnectionError:
            got = b""
        if not got:
            raise EOFError
        self._data += got

    def next(self, head_only: bool = False) -> tuple[int, bytes]:
        """Status and body of the next final answer."""
        while True:
            while (end := self._data.find(b"\r\n\r\n")) < 0:
                self._more()
            head, self._data = self._data[:end].decode("latin-1"), self._data[end + 4 :]
            status = int(head.split(" ", 2)[1])
            if status >= 200:
                break
        length = 0
        for line in head.lower().split("\r\n")[1:]:
            assert not line.startswith("transfer-encoding"), head
            if line.startswith("content-length:"):
                length = int(line[15:])
        if head_only or status in (204, 304):
            length = 0
        while len(self._data) < length:
            self._more()
        body, self._data = self._data[:length], self._data[length:]
        return status, body


def _requests(imd: Imd, mutations: Mutations, count: int, offenders: Offenders) -> Counter[int]:
    """Send them in pipelines over several connections at once."""
    statuses: Counter[int] = Counter()
    lanes: list[_Answers | None] = [None] * CONNECTIONS
    again: list[list[Sent]] = [[] for _ in lanes]
    done = 0
    while done < count:
        batches = []
        for number, lane in enumerate(lanes):
            batch = again[number] + [
                mutations.request() for _ in range(PIPELINED - len(again[number]))
            ]
            if lane is None:
                lanes[number] = lane = _Answers(imd.port)
            # What it answered before it closed is read below.
            with suppress(OSError):
                lane.socket.sendall(b"".join(sent.wire for sent in batch))
            batches.append(batch)
        for number, batch in enumerate(batches):
            lane, again[number] = lanes[number], []
            assert lane is not None
            for place, sent in enumerate(batch):
                try:
                    status, body = lane.next(sent.head_only)
                except EOFError:
                    assert imd.alive, f"the server died of\n{sent.wire[:3000]!r}"
                    lane.socket.close()
                    lanes[number] = None
                    # Closed after an answer: the rest was not looked at. Else this one closed it.
                    again[number] = batch[place + (place == 0) :]
                    statuses[0] += place == 0
                    break
                offenders.judge(status, body, sent.wire)
                statuses[status] += 1
                done += 1
    for lane in lanes:
        if lane is not None:
            lane.socket.close()
    return statuses


def _wild_requests(
    imd: Imd, mutations: Mutations, count: int, offenders: Offenders
) -> Counter[int]:
    """Each on a connection of its own, with its end as the end of the request."""
    statuses: Counter[int] = Counter()
    for _ in range(count):
        wire = mutations.wild_request()
        lane = _Answers(imd.port)
        try:
            lane.socket.sendall(wire)
            lane.socket.shutdown(socket.SHUT_WR)
            while True:
                status, body = lane.next(head_only=wire.startswith(b"HEAD"))
                offenders.judge(status, body, wire)
                statuses[status] += 1
        except (EOFError, ConnectionError):
            assert imd.alive, f"the server died of\n{wire[:3000]!r}"
        finally:
            lane.socket.close()
    return statuses


# ---- frames


def _frames(imd: Imd, mutations: Mutations, count: int, offenders: Offenders) -> Counter[int]:
    """Frames in bursts on a logged-in socket, each ended by a request that must be answered."""
    closes: Counter[int] = Counter()
    link: RawSocket | None = None
    for number in range(0, count, FRAMES_AT_ONCE):
        if link is None:
            link = RawSocket(imd.port)
            link.log_in(token(SPEAKER, "doctor"), "doctor", ROOM)
        burst = [mutations.frame() for _ in range(FRAMES_AT_ONCE)]
        end = f"end-{number}"
        # Closed meanwhile: the reason is read below.
        with suppress(OSError):
            link.put(b"".join(burst) + request("topic", {}, end))
        code = _until_answered(link, end, offenders)
        if code is not None:
            closes[code] += 1
            if code == 1011:
                offenders.append(f"closed with 1011 after one of {burst!r}")
            assert imd.alive, f"the server died of one of\n{burst!r}"
            link.close()
            link = None
    if link is not None:
        link.close()
    return closes


def _until_answered(link: RawSocket, end: str, offenders: Offenders) -> int | None:
    """Read up to the answer of the last request: None, or the code with which it was closed."""
    while True:
        try:
            frame = link.frame()
        except EOFError:
            return 1006
        if frame.kind == CLOSE:
            return frame.code if frame.payload else 1005
        if frame.kind != TEXT:
            continue
        said = frame.json
        if said.get("error", {}).get("data", {}).get("code") == "internal":
            offenders.append(f"on the socket: {said}")
        if said.get("id") == end:
            return None
