"""``imdctl retention``: what is old enough to go, deleting it, and legal holds.

:mod:`imd.cli.main` finds it by name. How long what is kept, the settings say; what may go of a
session, the domain; it deletes nothing but by ``apply``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from imd.cli.database import clear_errors, prepared
from imd.cli.line import CommandFailed, Line
from imd.config.retention_settings import terms_of
from imd.domain.retention import Hold, HoldKind

if TYPE_CHECKING:
    from imd.service.retaining import Found
    from imd.storage.retention import Retainer

_LONGEST_REASON: Final = 200


@click.group("retention")
def retention() -> None:
    """Delete what need not be kept any longer; legal holds."""


@contextmanager
def _open(line: Line) -> Iterator[Retainer]:
    from imd.storage.retention import open_retention

    settings = line.settings()
    with clear_errors():
        prepared(settings)
        with open_retention(settings.database.url, time.sleep) as retainer:
            yield retainer


def _now() -> int:
    from imd.service.clock import SystemClock

    return SystemClock().now()


@retention.command("plan")
@click.option(
    "--limit",
    type=click.IntRange(0, 1_000_000),
    default=100,
    show_default=True,
    help="Sessions that are listed; the figures are of all.",
)
@click.pass_obj
def plan_(line: Line, limit: int) -> None:
    """Show what apply would delete now; delete nothing."""
    from imd.service.retaining import plan

    terms = terms_of(line.settings().retention)
    with _open(line) as retainer:
        found = plan(retainer, terms, _now(), limit)
    line.answer(found.value(), _lines(found, "would go"))


@retention.command("apply")
@click.option(
    "--batch",
    type=click.IntRange(1, 20_000),
    default=1_000,
    show_default=True,
    help="Messages that are deleted in one transaction.",
)
@click.pass_obj
def apply_(line: Line, batch: int) -> None:
    """Delete what is older than its class wants it kept, and not held. It cannot be undone.

    May be stopped at any time: another run goes on. A server may run beside it.
    """
    from imd.service.retaining import Pace, Refused, apply

    terms = terms_of(line.settings().retention)
    with _open(line) as retainer:
        try:
            found = apply(retainer, terms, _now(), Pace(batch, time.monotonic, time.sleep))
        except Refused as error:
            raise CommandFailed(str(error)) from error
    line.answer(found.value(), _lines(found, "deleted"))


def _lines(found: Found, done: str) -> list[str]:
    lines = [
        f"{item.session_id}  type {item.type}  {item.record_class}"
        f"  {_seqs(item.first_seq, item.last_seq)}{item.topics} topics"
        + ("  and the session itself" if item.deleted else "")
        for item in found.items
    ]
    for name, years in found.terms.years.items():
        types = [str(n) for n, named in sorted(found.terms.classes.items()) if named is name]
        if not types:
            lines.append(f"{name} ({years} years): no session type is of this class")
            continue
        of = found.value()["classes"][str(name)]
        lines.append(
            f"{name} ({years} years; types {', '.join(types)}; before {_moment(of['before'])}):"
            f" {of['messages']} messages and {of['topics']} topics of {of['sessions']} sessions"
            f" {done}, {of['sessions_deleted']} of these sessions themselves"
        )
    return [*lines, f"{found.held} sessions are old enough, but held"]


def _seqs(first: int | None, last: int | None) -> str:
    return "" if first is None else f"messages {first} to {last}  "


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- holds


@retention.group("hold")
def hold() -> None:
    """Put a session or a user under a legal hold: nothing of it is deleted."""


def _object(command: Any) -> Any:
    """The options by which a hold says on what it lies, and why."""
    for option in (
        click.option("--reason", required=True, help="Why; it stands in the audit trail."),
        click.option("--user", metavar="ID", help="Every session of this user."),
        click.option("--session", metavar="ID", help="This session."),
    ):
        command = option(command)
    return command


def _named(session: str | None, user: str | None) -> tuple[HoldKind, str]:
    if (session is None) == (user is None):
        raise click.UsageError("name either --session or --user")
    if session is not None:
        return HoldKind.SESSION, session
    assert user is not None
    return HoldKind.USER, user


def _checked(reason: str) -> str:
    text = reason.strip()
    if not 1 <= len(text) <= _LONGEST_REASON or not text.isprintable():
        said = f"1 to {_LONGEST_REASON} printable characters are wanted"
        raise click.BadParameter(said, param_hint="--reason")
    return text


@hold.command("add")
@_object
@click.pass_obj
def add(line: Line, session: str | None, user: str | None, reason: str) -> None:
    """Hold a session, or every session of a user; in force when it answers."""
    from imd.storage.retention import Unknown

    kind, id_ = _named(session, user)
    wanted = Hold(kind, id_, _checked(reason), _now())
    with _open(line) as retainer:
        try:
            former = retainer.do(lambda store: store.hold(wanted))
        except Unknown:
            said = f"there is no {kind} {id_!r}"
            if kind is HoldKind.USER:
                said += " in the directory or in any session; who has left all is put there first"
            raise CommandFailed(said) from None
    there = former or wanted
    said = "held" if former is None else f"held already since {_moment(there.time)}"
    line.answer({**_value(there), "new": former is None}, [f"{kind} {id_} is {said}"])


@hold.command("lift")
@_object
@click.pass_obj
def lift(line: Line, session: str | None, user: str | None, reason: str) -> None:
    """Take a hold away."""
    (kind, id_), why = _named(session, user), _checked(reason)
    with _open(line) as retainer:
        if not retainer.do(lambda store: store.lift(kind, id_, why, _now())):
            raise CommandFailed(f"{kind} {id_!r} is not held")
    line.answer({"kind": str(kind), "id": id_, "held": False}, [f"{kind} {id_} is held no more"])


@hold.command("list")
@click.pass_obj
def list_holds(line: Line) -> None:
    """List the holds in force, the oldest first."""
    with _open(line) as retainer:
        holds = retainer.look(lambda store: store.holds())
    lines = [f"{h.kind}  {h.id}  since {_moment(h.time)}  {h.reason}" for h in holds]
    line.answer({"items": [_value(one) for one in holds]}, lines)


def _value(one: Hold) -> dict[str, Any]:
    return {"kind": str(one.kind), "id": one.id, "reason": one.reason, "time": one.time}
