"""How many consults were taken, by team, doctor, leader, organisation or type (page 7.3).

The statistics that the original's operators made by hand, with reply figures beside them, counted
from imd's topics. Teams, doctors and organisations come from the platform's tables where there are
any, which may change at any time, so those are counted consult by consult; what imd alone tells
comes from sums of days. Memory grows with the number of groups, and by a number for each answer.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from imd.actions.consults import Consult, ConsultBook
from imd.domain.consult_days import DaySum, begin_of, day_of, first_day_from
from imd.domain.errors import InvalidInput
from imd.domain.topic import state_of
from imd.ledger.platform import Platform

GROUPS: Final = ("team", "doctor", "leader", "org", "type", "team,doctor")
#: what the figures leave out of the rate
RULE: Final = "expired-excluded"
_STRIDE: Final = 500
_ALL: Final = (0, 1 << 62)
#: id -> (name, organisation, leader)
_Teams = dict[str, tuple[str | None, str | None, str | None]]
_Key = tuple[str, ...]


class Query(NamedTuple):
    """What is asked: grouped by what, of which organisation and type, in [since, until) in ms."""

    by: str
    org: str | None = None
    type: int | None = None
    since: int | None = None
    until: int | None = None
    list: bool = False
    #: from each consult, whatever is summed up
    recount: bool = False


@dataclass(slots=True)
class Row:
    """The figures of one group."""

    states: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("replied", "unreplied", "ongoing", "expired"), 0)
    )
    waits: array[int] = field(default_factory=lambda: array("q"))
    codes: list[str] = field(default_factory=list)

    def add(self, consult: Consult, listed: bool) -> None:
        """Count a consult in."""
        self.states[state_of(consult.status, consult.reply)] += 1
        if consult.reply and consult.reply_time is not None:
            self.waits.append(consult.reply_time - consult.create_time)
        if listed:
            self.codes.append(consult.code)

    def add_sum(self, found: DaySum) -> None:
        """Count the consults of a day in."""
        for state in self.states:
            self.states[state] += getattr(found, state)
        self.waits.extend(found.waits)

    def value(self, key: str, name: str | None, listed: bool) -> dict[str, Any]:
        """As it is printed as JSON; times in ms, by nearest rank."""
        states, consults = self.states, sum(self.states.values())
        asked = consults - states["expired"]
        waits = sorted(self.waits)
        value: dict[str, Any] = {
            "key": key,
            "name": name,
            "consults": consults,
            **states,
            "reply_rate": (states["replied"] + states["ongoing"]) / asked if asked else None,
            "first_reply_ms": {"p50": _rank(waits, 50), "p90": _rank(waits, 90)},
        }
        return {**value, "list": self.codes} if listed else value


def _rank(waits: Sequence[int], percent: int) -> int | None:
    """The smallest wait that ``percent`` of all do not exceed."""
    return waits[(len(waits) * percent + 99) // 100 - 1] if waits else None


def count_consults(book: ConsultBook, platform: Platform | None, query: Query) -> dict[str, Any]:
    """The answer of page 7.3.

    Raises InvalidInput for what only the platform can tell when there is none, ForeignFailed and
    BadNames for one that does not answer as it should.
    """
    if query.by not in GROUPS:
        raise InvalidInput.of("by", f"one of {'; '.join(GROUPS)}")
    if platform is None and (query.by in ("leader", "org") or query.org is not None):
        said = "only the platform's tables tell this: set platform.url"
        raise InvalidInput.of("org" if query.by not in ("leader", "org") else "by", said)
    teams = platform.admin_teams() if platform is not None and query.by != "type" else {}
    if platform is not None and query.org is not None and not teams:
        teams = platform.admin_teams()
    rows = _counted(book, platform, teams, query)
    names = _names(platform, teams, query.by, rows)
    ordered = sorted(rows.items(), key=lambda item: (-sum(item[1].states.values()), item[0]))
    shown = [row.value(",".join(key), names.get(key), query.list) for key, row in ordered]
    return {"rows": shown, "rule": RULE}


def _counted(
    book: ConsultBook, platform: Platform | None, teams: _Teams, query: Query
) -> dict[_Key, Row]:
    """The groups: from sums of days where imd alone tells them, else from each consult."""
    rows: dict[_Key, Row] = {}
    since = query.since if query.since is not None else _ALL[0]
    until = query.until if query.until is not None else _ALL[1]
    ranges = [(since, until)]
    if not (query.list or query.recount or _asks_platform(platform, query)):
        ranges = []
        for found in _summed(book, since, until, ranges):
            if query.type is None or found.type == query.type:
                key = _key_of(query, found.team_code, found.doctor, found.type)
                if key is not None:
                    rows.setdefault(key, Row()).add_sum(found)
    for start, end in ranges:
        for page in _pages(book, start, end, query.type):
            for consult, key in _keyed(page, platform, teams, query):
                rows.setdefault(key, Row()).add(consult, query.list)
    return rows


def _summed(
    book: ConsultBook, since: int, until: int, rest: list[tuple[int, int]]
) -> Iterator[DaySum]:
    """The sums of whole days in the window; ``rest`` gets what they leave of it."""
    day, last = first_day_from(since), day_of(until)
    if day >= last:
        rest.append((since, until))
        return
    rest.append((since, begin_of(day)))
    while day < last:
        summed = book.summed(day, last)
        yield from summed.rows
        for start, end in summed.missing:
            rest.append((begin_of(start), begin_of(end)))
        day = summed.upto
    rest.append((begin_of(last), until))


def _asks_platform(platform: Platform | None, query: Query) -> bool:
    """Whether only the platform's rows say whose a consult is."""
    return platform is not None and (query.by != "type" or query.org is not None)


