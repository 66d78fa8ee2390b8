"""One POST to a provider: verified TLS, no redirects, a deadline, a bounded answer.

WeChat, Getui and webhooks speak through it. Whatever the network or the far side does comes back
as an :class:`Answer` or as one error; URLs may hold tokens and are never logged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionLost, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol as ByteProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import RequestNotSent, RequestTransmissionFailed
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS, IResponse

#: bytes of an answer that are looked at; providers' answers are far smaller
MOST_BYTES: Final = 65_536
CONNECT_SECONDS: Final = 3.0
TOTAL_SECONDS: Final = 10.0


class Unreachable(Exception):
    """No whole answer came; ``code`` is a word for the log, free of addresses."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Answer(NamedTuple):
    """What came back; ``retry_after`` is in seconds where the far side said it."""

    status: int
    body: bytes
    retry_after: float | None

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one when it is none."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


class Poster(Protocol):
    """How the channels speak; tests may stand another in its place."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer: ...


class HttpPoster:
    """Posts over a small pool of kept connections. ``policy`` says whom TLS trusts."""

    def __init__(
        self,
        reactor: Any,
        policy: IPolicyForHTTPS | None = None,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._clock: IReactorTime = reactor
        self._seconds = seconds
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = 8
        # A kept connection that the far side has closed would look like an outage otherwise;
        # imd repeats by itself, with the same id.
        self._pool.retryAutomatically = False
        self._pool.cachedConnectionTimeout = 20
        agent = Agent(
            reactor,
            contextFactory=policy or BrowserLikePolicyForHTTPS(),
            connectTimeout=CONNECT_SECONDS,
            pool=self._pool,
        )
        self._client = HTTPClient(agent)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer to one POST; raises Unreachable."""
        asked: Deferred[Answer] = Deferred.fromCoroutine(self._post(url, body, headers))
        asked.addTimeout(self._seconds, self._clock, _too_late)
        return await asked

    async def close(self) -> None:
        """Close the kept connections."""
        await self._pool.closeCachedConnections()

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        listed = {name: [value] for name, value in headers.items()}
        try:
            response = await self._client.request(
                "POST",
                url,
                data=body,
                headers=Headers({"Content-Type": ["application/json"], **listed}),
                allow_redirects=False,
                unbuffered=True,
            )
            content = await _body(response)
        except (CancelledError, Unreachable):
            raise
        except (ConnectTimeout, TimeoutError) as error:
            raise Unreachable("timeout") from error
        except DNSLookupError as error:
            raise Unreachable("no_address") from error
        except _NO_ANSWER as error:
            raise Unreachable("bad_certificate" if _is_tls(error) else "unreachable") from error
        except Exception as error:  # whatever bytes may do to a parser of HTTP or gzip
            raise Unreachable("bad_certificate" if _is_tls(error) else "bad_answer") from error
        return Answer(response.code, content, _retry_after(response))


def _too_late(result: object, seconds: float) -> object:
    if isinstance(result, Failure) and result.check(CancelledError):
        raise Unreachable("timeout")
    return result


#: what agent and transport raise when the far side or the way to it fails
_NO_ANSWER: Final = (
    ResponseNeverReceived, ResponseFailed, RequestTransmissionFailed, RequestNotSent, ConnectError,
    ConnectionLost, OSError,
)  # fmt: skip


def _is_tls(error: BaseException) -> bool:
    """Whether it was the handshake that failed: a certificate that is not trusted, most often."""
    secure = ("OpenSSL", "service_identity", "twisted.internet._sslverify")
    reasons: list[Failure] = getattr(error, "reasons", [])
    causes = [error, *(reason.value for reason in reasons)]
    return any(type(cause).__module__.startswith(secure) for cause in causes)


def _retry_after(response: IResponse) -> float | None:
    given = response.headers.getRawHeaders("retry-after", [])
    try:
        seconds = float(given[0]) if given else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds <= 86_400 else None


class _Bounded(ByteProtocol):
    """Gathers a body up to MOST_BYTES; breaks the connection off when it is more or cancelled."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self.done: Deferred[bytes] = Deferred(lambda _: self._abort())

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MOST_BYTES:
            self._abort()
            self._finish(Failure(Unreachable("too_large")))
        else:
            self._parts.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ResponseDone, PotentialDataLoss):
            self._finish(b"".join(self._parts))
        else:
            self._finish(reason)

    def _abort(self) -> None:
        abort = getattr(self.transport, "abortConnection", None)
        if abort is not None:
            abort()

    def _finish(self, result: bytes | Failure) -> None:
        if not self.done.called:
            self.done.callback(result)


def _body(response: IResponse) -> Deferred[bytes]:
    bounded = _Bounded()
    response.deliverBody(bounded)
    return bounded.done


def encode(value: object) -> bytes:
    """JSON as providers take it, Chinese text unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
