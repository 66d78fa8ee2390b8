"""``imdctl doctor-check``: is everything as it should be, and what is to be done (page 5.3).

:mod:`imd.cli.main` finds it by name. It runs the table of checks and prints what they find; what is
looked at, the checks know. It changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from imd.cli import check_machine, check_network, check_storage
from imd.cli.findings import Check, Examined, Finding, Verdict
from imd.cli.line import Line

#: in the order of the report
CHECKS: Final[tuple[Check, ...]] = (
    check_storage.database,
    check_storage.disk,
    check_network.redis,
    check_network.providers,
    check_network.platform,
    check_machine.limits,
    check_machine.secrets,
    check_machine.versions,
)
#: exit status by the worst of the findings
STATUS: Final = {Verdict.OK: 0, Verdict.WARN: 1, Verdict.FAIL: 2}


@click.command("doctor-check")
@click.option(
    "--sockets",
    type=click.IntRange(1, 1_000_000),
    default=5000,
    show_default=True,
    help="How many open sockets a process is to hold.",
)
@click.pass_obj
def doctor_check(line: Line, sockets: int) -> int:
    """Look at all that imd needs, and say what is to be done.

    Status 0: all is well; 1: there are warnings; 2: something fails, or the settings are refused.
    No token is fetched from a provider, nobody is pushed, nothing is changed.
    """
    from imd.service.clock import SystemClock

    examined = Examined(line, line.settings(), sockets, SystemClock().now)
    found = [finding for check in CHECKS for finding in check(examined)]
    worst = max((STATUS[finding.verdict] for finding in found), default=0)
    value = {
        "verdict": next(name for name, status in STATUS.items() if status == worst),
        "checks": [
            {"verdict": f.verdict, "name": f.name, "seen": f.seen, "todo": f.todo or None}
            for f in found
        ],
    }
    line.answer(value, list(_lines(found)))
    return worst


def _lines(found: list[Finding]) -> Iterator[str]:
    width = max(len(finding.name) for finding in found)
    for finding in found:
        todo = f" -> {finding.todo}" if finding.todo else ""
        yield f"{finding.verdict:<4}  {finding.name:<{width}}  {finding.seen}{todo}"
