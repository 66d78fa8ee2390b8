"""Looks at what imd talks to: Redis, the push providers, the platform's database.

:mod:`imd.cli.doctor_check` calls them. Each has a deadline; no token is fetched and nobody is
pushed. A provider is asked for the head of its first page, whatever it says to that.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import unquote, urlsplit

from imd.cli.findings import Examined, Finding, drift, fail, ok

#: seconds that one step of a conversation may take
_DEADLINE: Final = 5.0
_LONGEST_REPLY: Final = 512


def redis(examined: Examined) -> Iterator[Finding]:
    """PING, as imd would log in."""
    bus = examined.settings.bus
    if not bus.url:
        yield ok("redis", "not configured: this is the only process")
        return
    try:
        with closing(_redis_socket(bus.url)) as line:
            said = _ask_redis(line, bus.url, bus.password)
    except OSError as error:
        todo = "see that it runs and that bus.url is right; until then other processes hear late"
        yield fail("redis", _words(error), todo)
        return
    if said == "+PONG":
        yield ok("redis", "answers")
    else:
        yield fail("redis", said, "see bus.url, bus.password and who may what in Redis")


def _redis_socket(url: str) -> socket.socket:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(_DEADLINE)
        line.connect(unquote(parts.path))
        return line
    host = parts.hostname or ""
    line = socket.create_connection((host, parts.port or 6379), timeout=_DEADLINE)
    if parts.scheme == "rediss":
        return ssl.create_default_context().wrap_socket(line, server_hostname=host)
    return line


def _ask_redis(line: socket.socket, url: str, password: str | None) -> str:
    parts = urlsplit(url)
    secret = password or (unquote(parts.password) if parts.password else None)
    commands: list[list[str]] = [["PING"]]
    if secret:
        user = [unquote(parts.username)] if parts.username else []
        commands.insert(0, ["AUTH", *user, secret])
    said = ""
    with line.makefile("rb") as replies:
        for words in commands:
            encoded = [word.encode() for word in words]
            pieces = [b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded]
            line.sendall(b"*%d\r\n%b" % (len(pieces), b"".join(pieces)))
            said = replies.readline(_LONGEST_REPLY).decode("utf-8", "replace").strip()
            if not said.startswith("+"):
                return said or "it hung up"
    return said


def providers(examined: Examined) -> Iterator[Finding]:
    """WeChat and Getui, where they are configured; WeChat's clock as well."""
    settings = examined.settings
    wechat, subscribe, getui = (
        settings.push_wechat,
        settings.push_subscribe,
        settings.push_getui,
    )
    places = {
        "wechat": (wechat.app_id, wechat.base_url),
        "wechat subscribe": (subscribe.app_id, subscribe.base_url),
        "getui": (getui.app_id, getui.base_url),
    }
    used = {name: url for name, (app_id, url) in places.items() if app_id}
    if not used:
        yield ok("push", "not configured: nobody is pushed")
    for name, url in used.items():
        yield from _provider(examined, name, url)


def _provider(examined: Examined, name: str, url: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    link: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        link = http.client.HTTPSConnection(host, parts.port, timeout=_DEADLINE, context=context)
    else:
        link = http.client.HTTPConnection(host, parts.port, timeout=_DEADLINE)
    try:
        with closing(link):
            before = examined.now()
            link.request("HEAD", "/", headers={"Connection": "close"})
            date = link.getresponse().headers.get("Date")
            here = (before + examined.now()) / 2
    except (OSError, http.client.HTTPException) as error:
        todo = "let this machine out to it (firewall, DNS, proxy); until then pushes wait"
        yield fail(name, f"{host}: {_words(error)}", todo)
        return
    yield ok(name, f"{host} is reachable")
    there = _moment(date)
    if there is not None:
        yield drift(f"clock and {name}", here - there, f"{host}'s")


def _moment(date: str | None) -> float | None:
    """An HTTP date in ms, at the middle of its second."""
    try:
        return parsedate_to_datetime(date or "").timestamp() * 1000 + 500
    except ValueError:
        return None


def platform(examined: Examined) -> Iterator[Finding]:
    """The platform's database, opened for reading."""
    from imd.cli.ledger import LedgerFailed, ledger_errors, platform_of

    if not examined.settings.platform.url:
        yield ok("platform", "not configured: there is no second ledger")
        return
    try:
        with ledger_errors(), platform_of(examined.settings):
            pass
    except LedgerFailed as error:
        yield fail("platform", error.message, "see platform.url, its driver and its firewall")
        return
    yield ok("platform", "its database answers")


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_DEADLINE:g} s"
    return str(error) or type(error).__name__
