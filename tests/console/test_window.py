"""A long session in a bounded page: the list keeps its window, whatever arrives and however far
one scrolls. ``IMD_CONSOLE_MINUTES`` makes the flood longer (5 is a good length)."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from typing import Any

import pytest

from tests.console.conftest import Page
from tests.service.running import Running

DOCTOR, PATIENT = "D2016008240003", "P3502010001"
LONG = "P3502010001_LONG_1"
COUNT = 10_000
MINUTES = float(os.environ.get("IMD_CONSOLE_MINUTES", "0.25"))
PER_MINUTE = 1_000
#: rows of both sides together: 140 + 40 each
MOST_ROWS = 360


def ask(connection: http.client.HTTPConnection, path: str, fields: Any) -> None:
    connection.request(
        "POST", f"/api/v2{path}", json.dumps(fields), {"Content-Type": "application/json"}
    )
    answer = connection.getresponse()
    assert answer.status in (200, 201), answer.read()
    answer.read()


@pytest.fixture(scope="module")
def long_session(server: Running) -> str:
    """A session of 10,000 messages of different heights, stored as consults' first messages."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    members = [f"{DOCTOR}:doctor", f"{PATIENT}:patient"]
    fields = {
        "session_id": LONG,
        "session_type": 1,
        "session_name": "long",
        "participants": members,
    }
    ask(connection, "/sessions", fields)
    number = 0
    while number < COUNT:
        texts = [
            f"message {number + place} " + "长" * ((number + place) % 90) for place in range(50)
        ]
        messages = [{"type": 1, "content": text, "sender_id": PATIENT} for text in texts]
        topic = f"L{number}"
        start = {"topic_id": topic, "start_by": PATIENT, "name": topic, "messages": messages}
        ask(connection, f"/sessions/{LONG}/topics", start)
        connection.request("PUT", f"/api/v2/sessions/{LONG}/topics/{topic}/ended?end_by={DOCTOR}")
        assert connection.getresponse().read()
        number += 52
    connection.close()
    return LONG


ROWS = "document.querySelectorAll('.row').length"
TOP = "document.querySelector('.doctor .scroller')"
SEEN = (
    "[...document.querySelectorAll('.doctor .timeline .row')].filter(row => {"
    " const r = row.getBoundingClientRect(); const s = document.querySelector('.doctor .scroller')"
    ".getBoundingClientRect(); return r.bottom > s.top && r.top < s.bottom; })"
    ".map(row => Number(row.dataset.seq))"
)


def test_ten_thousand_messages_scroll_in_a_bounded_page(page: Page, long_session: str) -> None:
    page.open(f"?lang=en&session={long_session}")
    page.until(f"{SEEN}.some(seq => seq >= {COUNT})")
    height = page.ask(f"{TOP}.scrollHeight")
    assert height > 300_000
    # Dragged to places far apart: what is seen belongs there.
    for part in (0.5, 0.1, 0.9, 0.0):
        page.do(f"{TOP}.scrollTop = {TOP}.scrollHeight * arguments[0]", part)
        low, high = COUNT * (part - 0.12), COUNT * (part + 0.12)
        page.until(f"(v => v.length && v.every(seq => seq >= {low} && seq <= {high}))({SEEN})")
        assert page.ask(ROWS) <= MOST_ROWS
    page.until(f"{SEEN}.includes(1)")
    # Wheel by wheel downwards: without a hole, and what is seen does not jump back.
    last = 0
    for _ in range(60):
        page.do(f"{TOP}.scrollTop += 500")
        seen = page.until(f"(v => v.length > 2 && v)({SEEN})")
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        assert seen[-1] >= last
        last = seen[-1]
    assert last > 200
    assert page.ask(ROWS) <= MOST_ROWS
    page.click(".doctor .to-end")
    page.until(f"{SEEN}.some(seq => seq >= {COUNT})")


def test_reading_further_up_is_not_disturbed_by_what_arrives(
    page: Page, long_session: str, server: Running
) -> None:
    page.open(f"?lang=en&session={long_session}")
    page.until(f"{SEEN}.some(seq => seq >= {COUNT})")
    page.do(f"{TOP}.scrollTop -= 8000")
    before = page.until(f"(v => v.length && v[0] < {COUNT} && v)({SEEN})")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for number in range(30):
        fields = {"sender_id": PATIENT, "type": 1, "content": f"late {number}"}
        ask(connection, f"/sessions/{long_session}/messages", fields)
    page.until("document.querySelector('.doctor .to-end').innerText.includes('30')")
    assert page.ask(SEEN)[0] == before[0]


WATCH = """
window.frames_ = []; window.stopped_ = false; window.tasks_ = [0];
new PerformanceObserver(list => list.getEntries().forEach(one => window.tasks_.push(one.duration)))
  .observe({ entryTypes: ['longtask'] });
(function look(last) { requestAnimationFrame(now => {
  window.frames_.push(now - last); if (!window.stopped_) look(now); }); })(performance.now());
"""


@pytest.mark.timeout(120 + MINUTES * 120)
def test_a_flood_grows_neither_dom_nor_memory(
    page: Page, long_session: str, server: Running
) -> None:
    page.open(f"?lang=en&session={long_session}")
    page.until(f"{SEEN}.some(seq => seq >= {COUNT})")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def flood(seconds: float) -> int:
        begun, sent = time.monotonic(), 0
        while (passed := time.monotonic() - begun) < seconds:
            if sent < passed * PER_MINUTE / 60:
                sender = DOCTOR if sent % 3 else PATIENT
                fields = {
                    "sender_id": sender,
                    "type": 1,
                    "content": f"flood {sent} " + "水" * (sent % 70),
                }
                ask(connection, f"/sessions/{long_session}/messages", fields)
                sent += 1
            else:
                time.sleep(0.005)
        page.until(
            "document.querySelector('.doctor .timeline').innerText.includes(arguments[0])",
            f"flood {sent - 1} ",
        )
        return sent

    def size() -> tuple[int, int]:
        page.do("gc(); gc()")
        nodes = page.ask("document.querySelectorAll('*').length")
        return int(nodes), int(page.ask("performance.memory.usedJSHeapSize"))

    flood(10)
    nodes, heap = size()
    page.do(WATCH)
    sent = flood(MINUTES * 60)
    page.do("window.stopped_ = true")
    nodes_after, heap_after = size()
    slow, late = page.ask("[Math.max(...frames_), frames_.filter(ms => ms > 200).length]")
    task = page.ask("Math.max(...window.tasks_)")
    sys.stdout.write(
        f"\n{sent} messages: {nodes} -> {nodes_after} nodes, {heap / 1e6:.1f} -> "
        f"{heap_after / 1e6:.1f} MB, longest task {task:.0f} ms, "
        f"slowest frame {slow:.0f} ms, {late} over 200 ms\n"
    )
    assert page.ask(ROWS) <= MOST_ROWS
    assert nodes_after <= nodes * 1.35
    assert heap_after <= heap + 3_000_000
