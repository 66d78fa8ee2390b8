"""The reference is written from the program: nothing that exists is missing in it."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from imd.cli.main import COMMANDS
from imd.config.sources import KEYS
from imd.rest.openapi import operation_id
from imd.rest.routes import ROUTES
from imd.rest.table import Table
from imd.service.metrics import Metrics
from imd.websocket.methods import METHODS
from imd.wire.closing import Close
from tests.manual.blocks import DOCS


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[ModuleType, dict[str, str]]:
    """The generator, and its pages by name."""
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["reference"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("reference")
    module.write(folder)
    return module, {page.stem: page.read_text("utf-8") for page in folder.glob("*.md")}


def test_every_route_is_in_it(made):
    _, pages = made
    told: set[str] = set(re.findall(r"^## (\w+)$", pages["rest"], re.MULTILINE))
    named = {
        operation_id(row, verb.decode())
        for shape in Table(ROUTES).shapes
        for verb, row in shape.rows.items()
        if verb != b"HEAD"
    }
    assert named <= told


def test_every_frame_and_close_code_is_in_it(made):
    _, pages = made
    for method in METHODS:
        assert f"## {method}.request" in pages["socket"]
    for close in Close:
        assert f"| {int(close)} |" in pages["socket"]


def test_every_setting_is_in_it_with_its_meaning(made):
    module, pages = made
    assert re.findall(r"^### (\S+)$", pages["settings"], re.MULTILINE) == list(KEYS)
    said = module.comments()
    assert [key for key in KEYS if not said.get(key)] == []


def test_every_command_is_in_it(made):
    _, pages = made
    for command in COMMANDS:
        assert re.search(rf"^## imdctl {command}\b", pages["imdctl"], re.MULTILINE)


def test_every_metric_is_in_it(made):
    _, pages = made
    for family in Metrics().collect():
        assert f"`{family.name}" in pages["metrics"]
    assert "`imd_workers`" in pages["metrics"] and "`imd_bus_up`" in pages["metrics"]


def test_every_error_is_in_it(made):
    module, pages = made
    for kind in module.kinds():
        assert f"`{kind.code}`" in pages["errors"]


def test_a_page_that_is_current_is_not_written_again(made, tmp_path: Path):
    module, _ = made
    module.write(tmp_path)
    before = {page: page.stat().st_mtime_ns for page in tmp_path.glob("*.md")}
    module.write(tmp_path)
    assert {page: page.stat().st_mtime_ns for page in tmp_path.glob("*.md")} == before
