"""What a row of the route table is, and how a path and a verb find theirs.

``routes`` writes rows, the dispatch and the OpenAPI document read them. A table checks itself when
it is built, so a wrong row fails at start and not at its first request. It knows no row by name.

Rows whose paths differ only in the names of their parameters share one :class:`Shape`, and a shape
takes every verb: so a literal segment wins over a parameter whatever the verb is, and a verb that a
path lacks is a 405 of that path (pages 2.1 and 2.8).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import msgspec

from imd.domain.errors import ImError
from imd.rest.replies import PLAIN, Outcome
from imd.wire.fields import Request

VERBS = ("GET", "POST", "PUT", "DELETE")
#: verbs whose body is read
WITH_BODY = frozenset({"POST", "PUT", "DELETE"})

_PARAMETER = re.compile(r"\{([a-z_]+)\}")
_PATH = re.compile(r"/|(?:/(?:[A-Za-z0-9_.-]+|\{[a-z_]+\}))+")

#: ``async def name(house, caller, request) -> answer``
Action = Callable[[Any, Any, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row: a verb of the domain, where it is found and what it takes and gives.

    ``name`` is also the action's, the operationId's and the log event's. ``also`` are further paths
    of the same row. ``scope`` is what a service key needs; None is open to anyone. ``answers`` are
    the types of the body, any one of them. ``errors`` are the narrower refusals worth telling a
    reader of the document. ``rate`` is the tightest bucket of page 2.7 that a user's call takes
    from: the dispatch takes from ``requests`` for each row, the action from ``sends``.
    """

    name: str
    verbs: tuple[str, ...]
    path: str
    model: type[Request]
    answers: tuple[Any, ...]
    action: Action
    scope: str | None
    summary: str
    outcome: Outcome = PLAIN
    errors: tuple[type[ImError], ...] = ()
    also: tuple[str, ...] = ()
    rate: str = "requests"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path, *self.also)


def parameters_of(path: str) -> tuple[str, ...]:
    """The names in a path template, from left to right."""
    return tuple(_PARAMETER.findall(path))


class HeaderField(NamedTuple):
    """A header that fills a field which is absent in both spellings of its name."""

    header: bytes
    field: str
    camel: str


class Row(NamedTuple):
    """A route at one of its paths, with what a request needs computed beforehand."""

    route: Route
    path: str
    parameters: tuple[str, ...]
    header_fields: tuple[HeaderField, ...]
    reads_body: bool


class Shape(NamedTuple):
    """One path pattern: its rule for the matcher and its rows by HTTP method, HEAD among them."""

    rule: str
    rows: dict[bytes, Row]
    allow: bytes


class TableError(Exception):
    """A row contradicts its model or another row."""


class Table:
    """Routes that have been checked, and their shapes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        names: set[str] = set()
        for route in self.routes:
            if route.name in names:
                raise TableError(f"two rows are called {route.name}")
            names.add(route.name)
            _check(route)
        self.shapes = tuple(self._shapes())

    def _shapes(self) -> Iterator[Shape]:
        by_rule: dict[str, dict[str, Row]] = {}
        for route in self.routes:
            for path in route.paths:
                rows = by_rule.setdefault(_rule(path), {})
                for verb in route.verbs:
                    if verb in rows:
                        raise TableError(f"{verb} {path}: {rows[verb].route.name}, {route.name}")
                    rows[verb] = _row(route, path, verb)
        for rule, rows in by_rule.items():
            if "GET" in rows:
                rows["HEAD"] = rows["GET"]
            allow = ", ".join(sorted({*rows, "OPTIONS"}))
            yield Shape(rule, {verb.encode(): row for verb, row in rows.items()}, allow.encode())


@cache
def _fields(model: type[Request]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(model)}


def _check(route: Route) -> None:
    fields = _fields(route.model)
    if not route.verbs or not set(route.verbs) <= set(VERBS):
        raise TableError(f"{route.name}: verbs {route.verbs}")
    for path in route.paths:
        if not _PATH.fullmatch(path):
            raise TableError(f"{route.name}: {path} is no path template")
        named = parameters_of(path)
        if len(set(named)) != len(named):
            raise TableError(f"{route.name}: {path} names a parameter twice")
        if unknown := set(named) - set(fields):
            raise TableError(f"{route.name}: {unknown} in the path, not in {route.model.__name__}")
        if optional := {name for name in named if not fields[name].required}:
            raise TableError(f"{route.name}: {optional} stands in the path and is optional")
    targets = [*route.model.aliases.values(), *route.model.from_headers.values()]
    if unknown := {*targets, *route.model.empty_is_absent} - set(fields):
        raise TableError(f"{route.name}: {unknown} not in {route.model.__name__}")


def _rule(path: str) -> str:
    """The matcher's rule: parameters are called by their places, since rows differ in the names."""
    places = iter(range(path.count("{")))
    return _PARAMETER.sub(lambda hit: f"<p{next(places)}>", path)


def _row(route: Route, path: str, verb: str) -> Row:
    headers = tuple(
        HeaderField(header.encode(), field, camel(field))
        for header, field in route.model.from_headers.items()
    )
    return Row(route, path, parameters_of(path), headers, verb in WITH_BODY)


def camel(name: str) -> str:
    """``session_id`` as ``sessionId``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
