"""An original of any size: the tables of a hospital that has talked for years, made quickly.

Moving over is tried with it at full size, and killed in between. The same seed gives the same
hospital on each kind of database.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Table, insert

from imd.ledger.names import CHANNELS
from tests.ledger import originals

T: Final = 1_600_000_000_000
#: messages of most sessions, on average
_USUAL: Final = 50
_SAID: Final = (
    "您好，血压这两天怎么样？", "早上 150/95，晚上低一点，头有点晕。", "药按时吃了吗？盐要少放。",
    '{"duration":7,"path":"http://files.example/voice/0001.mp3","size":18273}',
    "明天上午来社区复查，带上医保卡。", "谢谢医生。", "收到", "回车\n制表\t反斜\\杠",
)  # fmt: skip


class Hospital:
    """``messages`` are about as many as wanted; one session has the share ``largest`` of them."""

    def __init__(self, messages: int, largest: int, seed: int = 20161) -> None:
        self._rnd = random.Random(seed)
        self._sessions = max(1, (messages - largest) // _USUAL)
        self._largest = largest
        #: rows by table
        self.numbers: dict[str, int] = {}

    def build(self, url: str, folder: Path) -> str:
        """Make and fill the database; its URL."""
        made = originals.metadata()
        engine = originals.engine_of(url)
        with engine.begin() as connection:
            made.create_all(connection)
        rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in made.tables}
        for part in range(0, self._sessions, 2_000):
            for n in range(part, min(part + 2_000, self._sessions)):
                for name, row in self._session(n):
                    rows[name].append(row)
            for name, some in rows.items():
                self.numbers[name] = self.numbers.get(name, 0) + len(some)
                _put(engine, made.tables[name], some, folder)
                some.clear()
        lost = [(f"lost{n}", "gone", "p", "乙", 1, "谁？", T) for n in range(7)]
        _put(engine, made.tables["muc_messages"], lost, folder)
        self.numbers["muc_messages"] += len(lost)
        engine.dispose()
        return url

    def numbers_of(self, tables: Sequence[str]) -> int:
        """How many rows these have together."""
        return sum(self.numbers[table] for table in tables)

    def _id(self) -> str:
        return f"{self._rnd.getrandbits(128):032x}"

    def _session(self, n: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
        rnd, id_, patient = self._rnd, self._id(), f"p{n:08}"
        type_ = rnd.choice((1, 1, 1, 2, 3, 0, 9))
        channel = CHANNELS[0 if type_ in (1, 9) else type_ - 1 if type_ else 3]
        people = [patient, *rnd.sample([f"D{k:04}" for k in range(40)], rnd.randint(1, 3))]
        yield "patients", (patient, "李", 1, None, None, None)
        if n < 40:
            yield "doctors", (f"D{n:04}", "张", 2, None, None)
        yield "sessions", (id_, "咨询", type_, rnd.choice((1, 2, None)), 0, None, None, None, None)
        number = self._largest if n == self._sessions // 2 else rnd.randint(0, 2 * _USUAL)
        time, first, marks = T + rnd.randint(0, 10**10), None, [T]
        for m in range(number):
            time += rnd.choice((0, 1, 900, 60_000))
            message_id = self._id()
            kind = rnd.choices((1, 2, 3, 2105), (80, 8, 8, 4))[0]
            # now and then one lies in another table than its neighbours
            table = channel if m % 97 else rnd.choice(CHANNELS)
            said = rnd.choice(_SAID)
            yield table, (message_id, id_, rnd.choice(people), "甲", kind, said, time)
            if m == number // 3:
                first = (message_id, time)
            if first is not None and m == number // 2 and type_ == 1:
                yield "topics", (
                    f"c{n:08}", id_, "头晕", None, 2, 10, rnd.randint(0, 1), first[1], first[0],
                    message_id, people[1], time,
                )  # fmt: skip
            marks.append(time)
        for who in people:
            role = "patient" if who == patient else "doctor"
            fetched = rnd.choice((None, T - 9, time, rnd.choice(marks), rnd.choice(marks)))
            yield "participants", (id_, who, role, fetched)


def _put(engine: Any, table: Table, rows: list[tuple[Any, ...]], folder: Path) -> None:
    if not rows:
        return
    if engine.dialect.name == "mysql":
        _load(engine.url, table, rows, folder)
        return
    names = [column.name for column in table.columns][: len(rows[0])]
    with engine.begin() as connection:
        connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])


def _load(url: Any, table: Table, rows: list[tuple[Any, ...]], folder: Path) -> None:
    """By LOAD DATA, which is what MySQL does quickest."""
    import pymysql

    names = ", ".join(f"`{column.name}`" for column in list(table.columns)[: len(rows[0])])
    with tempfile.NamedTemporaryFile("w", dir=folder, encoding="utf-8", newline="") as file:
        for row in rows:
            file.write("\t".join(map(_escaped, row)) + "\n")
        file.flush()
        with pymysql.connect(
            host=url.host, port=url.port, user=url.username, password=url.password,
            database=url.database, charset="utf8mb4", local_infile=True, autocommit=True,
        ) as connection, connection.cursor() as cursor:  # fmt: skip
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE `{table.name}`"
                f" CHARACTER SET utf8mb4 ({names})"
            )


def _escaped(value: Any) -> str:
    if value is None:
        return "\\N"
    text = str(value).replace("\\", "\\\\")
    return text.replace("\t", "\\t").replace("\n", "\\n")
