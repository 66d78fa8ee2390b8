"""What push and webhook settings must hold together (pages 4.4 and 5.6).

:mod:`imd.config.checks` calls :func:`check_push`. It connects to nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import urlsplit

from imd.config.settings import Settings
from imd.domain.events import ALL, EventType
from imd.domain.push import NOTICE_FIELDS, quiet_hours, unknown_names

Problem = tuple[str, str]
#: characters that a webhook's secret must have at least
_SECRET = 16


def check_push(settings: Settings) -> Iterator[Problem]:
    """The problems of the sections ``push`` and ``push.*`` and of ``webhooks``."""
    try:
        quiet_hours(settings.push.quiet)
    except ValueError as error:
        yield (
            "push.quiet",
            f"holds {str(error)!r}; allowed: CHANNEL HH:MM-HH:MM, CHANNEL@USER HH:MM-HH:MM or"
            " CHANNEL@USER off",
        )
    if settings.push.retry_max < settings.push.retry_base:
        yield "push.retry_max", "is less than push.retry_base; allowed: as much or more"
    yield from _wechat(settings)
    yield from _subscribe(settings)
    yield from _getui(settings)
    yield from _webhooks(settings)


def _names(settings: Settings) -> frozenset[str]:
    return frozenset(NOTICE_FIELDS) | ({"text"} if settings.push.include_text else set())


def _wechat(settings: Settings) -> Iterator[Problem]:
    wechat, names = settings.push_wechat, _names(settings)
    yield from _address(settings, "push.wechat.base_url", wechat.base_url)
    if wechat.app_id is None:
        return
    for name in ("app_secret", "template_id"):
        if not getattr(wechat, name):
            yield f"push.wechat.{name}", "is missing: push.wechat.app_id is given"
    yield from _patterns("push.wechat.url", {"url": wechat.url}, names)
    yield from _patterns("push.wechat.fields", wechat.fields, names)
    for type_, table in wechat.by_session_type.items():
        if not type_.isdecimal():
            yield "push.wechat.by_session_type", f"holds {type_!r}; allowed: session types"
        patterns = {**(table.fields or {}), "url": table.url or ""}
        yield from _patterns("push.wechat.by_session_type", patterns, names)


def _subscribe(settings: Settings) -> Iterator[Problem]:
    subscribe, names = settings.push_subscribe, _names(settings)
    yield from _address(settings, "push.subscribe.base_url", subscribe.base_url)
    if subscribe.app_id is None:
        return
    for name in ("app_secret", "template_id"):
        if not getattr(subscribe, name):
            yield f"push.subscribe.{name}", "is missing: push.subscribe.app_id is given"
    yield from _patterns("push.subscribe.page", {"page": subscribe.page}, names)
    yield from _patterns("push.subscribe.fields", subscribe.fields, names)


def _getui(settings: Settings) -> Iterator[Problem]:
    getui, names = settings.push_getui, _names(settings)
    yield from _address(settings, "push.getui.base_url", getui.base_url)
    if getui.app_id is None:
        return
    for name in ("app_key", "master_secret"):
        if not getattr(getui, name):
            yield f"push.getui.{name}", "is missing: push.getui.app_id is given"
    yield from _patterns("push.getui.title", {"title": getui.title}, names)
    yield from _patterns("push.getui.body", {"body": getui.body}, names)


def _webhooks(settings: Settings) -> Iterator[Problem]:
    known = {*map(str, EventType), ALL}
    urls = [hook.url for hook in settings.top.webhooks]
    if len(set(urls)) != len(urls):
        yield "webhooks", "names a URL twice; allowed: each once"
    for hook in settings.top.webhooks:
        yield from _address(settings, "webhooks", hook.url)
        least = _SECRET if settings.profile == "prod" else 1
        if len(hook.secret) < least:
            yield "webhooks", f"has a secret that is too short; allowed: {least} characters or more"
        if unknown := sorted(set(hook.events) - known):
            yield "webhooks", f"names {', '.join(unknown)}; allowed: {', '.join(sorted(known))}"


def _patterns(key: str, patterns: Mapping[str, str], names: Collection[str]) -> Iterator[Problem]:
    for pattern in patterns.values():
        try:
            unknown = unknown_names(pattern, names)
        except ValueError:
            yield key, f"holds {pattern!r}, which is no format string"
            continue
        if unknown:
            yield key, f"names {', '.join(unknown)}; allowed: {', '.join(sorted(names))}"


def _address(settings: Settings, key: str, url: str) -> Iterator[Problem]:
    """Only TLS, except to this machine where no real patients are."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        yield key, "is no URL; allowed: https://HOST[:PORT][/PATH]"
        return
    if parts.username is not None or parts.fragment or not parts.hostname:
        yield key, "has no host, or too much in it; allowed: https://HOST[:PORT][/PATH]"
    elif parts.scheme == "http":
        if settings.profile == "prod":
            yield key, "is plain http, which prod refuses; allowed: https://"
        elif not _loopback(parts.hostname):
            yield key, "is plain http beyond this machine; allowed: https://"
    elif parts.scheme != "https":
        yield key, "is of another kind; allowed: https://"


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
