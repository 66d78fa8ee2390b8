"""What lists cost: on PostgreSQL no page of a list reads a whole table, however many rows it has.

A small crowd is always asked; with ``IMD_TEST_SLOW=1`` one of 100,000 topics and 1,000,000
messages too. Plans are looked at, nobody is timed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from imd.actions.queries import MessageQuery, SessionQuery, TopicQuery
from imd.storage.engine import Row
from imd.storage.migrate import upgrade
from imd.storage.postgres import PostgresConnection
from imd.storage.transaction import Transaction
from tests.servers import PostgresServer
from tests.storage.crowd import BEGIN, DOCTOR, Crowd, fill

SMALL, LARGE = Crowd(4_000, 2, 1_000), Crowd(50_000, 2, 1_000)
SLOW = "IMD_TEST_SLOW"
Plan = dict[str, Any]


class Explained(PostgresConnection):
    """A connection that keeps the plan of each statement that it reads with."""

    def __init__(self, url: str, crowd: Crowd) -> None:
        super().__init__(url)
        self.crowd = crowd
        self.plans: list[Plan] = []
        self.how = "FORMAT JSON"

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        (found,) = super().rows(f"EXPLAIN ({self.how}) {sql}", params)
        text = found[0]
        self.plans.append((json.loads(text) if isinstance(text, str) else text)[0]["Plan"])
        return super().rows(sql, params)

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        found = self.rows(sql, params)
        return found[0] if found else None


def nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def whole_tables(connection: Explained) -> set[str]:
    """The tables that were read from their beginning to their end.

    Of the small crowd only those that grow with every consult: the others are so small there that
    the planner may well read them.
    """
    small = connection.crowd == SMALL
    growing = {"topics", "messages"}
    found = {
        node["Relation Name"]
        for plan in connection.plans
        for node in nodes(plan)
        if node["Node Type"] == "Seq Scan"
    }
    return found & growing if small else found


def crowded(server: PostgresServer, crowd: Crowd) -> Iterator[Explained]:
    url = server.create_database()
    upgrade(url)
    with closing(PostgresConnection(url)) as filling:
        fill(filling, crowd)
    server.execute("VACUUM ANALYZE", url=url)
    with closing(Explained(url, crowd)) as connection:
        yield connection
    server.drop_database(url)


@pytest.fixture(scope="module", params=["small", "large"])
def crowd(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[Explained]:
    if request.param == "large" and os.environ.get(SLOW) != "1":
        pytest.skip(f"PLANS OF A LARGE STORE ARE NOT TESTED: set {SLOW}=1 for that")
    yield from crowded(postgres_server, LARGE if request.param == "large" else SMALL)


@pytest.fixture
def asked(crowd: Explained) -> Iterator[Transaction]:
    crowd.plans.clear()
    crowd.begin(write=False)
    yield Transaction(crowd)
    crowd.rollback()


AFTER = (BEGIN + 5_000_000, "t5000")
WINDOW: dict[str, Any] = {"start": BEGIN + 1_000_000, "end": BEGIN + 3_000_000}
_WHOSE: dict[str, dict[str, Any]] = {
    "user": {"user_id": DOCTOR},
    "session": {"session_id": "s50"},
    "user and session": {"user_id": DOCTOR, "session_id": "s50"},
    "team": {"team_codes": ["T3"]},
    "teams": {"team_codes": ["T3", "T4", "T5"]},
    "user and teams": {"user_id": DOCTOR, "team_codes": ["T3", "T4"]},
}
_HOW: dict[str, dict[str, Any]] = {
    "all": {},
    "unreplied": {"status": 0, "reply": 0},
    "replied": {"status": 10, "reply": 1},
    "ended": {"status": 10},
    "type 13": {"types": [13]},
    "expired of types": {"status": 10, "reply": 0, "types": [9, 13]},
    "window": WINDOW,
    "no such type": {"types": [12]},
    "overdue": {"status": 0, "reply": 0, "latest": {1: BEGIN + 2_000_000, 9: BEGIN + 3_000_000}},
    "overdue of a type": {
        "status": 0, "reply": 0, "types": [13], "latest": {9: BEGIN, 13: BEGIN + 9_000_000},
    },
}  # fmt: skip
PAGES = {f"{who}, {how}": {**w, **h} for who, w in _WHOSE.items() for how, h in _HOW.items()}
PAGES |= {f"all, {how}": _HOW[how] for how in _HOW if "overdue" in how}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("after", [None, AFTER], ids=["first", "next"])
def test_no_page_of_topics_reads_a_whole_table(asked: Transaction, crowd, page, after) -> None:
    asked.topics.page(TopicQuery(**PAGES[page]), after, 21)
    assert crowd.plans and not whole_tables(crowd)


OWN = {what: {**_WHOSE["user"], **how} for what, how in _HOW.items()}


@pytest.mark.parametrize("page", OWN)
@pytest.mark.parametrize("after", [None, AFTER], ids=["first", "next"])
def test_a_page_of_a_users_topics_looks_at_no_other_sessions(
    asked: Transaction, crowd, monkeypatch, page, after
) -> None:
    """A doctor of a thousand sessions: what is read is the page, not a look at each of them."""
    monkeypatch.setattr(crowd, "how", "ANALYZE, BUFFERS, FORMAT JSON")
    asked.topics.page(TopicQuery(**OWN[page]), after, 21)
    (plan,) = crowd.plans
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 900


@pytest.mark.parametrize("sticky", [True, False])
def test_a_users_sessions_are_found_without_a_look_at_each_of_its_rows(
    asked: Transaction, crowd, sticky
) -> None:
    asked.sessions.page(SessionQuery(DOCTOR), None, 21, sticky)
    _, plan = crowd.plans
    (page,) = [node for node in nodes(plan) if node["Node Type"] == "Limit" and "Plans" in node][:1]
    scans = {(n["Node Type"], n.get("Index Name")) for n in nodes(page) if "Scan" in n["Node Type"]}
    scans -= {("Subquery Scan", None)}
    assert scans == {("Index Only Scan", "participants_user"), ("Index Scan", "sessions_id")}


#: in the middle of the ends of the doctor's sessions
_MIDDLE = {"small": 6_000_000, "large": 75_000_000}
SESSIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "of types": {"types": [8, 9]},
    "with a live topic": {"status": 1},
    "with a message": {"with_message": True},
}


@pytest.mark.parametrize("page", SESSIONS)
@pytest.mark.parametrize("sticky", [True, False])
@pytest.mark.parametrize("later", [False, True], ids=["first", "later"])
def test_a_page_of_a_users_sessions_looks_at_those_of_few_hours(
    asked: Transaction, crowd, monkeypatch, page, sticky, later
) -> None:
    """Not at a thousand: in the small crowd, where all end within two hours, at no more than that;
    and no session twice to make one page."""
    monkeypatch.setattr(crowd, "how", "ANALYZE, BUFFERS, FORMAT JSON")
    size = "small" if crowd.crowd == SMALL else "large"
    after = (0, BEGIN + _MIDDLE[size], "") if later else None
    assert len(asked.sessions.page(SessionQuery(DOCTOR, **SESSIONS[page]), after, 21, sticky)) == 21
    counting, plan = crowd.plans
    assert not any("Gather" in n["Node Type"] for n in nodes(plan))
    looks = sum(
        node["Actual Loops"]
        for node in nodes(plan)
        if node.get("Index Name") == "sessions_id" and node["Alias"] == "z"
    )
    assert looks <= (1_000 if size == "small" else 400)
    assert counting["Shared Hit Blocks"] + counting["Shared Read Blocks"] < 50


OTHERS: dict[str, Callable[[Transaction], Any]] = {
    "counts by type": lambda tx: tx.topics.count(TopicQuery(user_id=DOCTOR)),
    "counts of types": lambda tx: tx.topics.count(TopicQuery(user_id=DOCTOR, types=[9, 13])),
    "counts of teams": lambda tx: tx.topics.count_by_team(TopicQuery(team_codes=["T1", "T2"])),
    "a user's counts of teams": lambda tx: tx.topics.count_by_team(
        TopicQuery(user_id=DOCTOR, team_codes=["T1", "T2"], types=[1, 8, 9])
    ),
    "replies of a user": lambda tx: tx.topics.median_reply(TopicQuery(user_id=DOCTOR)),
    "replies in a window": lambda tx: (
        tx.topics.count(TopicQuery(user_id=DOCTOR, **WINDOW)),
        tx.topics.median_reply(TopicQuery(user_id=DOCTOR, **WINDOW)),
    ),
    "one topic": lambda tx: tx.topics.get("t77"),
    "the last topic": lambda tx: tx.topics.last_of("s50"),
    "the last entry": lambda tx: tx.topics.entry_of("t77", "P77", 0),
    "newest page": lambda tx: tx.messages.page(MessageQuery("s50", limit=21)),
    "older page": lambda tx: tx.messages.page(MessageQuery("s50", below=15, limit=21)),
    "a topic's page": lambda tx: tx.messages.page(MessageQuery("s50", topic_id="t50", limit=21)),
    "recovery": lambda tx: tx.messages.page(
        MessageQuery("s50", above=3, ascending=True, limit=200)
    ),
    "recovery by hint": lambda tx: tx.messages.ranges([("s50", 3), ("s51", 9)], 200),
    "what the sweep asks": lambda tx: (
        tx.sessions.beyond([("s50", 3), ("s51", 2**40)]),
        tx.participants.strangers([("s50", DOCTOR), ("s51", "P0")]),
    ),
    "how far they read": lambda tx: tx.participants.read_seqs([("s50", "P50"), ("s51", "P51")]),
    "said since": lambda tx: tx.sessions.spoken_since([DOCTOR], 0),
    "unread": lambda tx: tx.messages.page(
        MessageQuery("s50", above=17, not_by=DOCTOR, counted_only=True, ascending=True, limit=21)
    ),
    "badge": lambda tx: tx.sessions.unread(DOCTOR),
    "sessions": lambda tx: tx.sessions.page(SessionQuery(DOCTOR), None, 21, True),
    "recent sessions": lambda tx: tx.sessions.page(
        SessionQuery(DOCTOR, with_message=True), None, 21, False
    ),
    "sessions by type": lambda tx: tx.sessions.count_by_type(SessionQuery(DOCTOR, types=[1, 9])),
}


@pytest.mark.parametrize("question", OTHERS)
def test_no_count_and_no_page_reads_a_whole_table(asked: Transaction, crowd, question) -> None:
    assert OTHERS[question](asked) not in (None, [], {}) or question == "the last entry"
    assert crowd.plans and not whole_tables(crowd)


@pytest.mark.parametrize("types", [None, [1, 8, 9]])
def test_a_teams_statistics_come_from_indexes_alone(asked: Transaction, crowd, types) -> None:
    query = TopicQuery(team_codes=["T3"], types=types)
    assert asked.topics.count(query) and asked.topics.median_reply(query)
    assert _scans(crowd) == [
        ("Index Only Scan", "topic_tallies_team"),
        *[("Index Only Scan", "topics_team")] * 2,
    ]


@pytest.mark.parametrize("types", [None, [1, 8, 9]])
def test_a_teams_statistics_of_a_window_come_from_the_index_alone(
    asked: Transaction, crowd, types
) -> None:
    query = TopicQuery(team_codes=["T3"], types=types, **WINDOW)
    assert asked.topics.count(query) and asked.topics.median_reply(query)
    assert _scans(crowd) == [("Index Only Scan", "topics_team")] * 3


@pytest.mark.parametrize("types", [None, [1, 8, 9]])
def test_what_a_user_has_of_topics_and_sessions_comes_from_indexes_alone(
    asked: Transaction, crowd, types
) -> None:
    assert asked.topics.count(TopicQuery(user_id=DOCTOR, types=types))
    teams = TopicQuery(user_id=DOCTOR, types=types, team_codes=["T3", "T4"])
    assert asked.topics.count_by_team(teams)
    assert asked.sessions.count_by_type(SessionQuery(DOCTOR, types=types))
    assert _scans(crowd) == [
        *[("Index Only Scan", "participant_tallies_pkey")] * 2,
        ("Index Only Scan", "participants_user"),
    ]


def _scans(crowd: Explained) -> list[tuple[str, str]]:
    return [
        (node["Node Type"], node["Index Name"])
        for plan in crowd.plans
        for node in nodes(plan)
        if "Scan" in node["Node Type"]
    ]


def test_a_second_entry_is_looked_for_among_entries_only(asked: Transaction, crowd) -> None:
    asked.topics.entry_of("t77", "P77", 0)
    (plan,) = crowd.plans
    assert [n["Index Name"] for n in nodes(plan) if "Index Name" in n] == ["messages_entries"]


def test_pages_of_a_crowd_are_what_plain_sql_gives(asked: Transaction, crowd) -> None:
    """The ways that avoid reading everything find the same rows."""
    plain = (
        "SELECT t.id FROM topics t JOIN participants p ON p.session_id = t.session_id"
        " AND p.participant_id = 'D' WHERE (t.create_time, t.id) < (%s, %s)"
        " ORDER BY t.create_time DESC, t.id DESC LIMIT 50"
    )
    for after in (AFTER, (2**62, "")):
        expected = [row[0] for row in crowd.rows(plain, after)]
        page = asked.topics.page(TopicQuery(user_id=DOCTOR), after, 50)
        assert [topic.id for topic in page] == expected
