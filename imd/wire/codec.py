"""One codec for JSON, form and query: strict on the way in, plain UTF-8 on the way out.

Transports call it; nobody else parses. It refuses what other systems would quietly bend
(page 2.1): numbers outside 64 bits, NaN, duplicate keys, deep nesting, lone surrogates, U+0000.
It knows nothing of routes or of what a field means beyond its model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from imd.domain.errors import BadJson, BadRequest, FieldError, InvalidInput
from imd.domain.message import Card
from imd.wire.fields import Listed, Request

MOST_DEPTH = 32
MOST_FIELDS = 1000
_INT64 = 2**63

T = TypeVar("T", bound=Request)
Fields = dict[str, Any]


# ---- in: bytes to plain values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return fields


def _integer(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else _INT64
    if not -_INT64 <= number < _INT64:
        raise ValueError("an integer lies outside 64 bits")
    return number


def _real(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


_decode = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_real, parse_constant=_constant
).decode


def check_text(text: str) -> None:
    """ValueError for a text that can neither be stored nor sent (page 2.1)."""
    if "\0" in text:
        raise ValueError("U+0000 is not allowed in a string")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a string holds half of a surrogate pair") from None


def _check_tree(value: Any, depth: int = 1) -> None:
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict | list):
        if depth > MOST_DEPTH:
            raise ValueError(f"nested deeper than {MOST_DEPTH}")
        for item in value.values() if isinstance(value, dict) else value:
            _check_tree(item, depth + 1)
        if isinstance(value, dict):
            for key in value:
                check_text(key)


#: the only escapes that can smuggle NUL or half a surrogate pair; ASCII-only clients escape a lot
_SMUGGLING = re.compile(r"\\u(?:0000|[dD][89a-fA-F])").search


def parse_json(raw: bytes) -> Any:
    """Any strict JSON value; BadJson says what is wrong with it (pages 2.1 and 3.4)."""
    try:
        text = raw.decode("utf-8")
        value = _decode(text)
        # Only brackets can nest.
        if _SMUGGLING(text) or text.count("{") + text.count("[") > MOST_DEPTH:
            _check_tree(value)
    except RecursionError:
        raise BadJson(f"The JSON is nested deeper than {MOST_DEPTH}.") from None
    except UnicodeDecodeError:
        raise BadJson("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise BadJson(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except ValueError as error:
        raise BadJson(f"The JSON cannot be taken: {error}.") from None
    return value


def parse_object(raw: bytes) -> Fields:
    """A strict JSON object; an empty body is an empty object."""
    if not raw.strip():
        return {}
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise BadJson("The body must be a JSON object.")
    return value


def parse_form(raw: bytes) -> Fields:
    """Query text or a form body; a repeated key gives a list of its values."""
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode("ascii", "strict") if raw.isascii() else raw.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except UnicodeDecodeError:
        raise BadRequest("A parameter is not UTF-8.") from None
    except ValueError:
        raise BadRequest(f"At most {MOST_FIELDS} parameters are taken.") from None
    fields: Fields = {}
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise InvalidInput.of(name.replace("\0", ""), "U+0000 is not allowed in a string")
        if name in fields:
            former = fields[name]
            fields[name] = [*former, value] if isinstance(former, list) else [former, value]
        else:
            fields[name] = value
    return fields


# ---- in: plain values to models


@lru_cache(maxsize=4096)
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda hit: "_" + hit.group(1).lower(), name)


def snake_names(fields: Mapping[str, Any]) -> Fields:
    """Every name in its snake_case form; a name given in both forms keeps the snake_case value."""
    if all(map(str.islower, fields)):
        return dict(fields)
    named = {_snake(name): value for name, value in fields.items()}
    named.update((name, value) for name, value in fields.items() if _snake(name) == name)
    return named


def convert(fields: Mapping[str, Any], model: type[T]) -> T:
    """The request model filled from a namespace of fields (page 2.1).

    Raises InvalidInput naming the field and what is allowed there, or what the field's own rule
    raises.
    """
    named = snake_names(fields)
    for alias, name in model.aliases.items():
        if alias in named:
            named.setdefault(name, named.pop(alias))
    for name in model.empty_is_absent:
        if named.get(name) == "":
            del named[name]
    try:
        return msgspec.convert(named, model, strict=False, dec_hook=_read_custom)
    except msgspec.ValidationError as error:
        raise InvalidInput(_field_error(str(error))) from None


def _read_custom(kind: Any, value: Any) -> Any:
    if issubclass(kind, Listed):
        if isinstance(value, str) and value.startswith("["):
            try:
                value = parse_json(value.encode())
            except BadJson as error:
                raise ValueError(error.detail) from None
    return kind.parse(value)


_AT = re.compile(r"^(?P<said>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]*)`")


def _field_error(text: str) -> FieldError:
    found = _AT.match(text)
    said, path = (found["said"], found["path"] or "") if found else (text, "")
    missing = _MISSING.match(said)
    where = path.removeprefix("$").removeprefix(".")
    if missing:
        name = missing["name"]
        return FieldError(f"{where}.{name}" if where else name, "is required")
    return FieldError(where, said)


# ---- out


def _write_custom(value: Any) -> Any:
    if isinstance(value, Card):
        return msgspec.Raw(value.text.encode())
    if isinstance(value, str):  # an Id: msgspec writes no subclass of str by itself
        return str(value)
    raise TypeError(f"no writer for {type(value)}")


_encoder = msgspec.json.Encoder(enc_hook=_write_custom)


def encode(value: Any) -> bytes:
    """UTF-8 JSON of any answer or notification; a card goes out as it came in."""
    return _encoder.encode(value)


def raw(encoded: bytes) -> msgspec.Raw:
    """JSON that was encoded before, to be placed inside another answer."""
    return msgspec.Raw(encoded)
