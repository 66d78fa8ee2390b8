"""A link from one document of the checkout leads to another that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docker/*.md")]
    if page.parent != ROOT / "docs" / "reference"
)
_LINK = re.compile(r"\]\((?!https?:|#)([^)\s#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    made = {ROOT / "docs" / "reference" / f"{name}.md" for name in _REFERENCE}
    lost = [
        link
        for link in _LINK.findall(text)
        if not (page.parent / link).exists() and (page.parent / link).resolve() not in made
    ]
    assert not lost


#: pages that ``make docs`` writes
_REFERENCE = ("rest", "socket", "settings", "imdctl", "metrics", "errors")
