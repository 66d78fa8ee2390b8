"""The last look at a run: the tables by SQL, and the same things as REST tells them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any
from urllib.parse import quote

import psycopg2
import psycopg2.extras

from tests.faults.callers import Caller

_TABLES = {
    "messages": "id, session_id, seq, topic_id, sender_id, type, content, structured, timestamp,"
    " client_msg_id, version, recalled, counted",
    "sessions": "id, type, status, last_seq, counted, current_topic_id",
    "participants": "session_id, participant_id, read_seq, delivered_seq, read_counted",
    "topics": "id, session_id, status, reply, start_seq, end_seq",
}


#: what the name of a session begins with that a fault made for itself
BESIDE = "beside-"


def tables(url: str) -> dict[str, list[dict[str, Any]]]:
    """What the store holds, past imd."""
    found = {
        name: [row for row in _rows(url, f"SELECT {columns} FROM {name}") if not _is_beside(row)]
        for name, columns in _TABLES.items()
    }
    for row in found["messages"]:
        if row.pop("structured") and row["content"] is not None:
            row["content"] = json.loads(row["content"])
        row["recalled"] = bool(row["recalled"])
    return found


def _is_beside(row: dict[str, Any]) -> bool:
    return str(row.get("session_id", row.get("id", ""))).startswith(BESIDE)


def _rows(url: str, sql: str) -> list[dict[str, Any]]:
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as lite:
            lite.row_factory = sqlite3.Row
            return [dict(row) for row in lite.execute(sql)]
    with closing(psycopg2.connect(url)) as connection:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(sql)
            return [dict(row) for row in cursor.fetchall()]


async def told(service: Caller, stored: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """What REST says of all sessions and members, to a service."""
    messages: list[dict[str, Any]] = []
    unread: list[dict[str, Any]] = []
    for session in stored["sessions"]:
        base = f"/sessions/{quote(session['id'])}"
        query: dict[str, Any] = {"order": "asc", "size": 200, "peek": 1}
        while True:
            page = await _ask(service, f"{base}/messages", query)
            messages += page["items"]
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
    for row in stored["participants"]:
        user, path = row["participant_id"], f"/sessions/{quote(row['session_id'])}"
        said = await _ask(service, f"{path}/unread_message_count", {"user_id": user})
        unread.append({"session": row["session_id"], "user": user, "count": said["count"]})
    badges = []
    for user in sorted({row["participant_id"] for row in stored["participants"]}):
        said = await _ask(service, "/application/badge_no", {"user_id": user})
        badges.append({"user": user, "count": said["badge_no"]})
    return {"messages": messages, "unread": unread, "badges": badges}


async def _ask(service: Caller, path: str, query: dict[str, Any]) -> Any:
    answer = await service.exchange("GET", path, **query)
    if answer is None:
        raise AssertionError(f"no answer at the end: {path}")
    return answer.must(200)
