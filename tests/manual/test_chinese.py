"""A Chinese page has the alerts, calls, figures and codes of its English page."""

from __future__ import annotations

import re

import pytest

from tests.manual.blocks import DOCS, pages

CHINESE = [page for page in pages() if page.endswith(".zh.md")]
_BLOCK = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
#: a heading that is a name, and the first cell of a row of a table
_NAMED = re.compile(r"^#+ (`.+`|Imd\w+)$|^ *\|((?:`[^`]*`|[^`|])*)\|", re.MULTILINE)
_NAME = re.compile(r"`[^`]+`|\b\d{5}\b|^Imd\w+$")
_LINK = re.compile(r"\]\((?!https?:)([^)\s#]+)\.md(?:#[^)]*)?\)")


def names(text: str) -> list[list[str]]:
    """The names in each heading and first cell, in the page's order."""
    found = _NAMED.findall(_BLOCK.sub("", text))
    return [_NAME.findall(heading or cell) for heading, cell in found]


@pytest.mark.parametrize("page", CHINESE)
def test_it_has_the_names_of_its_english_page(page):
    english = DOCS / page.replace(".zh.md", ".md")
    assert names((DOCS / page).read_text("utf-8")) == names(english.read_text("utf-8"))


@pytest.mark.parametrize("page", ["../README.zh.md", *CHINESE])
def test_it_leads_to_chinese_pages_where_there_are_any(page):
    folder = (DOCS / page).parent
    links = _LINK.findall((DOCS / page).read_text("utf-8"))
    assert not [
        link
        for link in links
        if (folder / f"{link}.zh.md").exists() and (page, link) != ("../README.zh.md", "README")
    ]
