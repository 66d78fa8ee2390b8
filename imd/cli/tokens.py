"""``imdctl token``: an access token for somebody, signed as the server would (page 5.3).

:mod:`imd.cli.main` finds it by name. It asks no database whether the user exists; what a token
holds, the service room knows.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import click

from imd.cli.line import CommandFailed, Line
from imd.domain.errors import Forbidden, ReservedId
from imd.domain.ids import SessionId, UserId

_LONGEST_LIFE: Final = 366 * 86400


class _Id(click.ParamType[str]):
    """An id of page 2.1."""

    def __init__(self, name: str, parse: Callable[[object], str]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return self._parse(value)
        except ReservedId as error:
            self.fail(error.detail, param, ctx)
        except ValueError as error:
            self.fail(f"{str(value)[:80]!r} is no id; {error}", param, ctx)


@click.command("token")
@click.argument("user", type=_Id("user", UserId.parse))
@click.option("--role", type=click.Choice(["doctor", "patient"]), required=True)
@click.option(
    "--ttl",
    type=click.IntRange(1, _LONGEST_LIFE),
    metavar="S",
    help="Life in seconds; else auth.token_ttl.",
)
@click.option(
    "--sid",
    "sessions",
    type=_Id("session", SessionId.parse),
    multiple=True,
    metavar="SESSION",
    help="Limit the token to this session; may be repeated.",
)
@click.pass_obj
def token(line: Line, user: str, role: str, ttl: int | None, sessions: tuple[str, ...]) -> None:
    """Print a signed access token for USER."""
    from imd.service.clock import SystemClock
    from imd.service.secret import signing_secret
    from imd.service.tokens import Tokens

    settings = line.settings()
    clock = SystemClock()
    try:
        secret = signing_secret(settings, os.urandom)
    except OSError as error:
        raise CommandFailed(f"the secret in {settings.state_dir}: {error.strerror}") from error
    tokens = Tokens(
        clock=clock,
        entropy=os.urandom,
        secret=secret,
        audience=settings.auth.audience,
        ttl=settings.auth.token_ttl,
    )
    try:
        made, expires_at = tokens.issue(user, role, clock.now(), ttl=ttl, sid=sessions or None)
    except Forbidden:
        raise CommandFailed("auth.secret is not set, so tokens are made elsewhere") from None
    value = {"token": made, "user_id": user, "role": role, "expires_at": expires_at}
    line.answer(value, [made])
