"""What a supervisor and its workers say to each other: one JSON object a line, through two pipes.

A worker says ``ready``, ``failed`` (with ``lines`` for the operator), ``want`` (the figures of all)
and ``figures`` (its own); the supervisor says ``tell``, ``told`` and ``crew``. Numbers and names of
counters only: no message ever goes this way. It refuses to know what the figures are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Said = dict[str, Any]

#: the worker's end: the port, and the pipe to the supervisor; stdin is the pipe from it
PORT_DESCRIPTOR, REPORT_DESCRIPTOR = 3, 4


def line_of(say: str, **more: Any) -> bytes:
    """One line; ``say`` is what kind of line it is."""
    return json.dumps({"say": say, **more}, separators=(",", ":")).encode() + b"\n"


class Lines:
    """Puts lines together from what comes through a pipe, and hands each on."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take, self._rest = take, [b""]

    def feed(self, data: bytes) -> None:
        """Some more bytes came."""
        if b"\n" not in data:
            self._rest.append(data)
            return
        *whole, rest = b"".join([*self._rest, data]).split(b"\n")
        self._rest = [rest]
        for line in whole:
            self._take(line)

    def end(self) -> None:
        """Nothing more comes; an unfinished line is handed on as it is."""
        rest, self._rest = b"".join(self._rest), [b""]
        if rest:
            self._take(rest)
