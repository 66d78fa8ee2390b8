"""A store of ten million messages beside one of ten thousand: no question may notice.

A doctor of 1,000 sessions asks for its lists and counts, another one for pages of a session that
holds a tenth of all messages (:mod:`bench.stores`). What is compared is the CPU time of
PostgreSQL's backend, to the nanosecond, the stores asked in turns and set against each other
round by round, since other work makes all of them slower at once; the pages that it touched are
told beside it. The questions are put to the stores of imd, below REST.
"""

from __future__ import annotations

import itertools
import statistics
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from typing import Any

from bench.entries import Figures, Setting
from bench.measured import own_cpu_seconds
from bench.stores import DEEP, Shape, shapes
from imd.actions.queries import MessageQuery, SessionQuery, TopicQuery
from imd.domain.message import Draft
from imd.storage.batch import Job, carry_out
from imd.storage.postgres import PostgresConnection
from imd.storage.transaction import Transaction, transact
from tests.storage.crowd import BEGIN, DOCTOR, live

ROUNDS, REPEATS = 21, 8
SIZE = 21
READER = f"{DOCTOR}-deep"
DAY: dict[str, Any] = {"start": BEGIN, "end": BEGIN + 500_000}

Ask = Callable[[Transaction, Shape], Any]


def _middle(shape: Shape) -> int:
    """Between the older and the newer half of the doctor's topics."""
    return BEGIN + shape.crowd.sessions * shape.crowd.each * 500


def _ends(shape: Shape) -> int:
    """In the middle of the ends of its sessions."""
    return BEGIN + shape.crowd.sessions * shape.crowd.each * 1_000 - shape.crowd.sessions * 500


def _log(part: float = 1.0, back: int = 0, limit: int = 50) -> Ask:
    """Messages of the deep session, up to a part of its log; or the newest ``back``, forwards."""

    def ask(tx: Transaction, shape: Shape) -> Any:
        # A page, wherever it lies, is a whole one.
        below = None if part == 1.0 else max(int(shape.deep * part), limit + 1)
        query = MessageQuery(DEEP, below=below, limit=limit)
        if back:
            query = MessageQuery(DEEP, above=shape.deep - back, ascending=True, limit=back)
        return tx.participants.get(DEEP, READER), tx.messages.page(query)

    return ask


def _topics(after: bool = False, **wanted: Any) -> Ask:
    query = TopicQuery(**{"user_id": DOCTOR, **wanted})
    return lambda tx, shape: tx.topics.page(query, (_middle(shape), "") if after else None, SIZE)


def _teams(**wanted: Any) -> Ask:
    query = TopicQuery(team_codes=["T1", "T2", "T3"], types=[13], **wanted)
    return lambda tx, shape: (tx.topics.page(query, None, SIZE), tx.topics.count_by_team(query))


def _replies(**wanted: Any) -> Ask:
    query = TopicQuery(**wanted)
    return lambda tx, shape: (tx.topics.count(query), tx.topics.median_reply(query))


def _sessions(sticky: bool = True, after: bool = False, **wanted: Any) -> Ask:
    query = SessionQuery(DOCTOR, **wanted)

    def ask(tx: Transaction, shape: Shape) -> Any:
        key = (0, _ends(shape), "") if after else None
        return tx.sessions.page(query, key, SIZE, sticky)

    return ask


#: pages of one long log
LOG: dict[str, Ask] = {
    "newest page": _log(),
    "page at 3/4 of the log": _log(0.75),
    "page in the middle": _log(0.5),
    "page at 1/100": _log(0.01),
    "recovery of 100": _log(back=100),
    "unread of one session": lambda tx, shape: tx.sessions.unread(READER, [DEEP]),
}
#: what page 2 calls a list page, and the counts beside them
LISTS: dict[str, Ask] = {
    "/sessions": _sessions(),
    "/sessions, later page": _sessions(after=True),
    "/sessions/recent": _sessions(sticky=False, with_message=True),
    "/sessions/sessionListByType": _sessions(types=[8, 9]),
    "/sessions/sessionCountByType": lambda tx, shape: tx.sessions.count_by_type(
        SessionQuery(DOCTOR, types=[8, 9])
    ),
    "/sessions/unread_message_count (badge)": lambda tx, shape: tx.sessions.unread(DOCTOR),
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
    "/sessions/topicListCountByType": lambda tx, shape: tx.topics.count(TopicQuery(user_id=DOCTOR)),
    "/sessions/topicListCountByType types": lambda tx, shape: tx.topics.count(
        TopicQuery(user_id=DOCTOR, types=[8, 9])
    ),
    "/users/:id/consult/time": lambda tx, shape: tx.users.consult_time(DOCTOR),
}
#: about a hundred times as much: a page that was one row, figures over all that a team had
GROWING: dict[str, Ask] = {
    "/sessions/topics?session_id": _topics(user_id=None, session_id="s50"),
    "topics/count/reply, a team": _replies(team_codes=["T3"]),
    "topics/count/reply, a team, a window": _replies(team_codes=["T3"], **DAY),
    "topics/count/reply, a user": _replies(user_id=DOCTOR),
    "topics/count/reply, all": _replies(),
}


