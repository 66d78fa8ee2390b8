"""What happened in a run, as it happened: one JSON object a line, only ever added to.

Callers and pages write down what they ask before they send it and what they get when it comes;
the schedule writes its faults, the run its last look at the store. Checkers read it back
(:mod:`tests.faults.story`) and know nothing else. ``t`` is in seconds since the run began, on a
clock that nobody sets.

| kind | says |
|---|---|
| ``meta`` | seed, nodes, database, settings of the run |
| ``ask`` | ``id, who, op`` and the operation's arguments; ``link`` when connections matter |
| ``got`` | ``id, ok`` (true; false: refused; null: nobody knows), ``status, code`` and what came |
| ``up`` | ``conn, who, node``: a socket was opened |
| ``said`` | ``conn, frame``: the page wrote a JSON-RPC frame |
| ``heard`` | ``conn, frame``: the page read one |
| ``down`` | ``conn, code, reason`` |
| ``fault`` | ``name, phase`` (``begin``, ``end``) and details |
| ``pushed`` | ``user, session, upto_seq, accepted``: what a push provider was told |
| ``note`` | ``text``: a page that keeps the SDK's rules saw a hole, a repeat or a second answer |
| ``healthy`` | ``node``: it answered readiness and a send after the last fault |
| ``trouble`` | ``node, text``: a traceback or a wrong exit of a server |
| ``truth`` | the tables as SQL has them, and ``api``: the same things as REST tells them |
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

Event = dict[str, Any]


class History:
    """Adds events; :attr:`events` holds them too, so that a run can be judged at once."""

    def __init__(self, path: Path | None = None) -> None:
        self.events: list[Event] = []
        self._file: TextIO | None = path.open("w", encoding="utf-8") if path else None
        self._began = time.monotonic()
        self._ids = itertools.count(1)

    def now(self) -> float:
        """Seconds since the run began."""
        return round(time.monotonic() - self._began, 6)

    def add(self, kind: str, **what: Any) -> Event:
        """Write an event down, with the time of now."""
        event = {"t": self.now(), "kind": kind, **what}
        self.events.append(event)
        if self._file is not None:
            self._file.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")
        return event

    def ask(self, who: str, op: str, **what: Any) -> int:
        """Something is about to be asked; the number is what :meth:`got` wants."""
        number = next(self._ids)
        self.add("ask", id=number, who=who, op=op, **what)
        return number

    def got(self, number: int, ok: bool | None, **what: Any) -> None:
        """What came of it; ``ok`` None when nobody knows whether it was done."""
        self.add("got", id=number, ok=ok, **what)

    def connection(self) -> int:
        """A number for a connection that is about to be made."""
        return next(self._ids)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def load(path: Path) -> list[Event]:
    """The events of a run that was written to a file."""
    return list(_lines(path))


def _lines(path: Path) -> Iterator[Event]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
