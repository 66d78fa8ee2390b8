"""The rows beside the API: health, readiness, the index and the API documents (page 2.8).

``site`` adds them to the table, so they take the same road as every other request; they are open to
anyone. What is checked for readiness is handed in by name. It knows no database, bus or console.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imd.rest.cached import Cached, CacheRequest
from imd.rest.dispatch import Dispatch, Doors
from imd.rest.errors import Headers
from imd.rest.replies import FILE, PLAIN, READY, Reply
from imd.rest.routes import API
from imd.rest.table import Action, Route
from imd.wire.answers import Answer
from imd.wire.fields import Request

#: whether a part of the server can do its work now; raising means no
Check = Callable[[], Awaitable[bool]]

#: makes a text; it may take long
Make = Callable[[], bytes]
#: has something made without keeping the reactor from its work
Aside = Callable[[Make], Awaitable[bytes]]

#: seconds that a check may take
CHECK_TIME = 3.0


class File(NamedTuple):
    """A file that anyone may have: its body, media type and further headers."""

    body: bytes
    kind: bytes
    headers: Headers = ()


class Nothing(Request, frozen=True):
    """A request without fields."""


class Health(Answer, frozen=True):
    status: Literal["ok"]
    version: str


class Ready(Answer, frozen=True, omit_defaults=True):
    """``degraded`` names what does less than it should, though requests are answered."""

    status: Literal["ready"]
    degraded: list[str] = []


class NotReady(Answer, frozen=True):
    status: Literal["not_ready"]
    not_ready: list[str]


class Index(Answer, frozen=True):
    name: str
    version: str
    links: dict[str, str]


async def in_place(make: Make) -> bytes:
    """An :data:`Aside` where nobody else waits."""
    return make()


class OnDemand:
    """A document that is made when somebody first wants it, once: a start does not wait for it."""

    def __init__(self, make: Make, aside: Aside) -> None:
        self._make, self._aside = make, aside
        self._text: bytes | None = None
        self._making = DeferredLock()

    async def text(self) -> bytes:
        """The document; what ``make`` raises, each time until it does not."""
        if self._text is None:
            async with self._making:
                if self._text is None:
                    self._text = await self._aside(self._make)
        return self._text


class Pages:
    """What these rows answer with; :meth:`complete` ends the making of the table."""

    _log = Logger()

    def __init__(
        self,
        dispatch: Dispatch,
        clock: IReactorTime,
        version: str,
        checks: Mapping[str, Check],
        documents: Mapping[str, Make],
        degraded: Callable[[], list[str]],
        aside: Aside,
    ) -> None:
        """``documents`` make further JSON texts, by their whole paths; ``degraded`` names what is
        away though the server does without."""
        self._dispatch = dispatch
        self._clock = clock
        self._version = version
        self._checks, self._degraded = dict(checks), degraded
        self._documents = {path: OnDemand(make, aside) for path, make in documents.items()}
        self._aside = aside
        self._openapi: OnDemand

    def routes(self, *, index: bool) -> tuple[Route, ...]:
        """The rows; without ``index`` somebody else answers ``/``."""
        rows = [
            _open("get_health", "/healthz", (Health,), self.health, "The process is alive"),
            Route(
                "get_readiness", ("GET",), "/readyz", Nothing, (Ready, NotReady), self.readiness,
                None, "The server can take requests, or what is missing", READY,
            ),
            _open("get_openapi", f"{API}/openapi.json", (dict[str, Any],), self.document_of_api,
                  "This document"),
        ]  # fmt: skip
        if index:
            rows.append(_open("get_index", "/", (Index,), self.index, "Where everything is"))
        for path, document in self._documents.items():
            name = f"get_{PurePosixPath(path).stem}"
            rows.append(
                _open(name, path, (dict[str, Any],), _sends(document), f"The document {path}")
            )
        return tuple(rows)

    def complete(self, openapi: Make) -> None:
        """The table is: this makes its document."""
        self._openapi = OnDemand(openapi, self._aside)

    async def health(self, house: object, caller: object, request: Nothing) -> Health:
        """That this process answers, and its version (``/healthz``)."""
        return Health("ok", self._version)

    async def readiness(self, house: object, caller: object, request: Nothing) -> Reply:
        """200 when every check passes in time, else 503 with the names of those that do not."""
        names = list(self._checks)
        passed = await gatherResults([Deferred.fromCoroutine(self._passes(n)) for n in names])
        missing = [name for name, good in zip(names, passed, strict=True) if not good]
        if self._dispatch.doors is not Doors.OPEN:
            missing.append("draining")
        if missing:
            return Reply(503, NotReady("not_ready", missing), ((b"Retry-After", b"1"),))
        return Reply(200, Ready("ready", self._degraded()))

    async def _passes(self, name: str) -> bool:
        async def ask() -> bool:
            return await self._checks[name]()

        asking = Deferred.fromCoroutine(ask())
        asking.addTimeout(CHECK_TIME, self._clock)
        try:
            return await asking
        except Exception as error:
            self._log.warn("not ready: {check}, {kind}", check=name, kind=type(error).__name__)
            return False

    async def index(self, house: object, caller: object, request: Nothing) -> Index:
        """The paths of what is served beside the API's rows (``/``)."""
        links = {"health": "/healthz", "readiness": "/readyz", "openapi": f"{API}/openapi.json"}
        links.update((PurePosixPath(path).stem, path) for path in self._documents)
        return Index("imd", self._version, links)

    async def document_of_api(self, house: object, caller: object, request: Nothing) -> bytes:
        """The OpenAPI document (``/api/v2/openapi.json``)."""
        return await self._openapi.text()


def _sends(document: OnDemand) -> Action:
    async def send(house: object, caller: object, request: Nothing) -> bytes:
        return await document.text()

    return send


def file_routes(files: Mapping[str, File]) -> tuple[Route, ...]:
    """Rows for files by their paths; the API document does not tell them."""
    return tuple(
        Route(f"file_{path}", ("GET",), path, CacheRequest, (), _gives(file), None, path, FILE)
        for path, file in files.items()
    )


def _gives(file: File) -> Action:
    cached = Cached(file.body, file.kind, file.headers)

    async def give(house: object, caller: object, request: CacheRequest) -> Reply:
        return cached.reply(request)

    return give


def _open(name: str, path: str, answers: tuple[Any, ...], action: Action, summary: str) -> Route:
    return Route(name, ("GET",), path, Nothing, answers, action, None, summary, PLAIN)
