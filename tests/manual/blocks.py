"""The blocks of code that stand in a page of the manual."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs"
_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: what a page only shows: output, settings, lines for another machine
SHOWN: Final = frozenset({"text", "toml", "ini", "json", "html"})


def blocks(page: str, language: str) -> list[str]:
    """The blocks of one language in a page, in order."""
    found = _BLOCK.findall((DOCS / page).read_text("utf-8"))
    return [body for kind, body in found if kind == language]


def languages(page: str) -> set[str]:
    """The languages of a page's blocks that are to be run."""
    return {kind for kind, _ in _BLOCK.findall((DOCS / page).read_text("utf-8"))} - SHOWN
