"""Three thousand pages come back within a second: all get in, and nobody else goes unanswered."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.e2e.rawsocket import masked, raise_open_files
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, running, token

CROWD, SESSIONS = 3000, 30
DOCTOR = "D1"
_SHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def come_in(port: int, login: bytes) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_SHAKE)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    writer.write(login)
    opening = await reader.readexactly(2)
    size = opening[1]
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    answer = json.loads(await reader.readexactly(size))
    assert answer["result"]["session"] is not None, answer
    return writer


def test_all_get_in_and_everybody_else_is_answered(tmp_path: Path, postgres_url: str) -> None:
    raise_open_files(2 * CROWD + 1000)
    with running(tmp_path / "state", postgres_url, **NO_LIMITS) as imd:

        async def whole() -> None:
            doctor = token(DOCTOR, "doctor")
            async with Rest(imd.port, doctor) as rest:
                for number in range(SESSIONS):
                    await rest.open_session(f"s{number}", f"{DOCTOR}:doctor", f"p{number}")
                params = {"token": doctor, "client_type": "doctor"}
                logins = [
                    masked(
                        json.dumps(
                            {
                                "jsonrpc": "2.0",
                                "id": 1,
                                "method": "login",
                                "params": {**params, "session_id": f"s{number}"},
                            }
                        ).encode()
                    )
                    for number in range(SESSIONS)
                ]
                crowd = asyncio.gather(
                    *(come_in(imd.port, logins[number % SESSIONS]) for number in range(CROWD))
                )
                sent = 0
                while not crowd.done():
                    (await rest.post(f"s{sent % SESSIONS}", "您好", f"k{sent}")).must(201)
                    (await rest.ask("GET", "/sessions/recent")).must(200)
                    sent += 1
                writers = await crowd
                assert len(writers) == CROWD and sent > 0
                for writer in writers:
                    writer.close()

        async def in_time() -> None:
            async with asyncio.timeout(180):
                await whole()

        asyncio.run(in_time())
