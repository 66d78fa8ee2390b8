"""Rules that span settings, or that a type cannot say: what must not start (pages 2.1 and 5.2).

:mod:`imd.config.loading` calls :func:`check` on typed values. It reports every problem at once and
refuses to change, default or connect to anything.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from imd.config.clock_checks import check_clock
from imd.config.push_checks import check_push
from imd.config.retention_settings import check_retention
from imd.config.settings import AuthSettings, HttpSettings, Settings, value_of
from imd.config.shown import shown
from imd.domain.message_types import MessageType

SECRET_BYTES: Final = 32
_RSA_BITS: Final = 2048

#: What only a made-up secret holds, our own documents' included.
_SAMPLES: Final = (
    "0123456789", "123456", "abcdef", "admin", "change-me", "change_me", "changeme", "default",
    "dummy", "example", "foobar", "hunter2", "insecure", "letmein", "passw0rd", "password",
    "placeholder", "qwerty", "replace-me", "replace_me", "replaceme", "sample", "secret",
)  # fmt: skip
#: The same, too short to look for inside random letters: whole words only.
_SAMPLE_WORDS: Final = frozenset({"asdf", "demo", "key", "test", "tests", "todo", "xxx", "your"})
_FEWEST_CHARACTERS: Final = 8
_BUS_ALLOWED: Final = (
    "allowed: redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// (TLS), or unix:///PATH[?db=DB]"
)
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@,A-Z]*")

_PLATFORM: Final = re.compile(r"(mysql|mariadb|postgresql|sqlite)(\+\w+)?://.")

#: the key and what is wrong with it
Problem = tuple[str, str]


def check(settings: Settings, places: Mapping[str, str]) -> list[str]:
    """Return one line for each rule that the settings break (pages 2.1 "Callers" and 5.2).

    ``places`` says by ``section.key`` where a value stands ("in FILE"); without it, a default.
    """
    found = (
        *_http(settings),
        *_auth(settings),
        *_database(settings),
        *_bus(settings),
        *_messages(settings),
        *_websocket(settings),
        *check_push(settings),
        *check_clock(settings.clock),
        *_platform(settings),
        *check_retention(settings.retention),
    )
    return [_line(settings, key, places.get(key, "by default"), text) for key, text in found]


def _line(settings: Settings, key: str, place: str, problem: str) -> str:
    value = value_of(settings, key)
    return f"{key} {problem}" if value is None else f"{key}: {shown(key, value)} {place} {problem}"


def is_loopback(interface: str) -> bool:
    """Whether only this machine can reach a listener on ``interface`` (page 2.1, trusted mode)."""
    if interface == "localhost":
        return True
    try:
        return ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _http(settings: Settings) -> Iterator[Problem]:
    http = settings.http
    if http.interface != "localhost" and not _is_address(http.interface):
        yield "http.interface", "is no address; allowed: an IP address, or localhost"
    yield from _tls(http)
    for origin in http.allowed_origins:
        if origin == "*":
            if settings.profile == "prod":
                yield "http.allowed_origins", "lets every origin in, which prod refuses; list them"
        elif origin != "null" and not _ORIGIN.fullmatch(origin):
            yield (
                "http.allowed_origins",
                f"holds {origin!r}, which no browser sends; allowed: SCHEME://HOST[:PORT] in lower"
                " case without a path, or null",
            )
    for proxy in http.trusted_proxies:
        if not _is_address(proxy):
            yield "http.trusted_proxies", f"holds {proxy!r}; allowed: IP addresses"


def _tls(http: HttpSettings) -> Iterator[Problem]:
    if (http.tls_cert is None) != (http.tls_key is None):
        missing = "http.tls_cert" if http.tls_cert is None else "http.tls_key"
        given = "http.tls_key" if http.tls_cert is None else "http.tls_cert"
        yield missing, f"is missing: {given} is given, and they go together"
    for name in ("tls_cert", "tls_key"):
        path = getattr(http, name)
        if path is not None and not os.access(path, os.R_OK):
            yield f"http.{name}", "cannot be read; allowed: the path of a PEM file"


def _auth(settings: Settings) -> Iterator[Problem]:
    auth = settings.auth
    if auth.mode == "trusted":
        yield from _trusted(settings)
    elif auth.secret is None and auth.public_key is None and settings.profile == "prod":
        yield (
            "auth.secret",
            "is missing, and so is auth.public_key: prod needs one of them to check tokens"
            f" (a secret: at least {SECRET_BYTES} random bytes, also as auth.secret_file)",
        )
    if auth.secret is not None:
        yield from _secret(auth, auth.secret, settings.profile)
    if auth.public_key is not None:
        yield from _public_key(auth.public_key)


def _trusted(settings: Settings) -> Iterator[Problem]:
    if settings.profile != "dev":
        yield (
            "auth.mode",
            "believes everybody, and is allowed in profile dev only"
            f" (this is {settings.profile}); set it to token",
        )
    elif not is_loopback(settings.http.interface):
        yield (
            "auth.mode",
            "believes everybody, and is allowed on a loopback interface only; http.interface is"
            f" {settings.http.interface}: use 127.0.0.1, or mode token",
        )


def _secret(auth: AuthSettings, secret: str, profile: str) -> Iterator[Problem]:
    if auth.mode == "token" and len(secret.encode()) < SECRET_BYTES:
        yield "auth.secret", f"is too short; allowed: at least {SECRET_BYTES} bytes"
    elif profile == "prod" and is_sample(secret):
        yield (
            "auth.secret",
            "is a sample or can be guessed; allowed: random bytes, as from"
            " python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )


def is_sample(secret: str) -> bool:
    """Whether a secret looks made up (words of examples, few different characters, repeats)."""
    lowered = secret.lower()
    if len(set(secret)) < _FEWEST_CHARACTERS:
        return True
    if any(lowered == lowered[:size] * (len(lowered) // size) for size in range(1, 17)):
        return True
    words = set(re.split(r"[^a-z0-9]+", lowered))
    return bool(words & _SAMPLE_WORDS) or any(sample in lowered for sample in _SAMPLES)


def _public_key(pem: str) -> Iterator[Problem]:
    # Here and not above: cryptography takes time to load, and most servers have no public key.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    wanted = "allowed: an RSA (at least 2048 bits) or Ed25519 public key in PEM"
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        yield "auth.public_key", f"is no public key; {wanted}"
        return
    if isinstance(key, RSAPublicKey):
        if key.key_size < _RSA_BITS:
            yield "auth.public_key", f"has {key.key_size} bits; {wanted}"
    elif not isinstance(key, Ed25519PublicKey):
        yield "auth.public_key", f"is of another kind; {wanted}"


def _database(settings: Settings) -> Iterator[Problem]:
    url = settings.database.url
    allowed = "allowed: sqlite:///PATH or postgresql://[USER[:PASSWORD]@]HOST[:PORT]/NAME"
    if url.startswith("sqlite:///"):
        path = url.removeprefix("sqlite:///")
        if not path or path.startswith(":memory:") or path.endswith("/"):
            yield "database.url", f"names no file, so nothing would be kept; {allowed}"
        return
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        yield "database.url", f"is no URL; {allowed}"
        return
    if parts.scheme != "postgresql" or "://" not in url:
        yield "database.url", f"is of another kind; {allowed}"
    elif not parts.path.strip("/") and "dbname=" not in parts.query:
        yield "database.url", f"names no database; {allowed}"


def _bus(settings: Settings) -> Iterator[Problem]:
    bus = settings.bus
    if not bus.url:
        if bus.password is not None:
            yield "bus.password", "opens nothing: there is no bus.url"
        return
    try:
        parts = urlsplit(bus.url)
        _ = parts.port
    except ValueError:
        yield "bus.url", f"is no URL; {_BUS_ALLOWED}"
        return
    if parts.scheme not in ("redis", "rediss", "unix") or "://" not in bus.url:
        yield "bus.url", f"is of another kind; {_BUS_ALLOWED}"
    elif parts.fragment:
        yield "bus.url", f"holds '#' (in a password it is written %23); {_BUS_ALLOWED}"
    elif parts.scheme == "unix":
        if parts.hostname or not parts.path.strip("/"):
            yield "bus.url", f"names no socket; {_BUS_ALLOWED}"
        elif parts.query and not re.fullmatch(r"db=\d{1,4}", parts.query):
            yield "bus.url", f"has unknown parts after '?'; {_BUS_ALLOWED}"
    elif not parts.hostname:
        yield "bus.url", f"names no host; {_BUS_ALLOWED}"
    elif parts.query:
        yield "bus.url", f"has unknown parts after '?'; {_BUS_ALLOWED}"
    elif not re.fullmatch(r"/?\d{0,4}", parts.path):
        yield "bus.url", f"names a database that is no number; {_BUS_ALLOWED}"


def _messages(settings: Settings) -> Iterator[Problem]:
    taken = sorted(set(settings.messages.extra_types) & {int(known) for known in MessageType})
    if taken:
        numbers = ", ".join(str(number) for number in taken)
        yield "messages.extra_types", f"holds {numbers}; allowed: numbers page 1.4 does not use"


def _platform(settings: Settings) -> Iterator[Problem]:
    platform = settings.platform
    try:
        ZoneInfo(platform.timezone)
    except (ValueError, KeyError, OSError):
        yield "platform.timezone", "is no time zone; allowed: a name such as Asia/Shanghai"
    if platform.url and not _PLATFORM.match(platform.url):
        allowed = "allowed: mysql://USER:PASSWORD@HOST/NAME, postgresql://… or sqlite:///PATH"
        yield "platform.url", f"is of another kind; {allowed}"
    if settings.reconcile.every and not platform.url:
        yield "reconcile.every", "compares with nothing: there is no platform.url"


def _websocket(settings: Settings) -> Iterator[Problem]:
    socket = settings.websocket
    if socket.peer_timeout <= socket.heartbeat:
        yield (
            "websocket.peer_timeout",
            f"drops peers before they can answer a ping; allowed: more than websocket.heartbeat"
            f" ({socket.heartbeat:g} s)",
        )
