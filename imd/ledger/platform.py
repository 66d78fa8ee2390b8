"""The platform's database (page 7.2): its consults read and, where that is wanted, mended.

Reconciling and statistics ask it. All names of tables and columns are settings. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, tzinfo
from typing import Any, Final, NamedTuple

from sqlalchemy import text

from imd.ledger.foreign import NAMED, Column, Foreign, Table
from imd.ledger.reading import number
from imd.ledger.reading import text as as_text
from imd.ledger.times import Reader, reader, shown

TABLES: Final[dict[str, tuple[str, ...]]] = {
    "wlyy_consult": ("code", "patient", "type", "status", "czrq", "end_time"),
    "wlyy_consult_team": (
        "consult", "patient", "type", "team", "admin_team_code", "doctor", "czrq",
    ),
    "wlyy_admin_team": ("id", "name", "org_code", "leader_code"),
    "wlyy_doctor": ("code", "name", "mobile"),
    "wlyy_patient": ("code", "name", "mobile"),
    "dm_hospital": ("code", "name"),
}  # fmt: skip
_OPTIONAL: Final = frozenset({"end_time", "team", "mobile"})


class BadNames(Exception):
    """The platform's tables are not as the settings say; the sentence tells what is missing."""


class Team(NamedTuple):
    """A row of consult_team."""

    team: str | None
    admin_team_code: str | None
    doctor: str | None


class Entry(NamedTuple):
    """A consult of the platform; ``teams`` are its team rows, ``times`` in ms."""

    code: str
    patient: str | None
    type: int | None
    ended: bool
    czrq: int | None
    end_time: int | None
    teams: tuple[Team, ...] = ()


class NewEntry(NamedTuple):
    """What is inserted for a consult that only imd knows."""

    code: str
    patient: str | None
    type: int | None
    ended: bool
    czrq: int
    end_time: int | None
    admin_team_code: str | None
    doctor: str | None


