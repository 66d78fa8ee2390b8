"""Which files hold secrets: those named by ``KEY_file``, and settings files with secrets inside.

``imdctl doctor-check`` looks at who may read them. It refuses to read what they hold for anything
but that question, and to judge it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from imd.config import sources
from imd.config.settings import SECRETS
from imd.config.sources import Given

#: settings that are URLs, which may hold a password
_URLS: Final = frozenset({"database.url", "bus.url", "platform.url"})
_TLS_KEY: Final = "http.tls_key"


def secret_files(profile: str, config_file: str | None, environ: Mapping[str, str]) -> list[Path]:
    """The files, each once, for settings that :func:`imd.config.load` has taken."""
    passed: list[str] = []
    file = config_file or environ.get("IMD_CONFIG")
    given = [
        *sources.read_profile(profile, passed),
        *(sources.read_file(Path(file), passed) if file else ()),
        *sources.read_environment(environ, passed),
    ]
    found = (path for item in given for path in _of(item))
    return [path for path in dict.fromkeys(found) if path.is_file()]


def _of(item: Given) -> Iterator[Path]:
    settings = Path(item.place.removeprefix("in "))
    value = item.value
    if item.key == _TLS_KEY and isinstance(value, str) and value:
        yield item.folder / value
    elif item.key.removesuffix("_file") in SECRETS and isinstance(value, str) and value:
        yield settings if item.key in SECRETS else item.folder / value
    elif item.key in _URLS and isinstance(value, str) and _has_password(value):
        yield settings
    elif item.key == "webhooks" and isinstance(value, list):
        for table in value:
            if isinstance(table, dict) and isinstance(table.get("secret_file"), str):
                yield item.folder / table["secret_file"]
            elif isinstance(table, dict) and "secret" in table:
                yield settings


def _has_password(url: str) -> bool:
    return urlsplit(url).password is not None or "password=" in url
