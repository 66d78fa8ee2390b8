"""The page of the documents: what it may load, what it may do, and that it is what is shipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import imd.web
from imd.rest.pages import File
from imd.web.files import POLICY, read_docs
from tests.rest.world import World

FILES = read_docs()
FOLDER = Path(imd.web.__file__).parent / "docs"


@pytest.fixture(scope="module")
def world() -> World:
    return World(files={path: File(*found) for path, found in FILES.items()})


@pytest.mark.parametrize("path", FILES)
def test_anyone_gets_each_file_with_its_type(world: World, path: str) -> None:
    reply = world.ask("GET", path, headers={}, root=True)
    assert (reply.status, reply.raw) == (200, FILES[path].body)
    assert reply.one("content-type") == FILES[path].kind.decode()
    assert reply.one("x-content-type-options") == "nosniff"
    assert reply.one("cache-control") == "no-cache"
    assert reply.one("x-request-id")


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_only_read(world: World, path: str) -> None:
    reply = world.ask("POST", path, root=True)
    reply.problem(405, "method_not_allowed")
    assert reply.one("allow") == "GET, HEAD, OPTIONS"
    assert world.ask("HEAD", path, headers={}, root=True).status == 200


@pytest.mark.parametrize("path", ["/docs/", "/docs/x", "/docs/../docs", "/docs/docs.js/x"])
def test_what_is_no_file_is_not_found(world: World, path: str) -> None:
    world.ask("GET", path, headers={}, root=True).problem(404, "not_found")


def test_files_are_no_operations_of_the_api(world: World) -> None:
    assert not set(FILES) & set(world.ask("GET", "/openapi.json", headers={}).json["paths"])


def test_the_page_may_load_from_its_own_server_only(world: World) -> None:
    policy = world.ask("GET", "/docs", headers={}, root=True).one("content-security-policy")
    assert policy == POLICY.decode()
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert {rules["script-src"], rules["style-src"], rules["connect-src"]} == {"'self'"}
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", FILES)
def test_no_file_names_another_host(path: str) -> None:
    assert not re.findall(rb"https?:|//[a-z]+[.:]|@import|url\(", FILES[path].body)


def test_the_page_has_no_code_and_no_style_of_its_own() -> None:
    page = FILES["/docs"].body.decode()
    assert not re.search(r"\son[a-z]+\s*=|\sstyle\s*=|<style|javascript:", page)
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert [(attributes.strip(), text) for attributes, text in scripts] == [
        ('src="/docs/docs.js" defer', "")
    ]
    loaded = re.findall(r'(?:src|href)="([^"#]*)"', page)
    assert {address for address in loaded if address and address != "data:,"} < set(FILES)


def test_the_script_puts_everything_in_as_text() -> None:
    script = FILES["/docs/docs.js"].body.decode()
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc"
    assert not re.search(banned, script)
    fetched = set(re.findall(r'"(/[^"]*\.json)"', script))
    assert fetched == {"/api/v2/openapi.json", "/api/v2/asyncapi.json"}


def test_both_languages_have_all_the_words() -> None:
    script = FILES["/docs/docs.js"].body.decode()
    english, chinese = (
        set(re.findall(r"(\w+): \"", script[script.index(f"{name}: {{") :].split("},", 1)[0]))
        for name in ("en", "zh")
    )
    assert english == chinese
    assert set(re.findall(r'say\("(\w+)"\)', script)) <= english


def test_every_file_of_the_folder_is_served_and_small() -> None:
    assert {f"/docs/{file.name}" for file in FOLDER.iterdir()} - {"/docs/docs.html"} < set(FILES)
    for file in FOLDER.iterdir():
        assert len(file.read_text("utf-8").splitlines()) < 400, file.name
