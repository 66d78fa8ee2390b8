"""``imdctl stats consults``: who took how many consults, and how they were answered (page 7.3).

:mod:`imd.cli.main` finds it by name. What is counted, and how, the ledger room knows.
"""

from __future__ import annotations

import csv
import io
from contextlib import ExitStack
from typing import Any, Final

import click

from imd.cli.database import prepared
from imd.cli.ledger import ledger_errors, platform_of
from imd.cli.line import FAILURE_STATUS, Line

_FIGURES: Final = ("consults", "replied", "unreplied", "ongoing", "expired", "reply_rate")


@click.group("stats")
def stats() -> None:
    """Statistics of consults."""


@stats.command("consults")
@click.option("--by", required=True, help="team, doctor, leader, org, type or team,doctor.")
@click.option("--org", metavar="CODE", help="Only teams of this organisation.")
@click.option("--since", metavar="TIME", help="Made from here on. A date, a date-time or ms.")
@click.option("--until", metavar="TIME", help="Made up to here, exclusive.")
@click.option("--type", "type_", type=int, metavar="N", help="Only consults of this type.")
@click.option("--csv", "as_csv", is_flag=True, help="One line a row, with a header.")
@click.option("--recount", is_flag=True, help="From each consult, not from sums of days.")
@click.option("--list", "listed", is_flag=True, help="The codes of the consults as well.")
@click.pass_obj
def consults(
    line: Line,
    by: str,
    org: str | None,
    since: str | None,
    until: str | None,
    type_: int | None,
    as_csv: bool,
    recount: bool,
    listed: bool,
) -> None:
    """Count imd's consults in groups."""
    from imd.ledger.statistics import Query, count_consults
    from imd.ledger.times import parse_time, zone_of
    from imd.storage.consults import open_consults

    settings = line.settings()
    with ledger_errors(), ExitStack() as open_:
        zone = zone_of(settings.platform.timezone)
        window = [None if t is None else parse_time(t, zone) for t in (since, until)]
        prepared(settings)
        platform = None
        if settings.platform.url:
            platform = open_.enter_context(platform_of(settings))
        book = open_.enter_context(open_consults(settings.database.url))
        query = Query(by, org, type_, window[0], window[1], listed, recount)
        found = count_consults(book, platform, query)
    if as_csv:
        click.echo(_csv(found["rows"], listed), nl=False)
    else:
        line.answer(found, [_line(row) for row in found["rows"]])


@stats.command("check")
@click.option("--since", metavar="TIME", help="From this day on. A date, a date-time or ms.")
@click.option("--until", metavar="TIME", help="Up to this time, exclusive; by default now.")
@click.pass_obj
def check(line: Line, since: str | None, until: str | None) -> int:
    """Compare the sums of days with a recount of each consult.

    Status 1 when they differ: report that, then imdctl stats sum-up --again.
    """
    from imd.ledger.day_check import check_days
    from imd.ledger.times import parse_time, zone_of
    from imd.service.clock import SystemClock
    from imd.storage.consults import open_consults

    settings = line.settings()
    with ledger_errors():
        zone = zone_of(settings.platform.timezone)
        begin = 0 if since is None else parse_time(since, zone)
        end = SystemClock().now() if until is None else parse_time(until, zone)
        prepared(settings)
        with open_consults(settings.database.url) as book:
            found = check_days(book, begin, end)
    lines = [
        f"day {d.day}  team {d.team_code}  doctor {d.doctor}  type {d.type}:"
        f" summed up {d.summed}, counted {d.counted}"
        for d in found.differences
    ]
    said = f"{found.days} days compared, {len(found.differences)} groups differ;"
    lines.append(f"{said} {found.waiting} days are not summed up or have changes waiting")
    differences = [d._asdict() for d in found.differences]
    line.answer({**found._asdict(), "differences": differences}, lines)
    return FAILURE_STATUS if found.differences else 0


@stats.command("sum-up")
@click.option("--again", is_flag=True, help="Forget all sums first.")
@click.pass_obj
def sum_up(line: Line, again: bool) -> None:
    """Sum up the days that are over, as the server does every ten minutes."""
    from imd.service.clock import SystemClock
    from imd.storage.consults import open_consults

    settings = line.settings()
    with ledger_errors():
        prepared(settings)
        with open_consults(settings.database.url) as book:
            if again:
                book.begin_again()
            while book.sum_up(SystemClock().now()):
                pass


def _line(row: dict[str, Any]) -> str:
    rate = "-" if row["reply_rate"] is None else f"{row['reply_rate']:.1%}"
    waits = row["first_reply_ms"]
    return (
        f"{row['key']}  {row['name'] or ''}  {row['consults']} consults, {rate} replied,"
        f" first reply p50 {_seconds(waits['p50'])} p90 {_seconds(waits['p90'])}"
    )


def _seconds(milliseconds: int | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1000:.0f} s"


def _csv(rows: list[dict[str, Any]], listed: bool) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    more = ["list"] if listed else []
    writer.writerow(["key", "name", *_FIGURES, "first_reply_p50_ms", "first_reply_p90_ms", *more])
    for row in rows:
        waits = row["first_reply_ms"]
        codes = [" ".join(row["list"])] if listed else []
        figures = [row[name] for name in _FIGURES]
        writer.writerow([row["key"], row["name"], *figures, waits["p50"], waits["p90"], *codes])
    return out.getvalue()
