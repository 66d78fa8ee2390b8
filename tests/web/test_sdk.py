"""How the SDK is served: its types, its caching, its size, and that any origin may load it."""

from __future__ import annotations

import gzip

import pytest

from imd.rest.pages import File
from imd.web.sdk import FOLDER, integrity, read_sdk
from tests.rest.world import Reply, World

FILES = read_sdk()
SCRIPT = "/sdk/im.client.js"
each_file = pytest.mark.parametrize("path", FILES)


@pytest.fixture(scope="module")
def world() -> World:
    files = {path: File(*found) for path, found in FILES.items()}
    return World(files=files, allowed_origins=["https://app.test"])


def ask(world: World, path: str = SCRIPT, method: str = "GET", **headers: str) -> Reply:
    """On a bare line: a client library would accept and unpack gzip by itself."""
    lines = [f"{method} {path} HTTP/1.1", "Host: a"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    line = world.connect()
    line.send("\r\n".join([*lines, "", ""]).encode())
    return line.reply()


def test_three_files() -> None:
    assert set(FILES) == {f"/sdk/im.client.{end}" for end in ("js", "mjs", "d.ts")}


@each_file
def test_anyone_gets_it_and_any_origin_may(world: World, path: str) -> None:
    for origin in ({}, {"Origin": "https://anywhere.test"}, {"Origin": "https://app.test"}):
        reply = ask(world, path, **origin)
        assert (reply.status, reply.raw) == (200, FILES[path].body)
        assert reply.one("access-control-allow-origin") == "*"
        assert reply.one("vary") == "Accept-Encoding"
        assert reply.one("x-content-type-options") == "nosniff"
        assert reply.one("cache-control") == "public, max-age=300, must-revalidate"
        assert reply.one("x-request-id")
    kind = "text/plain" if path.endswith(".ts") else "text/javascript"
    assert reply.one("content-type") == f"{kind}; charset=utf-8"


@each_file
def test_who_has_it_is_not_sent_it_again(world: World, path: str) -> None:
    for packed in ({}, {"Accept_Encoding": "gzip, br"}):
        tag = ask(world, path, **packed).one("etag")
        assert tag is not None and tag.startswith('"')
        for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = ask(world, path, If_None_Match=given, **packed)
            assert (again.status, again.raw) == (304, b"")
            assert again.one("etag") == tag
            assert again.one("access-control-allow-origin") == "*"
            assert again.one("cache-control") == "public, max-age=300, must-revalidate"
            assert again.one("content-type") is None
            assert again.one("content-length") is None
        assert ask(world, path, If_None_Match='"other"', **packed).status == 200


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("*", True), ("deflate, br", False),
     ("gzip;q=0", False), ("gzip; q=0.0", False), ("", False), ("identity", False)],
)  # fmt: skip
def test_compressed_where_that_is_taken(world: World, accepted: str, packed: bool) -> None:
    reply = ask(world, Accept_Encoding=accepted)
    assert reply.one("content-encoding") == ("gzip" if packed else None)
    body = gzip.decompress(reply.raw) if packed else reply.raw
    assert body == FILES[SCRIPT].body
    assert reply.one("content-length") == str(len(reply.raw))


def test_each_form_has_its_own_tag(world: World) -> None:
    assert ask(world).one("etag") != ask(world, Accept_Encoding="gzip").one("etag")


def test_under_12_kib_compressed() -> None:
    assert len(gzip.compress(FILES[SCRIPT].body, 9)) < 12 * 1024


@each_file
def test_the_verbs_of_a_file(world: World, path: str) -> None:
    reply = ask(world, path, "POST")
    reply.problem(405, "method_not_allowed")
    assert reply.one("allow") == "GET, HEAD, OPTIONS"
    head = ask(world, path, "HEAD")
    assert (head.status, head.raw) == (200, b"")
    assert head.one("content-length") == str(len(FILES[path].body))
    assert head.one("etag") == ask(world, path).one("etag")


@pytest.mark.parametrize("path", ["/sdk", "/sdk/", "/sdk/im.client.js/", "/sdk/package.json"])
def test_nothing_else_is_there(world: World, path: str) -> None:
    ask(world, path).problem(404, "not_found")


def test_a_query_does_not_matter(world: World) -> None:
    assert ask(world, SCRIPT + "?v=2&v=3").raw == FILES[SCRIPT].body


def test_the_integrity_is_a_sha384() -> None:
    assert integrity().startswith("sha384-") and len(integrity()) == 7 + 64
    assert FILES[SCRIPT].body == (FOLDER / "im.client.js").read_bytes()
