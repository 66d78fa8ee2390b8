"""One request on its road: what is known of it so far, and how far its answer has come.

The dispatch makes one for each request and nobody keeps it longer. It knows no rules.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from enum import Enum
from itertools import count

from twisted.web.server import Request

from imd.domain.caller import Caller

_SANE = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Stage(Enum):
    """How far an exchange has come."""

    OPEN = "open"
    #: the caller waits for an action that did not end at once
    WAITING = "waiting"
    ANSWERED = "answered"
    #: the caller has hung up or was told 503; the action runs on for its own sake
    DETACHED = "detached"


class Exchange:
    """``started`` is in the reactor's seconds; ``name`` is the row's, for the log.

    A ``quiet`` exchange is of no interest to an operator: a probe, or a caller who has left.
    """

    __slots__ = (
        "answer",
        "caller",
        "name",
        "quiet",
        "request",
        "request_id",
        "stage",
        "started",
    )

    def __init__(self, request: Request, request_id: str, started: float) -> None:
        self.request = request
        self.request_id = request_id
        self.started = started
        self.name = "-"
        self.quiet = False
        self.caller: Caller | None = None
        self.stage = Stage.OPEN
        self.answer = b""

    @property
    def kind(self) -> str:
        """Who calls, as far as a log may know."""
        if self.caller is None:
            return "anyone"
        return "service" if self.caller.is_service else "user"


def request_ids() -> Callable[[], str]:
    """Makes ids of requests: 16 hex digits, told apart by the process and then by number."""
    process, numbers = secrets.token_hex(4), count(1)
    return lambda: f"{process}{next(numbers) & 0xFFFFFFFF:08x}"


def given_request_id(request: Request) -> str | None:
    """The caller's own id of the request, when it is a sane token (page 2.1)."""
    given = request.requestHeaders.getRawHeaders(b"X-Request-Id")
    if given is None or len(given) != 1 or not _SANE.fullmatch(given[0]):
        return None
    return given[0].decode("ascii")
