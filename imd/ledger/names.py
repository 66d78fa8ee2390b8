"""What the original's tables and columns are called, and how ``--map`` says otherwise (page 7.1).

The defaults are the names that the page marks as named by the original's documents or inferred.
Reading asks here for every table and column; nothing else of the ledger spells one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from imd.ledger.foreign import Column, Foreign, Table
from imd.ledger.times import UNITS

#: the four message tables, in the order in which equal ids and times are told apart
CHANNELS: Final = ("muc_messages", "p2p_messages", "group_messages", "system_messages")
_MESSAGE: Final = ("id", "session_id", "sender_id", "sender_name", "type", "content", "timestamp")
_PERSON: Final = ("id", "name", "sex", "birthdate", "avatar")
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "sessions": (
        "id", "name", "type", "business_type", "status", "create_date", "last_message_time",
    ),
    "participants": ("session_id", "participant_id", "participant_role", "last_fetch_time"),
    "topics": (
        "id", "session_id", "name", "description", "type", "status", "reply", "create_time",
        "start_message_id", "end_message_id", "end_by", "end_time",
    ),
    **dict.fromkeys(CHANNELS, _MESSAGE),
    "doctors": _PERSON,
    "patients": (*_PERSON, "openid"),
    "app_status": ("user_id", "client_id", "platform", "token"),
}  # fmt: skip
_NEEDED: Final = ("sessions", "participants", "topics")
#: what a table must have; other columns are taken as null where they are missing
_CERTAIN: Final[dict[str, tuple[str, ...]]] = {
    "sessions": ("id", "type"),
    "participants": ("session_id", "participant_id", "last_fetch_time"),
    "topics": ("id", "session_id", "status"),
    **dict.fromkeys(CHANNELS, ("id", "session_id", "type", "timestamp")),
    "doctors": ("id",),
    "patients": ("id",),
    "app_status": (),
}
#: the session's last message, which is counted anew; that these are ignored is no news
_RECOMPUTED: Final = frozenset(
    "last_message_time last_sender_id last_sender_name last_content last_content_type".split()
)


class BadMap(Exception):
    """A map, or the database it is for, cannot be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a map says: tables, columns by table, units by ``table.column``."""

    tables: Mapping[str, str]
    columns: Mapping[str, Mapping[str, str]]
    units: Mapping[str, str]

    def table(self, name: str) -> str:
        return self.tables.get(name, name)

    def column(self, table: str, name: str) -> str:
        return self.columns.get(table, {}).get(name, name)


NO_MAP: Final = Names({}, {}, {})


def names_of(document: Mapping[str, Any]) -> Names:
    """The names that a map's TOML document gives; BadMap for one that says what is not there."""
    if unknown := set(document) - {"tables", "columns", "units"}:
        raise BadMap(f"the map has unknown sections: {', '.join(sorted(unknown))}")
    tables = _texts(document.get("tables", {}), "tables", COLUMNS)
    columns = document.get("columns", {})
    if not isinstance(columns, dict) or set(columns) - set(COLUMNS):
        raise BadMap(f"[columns.TABLE]: the tables are {', '.join(COLUMNS)}")
    by_table = {
        name: _texts(given, f"columns.{name}", COLUMNS[name]) for name, given in columns.items()
    }
    known = [f"{table}.{column}" for table, names in COLUMNS.items() for column in names]
    units = _texts(document.get("units", {}), "units", known)
    if wrong := sorted(name for name, unit in units.items() if unit not in UNITS):
        raise BadMap(f"[units] {wrong[0]}: allowed are {', '.join(UNITS)}")
    return Names(tables, by_table, units)


