"""Lists and counts of a big store beside those of a small one: none may notice the difference.

A doctor of 1,000 sessions asks. The small store has 1,000 topics and 10,000 messages; the large
ones have a hundred times as many, spread over 100,000 sessions (``spread``) or all in the doctor's
own (``own``). What is compared is the CPU time of PostgreSQL's backend, to the nanosecond, the
stores asked in turns. The rows are put in by SQL, as imd would have left them.
"""

from __future__ import annotations

import itertools
import statistics
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

from bench.entries import Figures, Setting
from bench.measured import own_cpu_seconds
from imd.actions.queries import SessionQuery, TopicQuery
from imd.domain.message import Draft
from imd.storage.batch import Job, carry_out
from imd.storage.migrate import upgrade
from imd.storage.postgres import PostgresConnection
from imd.storage.transaction import Transaction, transact
from tests.storage.crowd import BEGIN, DOCTOR, Crowd, fill, live

CROWDS = {
    "small": Crowd(1_000, 1, 1_000),
    "spread": Crowd(100_000, 1, 1_000),
    "own": Crowd(1_000, 100, 1_000),
}
ROUNDS, REPEATS = 7, 8
SIZE = 21
#: between the older and the newer half of the doctor's topics, and of the ends of its sessions
MIDDLE = {name: BEGIN + crowd.sessions * crowd.each * 500 for name, crowd in CROWDS.items()}
ENDS = {
    name: BEGIN + crowd.sessions * crowd.each * 1_000 - crowd.sessions * 500
    for name, crowd in CROWDS.items()
}
DAY: dict[str, Any] = {"start": BEGIN, "end": BEGIN + 500_000}

Ask = Callable[[Transaction, str], Any]


def _topics(after: bool = False, **wanted: Any) -> Ask:
    query = TopicQuery(**{"user_id": DOCTOR, **wanted})
    return lambda tx, name: tx.topics.page(query, (MIDDLE[name], "") if after else None, SIZE)


def _teams(**wanted: Any) -> Ask:
    query = TopicQuery(team_codes=["T1", "T2", "T3"], types=[13], **wanted)
    return lambda tx, name: (tx.topics.page(query, None, SIZE), tx.topics.count_by_team(query))


def _replies(**wanted: Any) -> Ask:
    query = TopicQuery(**wanted)
    return lambda tx, name: (tx.topics.count(query), tx.topics.median_reply(query))


def _sessions(sticky: bool = True, after: bool = False, **wanted: Any) -> Ask:
    query = SessionQuery(DOCTOR, **wanted)

    def ask(tx: Transaction, name: str) -> Any:
        key = (0, ENDS[name], "") if after else None
        return tx.sessions.page(query, key, SIZE, sticky)

    return ask


#: what page 2 calls a list page, and the counts beside them
LISTS: dict[str, Ask] = {
    "/sessions": _sessions(),
    "/sessions, later page": _sessions(after=True),
    "/sessions/recent": _sessions(sticky=False, with_message=True),
    "/sessions/sessionListByType": _sessions(types=[8, 9]),
    "/sessions/sessionCountByType": lambda tx, name: tx.sessions.count_by_type(
        SessionQuery(DOCTOR, types=[8, 9])
    ),
    "/sessions/unread_message_count": lambda tx, name: tx.sessions.unread(DOCTOR),
    "/sessions/topics?user_id": _topics(),
    "/sessions/topics?user_id, later page": _topics(after=True),
    "/sessions/topics?user_id&start&end": _topics(**DAY),
    "/sessions/topics?user_id&status": _topics(status=10),
    "/sessions/topics?team_code": _topics(user_id=None, team_codes=["T3"]),
    "/sessions/healthTopics": _topics(types=[13]),
    "/sessions/healthTeamTopics": _teams(),
    "/sessions/healthTeamTopics?user_id": _teams(user_id=DOCTOR),
    "/sessions/topicListByType unreplied": _topics(status=0, reply=0),
    "/sessions/topicListByType replied": _topics(status=10, reply=1),
    "/sessions/topicListByType expired, types": _topics(status=10, reply=0, types=[8, 9]),
    "/sessions/topicListByType replied, later": _topics(after=True, status=10, reply=1),
    "/sessions/topicListCountByType": lambda tx, name: tx.topics.count(TopicQuery(user_id=DOCTOR)),
    "/sessions/topicListCountByType types": lambda tx, name: tx.topics.count(
        TopicQuery(user_id=DOCTOR, types=[8, 9])
    ),
    "/users/:id/consult/time": lambda tx, name: tx.users.consult_time(DOCTOR),
}
#: about a hundred times as much: a page that was one row, figures over all that a team had
GROWING: dict[str, Ask] = {
    "/sessions/topics?session_id": _topics(user_id=None, session_id="s50"),
    "topics/count/reply, a team": _replies(team_codes=["T3"]),
    "topics/count/reply, a team, a window": _replies(team_codes=["T3"], **DAY),
    "topics/count/reply, a user": _replies(user_id=DOCTOR),
    "topics/count/reply, all": _replies(),
}


