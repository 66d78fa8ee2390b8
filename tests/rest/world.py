"""A whole REST side over fake actions: real table, matcher and dispatch, nothing behind them.

Tests tell an action what to do by its name (:attr:`World.acts`) and read what it was called with
(:attr:`World.calls`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.server import Site

from imd.actions.ports import House, Posted, Rates, Rules
from imd.domain.caller import SCOPES, Caller
from imd.domain.errors import Unauthenticated
from imd.domain.ids import UserId
from imd.domain.message import Message
from imd.domain.rates import Rate
from imd.rest import replies
from imd.rest.dispatch import Dispatch
from imd.rest.routes import ROUTES
from imd.rest.site import build_root
from imd.rest.table import Route

API = "/api/v2"

USER = {"Authorization": "Bearer user-D1"}
KEY = {"Authorization": "Bearer key-admin"}

MESSAGE = Message(
    id="m1", session_id="s1", seq=1, topic_id=None, sender_id="D1", sender_name=None, type=1,
    content="您好 <b>", timestamp=5, client_msg_id=None, business_type=1, version=1, recalled=False,
)  # fmt: skip


class Made:
    """Stands for Opened, PutOutcome, Started and Entered."""

    def __init__(self, thing: Any, created: bool) -> None:
        self.session = self.user = self.topic = self.message = thing
        self.created = created


class Door:
    """``user-ID`` is a doctor's token, ``key-SCOPE`` a service key; anything else is refused."""

    def __init__(self) -> None:
        self.trusted = False

    def identify(self, credential: str) -> Caller:
        kind, _, name = credential.partition("-")
        if kind == "user":
            return Caller(user_id=UserId(name), role="doctor")
        if kind == "key" and name in SCOPES:
            return Caller(scopes=SCOPES[name], name=name)
        raise Unauthenticated()

    def issue(
        self, user_id: str, role: str, now: int, sid: Collection[str] | None = None
    ) -> tuple[str, int]:
        raise NotImplementedError

    def revoke(self, fingerprint: str) -> None:
        raise NotImplementedError


class Milliseconds:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> int:
        return int(self._clock.seconds() * 1000)


@dataclass
class Reply:
    status: int
    headers: dict[str, list[str]]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    def one(self, name: str) -> str | None:
        values = self.headers.get(name.lower(), [])
        assert len(values) < 2, (name, values)
        return values[0] if values else None

    def problem(self, status: int, code: str) -> dict[str, Any]:
        """An RFC 9457 refusal with everything that page 2.1 asks of one."""
        assert (self.status, self.raw and self.json.get("code")) == (status, code), self.raw
        assert self.one("content-type") == "application/problem+json"
        assert self.one("x-content-type-options") == "nosniff"
        assert self.one("x-request-id")
        body = self.json
        assert {"type", "title", "status", "detail", "code"} <= set(body)
        assert body["status"] == status
        assert b"Traceback" not in self.raw
        return cast("dict[str, Any]", body)


Act = Callable[[Any, Caller, Any], Awaitable[Any]]


class World:
    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.door = Door()
        self.calls: list[tuple[str, Caller, Any]] = []
        self.acts: dict[str, Act] = {}
        self.seen: list[tuple[str, int, float]] = []
        now = Milliseconds(self.clock)
        rates = Rates(Rate(10, 20), Rate(60, 60), Rate(5 / 60, 5))
        nothing = cast("Any", None)
        self.house = House(
            nothing, nothing, nothing, nothing, self.door, now, lambda: "id", Rules(), rates
        )
        site = {
            k: options.pop(k)
            for k in ("aside", "checks", "degraded", "documents", "files", "leaves", "trees")
            if k in options
        }
        self.dispatch = Dispatch(
            self.house,
            clock=self.clock,
            observe=lambda *seen: self.seen.append(seen),
            **options,
        )
        routes = [replace(route, action=self._fake(route)) for route in ROUTES]
        self.root = build_root(
            self.dispatch, clock=self.clock, version="1.2.3", routes=routes, **site
        )
        self.treq: Any = StubTreq(self.root)

    def _fake(self, route: Route) -> Act:
        plain = {
            replies.POSTED: Posted(MESSAGE, False),
            replies.NOTHING: None,
            replies.PLAIN: {"ok": route.name},
        }.get(route.outcome, Made({"ok": route.name}, True))

        async def act(house: Any, caller: Caller, request: Any) -> Any:
            self.calls.append((route.name, caller, request))
            if route.name in self.acts:
                return await self.acts[route.name](house, caller, request)
            return plain

        return act

    # ---- asking

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] = KEY,
        data: bytes | None = None,
        json: Any = None,
        form: str | None = None,
        root: bool = False,
    ) -> Reply:
        """One request through treq, answered at once."""
        sent = dict(headers)
        if json is not None:
            data = encoded(json)
            sent.setdefault("Content-Type", "application/json")
        elif form is not None:
            data = form.encode()
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        url = f"http://127.0.0.1:3000{'' if root else API}{path}"
        answers: list[Any] = []
        self.treq.request(method, url, headers=sent, data=data).addBoth(answers.append)
        self.treq.flush()
        (response,) = answers
        if isinstance(response, Failure):
            response.raiseException()
        body: list[bytes] = []
        response.content().addCallback(body.append)
        names = {
            name.decode().lower(): [v.decode() for v in values]
            for name, values in response.headers.getAllRawHeaders()
        }
        return Reply(response.code, names, body[0])

    def last(self) -> Any:
        """The request model of the newest call."""
        return self.calls[-1][2]

    def connect(self) -> Line:
        return Line(self.root, self.clock)


class Line:
    """One connection, byte by byte."""

    def __init__(self, root: Any, clock: Clock) -> None:
        site = Site(root, parsePOSTFormSubmission=False, reactor=clock)
        self.protocol = site.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)

    def send(self, raw: bytes) -> None:
        self.protocol.dataReceived(raw)

    def hang_up(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def raw(self) -> bytes:
        return bytes(self.transport.value())

    def reply(self) -> Reply:
        """What has been answered, as one reply; its body may be empty (HEAD)."""
        head, _, body = self.raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        return Reply(int(first.split()[1]), headers, body)

    def get(self, target: bytes, headers: bytes = b"Authorization: Bearer key-admin\r\n") -> Reply:
        self.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n")
        return self.reply()


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


class Held:
    """An action that waits until the test lets it go."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Any]] = []
        self.cancelled = 0

    async def __call__(self, house: Any, caller: Caller, request: Any) -> Any:
        waiting: Deferred[Any] = Deferred(self._cancel)
        self.waiting.append(waiting)
        return await waiting

    def _cancel(self, deferred: Deferred[Any]) -> None:
        self.cancelled += 1

    def release(self, outcome: Any) -> None:
        waiting = self.waiting.pop(0)
        if isinstance(outcome, BaseException):
            waiting.errback(outcome)
        else:
            waiting.callback(outcome)


def raising(error: BaseException) -> Act:
    async def act(house: Any, caller: Caller, request: Any) -> Any:
        raise error

    return act


def giving(outcome: Any) -> Act:
    async def act(house: Any, caller: Caller, request: Any) -> Any:
        return outcome

    return act
