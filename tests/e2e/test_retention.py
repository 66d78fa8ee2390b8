"""Retention beside a running server: nothing that it keeps in memory is wrong afterwards.

Old messages are made old by an operator's hand; the deletion is ``imdctl``, a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from tests.e2e.conftest import Note
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, Imd, clean_environment, running

TRUSTED = {"IM_PROFILE": "dev", **NO_LIMITS, "IMD_RETENTION_BY_SESSION_TYPE": '{"9": "process"}'}
AGO = 4 * 366 * 86_400_000
OLD = 3000


def by_hand(url: str, *statements: str) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()
    else:
        with closing(psycopg2.connect(url)) as database:
            for statement in statements:
                database.cursor().execute(statement)
            database.commit()


def grow_old(url: str, session: str) -> None:
    """All that there is of the session happened four years ago, many times over."""
    columns = (
        "id, session_id, seq, channel, sender_id, type, content, structured, timestamp,"
        " business_type, version, recalled, counted"
    )
    more = (
        f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {OLD})"
        f" INSERT INTO messages ({columns}) SELECT '{session}-' || i, session_id, i, channel,"
        " sender_id, type, content, structured, timestamp + i, business_type, 1, 0, i"
        f" FROM n CROSS JOIN messages WHERE session_id = '{session}' AND seq = 1"
    )
    by_hand(
        url,
        more,
        f"UPDATE messages SET timestamp = timestamp - {AGO} WHERE session_id = '{session}'",
        f"UPDATE sessions SET last_seq = {OLD}, counted = {OLD}, last_message_seq = {OLD},"
        f" last_timestamp = last_timestamp - {AGO} + {OLD}, create_time = create_time - {AGO},"
        f" last_message_time = last_message_time - {AGO} + {OLD} WHERE id = '{session}'",
        f"UPDATE participants SET create_time = create_time - {AGO}, active_time = NULL"
        f" WHERE session_id = '{session}'",
    )


class Socket:
    """A socket that keeps what it is told."""

    def __init__(self, link: ClientConnection) -> None:
        self._link, self.told = link, list[Any]()
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def open(cls, port: int, **params: Any) -> tuple[Socket, Any]:
        link = await connect(f"ws://127.0.0.1:{port}/ws", compression=None, proxy=None)
        asked = {"jsonrpc": "2.0", "id": 1, "method": "login", "params": params}
        await link.send(json.dumps(asked))
        result = json.loads(await link.recv())["result"]
        return cls(link), result

    async def _read(self) -> None:
        with suppress(ConnectionClosedError):
            async for frame in self._link:
                self.told.append(json.loads(frame))

    def of(self, method: str) -> list[Any]:
        return [frame["params"] for frame in self.told if frame.get("method") == method]

    async def until(self, method: str, number: int, seconds: float = 30.0) -> list[Any]:
        end = time.monotonic() + seconds
        while len(self.of(method)) < number:
            assert time.monotonic() < end, f"{method}: {self.told}"
            await asyncio.sleep(0.01)
        return self.of(method)

    async def close(self) -> None:
        await self._link.close()
        await self._reading


async def imdctl(imd: Imd, url: str, *words: str) -> Any:
    program = [str(Path(sys.executable).with_name("imdctl")), *words, "--json"]
    environment = {**clean_environment(), **imd.settings, "IMD_DATABASE_URL": url}
    process = await asyncio.create_subprocess_exec(
        *program, "--state-dir", str(imd.state), env=environment, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(out)


async def busy(rest: Rest, done: asyncio.Event) -> float:
    """Messages one after the other until all is done; the longest wait, in seconds."""
    longest, number = 0.0, 0
    while not done.is_set():
        number += 1
        begun = time.monotonic()
        body = {"sender_id": "D", "type": 1, "content": "在"}
        (await rest.ask("POST", "/sessions/mixed/messages", body)).must(201)
        longest = max(longest, time.monotonic() - begun)
    return longest


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_deleting_beside_a_server(
    tmp_path: Path, request: pytest.FixtureRequest, note: Note, kind: str
) -> None:
    url = request.getfixturevalue(f"{kind}_url")

    async def test(imd: Imd) -> None:
        rest, other = Rest(imd.port), Rest(imd.port)
        for session in ("mixed", "old"):
            await rest.open_session(session, "P:patient", "D:doctor", type_=9)
            body = {"sender_id": "D", "type": 1, "content": "很久以前"}
            (await rest.ask("POST", f"/sessions/{session}/messages", body)).must(201)
            grow_old(url, session)
        (await rest.ask("POST", "/sessions/mixed/messages", body)).must(201)
        inside, entered = await Socket.open(
            imd.port, user_id="P", client_type="patient", session_id="mixed"
        )
        outer, welcome = await Socket.open(imd.port, user_id="P", client_type="patient_system")
        lost, _ = await Socket.open(imd.port, user_id="P", client_type="patient", session_id="old")
        assert welcome["unread_total"] == 2 * OLD + 1
        assert entered["messages"][-1]["seq"] == OLD + 1
        done = asyncio.Event()
        sending = asyncio.ensure_future(busy(rest, done))
        found = await imdctl(imd, url, "retention", "apply", "--batch", "200")
        done.set()
        longest = await sending
        process = found["classes"]["process"]
        assert (process["messages"], process["sessions_deleted"]) == (2 * OLD, 1)
        note(f"retention beside a server on {kind}: a send waited {longest:.3f} s at most")
        assert longest < 5.0
        # The stream went on without a hole, and what nobody had read counts no more.
        last = (await rest.ask("GET", "/sessions/mixed/session")).must(200)["last_seq"]
        told = await inside.until("message", last - OLD - 1)
        assert [message["seq"] for message in told] == list(range(OLD + 2, last + 1))
        badge = (await rest.ask("GET", "/application/badge_no", query={"user_id": "P"})).must(200)
        assert badge["badge_no"] == last - OLD
        end = time.monotonic() + 30
        while not outer.of("badge") or outer.of("badge")[-1]["badge_no"] != badge["badge_no"]:
            assert time.monotonic() < end, outer.of("badge")
            await asyncio.sleep(0.05)
        # Whoever comes back from before the cut reloads.
        epoch = entered["epoch"]
        for after_seq, recovered in ((OLD - 5, False), (last - 1, True)):
            again, result = await Socket.open(
                imd.port, user_id="P", client_type="patient", session_id="mixed",
                after_seq=after_seq, epoch=epoch,
            )  # fmt: skip
            assert result["recovered"] is recovered
            await again.close()
        log = await rest.every_message("mixed")
        assert [message["seq"] for message in log] == list(range(OLD + 1, last + 1))
        # The deleted session is made again, by others: who sat in it before hears nothing of it.
        await other.open_session("old", "N:patient", "D:doctor", type_=9)
        made = (await other.ask("POST", "/sessions/old/messages", body)).must(201)
        assert made["seq"] == OLD + 1
        await inside.close()
        await outer.close()
        await asyncio.wait_for(lost._reading, 30)
        assert lost._link.close_code == 4403
        assert lost.of("message") == []

    with running(tmp_path / "state", url, **TRUSTED) as imd:
        asyncio.run(test(imd))
