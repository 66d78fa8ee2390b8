"""The blocks of code that stand in a page of the manual."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs"
_BLOCK: Final = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
#: what a page only shows: output, settings, lines for another machine
SHOWN: Final = frozenset({"text", "toml", "ini", "json", "html"})


def blocks(page: str, language: str) -> list[str]:
    """The blocks of one language in a page, in order."""
    found = _BLOCK.findall((DOCS / page).read_text("utf-8"))
    return [dedent(body) for _, kind, body in found if kind == language]


def pages() -> list[str]:
    """All pages but those that are made of the program."""
    names = (str(page.relative_to(DOCS)) for page in sorted(DOCS.glob("**/*.md")))
    return [name for name in names if not name.startswith("reference/")]


def languages(page: str) -> set[str]:
    """The languages of a page's blocks that are to be run."""
    return {kind for _, kind, _ in _BLOCK.findall((DOCS / page).read_text("utf-8"))} - SHOWN
