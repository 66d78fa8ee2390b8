"""The method table, the AsyncAPI document, the page for people and the real frames say the same."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from websockets.asyncio.client import connect

from imd.domain.client_types import ClientType
from imd.websocket.asyncapi import (
    ADVICE,
    CODES,
    NOTIFICATIONS,
    RESULTS,
    document,
    encoded,
    example_params,
)
from imd.websocket.methods import METHODS
from imd.wire import frames
from imd.wire.closing import Close
from imd.wire.codec import convert
from imd.wire.frames import parse_call
from imd.wire.schemas import properties_of
from imd.wire.vocabulary import TERMS
from tests.asking import Asking
from tests.e2e.server import NO_LIMITS, Imd, running

DOCUMENT = json.loads(encoded("1.2.3"))
MESSAGES = DOCUMENT["components"]["messages"]
CHANNEL = DOCUMENT["channels"]["socket"]
PAGE = (Path(__file__).parents[2] / "docs" / "websocket.md").read_text("utf-8")


def _rows(title: str) -> dict[str, list[str]]:
    """A table of the page for people: the cells by the first of them, which may name several."""
    section = PAGE.split(f"## {title}", 1)[1].split("\n## ", 1)[0]
    found: dict[str, list[str]] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and not set(line) <= set("|- "):
            found |= {name.strip("` "): cells for name in cells[0].split(",")}
    return found


def test_the_document_tells_every_method_and_every_notification() -> None:
    assert set(RESULTS) == set(METHODS)
    operations = DOCUMENT["operations"]
    assert set(operations) == set(METHODS) | {f"{name}.notify" for name in NOTIFICATIONS}
    for name, operation in operations.items():
        assert operation["action"] == ("receive" if name in METHODS else "send")
        assert operation["summary"]
        assert ("reply" in operation) is (name in METHODS)
    expected = {f"{name}.{part}" for name in METHODS for part in ("request", "result")}
    expected |= {f"{name}.notification" for name in NOTIFICATIONS} | {"error"}
    assert set(MESSAGES) == set(CHANNEL["messages"]) == expected


@pytest.mark.parametrize("method", METHODS)
def test_params_are_those_of_the_model(method: str) -> None:
    params = MESSAGES[f"{method}.request"]["payload"]["properties"]["params"]
    assert set(params["properties"]) == set(METHODS[method].model.__struct_fields__)
    assert all(schema["description"] for schema in params["properties"].values())
    assert set(params.get("required", ())) == properties_of(METHODS[method].model)[0]


@pytest.mark.parametrize("method", METHODS)
def test_the_example_of_a_request_is_a_request(method: str) -> None:
    (example,) = MESSAGES[f"{method}.request"]["examples"]
    call = parse_call(json.dumps(example["payload"]).encode())
    assert call.method == method
    convert(call.params, METHODS[method].model)
    assert call.params == example_params(method, properties_of(METHODS[method].model)[0])


@pytest.mark.parametrize("name", [*RESULTS, *NOTIFICATIONS])
def test_the_example_of_an_answer_or_notification_has_all_its_members(name: str) -> None:
    for table, part, member in (
        (RESULTS, "result", "result"),
        (NOTIFICATIONS, "notification", "params"),
    ):
        if name in table:
            (example,) = MESSAGES[f"{name}.{part}"]["examples"]
            _check(table[name].kind, example["payload"][member])


def _check(kind: Any, value: Any) -> None:
    """The value is of this type, without a member more or less."""
    if type(None) in get_args(kind):
        if value is None:
            return
        kind = next(one for one in get_args(kind) if one is not type(None))
    msgspec.convert(_texted(value), kind)
    names = {field.encode_name for field in _fields(kind)}
    assert set(value) == names, kind


def _texted(value: Any) -> Any:
    """The same with each content as text, which it is to the server."""
    if isinstance(value, list):
        return [_texted(item) for item in value]
    if isinstance(value, dict):
        return {k: str(v) if k == "content" else _texted(v) for k, v in value.items()}
    return value


def _fields(kind: Any) -> Any:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType | msgspec.inspect.DataclassType)
    return info.fields


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    for reference in set(re.findall(r'"\$ref": "#/([^"]*)"', text)):
        found = DOCUMENT
        for word in reference.split("/"):
            found = found[word]


def test_every_member_of_a_schema_has_its_words() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if name != "Error":
            assert set(schema["properties"]) - {"items"} <= set(TERMS), name


def test_it_tells_every_close_and_every_code() -> None:
    assert set(ADVICE) == set(Close)
    assert [row["code"] for row in CHANNEL["x-close-codes"]] == [int(close) for close in Close]
    assert all(row["reason"] and row["client"] for row in CHANNEL["x-close-codes"])
    named = {getattr(frames, name) for name in dir(frames) if name.isupper()}
    assert {code for code in named if isinstance(code, int) and code < 0} == set(CODES)
    assert DOCUMENT["x-client-types"].keys() == {kind.value for kind in ClientType}
    refusals = DOCUMENT["x-refusals"]
    assert {"session_not_found", "rate_limited", "not_a_member", "internal"} <= set(refusals)


def test_the_page_for_people_has_the_same_names() -> None:
    requests = _rows("Requests")
    assert set(requests) - {"method"} == set(METHODS) - {"login"}
    for method, cells in requests.items():
        if method in ("method", "sessions"):
            continue
        named = set(re.findall(r"`(\w+)\??`", cells[1]))
        assert named == set(METHODS[method].model.__struct_fields__), method
    notifications = _rows("Notifications")
    assert set(notifications) - {"method"} == set(NOTIFICATIONS)
    closes = {int(code) for code in _rows("Errors and closing") if code.isdigit()}
    assert closes == {int(close) for close in Close}
    for code in CODES:
        assert str(code) in PAGE
    for kind in ClientType:
        assert f"`{kind.value.removesuffix('_system')}`" in PAGE


# ---- real frames


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imd]:
    with running(tmp_path_factory.mktemp("asyncapi"), IM_PROFILE="dev", **NO_LIMITS) as imd:
        yield imd


class Talk:
    """A socket and the notifications that it got."""

    def __init__(self, wire: Any) -> None:
        self.wire = wire
        self.news: dict[str, Any] = {}

    async def ask(self, method: str, **params: Any) -> Any:
        call = {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
        await self.wire.send(json.dumps(call))
        while True:
            frame = await self._next()
            if frame.get("id") == method:
                return frame["result"]

    async def until(self, *methods: str) -> None:
        while set(methods) - set(self.news):
            await self._next()

    async def _next(self) -> Any:
        async with asyncio.timeout(20):
            frame = json.loads(await self.wire.recv())
        if "id" not in frame:
            self.news[frame["method"]] = frame["params"]
        return frame


async def _everything(port: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The result of each method, and one of each notification, from a real server."""
    url, results = f"ws://127.0.0.1:{port}/ws", {}
    async with Asking(port) as rest, connect(url) as one, connect(url) as two:
        inside, outer = Talk(one), Talk(two)
        opening = {"session_type": 9, "session_name": "n", "participants": ["p:patient", "d"]}
        for session in ("s", "other"):
            (await rest.ask("POST", "/sessions", {"session_id": session, **opening})).must(201)
        await outer.ask("login", user_id="p", client_type="patient_system")
        login = {"user_id": "p", "client_type": "patient", "session_id": "other"}
        results["login"] = await inside.ask("login", **login)
        results["enter"] = await inside.ask("enter", session_id="s")
        start = {"topic_id": "t", "start_by": "p"}
        (await rest.ask("POST", "/sessions/s/topics", start)).must(201)
        results["topic"] = await inside.ask("topic")
        results["send"] = await inside.ask("send", type=1, content="n", client_msg_id="k")
        (await rest.ask("PUT", "/sessions/s/read", {"user_id": "d"})).must(200)
        card = {"type": 15, "content": {"n": 1}, "sender_id": "d"}
        sent = (await rest.ask("POST", "/sessions/s/messages", card)).must(201)
        edit = {"content": {"n": 2}}
        (await rest.ask("PUT", f"/sessions/s/messages/{sent['id']}", edit)).must(200)
        async with connect(url) as three:
            doctor = Talk(three)
            await doctor.ask("login", user_id="d", client_type="doctor", session_id="s")
            results["typing"] = await doctor.ask("typing")
            await inside.until("message", "update", "session", "topic", "read", "typing")
        await outer.until("notice", "session", "topic", "badge")
        results["ack"] = await inside.ask("ack", seq=1)
        results["read"] = await inside.ask("read")
        results["history"] = await inside.ask("history")
        results["sessions"] = await inside.ask("sessions")
        results["logout"] = await inside.ask("logout")
        return results, {**outer.news, **inside.news}


def test_a_real_server_says_what_the_document_says(server: Imd) -> None:
    results, news = asyncio.run(_everything(server.port))
    assert set(results) == set(RESULTS)
    assert set(news) == set(NOTIFICATIONS)
    for method, result in results.items():
        _check(RESULTS[method].kind, result)
    for name, params in news.items():
        _check(NOTIFICATIONS[name].kind, params)


def test_the_server_serves_it(server: Imd) -> None:
    async def fetch() -> Any:
        async with Asking(server.port) as rest:
            index = (await rest.ask("GET", "/asyncapi.json")).must(200)
            openapi = (await rest.ask("GET", "/openapi.json")).must(200)
            return index, openapi

    served, openapi = asyncio.run(fetch())
    assert served == json.loads(json.dumps(document(served["info"]["version"])))
    assert "/api/v2/asyncapi.json" in openapi["paths"]
