"""What stands beside the API for people who watch: the console at ``/``, and ``/metrics``.

:mod:`imd.service.front` mounts these resources. The console's page speaks to the public API like
any other client; of its own it has two doors here, the figures and (in dev) the demo data. Who may
ask is decided here, what the answers mean is not known.
"""

# twisted.web's own methods have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.http import CACHED
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from imd.domain.caller import READ, WRITE
from imd.domain.errors import Forbidden, ImError, MissingScope
from imd.rest.admission import Admission, presented
from imd.rest.dispatch import Dispatch
from imd.rest.errors import MethodNotAllowed, PathNotFound
from imd.rest.exchange import given_request_id
from imd.service.figures import FIGURES, Figures, shown
from imd.service.metrics import Metrics
from imd.service.standing import Gathered
from imd.service.sums import METRICS, written
from imd.web.console import POLICY, Page, read_console
from imd.wire.codec import encode

_METRICS_SCOPE: Final = "metrics"
_READING: Final = (b"GET", b"HEAD")
_JSON: Final = b"application/json"
#: headers of a page that may do nothing but what its policy says
_GUARD: Final = (
    (b"Content-Security-Policy", POLICY),
    (b"Referrer-Policy", b"no-referrer"),
    (b"X-Frame-Options", b"DENY"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
)


class Watching(NamedTuple):
    """What there is to see, of all processes; ``demo`` makes the demo's data, None if refused."""

    metrics: Metrics
    figures: Figures
    gather: Callable[[str], Awaitable[Gathered]]
    demo: Callable[[], Awaitable[dict[str, Any]]] | None = None


class Mounted(NamedTuple):
    """Resources for exactly ``/NAME`` and for all below it (:func:`imd.rest.site.build_root`)."""

    leaves: dict[bytes, IResource]
    trees: dict[bytes, IResource]


class Leaf(Resource):
    """One path, whose refusals are answered as the API's are."""

    isLeaf = True
    verbs: tuple[bytes, ...] = _READING

    def __init__(self, dispatch: Dispatch) -> None:
        super().__init__()
        self._dispatch = dispatch

    def render(self, request: Any) -> int:
        request.write(self._body(request))
        request.finish()
        return NOT_DONE_YET

    def _body(self, request: Any) -> bytes:
        try:
            if self.verbs and request.method not in self.verbs:
                raise MethodNotAllowed(b", ".join(sorted((*self.verbs, b"OPTIONS"))))
            return self.answer(request)
        except ImError as error:
            return self._dispatch.refuse(request, error)
        except Exception:
            return self._dispatch.crash(request, Failure())

    def answer(self, request: Any) -> bytes:
        """The body, with its headers set on the request; ImError refuses."""
        raise PathNotFound()


def _send(request: Any, body: bytes, kind: bytes, cache: bytes = b"no-store") -> bytes:
    request_id = given_request_id(request) or secrets.token_hex(8)
    put = request.responseHeaders.setRawHeaders
    put(b"Content-Type", [kind])
    put(b"Content-Length", [b"%d" % len(body)])
    put(b"Cache-Control", [cache])
    put(b"X-Content-Type-Options", [b"nosniff"])
    put(b"X-Request-Id", [request_id.encode("ascii")])
    return body


class Missing(Leaf):
    """Not there, whatever is wanted of it."""

    verbs = ()


class StaticPage(Leaf):
    """A file of the console, which a browser asks for again with its ETag."""

    def __init__(self, dispatch: Dispatch, page: Page) -> None:
        super().__init__(dispatch)
        self._page = page

    def answer(self, request: Any) -> bytes:
        page = self._page
        body = _send(request, page.body, page.kind, b"no-cache")
        if page.kind.startswith(b"text/html"):
            for name, value in _GUARD:
                request.responseHeaders.setRawHeaders(name, [value])
        if request.setETag(page.etag) is CACHED:
            request.responseHeaders.removeHeader(b"Content-Length")
            return b""
        return body


class SlowLeaf(Leaf):
    """A path whose answer takes a while."""

    def render(self, request: Any) -> int:
        Deferred.fromCoroutine(self._answer_later(request))
        return NOT_DONE_YET

    async def _answer_later(self, request: Any) -> None:
        gone: list[object] = []
        request.notifyFinish().addBoth(gone.append)
        try:
            if request.method not in self.verbs:
                raise MethodNotAllowed(b", ".join(sorted((*self.verbs, b"OPTIONS"))))
            body = await self.answer_later(request)
        except CancelledError:
            raise
        except ImError as error:
            body = self._dispatch.refuse(request, error)
        except Exception:
            body = self._dispatch.crash(request, Failure())
        if not gone:
            request.write(body)
            request.finish()

    async def answer_later(self, request: Any) -> bytes:
        """As :meth:`answer`."""
        raise PathNotFound()


class LiveFigures(SlowLeaf):
    """``/console/figures``: for whoever is believed, or a service key."""

    def __init__(self, dispatch: Dispatch, admission: Admission, watching: Watching) -> None:
        super().__init__(dispatch)
        self._admission, self._gather = admission, watching.gather

    async def answer_later(self, request: Any) -> bytes:
        caller = self._admission.admit(request, READ)
        if not caller.is_service:
            raise Forbidden("The server's figures are for service keys.")
        gathered = await self._gather(FIGURES)
        return _send(request, encode(shown([look for _, look in gathered.found])), _JSON)


class DemoDoor(SlowLeaf):
    """``POST /console/demo`` makes the demo's data; mounted where everybody is believed."""

    verbs = (b"POST",)

    def __init__(
        self,
        dispatch: Dispatch,
        admission: Admission,
        make: Callable[[], Awaitable[dict[str, Any]]],
    ) -> None:
        super().__init__(dispatch)
        self._admission, self._make = admission, make

    async def answer_later(self, request: Any) -> bytes:
        self._admission.admit(request, WRITE)
        return _send(request, encode(await self._make()), _JSON)


class MetricsPage(SlowLeaf):
    """``/metrics``: for loopback peers, or a service key with the scope ``metrics`` (page 2.8)."""

    def __init__(self, dispatch: Dispatch, admission: Admission, watching: Watching) -> None:
        super().__init__(dispatch)
        self._admission, self._gather = admission, watching.gather

    async def answer_later(self, request: Any) -> bytes:
        if presented(request) is not None or not _is_local(request):
            caller = self._admission.admit(request, _METRICS_SCOPE)
            if not caller.is_service:
                raise MissingScope("This needs a service key with the scope 'metrics'.")
        text = written(await self._gather(METRICS))
        return _send(request, text, CONTENT_TYPE_LATEST.encode("ascii"))


def _is_local(request: Any) -> bool:
    """A loopback peer that speaks for itself; what a proxy on this machine brings is not local."""
    headers = request.requestHeaders
    if headers.hasHeader(b"X-Forwarded-For") or headers.hasHeader(b"Forwarded"):
        return False
    try:
        address = ipaddress.ip_address(getattr(request.getClientAddress(), "host", "") or "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


class ConsoleTree(Resource):
    """``/console/…``: the page's files and its two doors; anything else is an API's 404."""

    def __init__(self, dispatch: Dispatch, leaves: dict[bytes, IResource]) -> None:
        super().__init__()
        self._missing = Missing(dispatch)
        self._leaves = leaves

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        if request.postpath:
            return self._missing
        return self._leaves.get(path, self._missing)

    def render(self, request: Any) -> int:
        return self._missing.render(request)


def mount(
    dispatch: Dispatch, admission: Admission, watching: Watching, *, console: bool
) -> Mounted:
    """The resources of this module; without ``console`` only the metrics."""
    leaves: dict[bytes, IResource] = {b"metrics": MetricsPage(dispatch, admission, watching)}
    if not console:
        return Mounted(leaves, {})
    pages = {name: StaticPage(dispatch, page) for name, page in read_console().items()}
    leaves[b""] = pages.pop("index.html")
    below: dict[bytes, IResource] = {name.encode(): page for name, page in pages.items()}
    below[b"figures"] = LiveFigures(dispatch, admission, watching)
    if watching.demo is not None:
        below[b"demo"] = DemoDoor(dispatch, admission, watching.demo)
    return Mounted(leaves, {b"console": ConsoleTree(dispatch, below)})
