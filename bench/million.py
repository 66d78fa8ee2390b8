"""A session of a million messages beside one of a thousand: no page may notice the difference.

The rows are put in by SQL, as imd would have left them; what is measured goes through REST and the
socket. Figures are medians in ms, the two sessions asked in turns.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench import requests
from bench.entries import Figures, Setting
from bench.servers import imd
from tests.e2e.rawsocket import RawSocket
from tests.e2e.rest import Rest
from tests.e2e.server import Imd, token
from tests.servers import PostgresServer

SMALL, LARGE = 1_000, 1_000_000
ROUNDS = 300
NAMES = {"thousand": SMALL, "million": LARGE}

#: what differs in the copy of a session's first message for seq n; other columns stay
_DIFFERENT = {
    "id": "m.session_id || '-' || n",
    "seq": "n",
    "counted": "n",
    "timestamp": "m.timestamp + n",
    "client_msg_id": "NULL",
    "fingerprint": "NULL",
}
_COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_schema = 'im' AND table_name = 'messages' ORDER BY ordinal_position
"""
_SESSION = """
UPDATE im.sessions SET last_seq = %s, counted = %s, last_timestamp = last_timestamp + %s,
    last_message_seq = %s, last_message_time = last_message_time + %s WHERE id = %s
"""
#: who sent the copies has read them
_SENDER = """
UPDATE im.participants SET read_seq = %s, delivered_seq = %s, read_counted = %s
WHERE session_id = %s AND participant_id = %s
"""


def _furnish(server: Imd, postgres: PostgresServer, url: str) -> None:
    requests.open_pairs(server.port, [*NAMES, *(f"other{n}" for n in range(50))])

    async def first() -> None:
        for name in (*NAMES, *(f"other{n}" for n in range(50))):
            async with Rest(server.port, token(f"D-{name}", "doctor")) as rest:
                # One patient is in all of them, for the session list.
                await rest.ask("PUT", f"/sessions/{name}/participants/p-all", {"role": "patient"})
                (await rest.post(name, requests.CONTENT, "first")).must(201)

    asyncio.run(first())
    columns = [row[0] for row in postgres.execute(_COLUMNS, url=url)]
    values = ", ".join(_DIFFERENT.get(column, f"m.{column}") for column in columns)
    fill = (
        f"INSERT INTO im.messages ({', '.join(columns)}) SELECT {values}"
        " FROM im.messages m, generate_series(2, %s) n WHERE m.session_id = %s AND m.seq = 1"
    )
    for name, many in NAMES.items():
        postgres.execute(fill, many, name, url=url)
        postgres.execute(_SESSION, many, many, many, many, many, name, url=url)
        postgres.execute(_SENDER, many, many, many, name, f"D-{name}", url=url)
    postgres.execute("VACUUM ANALYZE im.messages", url=url)
    postgres.execute("VACUUM ANALYZE im.sessions", url=url)


def measure(setting: Setting) -> dict[str, Figures]:
    """Medians by what was asked and of which session."""
    with imd(setting.folder / "million", setting.postgres) as server:
        setting.say(f"filling a session with {LARGE} messages")
        url = server.settings["IMD_DATABASE_URL"]
        _furnish(server, setting.postgres, url)
        setting.say("asking for pages of it")
        found = asyncio.run(_pages(server))
        found |= _recoveries(server)
    return found


async def _pages(server: Imd) -> dict[str, Figures]:
    async with Rest(server.port, token("p-all", "patient")) as rest:

        async def newest(name: str) -> Any:
            query = {"size": 50, "peek": 1}
            return await rest.ask("GET", f"/sessions/{name}/messages", query=query)

        async def middle(name: str) -> Any:
            query = {"size": 50, "before": NAMES[name] // 2}
            return await rest.ask("GET", f"/sessions/{name}/messages", query=query)

        async def unread(name: str) -> Any:
            path = f"/sessions/{name}/unread_message_count"
            return await rest.ask("GET", path, query={"user_id": "p-all"})

        async def one_session(name: str) -> Any:
            return await rest.ask("GET", f"/sessions/{name}/session")

        found = {
            "newest page": await _in_turns(newest),
            "middle page": await _in_turns(middle),
            "unread count": await _in_turns(unread),
            "one session": await _in_turns(one_session),
        }
        found["session list"] = await _lists(server)
        return found


async def _in_turns(ask: Callable[[str], Any]) -> Figures:
    times: dict[str, list[float]] = {name: [] for name in NAMES}
    for round_ in range(ROUNDS + 10):
        for name in NAMES:
            started = time.perf_counter()
            (await ask(name)).must(200)
            if round_ >= 10:
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}


async def _lists(server: Imd) -> Figures:
    """The list of who has the thousand in it, and of who has the million, too."""
    credentials = {name: token(f"p-{name}", "patient") for name in NAMES}
    callers = {name: Rest(server.port, credential) for name, credential in credentials.items()}

    async def listed(name: str) -> Any:
        return await callers[name].ask("GET", "/sessions", query={"user_id": f"p-{name}"})

    figures = await _in_turns(listed)
    for caller in callers.values():
        caller.close()
    return figures


def _recoveries(server: Imd) -> dict[str, Figures]:
    """A login that comes back for the newest hundred."""
    times: dict[str, list[float]] = {name: [] for name in NAMES}
    one = RawSocket(server.port)
    epoch = one.log_in(token("p-all", "patient"), "patient", "thousand")["epoch"]
    one.close()
    for _ in range(ROUNDS):
        for name, many in NAMES.items():
            link = RawSocket(server.port)
            started = time.perf_counter()
            result = link.log_in(
                token("p-all", "patient"), "patient", name, after_seq=many - 100, epoch=epoch
            )
            times[name].append(1000 * (time.perf_counter() - started))
            assert result["recovered"] and len(result["messages"]) == 100
            link.close()
    return {"recovery": {name: statistics.median(values) for name, values in times.items()}}
