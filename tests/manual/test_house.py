"""What "How to add something" names is there: its files, and the words that it says are in them."""

from __future__ import annotations

import re

import pytest

from tests.manual.blocks import DOCS

ROOT = DOCS.parent
PAGE = (DOCS / "house.md").read_text("utf-8")
_PATH = re.compile(r"`((?:imd|tests|etc|newsfragments)[\w/*.-]*)`")
_WORD_IN = re.compile(r"`(\w+)`(?: and `(\w+)`)? in\s+`((?:imd|tests)[\w/.-]+\.py)`")


@pytest.mark.parametrize("path", sorted(set(_PATH.findall(PAGE))))
def test_what_it_names_is_there(path):
    assert list(ROOT.glob(path.rstrip("/"))), f"there is no {path}"


@pytest.mark.parametrize("words", _WORD_IN.findall(PAGE), ids=" ".join)
def test_words_stand_where_it_says(words):
    *named, path = words
    text = (ROOT / path).read_text("utf-8")
    for word in filter(None, named):
        assert re.search(rf"\b{word}\b", text), f"{word} is not in {path}"


def test_it_says_enough_to_be_checked():
    assert len(_WORD_IN.findall(PAGE)) >= 6