class Names:
    """What the platform calls its tables and columns, and its states.

    ``given`` is the setting ``platform.names``: ``TABLE = "…"``, ``"TABLE.COLUMN" = "…"``,
    ``status_open`` and ``status_ended``. Raises BadNames for a name that is none.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        rest = dict(given)
        self.open = _numbers(rest.pop("status_open", [0]), "status_open")
        self.ended = _numbers(rest.pop("status_ended", [1]), "status_ended")
        known = {*TABLES, *(f"{t}.{c}" for t, columns in TABLES.items() for c in columns)}
        for name, value in rest.items():
            if name not in known or not isinstance(value, str):
                raise BadNames(f"platform.names: {name} is no TABLE or TABLE.COLUMN")
        self._given = rest

    def table(self, name: str) -> str:
        return str(self._given.get(name, name))

    def column(self, table: str, name: str) -> str:
        return str(self._given.get(f"{table}.{name}", name))


def _numbers(value: Any, name: str) -> list[int]:
    if not isinstance(value, list | tuple) or not value or not all(type(v) is int for v in value):
        raise BadNames(f"platform.names: {name} is a list of numbers")
    return list(value)


class Platform:
    """The platform's tables, found in its catalogue when they are first asked for."""

    def __init__(self, foreign: Foreign, names: Names, zone: tzinfo) -> None:
        self._foreign, self._names, self._zone = foreign, names, zone
        self._tables: dict[str, Table] = {}

    # ---- names

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            real = self._names.table(name)
            if real not in self._foreign.tables():
                raise BadNames(f"the platform has no table {real}; see platform.names")
            table = self._foreign.table(real)
            for column in TABLES[name]:
                if (
                    column not in _OPTIONAL
                    and self._names.column(name, column) not in table.columns
                ):
                    said = f"{real}.{self._names.column(name, column)}"
                    raise BadNames(f"the platform has no {said}; see platform.names")
            self._tables[name] = table
        return self._tables[name]

    def _column(self, table: str, name: str) -> Column | None:
        return self._table(table).columns.get(self._names.column(table, name))

    def _sure(self, table: str, name: str) -> Column:
        found = self._column(table, name)
        assert found is not None
        return found

    def _select(self, table: str, *columns: str) -> str:
        shown = ", ".join(self._foreign.plain(self._column(table, name)) for name in columns)
        return f"SELECT {shown} FROM {self._foreign.quote(self._table(table).name)}"

    def _time(self, table: str, name: str) -> Reader:
        column = self._column(table, name)
        return reader(column.time if column else "number", self._zone)

    def _stored(self, table: str, name: str, time: int) -> Any:
        """A time as the column holds it."""
        kind = self._sure(table, name).time
        if kind == "number":
            return time
        value = shown(time, self._zone if kind == "datetime" else UTC)
        return value.isoformat(" ") if self._foreign.kind == "sqlite" else value

    # ---- reading

    def window(self, since: int, until: int) -> Iterator[list[Entry]]:
        """The consults made in [since, until), some hundred at a time."""
        table = "wlyy_consult"
        made = self._foreign.quote(self._sure(table, "czrq").name)
        sql = f"{self._select(table, *TABLES[table])} WHERE {made} >= :since AND {made} < :until"
        params = {
            "since": self._stored(table, "czrq", since),
            "until": self._stored(table, "czrq", until),
        }
        part: list[Entry] = []
        for row in self._foreign.stream(sql, params):
            part.append(self._entry(row))
            if len(part) == NAMED:
                yield self._with_teams(part)
                part = []
        if part:
            yield self._with_teams(part)

    def named(self, codes: Collection[str]) -> dict[str, Entry]:
        """These consults, as far as they are there."""
        rows, wanted = self._named("wlyy_consult", "code", codes), set(codes)
        entries = self._with_teams([self._entry(row) for row in rows])
        return {entry.code: entry for entry in entries if entry.code in wanted}

    def teams_of(self, codes: Collection[str]) -> dict[str, list[Team]]:
        """The team rows by consult."""
        found: dict[str, list[Team]] = {}
        for row in self._named("wlyy_consult_team", "consult", codes):
            team = Team(as_text(row[3]), as_text(row[4]), as_text(row[5]))
            found.setdefault(as_text(row[0]) or "", []).append(team)
        return found

    def _named(self, table: str, key: str, values: Collection[str]) -> Iterator[Any]:
        listed = sorted(values)
        where = self._foreign.equal_text(self._sure(table, key)) if listed else ""
        for start in range(0, len(listed), NAMED):
            sql = f"{self._select(table, *TABLES[table])} WHERE {where} IN :values"
            yield from self._foreign.rows(sql, {"values": listed[start : start + NAMED]})

    def _with_teams(self, entries: list[Entry]) -> list[Entry]:
        teams = self.teams_of([entry.code for entry in entries])
        return [entry._replace(teams=tuple(teams.get(entry.code, ()))) for entry in entries]

    def _entry(self, row: Any) -> Entry:
        code, patient, type_, status, made, ended = row
        return Entry(
            as_text(code) or "",
            as_text(patient),
            number(type_),
            number(status) in self._names.ended,
            self._time("wlyy_consult", "czrq")(made),
            self._time("wlyy_consult", "end_time")(ended),
        )

    # ---- names of people and places

    def admin_teams(self) -> dict[str, tuple[str | None, str | None, str | None]]:
        """All teams: name, organisation and leader by id."""
        sql = self._select("wlyy_admin_team", *TABLES["wlyy_admin_team"])
        return {
            as_text(row[0]) or "": (as_text(row[1]), as_text(row[2]), as_text(row[3]))
            for row in self._foreign.stream(sql)
        }

    def names_of(self, table: str, codes: Collection[str]) -> dict[str, str | None]:
        """The names in wlyy_doctor or dm_hospital."""
        return {as_text(row[0]) or "": as_text(row[1]) for row in self._named(table, "code", codes)}

    # ---- writing

    def insert(self, new: NewEntry, *, consult: bool) -> None:
        """Insert the team row, and the consult's row too where ``consult``."""
        made = self._stored("wlyy_consult", "czrq", new.czrq)
        with self._foreign.writing() as connection:
            if consult:
                status = self._names.ended[0] if new.ended else self._names.open[0]
                values = {
                    "code": new.code, "patient": new.patient, "type": new.type,
                    "status": status, "czrq": made,
                }  # fmt: skip
                if new.end_time is not None and self._column("wlyy_consult", "end_time"):
                    values["end_time"] = self._stored("wlyy_consult", "end_time", new.end_time)
                connection.execute(*self._insert("wlyy_consult", values))
            values = {
                "consult": new.code, "patient": new.patient, "type": new.type,
                "admin_team_code": new.admin_team_code, "doctor": new.doctor,
                "czrq": self._stored("wlyy_consult_team", "czrq", new.czrq),
            }  # fmt: skip
            connection.execute(*self._insert("wlyy_consult_team", values))

    def end(self, code: str, time: int) -> None:
        """End a consult's row."""
        sets, params = ["status"], {"status": self._names.ended[0], "code": code}
        if self._column("wlyy_consult", "end_time"):
            sets.append("end_time")
            params["end_time"] = self._stored("wlyy_consult", "end_time", time)
        named = ", ".join(
            f"{self._foreign.quote(self._sure('wlyy_consult', name).name)} = :{name}"
            for name in sets
        )
        where = self._foreign.equal_text(self._sure("wlyy_consult", "code"))
        table = self._foreign.quote(self._table("wlyy_consult").name)
        with self._foreign.writing() as connection:
            connection.execute(text(f"UPDATE {table} SET {named} WHERE {where} = :code"), params)

    def _insert(self, table: str, values: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        columns = ", ".join(self._foreign.quote(self._sure(table, n).name) for n in values)
        marks = ", ".join(f":{name}" for name in values)
        into = self._foreign.quote(self._table(table).name)
        return text(f"INSERT INTO {into} ({columns}) VALUES ({marks})"), values
