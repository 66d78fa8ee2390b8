"""A real store on a real database, with the time in the test's hand.

Each test gets a database of its own, copied from one that was migrated once: that is quicker than
migrating each. The tests of actions stand on it too.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import deferLater

from imd.actions.ports import Committed, Posted
from imd.domain.ids import UserId
from imd.domain.message import Draft, Message
from imd.domain.participant import Mark, Marked, Seat
from imd.domain.session import Head
from imd.domain.topic import Topic
from imd.storage.engine import Row
from imd.storage.migrate import upgrade
from imd.storage.store import Store, open_store
from imd.storage.transaction import Transaction
from tests.servers import PostgresServer

NOW = 1_800_000_000_000
#: seconds after which a condition that does not come true fails a test
PATIENCE = 60.0


class HandClock:
    """A clock that moves when it is told to; ms."""

    def __init__(self, now: int = NOW) -> None:
        self.time = now

    def now(self) -> int:
        return self.time


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait for something that other threads or processes bring about."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"
        await deferLater(reactor, 0.01, lambda: None)


def together(promises: Sequence[Any]) -> Deferred[list[Any]]:
    """All of them; the first failure fails, after all have ended."""
    return gatherResults([ensureDeferred(p) for p in promises], consumeErrors=True)


async def outcomes(promises: Sequence[Any]) -> list[Any]:
    """Each one's value, or the exception that it ended with."""
    return await gatherResults([ensureDeferred(p).addErrback(lambda f: f.value) for p in promises])


class Ground:
    """An open store with shortcuts; ``commits`` is what the writer announced."""

    def __init__(self, url: str, clock: HandClock) -> None:
        self.url, self.clock = url, clock
        self.commits: list[Committed] = []
        self.store: Store
        self._numbers = count(1)

    @property
    def postgres(self) -> bool:
        return self.url.startswith("postgres")

    async def open(self, **settings: Any) -> Ground:
        self.store = await open_store(
            self.url, reactor=reactor, clock=self.clock, on_commit=self.commits.extend, **settings
        )
        return self

    async def close(self, limit: float = 5.0) -> None:
        await self.store.close(limit)

    def new_id(self) -> str:
        return f"{next(self._numbers):032x}"

    # ---- shortcuts

    async def session(self, id_: str, *members: str, type_: int = 1, adhoc: bool = False) -> None:
        """A session of ``"userId:role"`` members, made as the actions make one."""
        now = self.clock.now()
        first = id_ if adhoc else None
        head = Head(id_, id_, type_, 1, 0, now, 0, 0, now, None, None, None, first, 0)
        seats = [Seat(UserId(m.partition(":")[0]), m.partition(":")[2] or "0") for m in members]

        def work(transaction: Transaction) -> None:
            assert transaction.sessions.insert(head)
            transaction.participants.add(head, seats, now)

        await self.store.database.write(work)

    async def topic(self, id_: str, session_id: str, start_by: str) -> None:
        """A live topic with its TOPIC_START."""
        now = self.clock.now()

        def work(transaction: Transaction) -> None:
            head = transaction.sessions.lock(session_id)
            assert head is not None
            topic = Topic(
                id_, session_id, head.type, "n", None, None, 0, 0, None, now, start_by, None,
                *[None] * 8,
            )  # fmt: skip
            transaction.topics.insert(topic)
            transaction.sessions.set_topic(session_id, id_, 1)
            head = head._replace(current_topic_id=id_)
            draft = Draft(self.new_id(), session_id, start_by, 6, "start", member="none")
            stored = transaction.log.append(head, [draft], now)[0].message
            transaction.connection.run(
                "UPDATE topics SET start_message_id = %s, start_seq = %s WHERE id = %s",
                (stored.id, stored.seq, id_),
            )

        await self.store.database.write(work)

    async def end_topic(self, id_: str, session_id: str) -> None:
        def work(transaction: Transaction) -> None:
            transaction.sessions.lock(session_id)
            transaction.connection.run("UPDATE topics SET status = 10 WHERE id = %s", (id_,))
            transaction.sessions.set_topic(session_id, None, 0)

        await self.store.database.write(work)

    def draft(self, session_id: str, sender: str, content: Any = "x", **more: Any) -> Draft:
        fields = {"type": 1, **more}
        return Draft(self.new_id(), session_id, sender, content=content, **fields)

    def send(
        self, session_id: str, sender: str, content: Any = "x", **more: Any
    ) -> Deferred[Posted]:
        return self.store.writer.post(self.draft(session_id, sender, content, **more))

    def mark(
        self, session_id: str, user: str, seq: int | None = None, read: bool = True
    ) -> Deferred[Marked]:
        return self.store.writer.mark(Mark(session_id, user, seq, read))

    def rows(self, sql: str, *params: Any) -> Deferred[list[Row]]:
        return self.store.database.read(lambda tx: tx.connection.rows(sql, params))

    async def log(self, session_id: str) -> list[Message]:
        """The whole log, oldest first."""

        def look(transaction: Transaction) -> list[Message]:
            found = transaction.messages.ranges([(session_id, 0)], 1_000_000)
            return [entry.message for entry in found]

        return await self.store.database.read(look)

    async def recount(self, session_id: str) -> dict[str, tuple[int, int]]:
        """For each member the unread of the counters, and of the rows (page 2.5)."""
        rows = await self.rows(
            "SELECT p.participant_id, s.counted - p.read_counted, (SELECT count(*) FROM messages m"
            " WHERE m.session_id = p.session_id AND m.seq > p.read_seq AND m.type <> 2105"
            " AND m.sender_id <> p.participant_id) FROM participants p"
            " JOIN sessions s ON s.id = p.session_id WHERE s.id = %s",
            session_id,
        )
        return {row[0]: (row[1], row[2]) for row in rows}


def check_order(log: Sequence[Message]) -> None:
    """I3: seq is dense, the time strictly rises, and no message is there twice."""
    assert [message.seq for message in log] == list(range(1, len(log) + 1))
    stamps = [message.timestamp for message in log]
    assert all(earlier < later for earlier, later in pairwise(stamps))
    assert len({message.id for message in log}) == len(log)


# ---- fixtures, which the rooms' conftests import


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("migrated") / "imd.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a migrated database to copy."""
    url = postgres_server.create_database()
    upgrade(url)
    yield url.rpartition("/")[2]
    postgres_server.drop_database(url)


@pytest.fixture
def sqlite_copy(migrated_sqlite: Path, tmp_path: Path) -> str:
    shutil.copy(migrated_sqlite, tmp_path / "imd.db")
    return f"sqlite:///{tmp_path / 'imd.db'}"


@pytest.fixture
def postgres_copy(migrated_postgres: str, postgres_server: PostgresServer) -> Iterator[str]:
    name = f"imd_copy_{secrets.token_hex(6)}"
    postgres_server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_postgres}"')
    yield f"{postgres_server.url.rpartition('/')[0]}/{name}"
    postgres_server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgres"])
def migrated_url(request: pytest.FixtureRequest) -> str:
    """Each kind of migrated database in turn: a test that takes this runs twice."""
    url: str = request.getfixturevalue(f"{request.param}_copy")
    return url


@pytest_twisted.async_yield_fixture
async def ground(migrated_url):
    """An open store on each kind of database in turn."""
    opened = await Ground(migrated_url, HandClock()).open()
    yield opened
    await opened.close()


@pytest_twisted.async_yield_fixture
async def postgres_ground(postgres_copy):
    """An open store on PostgreSQL, for what only concerns it."""
    opened = await Ground(postgres_copy, HandClock()).open()
    yield opened
    await opened.close()
