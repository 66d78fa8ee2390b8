"""``imdctl clock``: what the reply clock makes of a time, to try a calendar with (page 4.4).

:mod:`imd.cli.main` finds it by name. It asks no server and no database: the settings say it all.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from imd.cli.ledger import LedgerFailed
from imd.cli.line import Line

_SECOND = 1000


@click.command("clock")
@click.option("--from", "start", metavar="TIME", help="When a topic begins; by default now.")
@click.option("--until", metavar="TIME", help="Up to when working time is counted; by default now.")
@click.pass_obj
def clock(line: Line, start: str | None, until: str | None) -> None:
    """Show when a topic that begins then is overdue, and how much is worked in between.

    Times are a date, a date-time on the clock of clock.timezone, or ms.
    """
    from imd.config.clock_checks import clock_of
    from imd.ledger.times import NoTime, parse_time
    from imd.service.clock import SystemClock

    settings = line.settings().clock
    zone, now = ZoneInfo(settings.timezone), SystemClock().now()
    try:
        begin = now if start is None else parse_time(start, zone)
        end = now if until is None else parse_time(until, zone)
    except NoTime as error:
        raise LedgerFailed(str(error)) from error
    reply_clock = clock_of(settings)
    calendar = reply_clock.calendar
    worked = max(0, end - begin) if calendar is None else calendar.worked(begin, end)
    due = {str(int(type_)): reply_clock.due(type_, begin) for type_ in sorted(reply_clock.limits)}
    found = {"from": begin, "until": end, "worked_ms": worked, "due": due}
    line.answer(found, _lines(found, zone))


def _lines(found: dict[str, Any], zone: ZoneInfo) -> list[str]:
    def shown(time: int | None) -> str:
        if time is None:
            return "never"
        moment = datetime.fromtimestamp(time / _SECOND, UTC).astimezone(zone)
        return moment.isoformat(timespec="seconds")

    minutes, seconds = divmod(found["worked_ms"] // _SECOND, 60)
    lines = [
        f"from {shown(found['from'])} until {shown(found['until'])}:"
        f" {minutes // 60} h {minutes % 60} min {seconds} s of working time"
    ]
    lines += [
        f"session type {type_}: overdue {shown(time)}" for type_, time in found["due"].items()
    ]
    return lines if found["due"] else [*lines, "nothing is ever overdue: clock.limit is 0"]
