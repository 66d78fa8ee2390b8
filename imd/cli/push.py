"""``imdctl push``: what waits to be pushed, what became of it, and why (pages 4.4 and 5.3).

:mod:`imd.cli.main` finds it by name. May be used beside a running server, which takes a retry
within seconds. No message's text is ever shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from imd.cli.database import transaction
from imd.cli.line import CommandFailed, Line
from imd.domain.push import Channel, State

if TYPE_CHECKING:
    from imd.storage.outbox_views import Explained

_MOST = 100_000
_PENDING = "pending"
_STATES = click.Choice([_PENDING, *map(str, State)])
_CHANNELS = click.Choice([*map(str, Channel)])


def _now() -> int:
    return time.time_ns() // 1_000_000


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@click.group("push")
def push() -> None:
    """See what is pushed, try dead letters again, explain one case."""


@push.command("list")
@click.option("--state", type=_STATES, help="Only these; by default what waits and is dead.")
@click.option("--channel", type=_CHANNELS, help="Only this channel.")
@click.option("--limit", type=click.IntRange(1, _MOST), default=100, show_default=True)
@click.pass_obj
def list_(line: Line, state: str | None, channel: str | None, limit: int) -> None:
    """List pushes: what waits by its time, then what has ended, newest first."""
    items: list[dict[str, Any]] = []
    with transaction(line.settings(), write=False) as tx:
        if state in (None, _PENDING):
            for row in tx.pushes.waiting(channel, limit):
                items.append({"id": None, "state": _PENDING, **row._asdict()})
        if state != _PENDING:
            found = tx.pushes.ended(state or State.DEAD, channel, limit)
            items += [row._asdict() for row in found]
    line.answer({"items": items[:limit]}, [_line(item) for item in items[:limit]])


def _line(item: dict[str, Any]) -> str:
    at = item.get("due") or item.get("end_time") or 0
    return (
        f"{item['id'] or '-':32}  {item['state']:11} {item['channel']:9} {_moment(at)}"
        f"  {item['user_id']} in {item['session_id']} {item['first_seq']}..{item['upto_seq']}"
        f"  attempts {item['attempts']}  {item['code'] or ''}".rstrip()
    )


@push.command("retry")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--channel", type=_CHANNELS, help="Only this channel.")
@click.pass_obj
def retry(line: Line, ids: tuple[str, ...], channel: str | None) -> None:
    """Try dead letters again: those named, or all. What was seen meanwhile is not sent."""
    with transaction(line.settings()) as tx:
        number = tx.pushes.revive(ids or None, channel, _now(), _MOST)
    if ids and not number:
        raise CommandFailed("there is no such dead push")
    line.answer({"retried": number}, [f"{number} will be tried again"])


@push.command("credit")
@click.argument("user")
@click.argument("openid")
@click.argument("credits_", type=click.IntRange(0, 1_000_000), metavar="NUMBER")
@click.pass_obj
def credit(line: Line, user: str, openid: str, credits_: int) -> None:
    """Say how many subscribe messages of the mini-program USER has agreed to get."""
    with transaction(line.settings()) as tx:
        tx.pushes.credit(user, openid, credits_)
    line.answer({"user_id": user, "credits": credits_}, [f"{user}: {credits_}"])


@push.command("explain")
@click.argument("message")
@click.argument("user")
@click.pass_obj
def explain(line: Line, message: str, user: str) -> None:
    """Say why USER was told of MESSAGE (its id) outside the sockets, or why not."""
    settings = line.settings()
    with transaction(settings, write=False) as tx:
        found = tx.pushes.explain(message, user)
    if found is None:
        raise CommandFailed("there is no such message")
    configured = {
        Channel.WECHAT: settings.push_wechat.app_id,
        Channel.SUBSCRIBE: settings.push_subscribe.app_id,
        Channel.APP: settings.push_getui.app_id,
    }
    channels = sorted(str(channel) for channel, app_id in configured.items() if app_id)
    reasons = list(_reasons(found, channels))
    value = {
        "message_id": message,
        "user_id": user,
        "session_id": found.session_id,
        "seq": found.seq,
        "reasons": reasons,
        "pushes": [row._asdict() for row in found.ended],
        "waiting": [row._asdict() for row in found.waiting],
    }
    line.answer(value, [f"seq {found.seq} of {found.session_id}", *reasons])


def _reasons(found: Explained, channels: list[str]) -> Iterator[str]:
    """Sentences, the ones that decide first."""
    for row in found.ended:
        code = f", code {row.code}" if row.code else ""
        covers = f"{row.first_seq}..{row.upto_seq}"
        yield f"{row.channel}: {row.state} at {_moment(row.end_time)}, covers {covers}{code}"
    for waiting in found.waiting:
        held = "being sent now" if waiting.claimed else f"due at {_moment(waiting.due)}"
        last = f", last code {waiting.code}" if waiting.code else ""
        yield f"{waiting.channel}: waits, {held}, {waiting.attempts} attempts{last}"
    if not channels:
        yield "no channel is configured"
    if not found.counted:
        yield "messages of this type are not counted, so not pushed"
    if found.own:
        yield "the user sent it"
    if not found.member:
        yield "the user is no member of the session (any more)"
    if found.muted:
        yield "the user has muted the session"
    if found.recalled:
        yield "the message was recalled"
    if found.read_seq >= found.seq:
        yield f"the user has read up to {found.read_seq}"
    elif found.seen_seq >= found.seq:
        yield f"a socket inside the session acknowledged up to {found.seen_seq}"
    if found.refused:
        yield f"WeChat refused the user with {found.refused}; a change of the entry ends that"
    if not found.has_openid and not found.devices:
        yield "the user has neither an openid nor a device"
    elif found.kind != "patient" and not found.devices:
        yield f"the directory says kind {found.kind}, and there is no device"
