"""The OpenAPI 3.1 document, made from the table of routes and their models (page 2.8).

``site`` asks for it once, at start. Nothing in it is written twice: parameters, constraints and
answers come from the models, refusals from the error classes, words from the vocabulary.
"""

from __future__ import annotations

from typing import Any

import msgspec

from imd.domain import errors
from imd.domain.errors import ImError
from imd.rest.errors import TITLES, Internal, UriTooLong, problem, status_of
from imd.rest.replies import POSTED
from imd.rest.table import WITH_BODY, Route, Row, Shape, Table, camel, parameters_of
from imd.wire.schemas import REFS, answer_example, answer_schemas, properties_of
from imd.wire.vocabulary import EXAMPLES, TERMS

Json = dict[str, Any]

_FORM = "application/x-www-form-urlencoded"
_TAGS = {"application": "Application", "users": "Users", "sessions": "Sessions"}
_BEARER: Json = {"type": "http", "scheme": "bearer", "description": "A user's JWT, or a key"}
_KEY: Json = {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "A key"}
_PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457. Further members may say more, such as topic_id of the live topic.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for a person"},
        "code": {"type": "string", "pattern": "^[a-z][a-z_]*$", "description": "A stable word"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                "required": ["field", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code"],
}


def document(table: Table, version: str) -> Json:
    """The whole document."""
    schemas = answer_schemas(answer for route in table.routes for answer in route.answers)
    kinds = {kind for route in table.routes for kind in refusals_of(route)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imd",
            "version": version,
            "description": "Instant messaging for a family-doctor service. Query and body fields"
            " are one namespace; every name is also taken in camelCase; times are ms since 1970.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in (*_TAGS.values(), "Server")],
        "paths": {_first(shape).path: _path_item(shape) for shape in table.shapes},
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "examples": {kind.code: {"value": _refusal(kind)} for kind in _by_code(kinds)},
            "securitySchemes": {"bearer": _BEARER, "key": _KEY},
        },
    }


def operation_id(row: Row, verb: str) -> str:
    """The row's name in lowerCamelCase; further verbs and paths add a word (page 3)."""
    route = row.route
    suffix = "" if verb == route.verbs[0] else verb.capitalize()
    return camel(route.name) + suffix + ("" if row.path == route.path else "Alias")


def refusals_of(route: Route) -> list[type[ImError]]:
    """Every refusal that a caller of this row may meet, the row's own first."""
    kinds = list(route.errors)
    if route.scope is not None:
        kinds += [errors.Unauthenticated, errors.MissingScope, errors.RateLimited]
    if route.model.__struct_fields__:
        kinds += [errors.InvalidInput, errors.BadRequest, UriTooLong]
    if any(parameters_of(path) for path in route.paths):
        kinds.append(errors.ReservedId)
    if WITH_BODY & set(route.verbs):
        kinds += [errors.BadJson, errors.TooLarge, errors.UnsupportedMediaType]
    kinds += [Internal, errors.Unavailable]
    return list(dict.fromkeys(kinds))


# ---- paths


def _first(shape: Shape) -> Row:
    """The row that gives the shape its path, since one document may spell it only once."""
    return next(iter(shape.rows.values()))


def _path_item(shape: Shape) -> Json:
    named = _first(shape).parameters
    item: Json = {}
    for method, row in shape.rows.items():
        if method != b"HEAD":
            verb = method.decode()
            names = dict(zip(row.parameters, named, strict=True))
            item[verb.lower()] = _operation(row, verb, names)
    return item


