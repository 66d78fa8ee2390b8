"""The SDK in a real browser against a real server (page 3.5): losses, sleep, tabs, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Opens, Origin, Tab
from tests.e2e.rest import Rest
from tests.e2e.server import Imd, running, token

DOCTOR, PATIENT, SESSION = "D1", "p1", "p1_t1_2"


def open_session(imd: Imd, session_id: str = SESSION) -> None:
    async def ask() -> None:
        async with Rest(imd.port, token(DOCTOR, "doctor")) as rest:
            await rest.open_session(session_id, f"{DOCTOR}:doctor", f"{PATIENT}:patient")

    asyncio.run(ask())


def post(imd: Imd, first: int, last: int) -> None:
    """The doctor sends these numbers over REST."""

    async def ask() -> None:
        async with Rest(imd.port, token(DOCTOR, "doctor")) as rest:
            for number in range(first, last + 1):
                (await rest.post(SESSION, f"n{number}")).must(201)

    asyncio.run(ask())


def stored(imd: Imd) -> list[tuple[int, Any]]:
    """The whole log, as the doctor's REST client sees it."""

    async def ask() -> list[tuple[int, Any]]:
        async with Rest(imd.port, token(DOCTOR, "doctor")) as rest:
            return [(m["seq"], m["content"]) for m in await rest.every_message(SESSION)]

    return asyncio.run(ask())


def shown(tab: Tab) -> list[tuple[int, Any]]:
    return [tuple(one) for one in tab.run("return seen.map((m) => [m.seq, m.content])")]


def patient(tabs: Opens, imd: Imd) -> Tab:
    tab = tabs(imd, client_type="patient", session_id=SESSION, token=token(PATIENT, "patient"))
    tab.until("count('open') === 1")
    return tab


def doctor(tabs: Opens, imd: Imd) -> Tab:
    tab = tabs(imd, client_type="doctor", session_id=SESSION, token=token(DOCTOR, "doctor"))
    tab.until("count('open') === 1")
    return tab


def test_both_ways_and_two_tabs(imd: Imd, tabs: Opens) -> None:
    open_session(imd)
    mine, other, theirs = patient(tabs, imd), patient(tabs, imd), doctor(tabs, imd)
    sent = mine.wait("chat.send({ type: 1, content: '头痛 <b>三天</b>' })")
    assert (sent["seq"], sent["sender_id"]) == (1, PATIENT)
    theirs.until("seen.length === 1")
    theirs.wait("chat.send({ type: 1, content: { card: [1, null] } })")
    for tab in (mine, other, theirs):
        tab.until("seen.length === 2")
        assert shown(tab) == [(1, "头痛 <b>三天</b>"), (2, {"card": [1, None]})]
    theirs.run("chat.typing()")
    mine.until("count('typing') === 1")
    assert other.wait("chat.history({ size: 1 })")["items"][0]["seq"] == 2
    assert mine.wait("chat.read()") == {"read_seq": 2, "unread": 0}


def test_recovery_across_kill_and_restart(imd: Imd, tabs: Opens) -> None:
    open_session(imd)
    mine, theirs = patient(tabs, imd), doctor(tabs, imd)
    mine.wait("chat.send({ type: 1, content: 'before' })")
    imd.kill()
    for tab in (mine, theirs):
        tab.until("count('offline') === 1")
    mine.run(
        "window.sent = Promise.all([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]"
        ".map((n) => chat.send({ type: 1, content: 'while down ' + n })))"
    )
    imd.start()
    stored_seqs = [message["seq"] for message in mine.wait("sent")]
    assert stored_seqs == list(range(2, 14))
    post(imd, 1, 3)
    for tab in (mine, theirs):
        tab.until("seen.length >= 16")
        assert shown(tab) == stored(imd)
        assert tab.run("return [count('recovered'), count('reload')]") == [1, 0]


# So few that whoever is away for all of them is still brought the whole gap (200 messages).
EACH_ROUND, ROUNDS = 55, 3