def _pages(book: ConsultBook, since: int, until: int, type_: int | None) -> Iterator[list[Consult]]:
    after: tuple[int, str] | None = None
    while since < until and (page := book.page(since, until, after, _STRIDE)):
        yield [c for c in page if type_ is None or c.type == type_]
        after = (page[-1].create_time, page[-1].code)


def _keyed(
    page: Sequence[Consult], platform: Platform | None, teams: _Teams, query: Query
) -> Iterator[tuple[Consult, _Key]]:
    """Each consult with the group in which it counts, once for each of its team rows."""
    needed = _asks_platform(platform, query)
    found = platform.teams_of([c.code for c in page]) if platform is not None and needed else {}
    for consult in page:
        if not needed:
            pairs = [(consult.team_code, consult.reply_by)]
        else:
            pairs = [(row.admin_team_code, row.doctor) for row in found.get(consult.code, ())]
        for team, doctor in pairs:
            _, org, leader = teams.get(team or "", (None, None, None))
            if query.org is not None and org != query.org:
                continue
            key = _key_of(query, team, doctor, consult.type, leader, org)
            if key is not None:
                yield consult, key


def _key_of(
    query: Query,
    team: str | None,
    doctor: str | None,
    type_: int | None,
    leader: str | None = None,
    org: str | None = None,
) -> _Key | None:
    """The group of a consult of which this is known; None when it belongs to none."""
    parts: dict[str, str | None] = {
        "team": team, "doctor": doctor, "leader": leader, "org": org,
        "type": None if type_ is None else str(type_),
    }  # fmt: skip
    key = [parts[name] for name in query.by.split(",")]
    return None if None in key else tuple(str(part) for part in key)


def _names(platform: Platform | None, teams: _Teams, by: str, keys: Any) -> dict[_Key, str | None]:
    """What the groups are called; by their codes where the platform does not say."""
    if platform is None or by == "type":
        return {key: ",".join(key) for key in keys}
    columns = list(zip(*keys, strict=True)) if keys else []
    named: list[dict[str, str | None]] = []
    for word, column in zip(by.split(","), columns, strict=False):
        if word == "team":
            named.append({code: teams.get(code, (None,))[0] for code in column})
        else:
            table = "dm_hospital" if word == "org" else "wlyy_doctor"
            named.append(platform.names_of(table, set(column)))
    return {
        key: ",".join(names.get(part) or part for names, part in zip(named, key, strict=True))
        for key in keys
    }