def _operation(row: Row, verb: str, names: dict[str, str]) -> Json:
    """``names`` are the parameters of the document's path by the row's own names."""
    route = row.route
    required, properties = properties_of(route.model)
    operation: Json = {
        "operationId": operation_id(row, verb),
        "summary": route.summary,
        "tags": [_tag(row.path)],
        "responses": _responses(route),
        "security": [{"bearer": []}, {"key": []}] if route.scope else [],
    }
    if route.scope:
        operation["x-scope"] = route.scope
        operation["x-rate"] = route.rate
    parameters = [
        _parameter("path", names[field], field, query_schema(properties.pop(field)), True)
        for field in row.parameters
    ]
    if verb in WITH_BODY:
        parameters += [
            _parameter("header", header, field, query_schema(properties[field]), False)
            for header, field in route.model.from_headers.items()
        ]
        if properties:
            operation["requestBody"] = _body(route, properties, required - set(row.parameters))
    else:
        for field, schema in properties.items():
            parameters.append(
                _parameter("query", field, field, query_schema(schema), field in required)
            )
    if parameters:
        operation["parameters"] = parameters
    return operation


def _tag(path: str) -> str:
    """The first segment of an API path (page 3), or the server itself."""
    first = path.removeprefix("/api/v2/").partition("/")[0]
    return _TAGS.get(first, "Server")


def _parameter(where: str, name: str, field: str, schema: Json, required: bool) -> Json:
    parameter: Json = {
        "name": name,
        "in": where,
        "description": TERMS[field].meaning,
        "schema": schema,
    }
    if required:
        parameter["required"] = True
    if where == "query" and schema.get("type") == "array":
        parameter.update(style="form", explode=False)
    return parameter


def query_schema(schema: Json) -> Json:
    """A field's schema where null cannot be said."""
    schema = {key: value for key, value in schema.items() if key != "description"}
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1 and len(kinds) < len(schema["anyOf"]):
        del schema["anyOf"]
        return {**kinds[0], **schema}
    if "anyOf" in schema:
        schema["anyOf"] = kinds
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    return schema


def request_example(route: Route, fields: list[str]) -> Json:
    """An example of the named fields of a row's model."""
    name = route.model.__name__
    return {f: EXAMPLES.get((name, f), TERMS[f].example) for f in fields}


def _body(route: Route, properties: dict[str, Json], required: set[str]) -> Json:
    schema: Json = {"type": "object", "properties": properties}
    if required:
        schema["required"] = sorted(required)
    shown = [name for name in properties if name in required] or list(properties)[:1]
    media = {"schema": schema, "example": request_example(route, shown)}
    return {"required": bool(required), "content": {"application/json": media, _FORM: media}}


# ---- answers


def _responses(route: Route) -> Json:
    responses: Json = {}
    by_status: dict[int, list[type[ImError]]] = {}
    for kind in refusals_of(route):
        by_status.setdefault(status_of(kind), []).append(kind)
    for status, found in by_status.items():
        kinds = _by_code(found)
        shown = {kind.code: {"$ref": f"#/components/examples/{kind.code}"} for kind in kinds}
        responses[str(status)] = {
            "description": f"{TITLES[status]}: {', '.join(kind.code for kind in kinds)}",
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": f"{REFS}Problem"},
                    "examples": shown,
                }
            },
        }
    for status in route.outcome.statuses:
        responses[str(status)] = _success(route, status)
    return dict(sorted(responses.items()))


def _success(route: Route, status: int) -> Json:
    said = {200: "OK", 201: "Created", 204: "Done", 503: "Not ready"}[status]
    response: Json = {"description": said}
    if route.outcome is POSTED:
        response["headers"] = {
            "Idempotent-Replay": {
                "description": "true when the key had been used before",
                "schema": {"const": "true"},
            }
        }
    if route.answers:
        schema, example = answer_example(route.answers)
        response["content"] = {"application/json": {"schema": schema, "example": example}}
    return response


def _by_code(kinds: Any) -> list[type[ImError]]:
    return sorted({kind.code: kind for kind in kinds}.values(), key=lambda kind: kind.code)


def _refusal(kind: type[ImError]) -> Any:
    error: ImError
    if issubclass(kind, errors.InvalidInput):
        error = kind(errors.FieldError("user_id", "a service must name the user"))
    elif issubclass(kind, errors.RateLimited):
        error = kind(1.0)
    else:
        error = kind()
    return msgspec.json.decode(problem(error)[1])
