"""Reads the original's tables as streams in the order of their sessions (page 7.1).

Each table is one query. The small ones come in the order of the session's id from the server;
messages are read as they lie and put in order on this side, by session, time and id. So the run
sees one session after another, whatever its size, with some ten thousand rows in memory. It
makes plain values of the rows and judges none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, tzinfo
from itertools import count
from typing import Any, Final, NamedTuple

from imd.ledger.foreign import NAMED, Foreign
from imd.ledger.names import CHANNELS, Found, Original
from imd.ledger.sorting import Sorter
from imd.ledger.times import reader

#: topics whose start and end are looked up at a time
_AHEAD: Final = 400
#: a place in a session's log: time in ms, id
Key = tuple[int, str]


class SessionRow(NamedTuple):
    session_id: str
    name: str | None
    type: int | None
    business_type: int | None
    create_time: int | None
    last_message_time: int | None


class MemberRow(NamedTuple):
    session_id: str
    participant_id: str
    role: str | None
    last_fetch_time: int | None


class TopicRow(NamedTuple):
    session_id: str
    id: str
    name: str | None
    description: str | None
    type: int | None
    status: int
    reply: int
    create_time: int | None
    start_message_id: str | None
    end_message_id: str | None
    end_by: str | None
    end_time: int | None


class PlacedTopic(NamedTuple):
    """A topic with the places of its first and last message; None where they are not there."""

    row: TopicRow
    start: Key | None
    end: Key | None


class MessageRow(NamedTuple):
    """``rank`` tells the table, ``n`` the place in it, so that no two rows are equal."""

    session_id: str
    time: int
    id: str
    rank: int
    n: int
    sender_id: str | None
    sender_name: str | None
    type: int
    content: str


def text(value: Any) -> str | None:
    """A value as text; U+0000, which no text of imd may hold, as U+FFFD."""
    if type(value) is not str:
        if value is None:
            return None
        value = bytes(value).decode("utf-8", "replace") if _raw(value) else str(value)
    said: str = value
    return said.replace("\0", "\ufffd") if "\0" in said else said


def _unwatched(_: int) -> None:
    """Nobody looks on."""


def _repeated(ids: Iterator[str]) -> list[str]:
    """Of ids in their order, those that come more than once, each once."""
    found: list[str] = []
    last = ""
    for id_ in ids:
        if id_ == last and id_ and (not found or found[-1] != id_):
            found.append(id_)
        last = id_
    return found


def _raw(value: Any) -> bool:
    return isinstance(value, bytes | bytearray | memoryview)


def number(value: Any) -> int | None:
    """A value as a whole number; None for what is none."""
    if type(value) is int:
        return value
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


class Reading:
    """The streams of one run, each from after the session ``after`` on (None: from the first)."""

    def __init__(
        self,
        foreign: Foreign,
        original: Original,
        zone: tzinfo,
        after: str | None,
        folder: str | None = None,
        tick: Callable[[int], None] = _unwatched,
    ) -> None:
        """``folder`` has room for all messages; ``tick`` is told how many more are read."""
        self._foreign, self._original, self._zone, self._after = foreign, original, zone, after
        self._folder, self._tick = folder, tick
        self._log = Sorter(folder, heavy=MessageRow._fields.index("content"))
        #: message ids of which only one row counts, and which: (time, rank, session_id)
        self.twins: dict[str, tuple[int, int, str]] = {}

    def count(self, name: str) -> int:
        """How many rows a table has."""
        found = self._original.found[name]
        sql = f"SELECT count(*) FROM {self._foreign.quote(found.table.name)}"
        return int(self._foreign.rows(sql)[0][0])

    def sessions(self) -> Iterator[SessionRow]:
        found = self._original.found["sessions"]
        made, last = self._time(found, "create_date"), self._time(found, "last_message_time")
        for row in self._stream(found, "id", ("id",)):
            yield SessionRow(
                text(row[0]) or "", text(row[1]), number(row[2]), number(row[3]),
                made(row[5]), last(row[6]),
            )  # fmt: skip

    def members(self) -> Iterator[MemberRow]:
        found = self._original.found["participants"]
        fetched = self._time(found, "last_fetch_time")
        for row in self._stream(found, "session_id", ("session_id", "participant_id")):
            yield MemberRow(text(row[0]) or "", text(row[1]) or "", text(row[2]), fetched(row[3]))

    def topics(self) -> Iterator[PlacedTopic]:
        """The topics, with their ends looked up some hundred at a time."""
        ahead: list[TopicRow] = []
        for row in self._topics():
            ahead.append(row)
            if len(ahead) == _AHEAD:
                yield from self._placed(ahead)
                ahead = []
        yield from self._placed(ahead)

    def _topics(self) -> Iterator[TopicRow]:
        found = self._original.found["topics"]
        made, ended = self._time(found, "create_time"), self._time(found, "end_time")
        for row in self._stream(found, "session_id", ("session_id", "id")):
            yield TopicRow(
                text(row[1]) or "", text(row[0]) or "", text(row[2]), text(row[3]), number(row[4]),
                10 if number(row[5]) else 0, 1 if number(row[6]) else 0, made(row[7]),
                text(row[8]) or None, text(row[9]) or None, text(row[10]) or None, ended(row[11]),
            )  # fmt: skip

    def _placed(self, topics: Sequence[TopicRow]) -> Iterator[PlacedTopic]:
        ids = {id_ for t in topics for id_ in (t.start_message_id, t.end_message_id) if id_}
        places: dict[tuple[str, str], Key] = {}
        for row in self._named_messages(sorted(ids)):
            twin = self.twins.get(row.id)
            if twin is None or twin == (row.time, row.rank, row.session_id):
                places[row.session_id, row.id] = (row.time, row.id)
        for topic in topics:
            start = places.get((topic.session_id, topic.start_message_id or ""))
            end = places.get((topic.session_id, topic.end_message_id or ""))
            yield PlacedTopic(topic, start, end)

    def close(self) -> None:
        """Let go what waits in files."""
        self._log.close()

    def gather(self, movable: Callable[[str], bool]) -> None:
        """Read all messages, and find the ids that several have (page 7.1); first of all.

        ``movable`` says of a session's id whether a message in it can count.
        """
        channels = self._original.channels
        sure = len(channels) == 1 and channels[0].unique_ids
        with closing(Sorter(self._folder)) as ids:
            for found in channels:
                for rows in self._channel(found):
                    if not sure:
                        ids.add([row[2] for row in rows])
                    rest = rows
                    if self._after is not None:
                        rest = [row for row in rows if row[0] > self._after]
                    self._log.add(rest)
                    # What was moved before has passed already.
                    self._tick(2 * len(rows) - len(rest))
            self._judge_twins(_repeated(ids.sorted()), movable)

    def messages(self) -> Iterator[MessageRow]:
        """The messages of all tables, by session, time and id, once."""
        return map(MessageRow._make, self._log.sorted())

    def _channel(self, found: Found) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a table as they lie, as plain tuples of MessageRow's fields."""
        rank, time = CHANNELS.index(found.name), self._time(found, "timestamp")
        same, places = time is _SAME, count()
        for part in self._foreign.parts(self._select(found)):
            rows = []
            for id_, session, sender, name, type_, content, stamp in part:
                if type(content) is not str or "\0" in content:
                    content = text(content) or ""
                rows.append(
                    (
                        session if type(session) is str else text(session) or "",
                        stamp if same and type(stamp) is int else time(stamp) or 0,
                        id_ if type(id_) is str else text(id_) or "",
                        rank,
                        next(places),
                        sender if type(sender) is str else text(sender),
                        name if type(name) is str else text(name),
                        type_ if type(type_) is int else number(type_) or 0,
                        content,
                    )
                )
            yield rows

    def _named_messages(self, ids: Sequence[str]) -> Iterator[MessageRow]:
        """Rows of messages by id, in no order, without their contents."""
        for start in range(0, len(ids), NAMED):
            part = list(ids[start : start + NAMED])
            for found in self._original.channels:
                rank, time = CHANNELS.index(found.name), self._time(found, "timestamp")
                c = found.columns
                assert c["id"] is not None
                sql = (
                    f"SELECT {', '.join(self._foreign.plain(c[n]) for n in _PLACE)}"
                    f" FROM {self._foreign.quote(found.table.name)}"
                    f" WHERE {self._foreign.equal_text(c['id'])} IN :ids"
                )
                for id_, session, stamp in self._foreign.rows(sql, {"ids": part}):
                    yield MessageRow(
                        text(session) or "", time(stamp) or 0, text(id_) or "", rank, 0,
                        None, None, 0, "",
                    )  # fmt: skip

    def _judge_twins(self, ids: Sequence[str], movable: Callable[[str], bool]) -> None:
        """Which row of each of these ids counts."""
        homes = set(filter(movable, self._homes(ids)))
        for row in self._named_messages(ids):
            if row.session_id not in homes:
                continue
            place = (row.time, row.rank, row.session_id)
            if row.id in self.twins:
                place = min(place, self.twins[row.id])
            self.twins[row.id] = place

    def topic_twins(self) -> set[str]:
        """The ids that several topics have."""
        found = self._original.found["topics"]
        if found.unique_ids:
            return set()
        id_ = self._foreign.by_bytes(self._foreign.plain(found.columns["id"]))
        table = self._foreign.quote(found.table.name)
        sql = f"SELECT {id_} AS i FROM {table} GROUP BY {id_} HAVING count(*) > 1"
        return {text(row[0]) or "" for row in self._foreign.stream(sql)}

    def _homes(self, ids: Sequence[str]) -> set[str]:
        """Those sessions of these messages that are there."""
        wanted = sorted({row.session_id for row in self._named_messages(ids)})
        found = self._original.found["sessions"]
        column = found.columns["id"]
        assert column is not None
        sql = (
            f"SELECT {self._foreign.plain(column)} FROM {self._foreign.quote(found.table.name)}"
            f" WHERE {self._foreign.equal_text(column)} IN :ids"
        )
        homes: set[str] = set()
        for start in range(0, len(wanted), NAMED):
            rows = self._foreign.rows(sql, {"ids": wanted[start : start + NAMED]})
            homes |= {text(row[0]) or "" for row in rows}
        return homes

    # ---- the directory

    def people(self, name: str) -> Iterator[tuple[Any, ...]]:
        """Rows of doctors or patients: id, name, sex, birthdate, avatar, openid."""
        found = self._original.found.get(name)
        if found is None:
            return
        for row in self._stream(found, None, ("id",)):
            born = text(row[3])
            openid = text(row[5]) if len(row) > 5 else None
            yield text(row[0]) or "", text(row[1]), _sex(row[2]), born, text(row[4]), openid

    def devices(self) -> Iterator[tuple[str, str, int | None, str | None]]:
        """Rows of app_status: user_id, client_id, platform, token."""
        found = self._original.found.get("app_status")
        if found is None:
            return
        for row in self._stream(found, None, ("user_id",)):
            yield text(row[0]) or "", text(row[1]) or "", number(row[2]), text(row[3])

    # ---- statements

    def _time(self, found: Found, column: str) -> Any:
        kind = found.kind(column)
        return _SAME if kind in ("ms", "number") else reader(kind, self._zone)

    def _select(self, found: Found) -> str:
        """All columns of a table."""
        shown = ", ".join(self._foreign.plain(column) for column in found.columns.values())
        return f"SELECT {shown} FROM {self._foreign.quote(found.table.name)}"

    def _stream(
        self, found: Found, session: str | None, order_by: Sequence[str]
    ) -> Iterator[Sequence[Any]]:
        """A table in order; ``session`` is the column that tells of progress."""
        foreign, columns = self._foreign, found.columns
        order = [foreign.by_bytes(foreign.plain(columns[name])) for name in order_by]
        sql, params = self._select(found), {}
        if session is not None and self._after is not None:
            key = foreign.by_bytes(foreign.plain(columns[session]))
            sql += f" WHERE {key} > {foreign.bytes_of('after')}"
            params["after"] = self._after
        return foreign.stream(f"{sql} ORDER BY {', '.join(order)}", params)


_SAME: Final = reader("number", UTC)
_PLACE: Final = ("id", "session_id", "timestamp")
_SEXES: Final = {"男": 1, "女": 2, "m": 1, "f": 2, "male": 1, "female": 2}


def _sex(value: Any) -> int | None:
    plain = number(value)
    if plain is None and value is not None:
        plain = _SEXES.get(str(value).strip().lower())
    return plain if plain is not None and 0 <= plain <= 9 else None
