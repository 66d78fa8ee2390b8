"""Sums of consults by day, and how they stay true without costing a message anything (page 7.3).

Triggers leave a row in ``consult_changes`` for whatever changes a figure; the ledgers' thread sums
days up that are over, and again when something in them has changed. Whoever reads takes no day that
has a change waiting, so what is read is always what a count would give. All in the caller's
transaction; it knows neither ledger nor clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from imd.domain.consult_days import AHEAD_MS, DAY_MS, DaySum, Summed, begin_of, day_of
from imd.domain.topic import state_of
from imd.storage.engine import Connection, marks

#: the row of ``store`` that says before which day all are summed up; its lock makes one do it
_UPTO: Final = "consult_days"
#: changes that one transaction takes in, and rows of sums that one read takes
_CHANGES: Final = 2_000
_ROWS: Final = 5_000
_STRIDE: Final = 400
_COLUMNS: Final = "day, team_code, doctor, type, replied, unreplied, ongoing, expired, waits"
_STATES: Final = ("replied", "unreplied", "ongoing", "expired")


class ConsultDays:
    """SQL on ``consult_days`` and ``consult_changes``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    # ---- reading

    def summed(self, first: int, last: int) -> Summed:
        """The sums of days in [first, last), or of as many of them as one read takes."""
        upto = min(last, self._upto(lock=False))
        if upto <= first:
            return Summed([], [(first, last)], last)
        rows = self._rows(first, upto, _ROWS)
        if len(rows) == _ROWS:
            # The last day may have more rows: leave it to the next read, or read it whole.
            upto = rows[-1].day
            rows = [row for row in rows if row.day < upto]
            if upto == first:
                upto += 1
                rows = self._rows(first, upto, None)
        changed = self._changed(first, upto)
        missing = [(day, day + 1) for day in sorted(changed)]
        return Summed([row for row in rows if row.day not in changed], missing, upto)

    def _rows(self, first: int, last: int, limit: int | None) -> list[DaySum]:
        sql = f"SELECT {_COLUMNS} FROM consult_days WHERE day >= %s AND day < %s ORDER BY day"
        params = [first, last]
        if limit is not None:
            sql, params = f"{sql} LIMIT %s", [*params, limit]
        found = self._db.rows(sql, params)
        return [DaySum._make((*row[:8], tuple(map(int, row[8].split())))) for row in found]

    def _changed(self, first: int, last: int) -> set[int]:
        found = self._db.rows(
            f"SELECT DISTINCT (c.create_time + {AHEAD_MS}) / {DAY_MS} FROM consult_changes c"
            " WHERE c.create_time >= %s AND c.create_time < %s",
            (begin_of(first), begin_of(last)),
        )
        return {int(row[0]) for row in found}

    def _upto(self, lock: bool) -> int:
        locked = self._db.lock if lock else ""
        found = self._db.row(f"SELECT value FROM store WHERE name = '{_UPTO}'{locked}")
        return int(found[0]) if found else 0

    # ---- summing up

    def sum_up(self, today: int, days: int) -> bool:
        """Sum up days that have changed, and further ones before ``today``, ``days`` of each.

        False when nothing was left to do.
        """
        upto = self._upto(lock=True)
        changes = self._db.rows(
            "SELECT c.n, c.create_time FROM consult_changes c ORDER BY c.n LIMIT %s", (_CHANGES,)
        )
        changed = sorted({day_of(time) for _, time in changes if day_of(time) < upto})
        for day in changed[:days]:
            self._sum_up(day)
        seen = [n for n, time in changes if day_of(time) not in changed[days:]]
        # Exactly these: a smaller number may belong to a change that is committed only later.
        for start in range(0, len(seen), _STRIDE):
            part = seen[start : start + _STRIDE]
            self._db.run(f"DELETE FROM consult_changes WHERE n IN {marks(len(part))}", part)
        reached = self._further(upto, today, days)
        if reached != upto:
            self._db.run(f"UPDATE store SET value = %s WHERE name = '{_UPTO}'", (str(reached),))
        return bool(changes) or reached < today

    def _further(self, upto: int, today: int, days: int) -> int:
        """The day before which all are summed up now."""
        for _ in range(days):
            found = self._db.row(
                "SELECT min(t.create_time) FROM topics t WHERE t.create_time >= %s"
                " AND t.create_time < %s",
                (begin_of(upto), begin_of(today)),
            )
            if found is None or found[0] is None:
                return max(upto, today)
            day = day_of(found[0])
            self._sum_up(day)
            upto = day + 1
        return upto

    def _sum_up(self, day: int) -> None:
        found = self._db.rows(
            "SELECT t.team_code, t.reply_by, t.type, t.status, t.reply, t.create_time, t.reply_time"
            " FROM topics t WHERE t.create_time >= %s AND t.create_time < %s",
            (begin_of(day), begin_of(day + 1)),
        )
        self._db.run("DELETE FROM consult_days WHERE day = %s", (day,))
        self._db.load("consult_days", _COLUMNS.split(", "), list(_sums(day, found)))

    def begin_again(self) -> None:
        """Forget all sums; they are made anew from the topics."""
        self._upto(lock=True)
        self._db.run("DELETE FROM consult_days")
        self._db.run(f"UPDATE store SET value = '0' WHERE name = '{_UPTO}'")


def _sums(day: int, topics: Iterable[Sequence[Any]]) -> Iterable[tuple[Any, ...]]:
    states: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(_STATES, 0))
    waits: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for team_code, doctor, type_, status, reply, created, replied in topics:
        key = (team_code, doctor, type_)
        states[key][state_of(status, reply)] += 1
        if reply and replied is not None:
            waits[key].append(replied - created)
    for key, numbers in states.items():
        yield day, *key, *numbers.values(), " ".join(map(str, sorted(waits[key])))
