"""``imdctl webhook``: how endpoints stand, their dead letters again, a given-up one again.

:mod:`imd.cli.main` finds it by name. Addresses stay in the settings; here they have short names.
"""

from __future__ import annotations

import time

import click

from imd.cli.database import transaction
from imd.cli.line import CommandFailed, Line


@click.group("webhook")
def webhook() -> None:
    """See and mend the delivery of events (page 4.4)."""


def _names(line: Line) -> dict[str, str]:
    """Host by the name that the database uses."""
    from urllib.parse import urlsplit

    from imd.push.webhooks import name_of

    hooks = line.settings().top.webhooks
    return {name_of(hook.url): urlsplit(hook.url).hostname or "" for hook in hooks}


@webhook.command("list")
@click.pass_obj
def list_(line: Line) -> None:
    """List the endpoints: what waits, what is dead, and which are given up."""
    names = _names(line)
    with transaction(line.settings(), write=False) as tx:
        found = {row.endpoint: row._asdict() for row in tx.webhooks.standing()}
    nothing = {"waiting": 0, "dead": 0, "failing_since": None, "disabled": False}
    items = [
        {"host": names.get(name), **nothing, "endpoint": name, **found.get(name, {})}
        for name in sorted({*names, *found})
    ]
    lines = [
        f"{item['endpoint']}  {item['host'] or '(not configured)'}  waiting {item['waiting']}"
        f"  dead {item['dead']}{'  GIVEN UP' if item['disabled'] else ''}"
        for item in items
    ]
    line.answer({"items": items}, lines)


@webhook.command("replay")
@click.argument("endpoint", required=False)
@click.pass_obj
def replay(line: Line, endpoint: str | None) -> None:
    """Deliver dead letters again, in their order; of one ENDPOINT (see list) or of all."""
    with transaction(line.settings()) as tx:
        number = tx.webhooks.replay(endpoint, time.time_ns() // 1_000_000)
    line.answer({"replayed": number}, [f"{number} will be delivered again"])


@webhook.command("enable")
@click.argument("endpoint")
@click.pass_obj
def enable(line: Line, endpoint: str) -> None:
    """Deliver to an endpoint again that was given up after a day of failures."""
    with transaction(line.settings()) as tx:
        if not tx.webhooks.enable(endpoint):
            raise CommandFailed("no such endpoint was given up")
    line.answer({"enabled": endpoint}, [f"{endpoint} is tried again from now on"])