def test_kills_while_both_write(imd: Imd, tabs: Opens) -> None:
    open_session(imd)
    mine, theirs = patient(tabs, imd), doctor(tabs, imd)
    for tab, name in ((mine, "p"), (theirs, "d")):
        tab.run(
            "window.made = 0; window.most = 0; window.answers = []; setInterval(() => {"
            " if (made === most) return;"
            " const content = arguments[0] + ++made;"
            " chat.send({ type: 1, content }).then((m) => answers.push(m.content)); }, 25)",
            name,
        )
    for round_ in range(1, ROUNDS + 1):
        for tab in (mine, theirs):
            tab.run("most = arguments[0]", round_ * EACH_ROUND)
        wanted = (round_ - 1) * EACH_ROUND + EACH_ROUND // 2
        mine.until(f"answers.length >= {wanted}")
        imd.kill()
        imd.start()
    for tab, name in ((mine, "p"), (theirs, "d")):
        tab.until(f"answers.length === {ROUNDS * EACH_ROUND}")
        written = [f"{name}{n}" for n in range(1, ROUNDS * EACH_ROUND + 1)]
        assert tab.run("return answers") == written
        assert [c for _, c in stored(imd) if c.startswith(name)] == written
    for tab in (mine, theirs):
        tab.until(f"chat.last_seq === {len(stored(imd))}")
        assert shown(tab) == stored(imd)
        assert tab.run("return count('reload')") == 0


def sleep_an_hour(tab: Tab) -> None:
    """The page stands still, and when it goes on its clock says that an hour has passed."""
    tab.run("const now = Date.now; let gone = 0; Date.now = () => now() + gone;"
            "document.addEventListener('resume', () => { gone = 3600000; })")  # fmt: skip
    tab.tell("Page.enable")
    tab.tell("Page.setWebLifecycleState", state="frozen")


def wake(tab: Tab) -> None:
    tab.tell("Page.setWebLifecycleState", state="active")


@pytest.mark.parametrize("restarted", [False, True], ids=["server-stays", "server-restarts"])
def test_an_hours_sleep(imd: Imd, tabs: Opens, restarted: bool) -> None:
    open_session(imd)
    post(imd, 1, 5)
    mine = patient(tabs, imd)
    mine.run("window.sent = chat.send({ type: 1, content: 'good night' })")
    mine.until("seen.length === 6")
    sleep_an_hour(mine)
    if restarted:
        imd.kill()
        imd.start()
    post(imd, 6, 120)
    wake(mine)
    mine.until("seen.length >= 121")
    post(imd, 121, 125)
    mine.until("seen.length >= 126")
    assert shown(mine) == stored(imd)
    assert mine.run("return count('reload')") == 0


def test_more_missed_than_is_recovered(imd: Imd, tabs: Opens) -> None:
    open_session(imd)
    post(imd, 1, 3)
    mine = patient(tabs, imd)
    mine.until("seen.length === 3")
    sleep_an_hour(mine)
    imd.kill()
    imd.start()
    post(imd, 4, 250)
    wake(mine)
    mine.until("count('reload') === 1")
    mine.until("seen[seen.length - 1].seq === 250")
    seqs = [seq for seq, _ in shown(mine)]
    assert seqs == [1, 2, 3, *range(231, 251)]
    older = mine.wait("chat.history({ before: 231, size: 200 })")["items"]
    assert [m["seq"] for m in older] == list(range(230, 30, -1))


