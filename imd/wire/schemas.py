"""JSON Schemas and examples of request and answer models, for the documents of both transports.

``rest.openapi`` and ``websocket.asyncapi`` call it. msgspec knows the plain types; what the wire's
own types take is said here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cache
from typing import Any, get_origin

import msgspec
from msgspec import inspect

from imd.domain.ids import ID_LENGTH, ID_PATTERN, Id
from imd.domain.message import LastMessage, Message
from imd.wire.fields import IntList, Listed, Place, Request, Seats, UserIds, Words
from imd.wire.messages import EditMessage, PostMessage
from imd.wire.topics import CurrentTopicId, FirstMessages
from imd.wire.users import UserEntries, UserEntry
from imd.wire.vocabulary import EXAMPLES, TERMS

Json = dict[str, Any]

REFS = "#/components/schemas/"

_ID: Json = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH, "pattern": ID_PATTERN}
_SEAT: Json = {
    "anyOf": [
        {"type": "string"},
        {"type": "object", "properties": {"id": _ID, "role": {"type": "string"}},
         "required": ["id"]},
    ]
}  # fmt: skip
_FIRST: Json = {
    "type": "object",
    "properties": {"type": {"type": "integer"}, "content": {}, "sender_id": _ID},
    "required": ["type", "content"],
}
_ITEMS: dict[type, Json] = {
    IntList: {"type": "integer"},
    UserIds: _ID,
    Words: {"type": "string", "minLength": 1, "maxLength": 128},
    Seats: _SEAT,
    FirstMessages: _FIRST,
}
#: answers whose content is text to the server and any JSON on the wire
_WITH_CONTENT = frozenset({Message.__name__, LastMessage.__name__})
_CONTENT = "A string or any JSON value, exactly as it was sent; null when recalled"
#: fields which the action demands although the model lets them be absent
_REQUIRED: dict[type, frozenset[str]] = {
    PostMessage: frozenset({"content"}),
    EditMessage: frozenset({"content"}),
}


def _hook(kind: type) -> Json:
    if kind is CurrentTopicId or issubclass(kind, Id):
        return dict(_ID)
    if kind is Place:
        return {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2**63 - 1}, _ID]}
    if issubclass(kind, Listed):
        least = 0 if kind is FirstMessages else 1
        return {
            "type": "array",
            "items": _entry() if kind is UserEntries else _ITEMS[kind],
            "minItems": least,
            "maxItems": kind.most,
        }
    raise TypeError(f"no schema for {kind}")


def _entry() -> Json:
    required, properties = properties_of(UserEntry)
    return {"type": "object", "properties": properties, "required": sorted(required)}


def properties_of(model: type[Request]) -> tuple[set[str], dict[str, Json]]:
    """The required fields of a request model, and the schema of each field."""
    schema = _schema(model)
    properties: dict[str, Json] = copy.deepcopy(schema["properties"])
    for name, found in properties.items():
        found["description"] = TERMS[name].meaning
        if found.get("default", 0) is None:
            del found["default"]
    return set(schema.get("required", ())) | _REQUIRED.get(model, frozenset()), properties


@cache
def _schema(model: type[Request]) -> Json:
    _, components = msgspec.json.schema_components((model,), schema_hook=_hook)
    schema: Json = components[model.__name__]
    return schema


def answer_schemas(answers: Iterable[Any]) -> dict[str, Json]:
    """The named schemas of all answer types."""
    kinds = list(dict.fromkeys(answers))
    _, components = msgspec.json.schema_components(
        kinds, schema_hook=_hook, ref_template=REFS + "{name}"
    )
    for name, schema in components.items():
        for field, found in schema.get("properties", {}).items():
            if field in TERMS and "$ref" not in found:
                found.setdefault("description", TERMS[field].meaning)
        if name in _WITH_CONTENT:
            schema["properties"]["content"] = {"description": _CONTENT}
    return dict(components)


@cache
def answer_example(answers: tuple[Any, ...]) -> tuple[Json, Any]:
    """The schema of an answer that is one of these types, and an example of the first."""
    schemas, _ = msgspec.json.schema_components(
        answers, schema_hook=_hook, ref_template=REFS + "{name}"
    )
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
    return schema, _example(inspect.type_info(answers[0]), object, "")


def _example(info: inspect.Type, owner: type, name: str) -> Any:
    for ancestor in owner.__mro__:
        if (ancestor.__name__, name) in EXAMPLES:
            return EXAMPLES[ancestor.__name__, name]
    if name in TERMS:
        return TERMS[name].example
    if isinstance(info, inspect.StructType | inspect.DataclassType):
        kind = get_origin(info.cls) or info.cls
        return {f.encode_name: _example(f.type, kind, f.encode_name) for f in info.fields}
    if isinstance(info, inspect.ListType):
        return [_example(info.item_type, object, "")]
    if isinstance(info, inspect.UnionType):
        return _example(info.types[0], owner, name)
    return {}
