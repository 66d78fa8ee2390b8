"""What stands beside the API on the port: health, readiness, the index, other rooms' resources."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel
from twisted.web.resource import Resource

from imd.rest.channel import HardenedSite
from imd.rest.dispatch import Doors
from tests.rest.world import World, giving


def _ask(world, path, method="GET"):
    return world.ask(method, path, headers={}, root=True)


class Leaf(Resource):
    isLeaf = True

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self.text = text

    def render_GET(self, request):
        return self.text


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def broken() -> bool:
    raise RuntimeError("postgres://user:secret@host")


def test_health(world, logged):
    assert _ask(world, "/healthz").json == {"status": "ok", "version": "1.2.3"}
    assert all(event["log_level"] is LogLevel.debug for event in logged if "route" in event)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/api/v2/openapi.json"])
def test_pages_have_the_verbs_of_a_page(world, path):
    for method in ("POST", "PUT", "DELETE"):
        reply = _ask(world, path, method)
        reply.problem(405, "method_not_allowed")
        assert reply.one("allow") == "GET, HEAD, OPTIONS"
    assert _ask(world, path, "OPTIONS").status == 204
    assert world.connect().get(path.encode(), b"").status == 200


def test_ready_when_every_check_passes():
    assert _ask(World(checks={}), "/readyz").json == {"status": "ready"}
    assert _ask(World(checks={"database": yes, "bus": yes}), "/readyz").status == 200


def test_what_does_less_than_it_should_is_named_and_still_ready():
    world = World(checks={"database": yes}, degraded=lambda: ["bus"])
    reply = _ask(world, "/readyz")
    assert (reply.status, reply.json) == (200, {"status": "ready", "degraded": ["bus"]})


def test_what_is_not_ready_is_named(logged):
    world = World(checks={"database": broken, "bus": yes, "workers": no})
    reply = _ask(world, "/readyz")
    assert reply.status == 503
    assert reply.json == {"status": "not_ready", "not_ready": ["database", "workers"]}
    assert reply.one("retry-after") == "1"
    assert not any("secret" in str(event) for event in logged)


def test_a_check_may_be_a_deferred_and_has_a_time_limit() -> None:
    never: Deferred[bool] = Deferred()
    world = World(checks={"bus": lambda: never, "database": lambda: fail(OSError())})
    line = world.connect()
    line.send(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert line.raw == b""
    world.clock.advance(3)
    assert line.reply().json["not_ready"] == ["bus", "database"]


def test_a_stopping_server_is_alive_and_not_ready():
    world = World(checks={"database": yes})
    world.dispatch.doors = Doors.LAST_CALL
    assert _ask(world, "/healthz").status == 200
    assert _ask(world, "/readyz").json == {"status": "not_ready", "not_ready": ["draining"]}


def test_the_index_names_what_there_is():
    world = World(documents={"/api/v2/asyncapi.json": lambda: b'{"asyncapi":"3.0.0"}'})
    links = _ask(world, "/").json["links"]
    assert "/api/v2/asyncapi.json" in links.values()
    for path in links.values():
        assert _ask(world, path).status == 200
    assert _ask(world, "/api/v2/asyncapi.json").json == {"asyncapi": "3.0.0"}


def test_a_document_is_made_when_it_is_first_wanted_and_once():
    wanted, made = [], []

    async def aside(make):
        wanted.append(Deferred())
        await wanted[-1]
        return make()

    def make():
        made.append(1)
        return b"{}"

    world = World(documents={"/api/v2/asyncapi.json": make}, aside=aside)
    lines = [world.connect(), world.connect()]
    for line in lines:
        line.send(b"GET /api/v2/asyncapi.json HTTP/1.1\r\nHost: a\r\n\r\n")
    assert len(wanted) == 1 and not made
    wanted[0].callback(None)
    assert [line.reply().json for line in lines] == [{}, {}]
    assert _ask(world, "/api/v2/asyncapi.json").json == {}
    assert len(made) == 1


def test_other_rooms_resources_stand_at_their_paths():
    tree = Resource()
    tree.putChild(b"im.client.js", Leaf(b"sdk"))
    leaves = {b"ws": Leaf(b"socket"), b"": Leaf(b"console")}
    world = World(leaves=leaves, trees={b"sdk": tree})
    assert _ask(world, "/ws").raw == b"socket"
    assert _ask(world, "/").raw == b"console"
    assert _ask(world, "/sdk/im.client.js").raw == b"sdk"
    for path in ("/ws/", "/ws/more", "/wsx"):
        _ask(world, path).problem(404, "not_found")
    world.connect().get(b"//ws").problem(404, "not_found")


def test_a_failure_before_any_row_is_a_500_of_ours(world):
    def broken_answer(request):
        raise RuntimeError("SELECT")

    world.root._matcher._app.endpoints["/healthz"] = broken_answer
    reply = _ask(world, "/healthz")
    reply.problem(500, "internal")
    assert b"SELECT" not in reply.raw


def test_it_stands_on_the_hardened_site(world):
    site = HardenedSite(world.root, reactor=world.clock)
    protocol = site.buildProtocol(None)
    transport = StringTransport()
    protocol.makeConnection(transport)
    world.acts["list_sessions"] = giving({"items": []})
    protocol.dataReceived(
        b"GET /api/v2/sessions HTTP/1.1\r\nHost: a\r\nX-Api-Key: key-read\r\n\r\n"
        b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    raw = transport.value()
    assert raw.count(b"HTTP/1.1 ") == 2
    assert raw.count(b"X-Content-Type-Options: nosniff") == 2
    assert b'{"items":[]}' in raw
