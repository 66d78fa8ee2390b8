"""The one road that every request takes, from its row in the table to its answer (page 2.1).

``site`` hands in what the matcher found. On the way: the request's id, the caller, its scope and
rate, the fields, the model, the action, the answer, one log line. It refuses to know any route, and
what an action does.

An action is detached from its connection: hanging up, or the deadline of ``request_timeout``, ends
the waiting and not the action, because what it has begun to store must also be delivered.
"""

# twisted.web's own methods have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.web.server import Request

from imd.actions.ports import House
from imd.domain.errors import ImError, Unavailable
from imd.rest.admission import Admission
from imd.rest.deadlines import Deadlines
from imd.rest.errors import Headers, Internal, MethodNotAllowed, problem
from imd.rest.exchange import Exchange, Stage, given_request_id, request_ids
from imd.rest.origins import Origins
from imd.rest.peers import Peers
from imd.rest.reading import read_fields
from imd.rest.replies import PROBLEM, Reply
from imd.rest.table import Route, Shape
from imd.wire.codec import convert, encode


class Doors(Enum):
    """Whether the process takes requests, which it does a moment longer than it is ready."""

    OPEN = "open"
    #: it stops: not ready any more, but who is connected may still ask
    LAST_CALL = "last call"
    #: it stops: new requests are told to go elsewhere
    SHUT = "shut"


#: what is counted for a caller who hung up before the answer
CALLER_LEFT = 499

#: told each request's row, status and seconds
Observer = Callable[[str, int, float], None]


def _nobody(name: str, status: int, seconds: float) -> None:
    """Where there are no metrics."""


