"""What strangers write stays text: a hundred vectors as texts, addresses, cards and names."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.console.conftest import Page
from tests.console.vectors import addresses, vectors
from tests.service.running import Running

DOCTOR, PATIENT = "D2016008240003", "P3502010001"
#: what a message may be made of; anything else came from the text itself
ALLOWED = {
    "a", "b", "button", "dd", "div", "dl", "dt", "i", "img", "li", "ol", "p", "path", "span", "svg",
    "ul", "time", "meter",
}  # fmt: skip
LOOK = """
const rows = [...document.querySelectorAll('.timeline .row')];
const inside = rows.flatMap(row => [...row.querySelectorAll('*')]);
return {
  pwned: window.pwned === 1,
  tags: [...new Set(inside.map(node => node.localName))],
  on: inside.filter(node => [...node.attributes].some(a => /^on/i.test(a.name))).length,
  links: inside.filter(node => node.localName === 'a').map(a => [a.href, a.rel, a.target]),
  images: inside.filter(node => node.localName === 'img').map(node => node.src),
  text: rows.map(row => row.textContent).join('\\n'),
};
"""


def make(server: Running, session_id: str, name: str = "hostile") -> None:
    fields = {
        "session_id": session_id,
        "session_type": 1,
        "session_name": name,
        "participants": [f"{DOCTOR}:doctor", f"{PATIENT}:patient"],
    }
    assert server.ask("POST", "/api/v2/sessions", fields)[0] in (200, 201)


def post(server: Running, session_id: str, kind: int, content: Any, name: str | None = None) -> int:
    fields = {"sender_id": PATIENT, "type": kind, "content": content, "sender_name": name}
    return server.ask("POST", f"/api/v2/sessions/{session_id}/messages", fields)[0]


def look(page: Page, session_id: str, count: int) -> Any:
    page.open(f"?lang=en&session={session_id}")
    page.until(
        f"[...document.querySelectorAll('.doctor .row')].some(r => r.dataset.seq === '{count}')"
    )
    for selector in (".doctor .scroller", ".patient .scroller"):
        page.do("const s = document.querySelector(arguments[0]); if (s) s.scrollTop = 0", selector)
    page.until("document.querySelector('.doctor .row[data-seq=\"1\"]')")
    found = page.driver.execute_script(LOOK)
    assert found["pwned"] is False
    assert set(found["tags"]) <= ALLOWED
    assert found["on"] == 0
    for href, rel, target in found["links"]:
        assert re.match(r"https?://", href) and "noopener" in rel and target == "_blank"
    for source in found["images"]:
        assert re.match(r"data:image/|http://127\.0\.0\.1", source)
    return found


def chunks(values: list[str], size: int = 60) -> list[list[str]]:
    return [values[place : place + size] for place in range(0, len(values), size)]


def test_there_are_a_hundred() -> None:
    assert len(set(vectors())) >= 100


@pytest.mark.parametrize("part", range(len(chunks(vectors()))))
def test_a_text_is_shown_as_it_was_written(page: Page, server: Running, part: int) -> None:
    texts, session_id = chunks(vectors())[part], f"X_text{part}_1"
    make(server, session_id)
    for text in texts:
        assert post(server, session_id, 1, text) == 201
    found = look(page, session_id, len(texts))
    for text in texts:
        assert text in found["text"]


@pytest.mark.parametrize("kind", [0, 2, 3, 4, 5, 9, 12, 18, 26])
def test_an_address_is_a_link_only_to_the_web(page: Page, server: Running, kind: int) -> None:
    session_id = f"X_address{kind}_1"
    make(server, session_id)
    number = 0
    for address in addresses():
        card = {"title": address, "name": address, "url": address, "img": address, "duration": 3}
        for content in (address, card):
            number += post(server, session_id, kind, content) == 201
    page.complaints()
    look(page, session_id, number)
    # A picture that is our own origin's and not there is a 404, and nothing worse.
    complaints = [
        said for said in page.complaints() if "404" not in said and "Failed to" not in said
    ]
    assert not complaints


@pytest.mark.parametrize("kind", [15, 20, 24, 25, 27, 28, 2101])
def test_a_card_shows_fields_and_values_as_text(page: Page, server: Running, kind: int) -> None:
    session_id = f"X_card{kind}_1"
    make(server, session_id)
    texts = vectors()[:40]
    for text in texts:
        content = {"title": text, text: text, "items": [text, {text: text}], "comment": text}
        assert post(server, session_id, kind, content) == 201
    look(page, session_id, len(texts))


def test_names_of_people_and_sessions_are_text(page: Page, server: Running) -> None:
    for place, text in enumerate(vectors()[:40]):
        session_id = f"X_name{place}_1"
        make(server, session_id, text)
        assert post(server, session_id, 1, "hello", text) == 201
    page.open("?lang=en&session=X_name0_1")
    page.until("document.querySelectorAll('.doctor .item-row').length >= 30")
    page.until("document.querySelector('.doctor .row')")
    assert page.ask("window.pwned") is None
    assert page.text(".doctor .talk-title") == vectors()[0]
    assert (
        page.ask("document.querySelectorAll('#app script, #app iframe, #app object').length") == 0
    )
