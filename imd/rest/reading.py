"""The fields of a request: query, body, headers and path as one namespace (page 2.1).

The dispatch calls it for each request. It refuses to know what a field means: that is the row's
model, applied by the codec.
"""

# twisted.web's own methods have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.web.server import Request

from imd.domain.errors import BadRequest, TooLarge, UnsupportedMediaType
from imd.rest.table import Row
from imd.wire.codec import parse_form, parse_object, snake_names

Fields = dict[str, Any]

_PARSERS = {b"application/json": parse_object, b"application/x-www-form-urlencoded": parse_form}


def read_fields(request: Request, row: Row, values: Iterable[str], most: int) -> Fields:
    """The namespace of one request; the body wins over the query, the path over both.

    ``values`` are the path's parameters in their order, ``most`` is the longest body in bytes.
    Raises BadJson, BadRequest, InvalidInput, TooLarge or UnsupportedMediaType.
    """
    query = request.uri.partition(b"?")[2]
    fields = parse_form(query) if query else {}
    if row.reads_body:
        body = _read_body(request, most)
        if fields and body:
            fields = snake_names(fields)
            fields.update(snake_names(body))
        elif body:
            fields = body
    for header, field, camel in row.header_fields:
        if fields.get(field) is None and fields.get(camel) is None:
            given = request.requestHeaders.getRawHeaders(header)
            if given:
                fields[field] = _text(given[0])
    for name, value in zip(row.parameters, values, strict=True):
        fields[name] = value
    return fields


def _read_body(request: Request, most: int) -> Fields:
    body = request.content.read() if request.content is not None else b""
    if not body:
        return {}
    if len(body) > most:
        raise TooLarge(f"A body may hold at most {most} bytes.")
    kinds = request.requestHeaders.getRawHeaders(b"Content-Type")
    kind = kinds[0] if kinds and len(kinds) == 1 else b""
    parser = _PARSERS.get(kind) or _PARSERS.get(kind.partition(b";")[0].strip().lower())
    if parser is None:
        raise UnsupportedMediaType()
    return parser(body)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("A header is not UTF-8.") from None
