"""Settings and single values as they may be shown to people: every secret is masked.

Error lines, ``imdctl check-config`` and the start-up log use it; it refuses to read settings.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from imd.config.settings import SECRETS, SECTIONS, Settings, attribute_of

MASK: Final = "***"
_LONGEST: Final = 80
_QUERY_PASSWORD: Final = re.compile(r"(?i)((?:^|[?&])[^=&]*password=)[^&]*")


def mask_url(url: str) -> str:
    """Return the URL with any password in it replaced by ``***``, a broken one wholly so."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url if not parts.query and "@" not in url else MASK
    # Up to the last "@", also beyond a "/": a password that was not escaped stays hidden too.
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    kept = f"{user}:{MASK}" if colon else user
    return _QUERY_PASSWORD.sub(rf"\1{MASK}", f"{scheme}://{kept}{at}{place}")


def shown(key: str, value: object) -> str:
    """Return the value of a setting for one line of text: quoted, cut, without its secrets."""
    # A private key, put where the public one belongs, must not be shown either.
    if key in SECRETS or key == "auth.public_key" or key.startswith("webhooks"):
        return MASK
    if key in ("database.url", "bus.url", "platform.url") and isinstance(value, str):
        value = mask_url(value)
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def hidden(settings: Settings) -> dict[str, object]:
    """Return the settings as plain JSON values with secrets as ``***`` (page 5.3, check-config).

    Sections are nested objects; a secret that is not set stays null, so that one sees it missing.
    """
    answer: dict[str, object] = {
        "profile": settings.profile,
        "state_dir": str(settings.state_dir),
    }
    for section in SECTIONS:
        values = msgspec.to_builtins(getattr(settings, attribute_of(section)))
        for name, value in values.items():
            if f"{section}.{name}" in SECRETS and value is not None:
                values[name] = MASK
        _put(answer, section, values)
    answer["webhooks"] = [
        {"url": mask_url(hook.url), "secret": MASK, "events": list(hook.events)}
        for hook in settings.top.webhooks
    ]
    for section, url in (
        ("database", settings.database.url),
        ("bus", settings.bus.url),
        ("platform", settings.platform.url),
    ):
        shown_section = answer[section]
        assert isinstance(shown_section, dict)
        shown_section["url"] = mask_url(url)
    return answer


def _put(answer: dict[str, object], section: str, values: dict[str, object]) -> None:
    """Put a section in its place; one with a dot stands inside another."""
    outer, _, inner = section.rpartition(".")
    if not section:
        answer.update(values)
    elif outer:
        place = answer[outer]
        assert isinstance(place, dict)
        place[inner] = values
    else:
        answer[section] = values
