"""The wide door by which the original's data come in (page 7.1): whole logs at once, by COPY.

The command line opens it for the ledger room, beside a running server. Everything that a message,
a member or a topic brings with it is right after each transaction: running totals come with the
rows, lists and tallies follow by the triggers. It refuses to know where the rows come from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from typing import Any, TypeVar

from imd.actions import arrivals as a
from imd.actions.arrivals import Chunk, Moved, Page, Progress, Record, Standing, Stood
from imd.domain.session import Head
from imd.domain.topic import Topic
from imd.storage import rows
from imd.storage.engine import Connection, connector, marks, values
from imd.storage.transaction import Transaction, transact

T = TypeVar("T")

#: rows of one statement that names each of them, and of one page that is read back
_STRIDE = 400
_PAGE = 5_000
_HEAD_COLUMNS = (
    "status", "last_seq", "counted", "last_timestamp", "last_message_seq", "last_message_time",
    "current_topic_id",
)  # fmt: skip
_MARKS = (
    "UPDATE participants SET last_fetch_time = %s, read_seq = %s, read_counted = %s,"
    " delivered_seq = CASE WHEN delivered_seq < %s THEN %s ELSE delivered_seq END,"
    " own_beyond = %s WHERE session_id = %s AND participant_id = %s AND read_seq < %s"
)
#: what lies behind the log's end lies beyond every mark
_OWN = (
    "UPDATE participants SET read_counted = read_counted + %s, own_beyond = %s"
    " WHERE session_id = %s AND participant_id = %s"
)


class Arrivals:
    """Implements the port ``Target`` on the database ``url``; two connections, closed by close.

    One writes while the other looks, from two threads.
    """

    def __init__(self, url: str) -> None:
        self._connect = connector(url, patient=True)
        self._writing, self._looking = self._connect(), self._connect()

    def close(self) -> None:
        """Let the connections go."""
        self._writing.close()
        self._looking.close()

    def _look(self, work: Callable[[Connection], T]) -> T:
        return transact(self._looking, lambda tx: work(tx.connection), write=False)

    # ---- how far a run has come

    def progress(self, source: str) -> Progress | None:
        def look(db: Connection) -> Progress | None:
            sql = "SELECT running, after, report FROM legacy_runs WHERE source = %s"
            found = db.row(sql, (source,))
            return Progress(bool(found[0]), found[1], found[2]) if found else None

        return self._look(look)

    def holds_own_sessions(self) -> bool:
        sql = (
            "SELECT 1 FROM sessions s WHERE NOT EXISTS"
            " (SELECT 1 FROM legacy_sessions l WHERE l.session_id = s.id) LIMIT 1"
        )
        return self._look(lambda db: db.row(sql)) is not None

    def has_deleted(self) -> bool:
        sql = "SELECT 1 FROM store WHERE name = 'retention' AND value <> '0'"
        return self._look(lambda db: db.row(sql)) is not None

    def begin(self, source: str, report: str) -> None:
        def work(transaction: Transaction) -> None:
            transaction.connection.run("DELETE FROM legacy_rejects")
            _keep(transaction.connection, source, Progress(True, None, report))

        transact(self._writing, work, write=True)

    # ---- writing

    def put(self, chunk: Chunk, source: str, progress: Progress) -> tuple[int, int]:
        def work(transaction: Transaction) -> tuple[int, int]:
            db = transaction.connection
            made = (_add(db, "users", a.USER, chunk.users, "(id)"),
                    _add(db, "devices", a.DEVICE, chunk.devices, ""))  # fmt: skip
            _lock(db, chunk.moved)
            db.load("sessions", a.SESSION, chunk.sessions)
            db.load("participants", a.MEMBER, chunk.members)
            db.load("messages", a.MESSAGE, chunk.messages)
            for topic in chunk.changed:  # before the new ones, one of which may be live now
                transaction.topics.update(topic)
            db.load("topics", a.TOPIC, chunk.topics)
            _move(db, chunk)
            _record(db, chunk.records)
            db.load("legacy_rejects", a.REJECT, chunk.rejects)
            _keep(db, source, progress)
            return made

        return transact(self._writing, work, write=True)

    # ---- looking

    def standing(self, session_ids: Collection[str]) -> dict[str, Standing]:
        def look(db: Connection) -> dict[str, Standing]:
            found: dict[str, Standing] = {}
            for ids in _strides(session_ids):
                sql = (
                    f"SELECT {rows.HEAD}, {', '.join(f'l.{name}' for name in a.RECORD)}"
                    " FROM sessions s LEFT JOIN legacy_sessions l ON l.session_id = s.id"
                    f" WHERE s.id IN {marks(len(ids))}"
                )
                for row in db.rows(sql, ids):
                    record = Record(*row[14:]) if row[14] is not None else None
                    found[row[0]] = Standing(rows.head(row[:14]), record, {})
                sql = (
                    "SELECT session_id, participant_id, read_seq, read_counted FROM participants"
                    f" WHERE session_id IN {marks(len(ids))}"
                )
                for session_id, member, read_seq, read_counted in db.rows(sql, ids):
                    found[session_id].marks[member] = (read_seq, read_counted)
            return found

        return self._look(look)

    def stood(self, message_ids: Collection[str]) -> dict[str, Stood]:
        sql = "SELECT id, session_id, seq, counted, timestamp FROM messages WHERE id IN "
        return {row[0]: Stood(*row[1:]) for row in self._named(sql, message_ids)}

    def topics(self, topic_ids: Collection[str]) -> dict[str, Topic]:
        sql = f"SELECT {rows.TOPIC} FROM topics t WHERE t.id IN "
        return {row[0]: rows.topic(row) for row in self._named(sql, topic_ids)}

    def doctors(self) -> set[str]:
        sql = "SELECT id FROM users WHERE kind = 'doctor'"
        return {row[0] for row in self._look(lambda db: db.rows(sql))}

    def patients(self, user_ids: Collection[str]) -> set[str]:
        sql = "SELECT id FROM users WHERE kind = 'patient' AND id IN "
        return {row[0] for row in self._named(sql, user_ids)}

    def _named(self, sql: str, ids: Collection[str]) -> list[Any]:
        if not ids:
            return []

        def look(db: Connection) -> list[Any]:
            return [row for part in _strides(ids) for row in db.rows(sql + marks(len(part)), part)]

        return self._look(look)

    # ---- reading back

    def records(self, session_ids: Collection[str]) -> dict[str, Record]:
        sql = f"SELECT {', '.join(a.RECORD)} FROM legacy_sessions WHERE session_id IN "
        return {row[0]: Record(*row) for row in self._named(sql, session_ids)}

    def recorded(self) -> tuple[int, int]:
        sql = (
            "SELECT count(*), coalesce(sum(CASE WHEN messages > 0 THEN 1 ELSE 0 END), 0)"
            " FROM legacy_sessions"
        )
        found = self._look(lambda db: db.row(sql)) or (0, 0)
        return int(found[0]), int(found[1])

    def log(self) -> Iterator[Sequence[Page]]:
        sql = (
            "SELECT session_id, seq, id, sender_id, sender_name, type, content FROM messages"
            " WHERE (session_id, seq) > (%s, %s) ORDER BY session_id, seq LIMIT %s"
        )
        last: tuple[Any, ...] = ("", 0)
        while True:
            found = self._look(lambda db: db.rows(sql, (*last, _PAGE)))  # noqa: B023
            yield [Page(*row) for row in found]
            if len(found) < _PAGE:
                return
            last = found[-1][:2]

    def rejects(self) -> Iterator[a.Row]:
        sql = f"SELECT {', '.join(a.REJECT)} FROM legacy_rejects WHERE n > %s ORDER BY n LIMIT %s"
        return self._pages(sql, (0,), 1)

    def _pages(self, sql: str, last: tuple[Any, ...], key: int) -> Iterator[a.Row]:
        while True:
            found = self._look(lambda db: db.rows(sql, (*last, _PAGE)))  # noqa: B023
            yield from found
            if len(found) < _PAGE:
                return
            last = found[-1][:key]


def open_arrivals(url: str) -> closing[Arrivals]:
    """The door, closed at the end of a ``with`` block; the schema must be up to date."""
    return closing(Arrivals(url))


def _strides(ids: Collection[str]) -> Iterator[list[str]]:
    listed = list(ids)
    for start in range(0, len(listed), _STRIDE):
        yield listed[start : start + _STRIDE]


def _keep(db: Connection, source: str, progress: Progress) -> None:
    db.run(
        f"INSERT INTO legacy_runs (source, running, after, report) VALUES {marks(4)}"
        " ON CONFLICT (source) DO UPDATE SET running = excluded.running, after = excluded.after,"
        " report = excluded.report",
        (source, int(progress.running), progress.after, progress.report),
    )


def _add(db: Connection, table: str, columns: Sequence[str], new: Sequence[a.Row], key: str) -> int:
    """Put those rows in that are not there yet; how many they were."""
    made = 0
    for start in range(0, len(new), _STRIDE):
        part = new[start : start + _STRIDE]
        sql = (
            f"INSERT INTO {table} ({', '.join(columns)}) {values(len(part), len(columns))}"
            f" ON CONFLICT {key} DO NOTHING"
        )
        made += db.run(sql, [value for row in part for value in row])
    return made


def _lock(db: Connection, moved: Sequence[tuple[Head, Head]]) -> None:
    """Hold the sessions that are to go on, in the order of all who lock; see that they stand."""
    for before, _ in sorted(moved, key=lambda pair: pair[0].id):
        sql = f"SELECT {rows.HEAD} FROM sessions s WHERE s.id = %s{db.lock}"
        found = db.row(sql, (before.id,))
        if found is None or rows.head(found) != before:
            raise Moved(before.id)


def _move(db: Connection, chunk: Chunk) -> None:
    sets = ", ".join(f"{name} = %s" for name in _HEAD_COLUMNS)
    for _, after in chunk.moved:
        params = [getattr(after, name) for name in _HEAD_COLUMNS]
        db.later(f"UPDATE sessions SET {sets} WHERE id = %s", [*params, after.id])
    for row in chunk.own:  # before the marks, which say all anew
        db.later(_OWN, row)
    for session_id, member, fetched, seq, counted, beyond in chunk.marks:
        db.later(_MARKS, (fetched, seq, counted, seq, seq, beyond, session_id, member, seq))


def _record(db: Connection, records: Sequence[Record]) -> None:
    sets = ", ".join(f"{name} = excluded.{name}" for name in a.RECORD[1:])
    for start in range(0, len(records), _STRIDE):
        part = records[start : start + _STRIDE]
        db.later(
            f"INSERT INTO legacy_sessions ({', '.join(a.RECORD)})"
            f" {values(len(part), len(a.RECORD))} ON CONFLICT (session_id) DO UPDATE SET {sets}",
            [value for record in part for value in record],
        )