class Dispatch:
    """All requests of one process."""

    _log = Logger()

    def __init__(
        self,
        house: House,
        *,
        clock: IReactorTime,
        request_timeout: float = 10.0,
        allowed_origins: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
        body_limit: int = 262_144,
        new_request_id: Callable[[], str] | None = None,
        observe: Observer = _nobody,
    ) -> None:
        """``request_timeout`` in seconds, ``body_limit`` in bytes."""
        peers = Peers(trusted_proxies)
        self._house = house
        self._clock = clock
        self._deadlines = Deadlines(clock, request_timeout, self._overdue)
        self._body_limit = body_limit
        self._new_request_id = new_request_id or request_ids()
        self._observe = observe
        self._origins = Origins(allowed_origins, peers)
        self._admission = Admission(house, peers, self._origins)
        #: read once: a class's logger makes another one each time that it is asked for
        self._access = self._log
        self._idle: list[Deferred[None]] = []
        #: actions that run now, detached ones among them
        self.running = 0
        #: whether new requests are taken; those of an open connection longer than others
        self.doors = Doors.OPEN

    def idle(self) -> Deferred[None]:
        """Fires when no action runs."""
        if not self.running:
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._idle.remove)
        self._idle.append(waiter)
        return waiter

    # ---- the road

    def answer(self, shape: Shape, request: Request, values: Iterable[str]) -> bytes | None:
        """Answer a request whose path has this shape; ``values`` are the path's parameters.

        The status and headers are set on the request, and the body comes back. None means that
        the action goes on: the answer will be written when it ends.
        """
        exchange = self._begin(request)
        row = shape.rows.get(request.method)
        if row is None:
            return self._other_method(exchange, shape)
        route = row.route
        exchange.name = route.name
        exchange.quiet = route.scope is None
        try:
            if route.scope is not None:
                if self.doors is Doors.SHUT:
                    raise Unavailable("The server is stopping; try again.")
                exchange.caller = self._admission.admit(request, route.scope)
            fields = read_fields(request, row, values, self._body_limit)
            asked = convert(fields, route.model)
        except ImError as error:
            return self._refuse(exchange, error)
        except Exception:
            return self._crash(exchange, Failure())
        return self._act(exchange, route, asked)

    def _act(self, exchange: Exchange, route: Route, asked: Any) -> bytes | None:
        self.running += 1
        acting = Deferred.fromCoroutine(self._run(exchange, route, asked))
        acting.addErrback(self._lost, exchange)
        if exchange.stage is Stage.ANSWERED:
            return exchange.answer
        exchange.stage = Stage.WAITING
        exchange.request.notifyFinish().addErrback(self._hang_up, exchange)
        self._deadlines.add(exchange)
        return None

    async def _run(self, exchange: Exchange, route: Route, asked: Any) -> None:
        """Carry the action out and answer; nothing cancels this."""
        try:
            try:
                answer = await route.action(self._house, exchange.caller, asked)
            except CancelledError:
                self._settle(exchange, self._refuse, Unavailable())
            except ImError as error:
                self._settle(exchange, self._refuse, error)
            else:
                self._settle(exchange, self._reply, route.outcome.reply(answer))
        except Exception:
            self._settle(exchange, self._crash, Failure())
        finally:
            self.running -= 1
            if not self.running and self._idle:
                waiters, self._idle = self._idle, []
                for waiter in waiters:
                    waiter.callback(None)

    def _settle(
        self, exchange: Exchange, write: Callable[[Exchange, Any], bytes], outcome: Any
    ) -> None:
        """Give the outcome to the caller when it still waits, else only to the log."""
        if exchange.stage is Stage.DETACHED:
            if isinstance(outcome, Failure):
                self._log_failure(exchange, outcome)
            else:
                self._log.debug(
                    "{route} ended without its caller",
                    route=exchange.name,
                    request_id=exchange.request_id,
                )
            return
        answer = write(exchange, outcome)
        if exchange.stage is Stage.WAITING:
            self._deadlines.drop(exchange)
            self._hand_over(exchange, Stage.ANSWERED, answer)
        else:
            exchange.stage, exchange.answer = Stage.ANSWERED, answer

    def _hand_over(self, exchange: Exchange, stage: Stage, answer: bytes) -> None:
        """Write the answer to the caller, who has waited for it."""
        exchange.stage = stage
        try:
            exchange.request.write(answer)
            exchange.request.finish()
        except Exception:
            self._log.failure(
                "an answer was not written, {request_id}", request_id=exchange.request_id
            )

    def _hang_up(self, reason: Failure, exchange: Exchange) -> None:
        """The caller has gone; the action goes on."""
        if exchange.stage is not Stage.WAITING:
            return
        self._deadlines.drop(exchange)
        exchange.stage = Stage.DETACHED
        exchange.quiet = True
        self._note(exchange, CALLER_LEFT)

    def _overdue(self, exchange: Exchange) -> None:
        """The caller has waited long enough; the action goes on."""
        answer = self._refuse(exchange, Unavailable("The answer took too long; try again."))
        self._hand_over(exchange, Stage.DETACHED, answer)

    def _lost(self, failure: Failure, exchange: Exchange) -> None:
        """What even :meth:`_run` did not catch; it must not end as an unhandled error."""
        self._log_failure(exchange, failure)

    # ---- other answers

    def refuse(self, request: Request, error: ImError) -> bytes:
        """The body for a request that has no row, such as one with an unknown path."""
        return self._refuse(self._begin(request), error)

    def crash(self, request: Request, failure: Failure) -> bytes:
        """The body for a request that failed outside of any row; the log gets the failure."""
        return self._crash(self._begin(request), failure)

    def _other_method(self, exchange: Exchange, shape: Shape) -> bytes:
        if exchange.request.method != b"OPTIONS":
            return self._refuse(exchange, MethodNotAllowed(shape.allow))
        exchange.name = "options"
        allowed = self._origins.preflight(exchange.request, shape.allow)
        return self._reply(exchange, Reply(204, b"", ((b"Allow", shape.allow), *allowed)))

    def _crash(self, exchange: Exchange, failure: Failure) -> bytes:
        self._log_failure(exchange, failure)
        return self._refuse(exchange, Internal(request_id=exchange.request_id))

    def _refuse(self, exchange: Exchange, error: ImError) -> bytes:
        status, body, headers = problem(error)
        if self.doors is Doors.SHUT:
            headers = (*headers, (b"Connection", b"close"))
        return self._write(exchange, status, body, headers, PROBLEM)

    def _reply(self, exchange: Exchange, reply: Reply) -> bytes:
        body = reply.body if isinstance(reply.body, bytes) else encode(reply.body)
        return self._write(exchange, reply.status, body, reply.headers, reply.kind)

    def _begin(self, request: Request) -> Exchange:
        request_id = given_request_id(request) or self._new_request_id()
        return Exchange(request, request_id, self._clock.seconds())

    def _write(
        self, exchange: Exchange, status: int, body: bytes, headers: Headers, kind: bytes
    ) -> bytes:
        """Set status and headers on the request, write the log line; the body for the matcher."""
        request = exchange.request
        request.setResponseCode(status)
        put = request.responseHeaders.setRawHeaders
        if status not in (204, 304):
            put(b"Content-Type", [kind])
            put(b"Content-Length", [b"%d" % len(body)])
        put(b"X-Content-Type-Options", [b"nosniff"])
        put(b"X-Request-Id", [exchange.request_id.encode("ascii")])
        put(b"Cache-Control", [b"no-store"])
        for name, value in headers:
            put(name, [value])
        if not headers or not any(name == b"Access-Control-Allow-Origin" for name, _ in headers):
            for name, value in self._origins.headers(request):
                put(name, [value])
        self._note(exchange, status)
        return body

    # ---- the log

    def _note(self, exchange: Exchange, status: int) -> None:
        now = self._clock.seconds()
        seconds = now - exchange.started
        self._observe(exchange.name, status, seconds)
        # As Logger.emit makes it, which takes longer for an event than all else about the line.
        log = self._access
        log.observer(
            {
                "log_logger": log,
                "log_level": LogLevel.debug if exchange.quiet else LogLevel.info,
                "log_namespace": log.namespace,
                "log_source": self,
                "log_format": "{route} {status} in {ms} ms for {caller}, {request_id}",
                "log_time": now,
                "route": exchange.name,
                "status": status,
                "ms": round(seconds * 1000, 1),
                "caller": exchange.kind,
                "request_id": exchange.request_id,
            }
        )

    def _log_failure(self, exchange: Exchange, failure: Failure) -> None:
        self._log.failure(
            "{route} failed, {request_id}",
            failure=failure,
            route=exchange.name,
            request_id=exchange.request_id,
        )
