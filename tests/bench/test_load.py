"""The load generator against servers that lose, repeat and overtake: it must see each of it."""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha1

import pytest

from bench import load, requests
from bench.lanes import answer_in

Faulty = Callable[[int, bytes, list[bytes]], list[bytes]]
#: what the numbered message makes the receiver get, given what was held back so far
PLANS: dict[str, tuple[Faulty, dict[str, int]]] = {
    "honest": (lambda number, frame, held: [frame], {}),
    "lossy": (lambda number, frame, held: [frame] if number != 3 else [], {"lost": 1}),
    "twice": (lambda number, frame, held: [frame] * (2 if number == 3 else 1), {"duplicated": 1}),
}


def overtaking(number: int, frame: bytes, held: list[bytes]) -> list[bytes]:
    if number == 3:
        held.append(frame)
        return []
    return [frame, *(held.pop() for _ in list(held))]


PLANS["overtaking"] = (overtaking, {"reordered": 1})


def frame_of(payload: bytes) -> bytes:
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


class Server:
    """Two sockets: the first one listens, the second one speaks and is answered."""

    def __init__(self, plan: Faulty) -> None:
        self._plan = plan
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _upgraded(self) -> socket.socket:
        link = self._listening.accept()[0]
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += link.recv(4096)
        key = asked.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        proof = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        link.sendall(b"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: " + proof + b"\r\n\r\n")
        return link

    def _serve(self) -> None:
        with self._upgraded() as receiver, self._upgraded() as sender:
            incoming, number = sender.makefile("rb"), 0
            held: list[bytes] = []
            while head := incoming.read(2):
                size = head[1] & 0x7F
                if size == 126:
                    size = int.from_bytes(incoming.read(2), "big")
                incoming.read(4)
                payload = incoming.read(size)
                number += 1
                for said in self._plan(number, frame_of(payload), held):
                    receiver.sendall(said)
                sender.sendall(frame_of(payload))

    def close(self) -> None:
        self._listening.close()
        self._thread.join(5)


@pytest.fixture
def faulty(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(PLANS[request.param][0])
    yield server
    server.close()


@pytest.mark.parametrize(
    ("faulty", "seen"),
    [pytest.param(name, seen, id=name) for name, (_, seen) in PLANS.items()],
    indirect=["faulty"],
)
def test_a_run_counts_the_faults_of_the_server(
    faulty: Server, seen: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "TAIL", 0.3)
    request = requests.call("send", load.PLACE.decode(), client_msg_id=load.PLACE.decode())
    spec = {
        "mode": "open", "rate": 100, "port": faulty.port,
        "senders": [{"kind": "socket", "login": None, "request": request}],
        "receivers": [{"kind": "socket", "login": None}],
    }  # fmt: skip
    under_test = load.Load(spec)
    counted = under_test.open(0.08)
    under_test.close()
    assert counted["count"] == 8
    faults = {name: counted[name] for name in ("lost", "duplicated", "reordered")}
    assert faults == {"lost": 0, "duplicated": 0, "reordered": 0, **seen}


def test_an_answer_is_taken_when_it_is_whole() -> None:
    whole = b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nbody"
    assert answer_in(whole[:-1]) is None
    assert answer_in(whole[:20]) is None
    assert answer_in(whole + b"HTTP") == (201, b"body", b"HTTP")


def test_an_answer_in_chunks_is_put_together() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"4\r\nbody\r\n3\r\nand\r\n0\r\n\r\n"
    assert answer_in(whole + b"x") == (200, b"bodyand", b"x")
    for end in range(len(whole)):
        assert answer_in(whole[:end]) is None


def test_a_request_has_a_place_for_its_key() -> None:
    (sender,) = requests.plain_senders(["s1"])
    assert json.loads(sender["request"].partition("\r\n\r\n")[2])["client_msg_id"] == (
        load.PLACE.decode()
    )