def _texts(given: Any, section: str, known: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
        raise BadMap(f"[{section}] is a table of names")
    if unknown := sorted(set(given) - set(known)):
        raise BadMap(f"[{section}] {unknown[0]}: allowed are {', '.join(known)}")
    return dict(given)


@dataclass(frozen=True, slots=True)
class Found:
    """A table of the original as it is there: its columns by imd's names, None where missing."""

    name: str
    table: Table
    columns: Mapping[str, Column | None]
    units: Mapping[str, str]

    def kind(self, column: str) -> str:
        """What :func:`imd.ledger.times.reader` wants to know of a column."""
        there = self.columns[column]
        return self.units.get(column) or (there.time if there else "number")

    @property
    def unique_ids(self) -> bool:
        there = self.columns["id"]
        return there is not None and there.name in self.table.unique


@dataclass(frozen=True, slots=True)
class Original:
    """The original's tables that are there, and what is missing or not known of them."""

    found: Mapping[str, Found]
    missing: list[str]
    ignored: list[str]

    @property
    def channels(self) -> list[Found]:
        return [self.found[name] for name in CHANNELS if name in self.found]


def survey(foreign: Foreign, names: Names) -> Original:
    """Look every table up in the catalogue; BadMap when one that is needed is not there."""
    there = set(foreign.tables())
    found: dict[str, Found] = {}
    missing: list[str] = []
    ignored: list[str] = []
    for name, columns in COLUMNS.items():
        real = names.table(name)
        if real not in there:
            missing.append(name)
            continue
        table = foreign.table(real)
        by_name = {c: table.columns.get(names.column(name, c)) for c in columns}
        lacking = [c for c, column in by_name.items() if column is None]
        if needed := [c for c in lacking if c in _CERTAIN[name]]:
            said = ", ".join(f"{real}.{names.column(name, c)}" for c in needed)
            raise BadMap(f"there is no {said}: name it with --map (see --map-template)")
        missing += [f"{name}.{c}" for c in lacking if c not in _RECOMPUTED]
        known = {column.name for column in by_name.values() if column} | _RECOMPUTED
        ignored += [f"{name}.{c}" for c in table.columns if c not in known]
        units = {c: u for c in columns if (u := names.units.get(f"{name}.{c}"))}
        found[name] = Found(name, table, by_name, units)
    if needed := [name for name in _NEEDED if name not in found]:
        said = ", ".join(names.table(name) for name in needed)
        raise BadMap(f"there is no table {said}: name it with --map (see --map-template)")
    if not any(name in found for name in CHANNELS):
        raise BadMap(f"there is none of the tables {', '.join(map(names.table, CHANNELS))}")
    return Original(found, missing, ignored)


def template(foreign: Foreign) -> str:
    """A map for this database: what was found by its name, and what is there for the rest."""
    return "\n".join(_template(foreign)) + "\n"


def _template(foreign: Foreign) -> Iterator[str]:
    there = sorted(foreign.tables())
    tables = {name: foreign.table(name) for name in COLUMNS if name in there}
    yield "# What the original's database calls what imd knows. Lines with # are guesses or gaps."
    yield f"# Tables there: {', '.join(there)}"
    yield "[tables]"
    for name in COLUMNS:
        yield f'{name} = "{name}"' if name in tables else f'#{name} = ""'
    for name, columns in COLUMNS.items():
        yield ""
        table = tables.get(name)
        if table is None:
            yield f"#[columns.{name}]"
            yield from (f'#{column} = "{column}"' for column in columns)
            continue
        if rest := [column for column in table.columns if column not in columns]:
            yield f"# Not used: {', '.join(rest)}"
        yield f"[columns.{name}]"
        for column in columns:
            yield f'{column} = "{column}"' if column in table.columns else f'#{column} = ""'
    yield ""
    yield '# How times are kept: "ms", "s" (numbers) or "datetime"; else as the types tell.'
    yield "[units]"
    for name, column in (
        ("participants", "last_fetch_time"),
        *((c, "timestamp") for c in CHANNELS),
    ):
        if name in tables and column in tables[name].columns:
            kind = tables[name].columns[column].time
            unit = "ms" if kind == "number" else "datetime"
            yield f'#"{name}.{column}" = "{unit}"'
