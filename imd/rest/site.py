"""Everything that answers on the port, as one resource (pages 2 and 2.8).

``service`` builds it with :func:`build_root` and puts the hardened site around it. Klein matches
the paths of the table; this module stands in front of Klein, because its matcher strips leading
slashes, splits at an encoded slash, and answers bad UTF-8 and bad hosts with pages of its own.
"""

# twisted.web's own methods have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.exceptions import HTTPException

from imd.domain.errors import BadRequest, ImError
from imd.rest.dispatch import Dispatch
from imd.rest.errors import PathNotFound
from imd.rest.openapi import document
from imd.rest.pages import Aside, Check, File, Make, Pages, file_routes, in_place
from imd.rest.routes import ROUTES
from imd.rest.table import Route, Shape, Table
from imd.wire.codec import encode

#: how many paths are remembered with what they matched, and how long one may be, in bytes
_MOST_PATHS, _LONGEST_PATH = 4096, 256


class Answered(Resource):
    """A leaf that answers with what a function makes of the request."""

    isLeaf = True

    def __init__(self, write: Callable[[Request], bytes]) -> None:
        super().__init__()
        self._write = write

    def render(self, request: Any) -> int:
        request.write(self._write(request))
        request.finish()
        return NOT_DONE_YET


class Matcher(KleinResource):
    """Klein's resource, with a shorter road from a path to its endpoint.

    Klein makes a map adapter, a request adapter and a chain of callbacks for each request; here one
    adapter serves all, since paths are judged before they come here and no rule names a host or
    method. What a path matched is remembered, since a session's path comes again and again. An
    answer that is not there at once is written by the dispatch.
    """

    def __init__(self, app: Klein, dispatch: Dispatch) -> None:
        super().__init__(app)
        self._dispatch = dispatch
        self._map = app.url_map.bind("")
        self._known: dict[bytes, tuple[Any, Mapping[str, Any]]] = {}

    def render(self, request: Any) -> Any:
        answer = self._answer(request)
        if answer is not None:
            request.write(answer)
            request.finish()
        return NOT_DONE_YET

    def _answer(self, request: Any) -> bytes | None:
        path = b"/" + b"/".join(request.postpath)
        try:
            endpoint, values = self._known.get(path) or self._match(path)
            answer: Any = self._app.execute_endpoint(endpoint, request, **values)
        except (HTTPException, UnicodeDecodeError):
            return self._dispatch.refuse(request, PathNotFound())
        except Exception:
            return self._dispatch.crash(request, Failure())
        found: bytes | None = answer
        return found

    def _match(self, path: bytes) -> tuple[Any, Mapping[str, Any]]:
        rule, values = self._map.match(path.decode(), return_rule=True)
        if len(self._known) >= _MOST_PATHS:
            self._known.clear()
        if len(path) <= _LONGEST_PATH:
            self._known[path] = (rule.endpoint, values)
        return rule.endpoint, values


class Root(Resource):
    """The root: ``/ws`` and other given resources, and Klein for everything else."""

    def __init__(
        self,
        dispatch: Dispatch,
        matcher: IResource,
        leaves: Mapping[bytes, IResource],
        trees: Mapping[bytes, IResource],
    ) -> None:
        super().__init__()
        self._dispatch = dispatch
        self._matcher = matcher
        self._leaves = leaves
        self._trees = trees

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        """Who answers: a given resource, a refusal of an unsound path, or the matcher."""
        if error := unsound(request.path):
            return _refusal(self._dispatch, error)
        if not request.postpath and path in self._leaves:
            return self._leaves[path]
        if path in self._trees:
            return self._trees[path]
        # The matcher wants the whole path in postpath.
        assert request.postpath is not None and request.prepath is not None
        request.postpath.insert(0, request.prepath.pop())
        return self._matcher


def unsound(path: bytes) -> ImError | None:
    """What is wrong with a path before anything is matched; None for a sound one (page 2.1)."""
    if not path.startswith(b"/") or b"//" in path:
        return PathNotFound()
    if b"%" not in path and path.isascii():
        return None
    try:
        segments = [unquote_to_bytes(segment).decode() for segment in path.split(b"/")]
    except UnicodeDecodeError:
        return BadRequest("The path is not UTF-8.")
    return PathNotFound() if any("/" in segment for segment in segments) else None


def _refusal(dispatch: Dispatch, error: ImError) -> Answered:
    return Answered(lambda request: dispatch.refuse(request, error))


def build_root(
    dispatch: Dispatch,
    *,
    clock: IReactorTime,
    version: str,
    checks: Mapping[str, Check] | None = None,
    degraded: Callable[[], list[str]] = list,
    documents: Mapping[str, Make] | None = None,
    aside: Aside = in_place,
    files: Mapping[str, File] | None = None,
    leaves: Mapping[bytes, IResource] | None = None,
    trees: Mapping[bytes, IResource] | None = None,
    routes: Iterable[Route] = ROUTES,
) -> Root:
    """The root resource.

    ``checks`` say by name whether the server is ready, ``degraded`` what it does without at
    present; ``documents`` make further JSON texts by their paths (``/api/v2/asyncapi.json``),
    each when it is first wanted and by way of ``aside``; ``files`` are what else is served as it
    is (``/docs``). ``leaves`` are resources for exactly ``/NAME`` (``ws``, ``metrics``; ``b""``
    for ``/`` itself), ``trees`` for ``/NAME`` and all below it (``sdk``).
    """
    leaves = dict(leaves or {})
    pages = Pages(dispatch, clock, version, checks or {}, documents or {}, degraded, aside)
    told = Table([*routes, *pages.routes(index=b"" not in leaves)])
    pages.complete(lambda: encode(document(told, version)))
    table = Table([*told.routes, *file_routes(files or {})])
    app = Klein()
    app.url_map.merge_slashes = False
    for shape in table.shapes:
        _register(app, dispatch, shape)
    return Root(dispatch, Matcher(app, dispatch), leaves, dict(trees or {}))


def _register(app: Klein, dispatch: Dispatch, shape: Shape) -> None:
    answer = dispatch.answer

    @app.route(shape.rule, endpoint=shape.rule)
    def matched(request: Request, **values: str) -> bytes | None:
        return answer(shape, request, values.values())
