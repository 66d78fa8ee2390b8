"""The OpenAPI document tells every route, and its examples are what the models take."""

from __future__ import annotations

import json
import re
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass

import msgspec
import pytest

from imd.domain.message import Message
from imd.domain.participant import Participant
from imd.domain.session import OwnSession
from imd.domain.topic import Topic
from imd.domain.user import User
from imd.rest.openapi import document, operation_id, refusals_of
from imd.rest.routes import ROUTES
from imd.rest.table import Table, camel
from imd.wire.codec import convert, encode
from imd.wire.schemas import properties_of
from imd.wire.vocabulary import EXAMPLES, TERMS
from tests.rest.world import World

TABLE = Table(ROUTES)
DOCUMENT = json.loads(encode(document(TABLE, "1.2.3")))
OPERATIONS = {
    operation["operationId"]: (verb.upper(), path, operation)
    for path, item in DOCUMENT["paths"].items()
    for verb, operation in item.items()
}
SCHEMAS = DOCUMENT["components"]["schemas"]


def _operations_of(route):
    return [
        (verb, row, OPERATIONS[operation_id(row, verb)][2])
        for shape in TABLE.shapes
        for method, row in shape.rows.items()
        if row.route is route and (verb := method.decode()) != "HEAD"
    ]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_row_is_documented_with_each_verb_and_path(route):
    found = _operations_of(route)
    assert len(found) == len(route.verbs) * len(route.paths)
    assert camel(route.name) in OPERATIONS
    for _, row, operation in found:
        shown = {parameter["name"] for parameter in operation.get("parameters", ())}
        body = operation.get("requestBody", {}).get("content", {})
        assert set(body) in (set(), {"application/json", "application/x-www-form-urlencoded"})
        for media in body.values():
            shown |= set(media["schema"]["properties"])
        names = {field.name for field in msgspec.structs.fields(route.model)}
        assert names - shown <= set(row.parameters)
        assert operation["x-scope"] == route.scope
        statuses = {str(status) for status in route.outcome.statuses}
        assert statuses | {"401", "429", "500", "503"} <= set(operation["responses"])
        for kind in refusals_of(route):
            assert kind.code in DOCUMENT["components"]["examples"]


def test_operation_ids_are_unique_and_lower_camel_case():
    count = sum(len(item) for item in DOCUMENT["paths"].values())
    assert count == len(OPERATIONS)
    assert all(re.fullmatch(r"[a-z][A-Za-z]+", name) for name in OPERATIONS)
    assert {"postMessage", "setSessionStatus", "setSessionStatusPost", "getTopicAlias"} <= set(
        OPERATIONS
    )


def test_paths_differ_in_more_than_the_names_of_parameters():
    plain = [re.sub(r"\{[^}]*\}", "{}", path) for path in DOCUMENT["paths"]]
    assert len(plain) == len(set(plain))


@pytest.mark.parametrize("name", OPERATIONS)
def test_path_parameters_are_declared_and_required(name):
    _, path, operation = OPERATIONS[name]
    declared = [p for p in operation.get("parameters", ()) if p["in"] == "path"]
    assert sorted(p["name"] for p in declared) == sorted(re.findall(r"\{([^}]*)\}", path))
    assert all(p["required"] is True for p in declared)
    assert all(p["schema"] and p["description"] for p in operation.get("parameters", ()))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_example_of_a_request_is_what_its_model_takes(route):
    required, _ = properties_of(route.model)
    for _, row, operation in _operations_of(route):
        sample = {name: TERMS[name].example for name in required | set(row.parameters)}
        for media in operation.get("requestBody", {}).get("content", {}).values():
            sample.update(media["example"])
        for name in required:
            sample[name] = EXAMPLES.get((route.model.__name__, name), sample[name])
        convert(sample, route.model)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_example_of_an_answer_is_an_answer(route):
    for _, _, operation in _operations_of(route):
        for status in route.outcome.statuses:
            response = operation["responses"][str(status)]
            if not route.answers:
                assert "content" not in response
                continue
            media = response["content"]["application/json"]
            assert media["schema"]
            msgspec.convert(media["example"], route.answers[0])
            _check_named(route.answers[0], media["example"])


def _check_named(kind, example):
    if is_dataclass(kind):
        assert set(example) == {field.name for field in dataclass_fields(kind)}


@pytest.mark.parametrize("kind", [Message, OwnSession, Topic, Participant, User])
def test_an_objects_schema_has_the_fields_of_the_contract(kind):
    assert set(SCHEMAS[kind.__name__]["properties"]) == {f.name for f in dataclass_fields(kind)}


@pytest.mark.parametrize("name", ["Message", "LastMessage"])
def test_content_is_any_json(name):
    assert set(SCHEMAS[name]["properties"]["content"]) == {"description"}


def test_every_reference_leads_somewhere():
    text = json.dumps(DOCUMENT)
    for reference in set(re.findall(r'"\$ref": "#/([^"]*)"', text)):
        found = DOCUMENT
        for word in reference.split("/"):
            found = found[word]


@pytest.mark.parametrize("code", DOCUMENT["components"]["examples"])
def test_the_example_of_a_refusal_is_a_problem(code):
    value = DOCUMENT["components"]["examples"][code]["value"]
    assert set(SCHEMAS["Problem"]["required"]) <= set(value)
    assert value["code"] == code


def test_constraints_come_from_the_models():
    _, _, operation = OPERATIONS["listMessages"]
    size = next(p for p in operation["parameters"] if p["name"] == "size")["schema"]
    assert size == {"type": "integer", "minimum": 1, "maximum": 200, "default": 20}
    kinds = next(p for p in operation["parameters"] if p["name"] == "type")
    assert (kinds["style"], kinds["explode"]) == ("form", False)
    order = next(p for p in operation["parameters"] if p["name"] == "order")["schema"]
    assert order["enum"] == ["asc", "desc"]
    _, _, operation = OPERATIONS["postMessage"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["content", "type"]
    assert any(p["name"] == "Idempotency-Key" for p in operation["parameters"])


def test_every_field_of_every_model_has_its_words():
    for route in ROUTES:
        for field in msgspec.structs.fields(route.model):
            assert TERMS[field.name].meaning


def test_it_is_served_with_the_pages_beside_the_api():
    world = World(documents={"/api/v2/asyncapi.json": lambda: b"{}"})
    reply = world.ask("GET", "/openapi.json", headers={})
    assert reply.status == 200
    served = reply.json
    assert served["openapi"] == "3.1.0"
    assert served["info"]["version"] == "1.2.3"
    assert set(DOCUMENT["paths"]) < set(served["paths"])
    assert served["paths"]["/healthz"]["get"]["security"] == []
    assert {"200", "503"} <= set(served["paths"]["/readyz"]["get"]["responses"])
    assert "/api/v2/asyncapi.json" in served["paths"]
