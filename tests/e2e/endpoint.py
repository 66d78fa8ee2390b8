"""A platform that takes webhooks: it keeps each event whose signature is good, in order."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "a secret that is shared"


class Endpoint:
    """``settings`` is what a server has to know of it."""

    def __init__(self, port: int, wanted: tuple[str, ...]) -> None:
        hook = {"url": f"http://127.0.0.1:{port}/x", "secret": SECRET, "events": list(wanted)}
        self.settings = {"IMD_WEBHOOKS": json.dumps([hook])}
        self.events: list[dict[str, Any]] = []

    def take(self, said: str, body: bytes) -> bool:
        stamp, digest = (part.partition("=")[2] for part in said.split(","))
        whole = f"{stamp}.".encode() + body
        expected = hmac.new(SECRET.encode(), whole, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, digest):
            return False
        event = json.loads(body)
        if event["id"] not in {earlier["id"] for earlier in self.events}:  # at least once
            self.events.append(event)
        return True

    def heard(self, user_id: str) -> list[str]:
        """What it was told of a user's coming and going."""
        return [
            event["type"].removeprefix("user.")
            for event in self.events
            if event["type"].startswith("user.") and event["data"]["id"] == user_id
        ]


@contextmanager
def endpoint(*wanted: str) -> Iterator[Endpoint]:
    """One that listens; it wants everything unless told."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            good = made.take(self.headers["X-Imd-Signature"], body)
            self.send_response(204 if good else 403)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    made = Endpoint(server.server_port, wanted or ("*",))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
