"""``imdctl key``: the service keys of hospital back ends (pages 2.1 and 5.3).

:mod:`imd.cli.main` finds it by name. A running server takes a change over within 5 s. The key is
shown once; what is kept of it and where, the service and storage rooms know.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from imd.cli.database import transaction
from imd.cli.line import CommandFailed, Line
from imd.domain.audit import OPERATOR, Act, Note

_LONGEST_NAME: Final = 64


class _Name(click.ParamType[str]):
    """1 to 64 printable characters without white space."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not 1 <= len(text) <= _LONGEST_NAME or not text.isprintable() or " " in text:
            self.fail(
                f"{text[:80]!r} is not 1 to {_LONGEST_NAME} printable characters without spaces",
                param,
                ctx,
            )
        return text


def _scopes(given: Sequence[str]) -> frozenset[str]:
    from imd.service.credentials import KEY_SCOPES

    words = [word.strip() for text in given for word in text.split(",")]
    unknown = sorted({word for word in words if word not in KEY_SCOPES})
    if unknown:
        raise click.BadParameter(
            f"{', '.join(map(repr, unknown))}; allowed: {', '.join(KEY_SCOPES)}, joined by commas",
            param_hint="--scope",
        )
    return frozenset(words)


def _in_order(scopes: frozenset[str]) -> list[str]:
    from imd.service.credentials import KEY_SCOPES

    return sorted(scopes, key=lambda scope: (*KEY_SCOPES, scope).index(scope))


@click.group("key")
def key() -> None:
    """Make, list and revoke service keys."""


@key.command("add")
@click.argument("name", type=_Name())
@click.option(
    "--scope",
    "scopes",
    metavar="read,write,admin",
    required=True,
    multiple=True,
    help="What the key may do; admin includes write, write includes read. Also: metrics.",
)
@click.pass_obj
def add(line: Line, name: str, scopes: tuple[str, ...]) -> None:
    """Make a key and print it, this once."""
    from imd.service.clock import SystemClock
    from imd.service.credentials import digest_of, new_key

    granted = _scopes(scopes)
    made, now = new_key(os.urandom), SystemClock().now()
    with transaction(line.settings()) as tx:
        if not tx.keys.add(name, digest_of(made), granted, now):
            raise CommandFailed(f"there is a key named {name!r} already")
        detail: dict[str, object] = {"scopes": _in_order(granted)}
        tx.audit.note(Note(now, OPERATOR, Act.KEY_ADDED, name, detail))
    value = {"name": name, "key": made, "scopes": _in_order(granted)}
    line.answer(value, [json.dumps(value, ensure_ascii=False)])


@key.command("list")
@click.pass_obj
def list_keys(line: Line) -> None:
    """List the keys in force; the keys themselves are not kept."""
    with transaction(line.settings()) as tx:
        rows = tx.keys.all()
    items = [
        {"name": row.name, "scopes": _in_order(row.scopes), "create_time": row.create_time}
        for row in rows
    ]
    width = max((len(row.name) for row in rows), default=0)
    lines = [
        f"{row.name:<{width}}  {_day(row.create_time)}  {','.join(_in_order(row.scopes))}"
        for row in rows
    ]
    line.answer({"items": items}, lines)


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d")


@key.command("revoke")
@click.argument("name", type=_Name())
@click.pass_obj
def revoke(line: Line, name: str) -> None:
    """Refuse a key from now on; running servers follow within 5 s."""
    from imd.service.clock import SystemClock

    now = SystemClock().now()
    with transaction(line.settings()) as tx:
        if not tx.keys.revoke(name, now):
            raise CommandFailed(f"there is no key named {name!r} in force")
        tx.audit.note(Note(now, OPERATOR, Act.KEY_REVOKED, name, {}))
    line.answer({"name": name, "revoked": True}, [f"{name} is revoked"])
