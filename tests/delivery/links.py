"""A link that remembers what it was told, and a send of it."""

from __future__ import annotations

import json
from typing import Any

from imd.domain.client_types import ClientType
from imd.wire.closing import Close
from imd.wire.frames import payload_of


class FakeLink:
    def __init__(
        self,
        user_id: str = "p",
        client: ClientType = ClientType.PATIENT,
        fingerprint: str | None = None,
        sid: frozenset[str] | None = None,
    ) -> None:
        self.user_id, self.client, self.fingerprint, self.sid = user_id, client, fingerprint, sid
        self.frames: list[bytes] = []
        self.closed: Close | None = None
        self.sends: dict[tuple[str, str | None], FakeOrigin] = {}

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)

    def end(self, code: Close) -> None:
        self.closed = code

    def origin_of(self, session_id: str, client_msg_id: str | None) -> Any:
        return self.sends.get((session_id, client_msg_id))

    def told(self, method: str | None = None) -> list[Any]:
        """The params of what came, of one method or as (method, params)."""
        notes = [json.loads(payload_of(frame)) for frame in self.frames]
        pairs = [(note["method"], note["params"]) for note in notes]
        return pairs if method is None else [params for name, params in pairs if name == method]

    @property
    def seqs(self) -> list[int]:
        """The seqs of the stream, one's own results included."""
        return [params["seq"] for method, params in self.told() if method in ("message", "result")]


class FakeOrigin:
    """A send whose answer shows up in its link's stream as ``result``."""

    def __init__(self, link: FakeLink) -> None:
        self.link, self.taken = link, False

    def take(self) -> None:
        self.taken = True

    def answer(self, encoded: bytes) -> None:
        frame = b'{"method":"result","params":%b}' % encoded
        head = b"\x81\x7e" + len(frame).to_bytes(2, "big")
        self.link.frames.append(head + frame)
