"""Pages that load only the SDK run a whole consult; and docs/sdk.md's twenty lines, as printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.browser.conftest import Opens, Origin, Tab
from tests.e2e.server import Imd, running, token, until

ROOT = Path(__file__).parents[2]
DOCTOR, PATIENT, SESSION, TOPIC = "D1", "p1", "p1_t1_2", "consult-1"


def test_a_whole_consult(imd: Imd, tabs: Opens) -> None:
    credential = token(DOCTOR, "doctor")
    lists = tabs(imd, client_type="doctor_system", token=credential)
    lists.until("count('open') === 1")
    members = [f"{DOCTOR}:doctor", f"{PATIENT}:patient"]
    made = lists.wait(
        "im.Sessions.openSession({ session_id: arguments[0], session_type: 2,"
        " session_name: '咨询', participants: arguments[1] })",
        SESSION, members,
    )  # fmt: skip
    assert made["id"] == SESSION
    mine = tabs(imd, client_type="patient", session_id=SESSION, token=token(PATIENT, "patient"))
    mine.until("count('open') === 1")
    started = mine.wait(
        "im.Sessions.startTopic({ session_id, topic_id: arguments[0], name: '头痛',"
        " start_by: 'p1', messages: [{ type: 1, content: '头痛三天了' }] })",
        TOPIC,
    )
    assert started["status"] == 0
    lists.until("count('notice') >= 1 && count('topic') >= 1")
    theirs = tabs(imd, client_type="doctor", session_id=SESSION, token=credential)
    theirs.until("count('open') === 1")
    assert theirs.wait("chat.topic()")["id"] == TOPIC
    mine.wait("im.Sessions.enterTopic({ session_id, topic_id: 'current', user_id: 'p1' })")
    _talk(mine, theirs, imd)
    ended = theirs.wait("im.Sessions.endTopic({ session_id, topic_id: 'current', note: '多喝水' })")
    assert ended["ended"] is True
    for tab in (mine, theirs):
        tab.until("count('topic') >= 1 && last('topic').status === 10")
    late = "word(chat.send({ type: 1, content: 'x', topic_id: 'consult-1' }))"
    assert mine.wait(late) == ["topic_ended", 409, 0]
    _compare(mine, theirs)
    assert theirs.wait("im.Application.getBadge({ user_id: 'D1' })")["badge_no"] == 0


def _talk(mine: Tab, theirs: Tab, imd: Imd) -> None:
    for turn in range(5):
        mine.wait("chat.send({ type: 1, content: arguments[0] })", f"病人 {turn}")
        theirs.wait("chat.send({ type: 1, content: arguments[0] })", f"医生 {turn}")
        if turn == 2:
            imd.kill()
            imd.start()


def _compare(mine: Tab, theirs: Tab) -> None:
    whole = "im.Sessions.listMessages({ session_id, order: 'asc', size: 200, peek: 1 })"
    log = theirs.wait(whole)
    wanted = [[m["seq"], m["type"], m["content"]] for m in log["items"]]
    assert [seq for seq, _, _ in wanted] == list(range(1, len(wanted) + 1))
    for tab in (mine, theirs):
        tab.until(f"chat.last_seq === {len(wanted)}")
        assert tab.run("return seen.map((m) => [m.seq, m.type, m.content])") == wanted


def test_twenty_lines_as_printed(driver: Any, origin: Origin, tmp_path: Path) -> None:
    paper = (ROOT / "docs/sdk.md").read_text("utf-8")
    found = re.search(r"```html\n(<!doctype.*?)```", paper, re.DOTALL)
    assert found is not None
    code = found[1]
    assert len(code.splitlines()) <= 20
    home = driver.current_window_handle
    settings = {"IM_PROFILE": "dev", "IMD_HTTP_ALLOWED_ORIGINS": origin.url}
    with running(tmp_path / "state", None, **settings) as imd:
        origin.pages["/twenty"] = code.replace(
            "http://127.0.0.1:3000", f"http://127.0.0.1:{imd.port}"
        )
        mine = Tab(driver, f"{origin.url}/twenty?user=p1&as=patient&session={SESSION}")
        mine.wait(
            "im.Sessions.openSession({ session_id: arguments[0], session_type: 1,"
            " session_name: 'x', participants: ['d1:doctor', 'p1:patient'] })",
            SESSION,
        )
        # The first login came too early: there was no such session, which is final.
        mine.run("location.reload()")
        theirs = Tab(driver, f"{origin.url}/twenty?user=d1&as=doctor&session={SESSION}")
        for tab in (mine, theirs):
            tab.until("document.getElementById('state').textContent === 'open'")
        _type(mine, "您好 <img src=x>")
        _lines(theirs, ["p1: 您好 <img src=x>"])
        imd.kill()
        mine.until("document.getElementById('state').textContent === 'offline'")
        _type(mine, "还在吗")
        imd.start()
        for tab in (mine, theirs):
            _lines(tab, ["p1: 您好 <img src=x>", "p1: 还在吗"])
    for tab in (mine, theirs):
        driver.switch_to.window(tab.name)
        driver.close()
    driver.switch_to.window(home)


def _type(tab: Tab, text: str) -> None:
    from selenium.webdriver.common.by import By

    tab.driver.switch_to.window(tab.name)
    tab.driver.find_element(By.ID, "text").send_keys(text + "\n")


def _lines(tab: Tab, wanted: list[str]) -> None:
    script = "return Array.from(document.querySelectorAll('li'), (line) => line.textContent)"
    until(lambda: len(tab.run(script)) >= len(wanted), 30, "the lines")
    assert tab.run(script) == wanted
