"""The sessions that the load goes through, and the requests that it is made of.

A pair is a doctor and a patient alone in a session; what the doctor sends, the patient must get.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from bench.load import PLACE
from tests.e2e.rest import Rest
from tests.e2e.server import token

#: about 300 bytes of JSON on the wire
CONTENT = "医生您好，我最近两天血压有点高，早上一百五十，晚上一百四十，需要调整药量吗？谢谢。"
_PLACE = PLACE.decode()


def send_body(**more: object) -> str:
    return json.dumps({"type": 1, "content": CONTENT, "client_msg_id": _PLACE, **more})


def post(path: str, body: str, credential: str | None) -> str:
    """A POST as it goes out."""
    authorization = f"Authorization: Bearer {credential}\r\n" if credential else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}"
        f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
    )


def call(method: str, id_: str, **params: object) -> str:
    """A JSON-RPC request."""
    return json.dumps({"jsonrpc": "2.0", "id": id_, "method": method, "params": params})


def login(user_id: str, role: str, session_id: str, client_type: str | None = None) -> str:
    return call(
        "login",
        "login",
        token=token(user_id, role),
        client_type=client_type or role,
        session_id=session_id,
    )


def open_pairs(port: int, names: list[str]) -> None:
    """Make sessions of D-NAME and p-NAME."""

    async def one(part: list[str]) -> None:
        for name in part:
            async with Rest(port, token(f"D-{name}", "doctor")) as rest:
                await rest.open_session(name, f"D-{name}:doctor", f"p-{name}:patient")

    async def every() -> None:
        await asyncio.gather(*(one(names[start::8]) for start in range(8)))

    asyncio.run(every())


def rest_senders(names: list[str], who: str = "D") -> list[dict[str, Any]]:
    """The doctors (or patients, ``p``) of these sessions, on REST."""
    role = "doctor" if who == "D" else "patient"
    return [
        {
            "kind": "http",
            "request": post(
                f"/api/v2/sessions/{name}/messages", send_body(), token(f"{who}-{name}", role)
            ),
        }
        for name in names
    ]


def socket_senders(names: list[str]) -> list[dict[str, Any]]:
    """The doctors of these sessions, on sockets."""
    return [
        {
            "kind": "socket",
            "login": login(f"D-{name}", "doctor", name),
            "request": call("send", _PLACE, type=1, content=CONTENT, client_msg_id=_PLACE),
        }
        for name in names
    ]


def patients(names: list[str]) -> list[dict[str, Any]]:
    """These sessions' patients, who listen."""
    return [{"kind": "socket", "login": login(f"p-{name}", "patient", name)} for name in names]


def plain_senders(names: list[str]) -> list[dict[str, Any]]:
    """Senders to a server that has none of imd's rules."""
    body = send_body()
    return [
        {"kind": "http", "request": post(f"/sessions/{name}/messages", body, None)}
        for name in names
    ]


def plain_receivers(names: list[str]) -> list[dict[str, Any]]:
    """Listeners at such a server."""
    return [{"kind": "socket", "login": call("login", "login", session_id=name)} for name in names]
