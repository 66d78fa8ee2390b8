"""``imdctl demo``: users, sessions, consults and messages for a first look (page 5.3).

:mod:`imd.cli.main` finds it by name. It opens the configured database beside a running server,
which shows what is made when it is next asked. What is told, the service room knows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from imd.cli.database import clear_errors, make_folder, one_line
from imd.cli.line import CommandFailed, Line
from imd.config import Settings

if TYPE_CHECKING:
    from imd.actions.ports import Committed
    from imd.storage.store import Store

#: seconds in which the database must answer
_PATIENCE = 10.0


@click.command("demo")
@click.pass_obj
def demo(line: Line) -> None:
    """Make the demo's data, or what is missing of it; refused in prod."""
    settings = line.settings()
    if settings.profile == "prod":
        raise CommandFailed("demo data does not belong into profile prod")
    with clear_errors():
        make_folder(settings.database.url)
        told = _run(settings)
    lines = [
        f"{told['users']} users, {told['sessions']} sessions ({told['made']} made now)",
        f"http://127.0.0.1:{settings.http.port}/?doctor={told['doctor']}"
        f"&patient={told['patient']}&session={told['session']}",
    ]
    line.answer(told, lines)


def _run(settings: Settings) -> dict[str, Any]:
    """Run the reactor until the story is told; raises what went wrong."""
    from twisted.internet import reactor as running
    from twisted.internet.defer import Deferred

    reactor: Any = running
    outcome: list[Any] = []
    failed: list[BaseException] = []

    def begin() -> None:
        telling = Deferred.fromCoroutine(_tell(settings, reactor))
        telling.addCallbacks(outcome.append, lambda failure: failed.append(failure.value))
        telling.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if failed:
        from imd.domain.errors import ImError

        if isinstance(failed[0], ImError):
            raise CommandFailed(one_line(failed[0])) from failed[0]
        raise failed[0]
    told: dict[str, Any] = outcome[0]
    return told


async def _tell(settings: Settings, reactor: Any) -> dict[str, Any]:
    from imd.service.clock import SystemClock
    from imd.service.demo import tell_demo
    from imd.storage.store import open_store

    store = await open_store(
        settings.database.url,
        reactor=reactor,
        clock=SystemClock(),
        on_commit=_unheard,
        pool=1,
        timeout=_PATIENCE,
        auto_migrate=settings.database.auto_migrate,
    )
    try:
        return await tell_demo(_house(settings, store, reactor))
    finally:
        await store.close(_PATIENCE)


def _unheard(entries: Sequence[Committed]) -> None:
    """No socket hangs on this process."""


def _house(settings: Settings, store: Store, reactor: Any) -> Any:
    """As much of the server's object graph as the actions need here."""
    from imd.actions.ports import House
    from imd.delivery.courier import Courier
    from imd.delivery.presence import LocalPresence
    from imd.delivery.registry import Registry
    from imd.service.clock import SystemClock
    from imd.service.credentials import Credentials, Snapshot
    from imd.service.ids import NewIds
    from imd.service.tokens import Tokens
    from imd.service.wiring import rates_of, rules_of

    clock, registry = SystemClock(), Registry()

    async def nothing() -> Snapshot:
        return Snapshot([], frozenset())

    return House(
        db=store.database,
        writer=store.writer,
        courier=Courier(store.database, registry, reactor, clock.now),
        presence=LocalPresence(registry),
        doorkeeper=Credentials(Tokens(clock=clock, entropy=os.urandom, secret=None), nothing),
        clock=clock,
        new_id=NewIds(clock, os.urandom),
        rules=rules_of(settings),
        rates=rates_of(settings.limits),
    )
