"""``imdctl reconcile``: imd's consults against the platform's, and repairs (pages 4.5 and 7.2).

:mod:`imd.cli.main` finds it by name. It opens both ledgers and shows what was found; what a
difference is, and what is done about it, the ledger room knows.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Final

import click

from imd.cli.database import prepared
from imd.cli.ledger import ledger_errors, platform_of
from imd.cli.line import FAILURE_STATUS, Line
from imd.domain.audit import OPERATOR

if TYPE_CHECKING:
    from imd.ledger.reconciling import Found

#: ms: the window by default begins 30 days ago and ends a minute ago
_BACK: Final = 30 * 86_400_000
_UP_TO: Final = 60_000


@click.command("reconcile")
@click.option("--since", metavar="TIME", help="From here on; else 30 days ago. A date, or ms.")
@click.option("--until", metavar="TIME", help="Up to here, exclusive; else a minute ago.")
@click.option("--apply", "apply_", is_flag=True, help="Repair imd: the platform's value wins.")
@click.option("--write-platform", is_flag=True, help="Repair the platform's rows as well.")
@click.option(
    "--limit",
    type=click.IntRange(0, 10_000_000),
    default=10_000,
    show_default=True,
    help="Differences that are listed; the figures are of all.",
)
@click.option("--csv", "as_csv", is_flag=True, help="The differences as lines with a header.")
@click.pass_obj
def reconcile(
    line: Line,
    since: str | None,
    until: str | None,
    apply_: bool,
    write_platform: bool,
    limit: int,
    as_csv: bool,
) -> int:
    """Compare the consults of a window of creation time with the platform's.

    Status 0: equal, or all repaired; 1: differences are left; 2: it failed.
    """
    from imd.ledger.reconciling import reconcile as compare
    from imd.ledger.repairs import Repairs, Wishes
    from imd.ledger.times import parse_time, zone_of
    from imd.service.clock import SystemClock
    from imd.storage.consults import open_consults

    settings, clock = line.settings(), SystemClock()
    with ledger_errors():
        zone, now = zone_of(settings.platform.timezone), clock.now()
        start = now - _BACK if since is None else parse_time(since, zone)
        end = now - _UP_TO if until is None else parse_time(until, zone)
        prepared(settings)
        with (
            platform_of(settings, writes=write_platform) as platform,
            open_consults(settings.database.url) as book,
        ):
            wishes = Wishes(apply_, write_platform)
            repairs = Repairs(book, platform, wishes, clock.now, OPERATOR)
            found = compare(book, platform, (start, end), limit, repairs)
    if as_csv:
        click.echo(_csv(found), nl=False)
    else:
        line.answer(found.value(), _lines(found))
    return FAILURE_STATUS if found.left else 0


def _lines(found: Found) -> list[str]:
    lines = [
        f"{item.code}  {item.cls}  {item.repair or '-'}  "
        + " ".join(f"{name}: {ours!r} / {theirs!r}" for name, (ours, theirs) in item.fields.items())
        for item in found.items()
    ]
    figures = ", ".join(f"{n} {cls}" for cls, n in found.differences.items()) or "no differences"
    return [*lines, f"{found.compared} consults compared: {figures}; {found.applied} repaired"]


def _csv(found: Found) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["class", "code", "session_id", "fields", "repair"])
    for item in found.items():
        fields = json.dumps(item.value()["fields"], ensure_ascii=False)
        writer.writerow([item.cls, item.code, item.session_id or "", fields, item.repair or ""])
    return out.getvalue()