def test_marks_follow_whether_the_page_is_seen(imd: Imd, tabs: Opens) -> None:
    open_session(imd)
    mine = patient(tabs, imd)
    hide = (
        "const put = (name, value) =>"
        " Object.defineProperty(document, name, { value, configurable: true });"
        "put('visibilityState', arguments[0]); put('hidden', arguments[0] === 'hidden');"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    unread = "im.Sessions.countUnread({ session_id }).then((answer) => answer.count)"
    mine.run(hide, "hidden")
    post(imd, 1, 2)
    mine.until("seen.length === 2")
    # Requests of one socket are carried out in order: the ack came before this.
    mine.wait("chat.topic()")
    assert mine.wait(unread) == 2
    mine.run(hide, "visible")
    mine.wait("chat.topic()")
    assert mine.wait(unread) == 0


def test_the_end(imd: Imd, tabs: Opens) -> None:
    open_session(imd)
    mine, theirs = patient(tabs, imd), doctor(tabs, imd)
    theirs.wait("im.Sessions.removeParticipants({ session_id, participant_ids: 'p1' })")
    mine.until("count('closed') === 1")
    assert mine.run("return last('closed').code") == 4403
    assert mine.wait("word(chat.send({ type: 1, content: 'x' }))") == ["closed", 0, 0]
    theirs.run("chat.close()")
    assert theirs.run("return [last('closed').code, chat.state]") == [1000, "closed"]
    bad = tabs(imd, client_type="patient", session_id=SESSION, token="no token")
    bad.until("count('closed') === 1")
    assert bad.run("return [last('closed').code, count('open'), count('offline')]") == [4401, 0, 0]


def test_a_draining_server_is_left_and_found_again(imd: Imd, tabs: Opens) -> None:
    open_session(imd)
    mine = patient(tabs, imd)
    imd.stop()
    mine.until("count('offline') === 1")
    assert mine.run("return last('offline').code") == 4503
    imd.start()
    mine.until("count('recovered') === 1")
    post(imd, 1, 1)
    mine.until("seen.length === 1")


@pytest.fixture
def limited(tmp_path: Any, origin: Origin) -> Iterator[Imd]:
    with running(tmp_path / "state", None, IMD_HTTP_ALLOWED_ORIGINS=origin.url) as server:
        yield server


def test_a_burst_over_the_limit_arrives_in_order(limited: Imd, tabs: Opens) -> None:
    open_session(limited)
    mine = patient(tabs, limited)
    many = "Promise.all(Array.from({ length: 60 }, (_, n) => chat.send({ type: 1, content: n })))"
    assert [message["content"] for message in mine.wait(many)] == list(range(60))
    assert [content for _, content in stored(limited)] == list(range(60))
    assert mine.run("return count('offline')") == 0


def test_refusals_have_the_words_of_rest(imd: Imd, tabs: Opens) -> None:
    open_session(imd)
    mine = patient(tabs, imd)
    for call, wanted in (
        ("chat.send({ type: 6, content: 'x' })", ["server_only_type", 403, 0]),
        ("chat.send({ type: 'one', content: 'x' })", ["invalid", 422, 1]),
        ("chat.send({ type: 1, content: 'x'.repeat(70000) })", ["too_large", 413, 0]),
        ("chat.send({ type: 1, content: 'x'.repeat(300000) })", ["too_large", 413, 0]),
        ("chat.send({ type: 1, content: '\\ud83d' })", ["bad_json", 400, 0]),
        ("chat.enter('other')", ["session_not_found", 404, 0]),
        ("im.Sessions.getSession({ session_id: 'other' })", ["session_not_found", 404, 0]),
        ("im.Sessions.listMessages({ session_id, size: 0 })", ["invalid", 422, 1]),
    ):
        assert mine.wait(f"word({call})") == wanted, call
    assert mine.wait("chat.send({ type: 1, content: 'still here' })")["seq"] == 1
    assert mine.run("return count('offline')") == 0


def test_a_system_page_hears_of_every_session(imd: Imd, tabs: Opens) -> None:
    open_session(imd)
    lists = tabs(imd, client_type="patient_system", token=token(PATIENT, "patient"))
    lists.until("count('open') === 1")
    # Its heartbeat, at once.
    lists.run("dispatchEvent(new Event('online'))")
    post(imd, 1, 1)
    lists.until("count('notice') === 1 && count('badge') >= 1")
    assert lists.run("return last('notice')")["unread"] == 1
    recent = lists.wait("chat.sessions({ size: 5 })")
    assert [one["id"] for one in recent["items"]] == [SESSION]
    assert lists.run("return chat.state") == "open"


def test_enter_moves_between_sessions(imd: Imd, tabs: Opens) -> None:
    open_session(imd)
    open_session(imd, "p1_t2_2")
    post(imd, 1, 2)
    mine = patient(tabs, imd)
    mine.until("seen.length === 2")
    mine.wait("chat.enter('p1_t2_2')")
    mine.wait("chat.send({ type: 1, content: 'there' })")
    post(imd, 3, 4)
    mine.wait("chat.enter('p1_t1_2')")
    mine.until("seen.length === 5")
    places = mine.run("return seen.map((m) => [m.session_id, m.seq])")
    assert places == [[SESSION, 1], [SESSION, 2], ["p1_t2_2", 1], [SESSION, 3], [SESSION, 4]]
