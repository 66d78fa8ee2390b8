"""``imdctl audit``: read the audit trail, and prove that nobody has touched it (page 5.3).

:mod:`imd.cli.main` finds it by name. What is noted, the domain knows; how it is chained, storage.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from imd.cli.database import transaction
from imd.cli.line import FAILURE_STATUS, Line

_MOST = 100_000


@click.group("audit")
def audit() -> None:
    """Show and verify the audit trail."""


@audit.command("show")
@click.option("--action", metavar="PATTERN", help="Only these acts, such as 'message.*'.")
@click.option("--object", "object_", metavar="ID", help="Only acts on this session, user or key.")
@click.option("--since", type=click.IntRange(0), metavar="MS", help="Only from this time on.")
@click.option(
    "--limit",
    type=click.IntRange(1, _MOST),
    default=100,
    show_default=True,
    help="The newest N entries.",
)
@click.pass_obj
def show(
    line: Line, action: str | None, object_: str | None, since: int | None, limit: int
) -> None:
    """Show the newest entries, oldest first."""
    with transaction(line.settings(), write=False) as tx:
        found = tx.audit.page(action=action, object_=object_, since=since, limit=limit)
    items = [{**entry._asdict(), "detail": json.loads(entry.detail)} for entry in found]
    lines = [
        f"{entry.seq}  {_moment(entry.time)}  {entry.actor}  {entry.action}  {entry.object}"
        f"  {entry.detail}"
        for entry in found
    ]
    line.answer({"items": items}, lines)


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@audit.command("verify")
@click.pass_obj
def verify(line: Line) -> int:
    """Recompute the whole chain; status 1 when an entry was changed, removed or moved."""
    with transaction(line.settings(), write=False) as tx:
        count, flaw = tx.audit.verify()
    if flaw is None:
        line.answer({"entries": count, "intact": True}, [f"{count} entries, none touched"])
        return 0
    line.answer(
        {"entries": count, "intact": False, "seq": flaw.seq, "problem": flaw.why},
        [f"{count} entries hold; at {flaw.seq} {flaw.why}"],
    )
    return FAILURE_STATUS