#: asks for nothing: what looking at the counters costs
NOTHING: Ask = lambda tx, shape: None  # noqa: E731


class Link:
    """A connection to one store, and what its backend has done so far."""

    def __init__(self, url: str, shape: Shape) -> None:
        self.connection, self._shape = PostgresConnection(url), shape
        found = self.connection.row("SELECT pg_backend_pid()")
        self.connection.rollback()
        assert found is not None
        self.pid = int(found[0])

    def ask(self, ask: Ask) -> None:
        self.connection.begin(write=False)
        ask(Transaction(self.connection), self._shape)
        self.connection.rollback()

    def touched(self) -> int:
        """Pages that the backends of this database have looked at."""
        self.ask(lambda tx, shape: self.connection.row("SELECT pg_stat_force_next_flush()"))
        sql = "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"
        found = self.connection.row(sql)
        self.connection.rollback()
        assert found is not None
        return int(found[0])

    def close(self) -> None:
        self.connection.close()


def measure(setting: Setting, urls: Mapping[str, str]) -> dict[str, dict[str, Figures]]:
    """CPU ms of ``log``, ``lists`` and ``growing`` by what was asked and of which store, the pages
    that each touched, and CPU ms of ``sends`` by where they go."""
    every = shapes(setting.scale)
    with ExitStack() as stack:
        links = {
            name: stack.enter_context(closing(Link(url, every[name]))) for name, url in urls.items()
        }
        setting.say("asking for pages, lists and counts")
        # The log of the store "own" is as short as that of the small one.
        two = {name: links[name] for name in ("small", "spread")}
        found = {
            "log": compare(two, LOG),
            "lists": compare(links, LISTS),
            "growing": compare(links, GROWING),
        }
        found["pages touched"] = {
            what: {name: touches(link, ask) for name, link in links.items()}
            for what, ask in (LOG | LISTS | GROWING).items()
        }
        setting.say("sending")
        sessions = every["spread"].crowd.sessions
        return {**found, "sends": sends(urls["spread"], sessions)}


def touches(link: Link, ask: Ask) -> float:
    """Pages that one question looks at."""

    def of(asked: Ask) -> int:
        before = link.touched()
        link.ask(asked)
        return link.touched() - before

    return statistics.median(of(ask) - of(NOTHING) for _ in range(3))


def compare(links: Mapping[str, Link], asked: dict[str, Ask]) -> dict[str, Figures]:
    """CPU ms of each question by store, the stores asked in turns.

    A round is over all questions, so that those of one question are seconds apart and no burst of
    other work covers them all. Of the first store it is the median; of another one the first's,
    times the median of what the other took in the same round for each ms of the first.
    """
    times: dict[str, dict[str, list[float]]] = {
        what: {name: [] for name in links} for what in asked
    }
    for _ in range(ROUNDS):
        for what, ask in asked.items():
            for name, link in links.items():
                link.ask(ask)  # which brings what it needs near
                before = own_cpu_seconds(link.pid)
                for _ in range(REPEATS):
                    link.ask(ask)
                used = own_cpu_seconds(link.pid) - before
                times[what][name].append(1000 * used / REPEATS)
    found: dict[str, Figures] = {}
    for what, taken in times.items():
        first = next(iter(taken.values()))
        usual = statistics.median(first)
        found[what] = {
            name: usual * statistics.median(x / y for x, y in zip(values, first, strict=True))
            for name, values in taken.items()
        }
    return found


def sends(url: str, many: int) -> dict[str, Figures]:
    """CPU ms of a message into a session with a live topic, and into one without.

    By the backend and by the writer's thread together, committed as the writer commits.
    """
    sessions = range(1, many + 1)
    places = {
        "live": itertools.cycle([number for number in sessions if live(number)]),
        "none": itertools.cycle([number for number in sessions if not live(number)]),
    }
    found: dict[str, Figures] = {}
    with closing(PostgresConnection(url, by_key=True)) as connection:
        (pid,) = connection.rows("SELECT pg_backend_pid()")[0]
        connection.rollback()

        def send(many: int, where: str) -> None:
            jobs = []
            for number in itertools.islice(places[where], many):
                draft = Draft(uuid.uuid4().hex, f"s{number}", f"P{number}", 1, "words")
                jobs.append(Job(draft))
            transact(connection, lambda tx: carry_out(tx, jobs, BEGIN), write=True)

        for many in (1, 16):
            times: dict[str, list[float]] = {name: [] for name in places}
            for round_ in range(2 * ROUNDS):
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
