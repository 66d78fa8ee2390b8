"""The SDK's tables against the server's: every route, every refusal; the papers are current."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import imd
from imd.domain import errors
from imd.rest.errors import Internal, MethodNotAllowed, status_of
from imd.web.sdk import FOLDER
from tests.rest.world import World

ROOT = Path(__file__).parents[2]
SOURCE = (FOLDER / "im.client.js").read_text("utf-8")


def _papers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sdk_reference", ROOT / "docs/sdk_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAPERS = _papers()


def operations() -> dict[str, tuple[str, str, str]]:
    """Name to group, verb and path of every operation that the served document tells."""
    served = World().ask("GET", "/openapi.json", headers={}).json
    return {
        operation["operationId"]: (operation["tags"][0], verb.upper(), path)
        for path, item in served["paths"].items()
        for verb, operation in item.items()
        if operation["tags"][0] != "Server"
    }


def test_every_operation_is_a_function_and_every_function_an_operation() -> None:
    # A parameter with two names is the document's first.
    mine = {
        name: (group, verb, "/api/v2" + re.sub(r"\|\w+", "", path))
        for group, entries in PAPERS.functions().items()
        for name, (verb, path) in entries.items()
    }
    assert mine == operations()
    assert len(mine) == sum(len(one) for one in PAPERS.functions().values())


def test_the_groups_are_the_first_segments() -> None:
    for group, _, path in operations().values():
        assert path.split("/")[3] == group.lower()


def _refusals() -> dict[str, int]:
    kinds: list[type[errors.ImError]] = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.ImError) and kind is not errors.ImError
    ]
    kinds += [Internal, MethodNotAllowed]
    return {kind.code: status_of(kind) for kind in kinds}


@pytest.mark.parametrize(("code", "status"), _refusals().items())
def test_a_word_has_rests_status(code: str, status: int) -> None:
    body = re.search(r"const STATUSES = \{(.*?)\};", SOURCE, re.DOTALL)
    assert body is not None
    table = {
        word: int(number)
        for number, words in re.findall(r"(\d+): \"(.*?)\"", body[1])
        for word in words.split()
    }
    mine = 404 if code.endswith("not_found") else table.get(code, 409)
    assert mine == status


def test_one_version() -> None:
    package: dict[str, Any] = json.loads((FOLDER / "package.json").read_text("utf-8"))
    assert f'const VERSION = "{imd.__version__}";' in SOURCE
    assert package["version"] == imd.__version__
    assert set(package["files"]) == {path.name for path in FOLDER.iterdir()} - {"package.json"}


@pytest.mark.parametrize("path", PAPERS.papers(), ids=lambda path: path.name)
def test_the_papers_are_current(path: Path) -> None:
    """Reference, types and SRI hash; ``make sdk-reference`` writes them."""
    now, wanted = PAPERS.papers()[path]
    assert now == wanted


def test_no_event_and_no_function_is_without_its_words() -> None:
    paper = (ROOT / "docs/sdk.md").read_text("utf-8")
    for name in re.findall(r"^    ([a-z]\w*)\([^)]*\) \{$", SOURCE, re.MULTILINE):
        if name != "constructor":
            assert f".{name}(" in paper, name
    types = (FOLDER / "im.client.d.ts").read_text("utf-8")
    events = re.search(r"interface ChatEvents \{(.*?)\}\n\n", types, re.DOTALL)
    assert events is not None
    for name in re.findall(r"^  (\w+):", events[1], re.MULTILINE):
        assert f"`{name}`" in paper, name


def test_nothing_names_a_place() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text("utf-8")
        assert not re.search(r"/(home|work|root|tmp|opt|usr)/|registry|localhost", text), path.name
