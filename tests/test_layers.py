"""The house of page 6, enforced: who may import whom, which library by which door, how large."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "imd"

#: room to the rooms it may import, besides itself (page 6, the drawing)
ROOMS = {
    "domain": set(),
    "wire": {"domain"},
    "actions": {"wire", "domain"},
    "storage": {"actions", "wire", "domain"},
    "delivery": {"actions", "wire", "domain"},
    "push": {"actions", "wire", "domain"},
    "ledger": {"actions", "wire", "domain"},
    "rest": {"actions", "wire", "domain"},
    "websocket": {"actions", "wire", "domain"},
    "web": set(),
    "config": {"domain"},
    "service": {
        "domain", "wire", "actions", "storage", "delivery", "push", "ledger", "rest", "websocket",
        "web", "config",
    },
    "cli": {
        "domain", "wire", "actions", "storage", "delivery", "push", "ledger", "rest", "websocket",
        "web", "config", "service",
    },
}  # fmt: skip

#: room to the libraries that may come in (page 6, "its doors to libraries")
DOORS = {
    "domain": set(),
    "wire": {"msgspec"},
    "actions": set(),
    "storage": {"psycopg2", "twisted", "zope"},
    "delivery": {"twisted", "zope"},
    "push": {"treq", "twisted", "zope"},
    "ledger": {"sqlalchemy", "twisted", "zope"},
    "rest": {"jwt", "klein", "msgspec", "twisted", "werkzeug", "zope"},
    # txaio is Autobahn's own door to its log, which is closed there
    "websocket": {"autobahn", "automat", "twisted", "txaio", "zope"},
    "web": {"twisted", "zope"},
    "config": {"cryptography", "msgspec"},
    "service": {"autobahn", "cryptography", "jwt", "klein", "prometheus_client", "twisted", "zope"},
    "cli": {"autobahn", "click", "jwt", "twisted"},
}

#: part of a room to the libraries that only this part may use besides
NARROW_DOORS = {
    "imd/storage/migrate.py": {"alembic", "sqlalchemy"},
    "imd/storage/migrations/": {"alembic", "sqlalchemy"},
    "imd/delivery/redis_line.py": {"txredisapi"},
}

#: modules of the standard library that count as a door, and the rooms that have it
GUARDED = {
    "sqlite3": {"storage"},
    "tomllib": {"config"},
}

#: what a room of pure values has no business with: input, output, clocks, chance, JSON
IMPURE = {
    "asyncio", "http", "io", "json", "logging", "multiprocessing", "os", "pathlib", "random",
    "secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile",
    "threading", "time", "tomllib", "urllib",
}  # fmt: skip
PURE_ROOMS = {"domain"}

FORBIDDEN_WORDS = re.compile(r"manager|handler|helper|util|common|processor", re.IGNORECASE)
FILE_LINES = 400
FUNCTION_LINES = 60

FILES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
_IDS = [str(path.relative_to(ROOT)) for path in FILES]
each_file = pytest.mark.parametrize("path", FILES, ids=_IDS)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def room_of(path: Path) -> str | None:
    """The room of a file; None for the package's own ``__init__.py``."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def imports(path: Path) -> Iterator[str]:
    """Full dotted names of what a file imports, also under TYPE_CHECKING and inside functions."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute in this house"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_room_stands_in_the_table() -> None:
    rooms = {room for path in FILES if (room := room_of(path)) is not None}
    assert rooms <= set(ROOMS)
    assert set(ROOMS) == set(DOORS)


@each_file
def test_rooms_import_only_what_is_below_them(path: Path) -> None:
    room = room_of(path)
    for name in imports(path):
        first, _, rest = name.partition(".")
        if first != "imd" or not rest:
            continue
        other = rest.partition(".")[0]
        if other == "__version__":
            continue
        assert room is not None, f"imd/__init__.py imports {name}"
        assert other == room or other in ROOMS[room], f"{room} may not import {name}"


@each_file
def test_libraries_come_in_by_their_doors(path: Path) -> None:
    room = room_of(path)
    here = str(path.relative_to(ROOT))
    allowed = set(DOORS[room]) if room else set()
    for beginning, libraries in NARROW_DOORS.items():
        if here.startswith(beginning):
            allowed |= libraries
    for name in imports(path):
        library = name.partition(".")[0]
        if library in GUARDED:
            assert room in GUARDED[library], f"{room} may not import {library}"
        elif library not in sys.stdlib_module_names and library != "imd":
            assert library in allowed, f"{room} may not import {name}"
        if room in PURE_ROOMS:
            assert library not in IMPURE, f"{room} is pure and may not import {name}"


@each_file
def test_files_and_functions_fit_on_a_screen(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < FILE_LINES
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= FUNCTION_LINES, f"{node.name} has {length} lines"


@each_file
def test_names_are_words_of_the_field(path: Path) -> None:
    assert not FORBIDDEN_WORDS.search(str(path.relative_to(PACKAGE)))
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ClassDef):
            assert not FORBIDDEN_WORDS.search(node.name), f"class {node.name}"


@each_file
def test_nothing_prints_and_no_except_is_bare(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno} prints"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno} catches everything"


@each_file
def test_coroutines_are_async_def(path: Path) -> None:
    banned = {"inlineCallbacks", "returnValue"}
    assert not {name.rpartition(".")[2] for name in imports(path)} & banned


@each_file
def test_every_module_says_why_it_exists(path: Path) -> None:
    docstring = ast.get_docstring(tree_of(path))
    assert docstring or not path.read_text("utf-8").strip(), "no module docstring"