def _filled(setting: Setting, name: str) -> str:
    """The URL of a new database with that crowd."""
    crowd = CROWDS[name]
    setting.say(f"filling the store {name}: {crowd.sessions * crowd.each} topics")
    url = setting.postgres.create_database()
    upgrade(url)
    with closing(PostgresConnection(url)) as filling:
        fill(filling, crowd)
    setting.postgres.execute("VACUUM ANALYZE", url=url)
    return url


def _pid(connection: PostgresConnection) -> int:
    found = connection.row("SELECT pg_backend_pid()")
    assert found is not None
    return int(found[0])


def _ask(connection: PostgresConnection, ask: Ask, name: str) -> None:
    connection.begin(write=False)
    ask(Transaction(connection), name)
    connection.rollback()


def measure(setting: Setting) -> dict[str, dict[str, Figures]]:
    """CPU ms of ``lists`` and ``growing`` by what was asked and of which store, and of
    ``sends`` by where they go."""
    with ExitStack() as stack:
        urls = {name: _filled(setting, name) for name in CROWDS}
        links = {
            name: stack.enter_context(closing(PostgresConnection(url)))
            for name, url in urls.items()
        }
        setting.say("asking for lists")
        found = {"lists": compare(links, LISTS), "growing": compare(links, GROWING)}
        setting.say("sending")
        return {**found, "sends": sends(urls["spread"])}


def compare(links: dict[str, PostgresConnection], asked: dict[str, Ask]) -> dict[str, Figures]:
    """CPU ms of each question by store, the stores asked in turns."""
    pids = {name: _pid(link) for name, link in links.items()}
    found: dict[str, Figures] = {}
    for what, ask in asked.items():
        times: dict[str, list[float]] = {name: [] for name in links}
        for round_ in range(ROUNDS + 1):
            for name, link in links.items():
                before = own_cpu_seconds(pids[name])
                for _ in range(REPEATS):
                    _ask(link, ask, name)
                if round_:
                    times[name].append(1000 * (own_cpu_seconds(pids[name]) - before) / REPEATS)
        found[what] = {name: statistics.median(values) for name, values in times.items()}
    return found


def sends(url: str) -> dict[str, Figures]:
    """CPU ms of a message into a session with a live topic, and into one without.

    By the backend and by the writer's thread together, committed as the writer commits.
    """
    sessions = range(1, CROWDS["spread"].sessions + 1)
    places = {
        "live": itertools.cycle([number for number in sessions if live(number)]),
        "none": itertools.cycle([number for number in sessions if not live(number)]),
    }
    found: dict[str, Figures] = {}
    with closing(PostgresConnection(url, by_key=True)) as connection:
        pid = _pid(connection)

        def send(many: int, where: str) -> None:
            jobs = []
            for number in itertools.islice(places[where], many):
                draft = Draft(uuid.uuid4().hex, f"s{number}", f"P{number}", 1, "words")
                jobs.append(Job(draft))
            transact(connection, lambda tx: carry_out(tx, jobs, BEGIN), write=True)

        for many in (1, 16):
            times: dict[str, list[float]] = {name: [] for name in places}
            for round_ in range(4 * ROUNDS):
                for name in places:
                    before = own_cpu_seconds(pid) + time.process_time()
                    for _ in range(64 // many):
                        send(many, name)
                    used = own_cpu_seconds(pid) + time.process_time() - before
                    if round_ > 3:
                        times[name].append(1000 * used / 64)
            medians = {name: statistics.median(values) for name, values in times.items()}
            found[f"a message, {many} in a batch"] = medians
    return found
