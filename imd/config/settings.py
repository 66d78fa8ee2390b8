"""The settings, typed and in one place, so that no other module parses, defaults or doubts one.

:mod:`imd.config.loading` builds them once at start; ``service`` and ``cli`` read them and hand
single values on. This module refuses to know where a value came from (files, environment, command
line) and any rule that spans two keys (:mod:`imd.config.checks`).

A field is declared once: its ``Annotated`` type validates it, and the ``description`` there is
what an error says is allowed. Times are numbers of seconds, sizes are bytes (page 5.6).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from imd.config.clock_settings import ClockSettings
from imd.config.ledger_settings import PlatformSettings, ReconcileSettings
from imd.config.retention_settings import RetentionSettings

Profile = Literal["dev", "test", "prod"]
PROFILES: Final[tuple[str, ...]] = get_args(Profile)

_Text = Annotated[str, Meta(description="a string")]
_OptionalText = Annotated[str | None, Meta(description="a string")]
_OptionalPath = Annotated[str | None, Meta(description="the path of a readable file")]
_Switch = Annotated[bool, Meta(description="true or false")]
_Seconds = Annotated[
    float, Meta(gt=0, le=86400, description="a number of seconds above 0, up to 86400")
]
_SecondsOrZero = Annotated[
    float, Meta(ge=0, le=86400, description="a number of seconds, 0 to 86400")
]
_Rate = Annotated[float, Meta(ge=0, le=1_000_000, description="a number, 0 (no limit) to 1000000")]
_Count = Annotated[
    int, Meta(ge=0, le=1_000_000, description="a whole number, 0 (no limit) to 1000000")
]
_Size = Annotated[
    int,
    Meta(ge=256, le=64 << 20, description="a whole number of bytes, 256 to 67108864 (64 MiB)"),
]


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The one listening port, and whom its requests are believed to come from (page 5.6)."""

    #: address to listen on; loopback by default in profile dev
    interface: Annotated[str, Meta(min_length=1, description="an IP address, or localhost")] = (
        "0.0.0.0"
    )
    #: TCP port; 0 lets the system choose one
    port: Annotated[
        int, Meta(ge=0, le=65535, description="a whole number, 0 (any free port) to 65535")
    ] = 3000
    #: PEM files, certificate chain and key; both or neither
    tls_cert: _OptionalPath = None
    tls_key: _OptionalPath = None
    #: origins besides the server's own that browsers may call from; ``null`` for packed apps
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(description="a list of SCHEME://HOST[:PORT], null, or * (not in prod)"),
    ] = ()
    #: peers whose X-Forwarded-For and X-Forwarded-Proto count
    trusted_proxies: Annotated[tuple[str, ...], Meta(description="a list of IP addresses")] = ()
    #: how long a stopping server lets its callers finish, in seconds
    drain: _SecondsOrZero = 10.0
    #: how long one request may take, in seconds
    request_timeout: _Seconds = 10.0


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who is believed to be whom (page 2.1, "Callers")."""

    #: trusted: a call without a credential is a service with all scopes; only dev, only loopback
    mode: Annotated[
        Literal["trusted", "token"],
        Meta(description="token, or trusted (profile dev on a loopback interface only)"),
    ] = "token"
    #: shared secret of HS256 tokens
    secret: Annotated[str | None, Meta(description="at least 32 random bytes")] = None
    #: PEM text of the key that checks RS256 or EdDSA tokens
    public_key: Annotated[str | None, Meta(description="an RSA or Ed25519 public key in PEM")] = (
        None
    )
    #: when set, a token must carry it as ``aud``
    audience: _OptionalText = None
    #: life of the tokens that imd signs itself, in seconds
    token_ttl: Annotated[
        int, Meta(ge=1, le=366 * 86400, description="a whole number of seconds, 1 to 31622400")
    ] = 7200


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where messages are kept (page 5.2)."""

    #: never empty in loaded settings; by default SQLite in the state directory
    url: Annotated[
        str, Meta(description="sqlite:///PATH or postgresql://[USER[:PASSWORD]@]HOST[:PORT]/NAME")
    ] = ""
    #: connections, and the threads that use them
    pool: Annotated[int, Meta(ge=1, le=64, description="a whole number, 1 to 64")] = 4
    #: bring the schema up to date at start
    auto_migrate: _Switch = True


class BusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How processes that share a database hear of each other (page 4.3)."""

    #: Redis; empty: this is the only process
    url: Annotated[
        str,
        Meta(
            description="empty (one process), redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], the same"
            " with rediss:// (TLS), or unix:///PATH[?db=DB]"
        ),
    ] = ""
    #: the password, when it does not stand in the URL
    password: Annotated[str | None, Meta(description="a string")] = None
    #: seconds between two looks into the database for what hints did not tell
    sweep: Annotated[float, Meta(ge=0.1, le=60, description="a number of seconds, 0.1 to 60")] = 2.0


class LimitsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one caller may take (page 2.7); 0 = no limit for the rates and ``sockets_per_user``."""

    sends_per_second: _Rate = 10.0
    send_burst: _Count = 20
    requests_per_second: _Rate = 60.0
    failed_logins_per_minute: _Rate = 5.0
    #: bytes of a request body, of a message's content, and waiting for one slow socket
    body: _Size = 262144
    content: _Size = 65536
    socket_buffer: _Size = 1048576
    sockets_per_user: _Count = 20


class MessagesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of the log that a hospital may bend (pages 1.4 and 2.5)."""

    #: how long after sending its sender may take a message back, in seconds
    recall_window: Annotated[
        float, Meta(ge=0, le=31622400, description="a number of seconds, 0 (never) to 31622400")
    ] = 120.0
    #: message type numbers to accept besides those of page 1.4
    extra_types: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=2**31 - 1)], ...],
        Meta(description="a list of whole numbers that page 1.4 does not use yet"),
    ] = ()


class WebSocketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The socket's clocks, and what its memory is spent on (page 3)."""

    #: permessage-deflate; costs about 40 KiB a connection even without context takeover
    compression: _Switch = False
    #: seconds between the server's pings, of silence until a peer is dropped, and until a
    #: connection that has not logged in is dropped
    heartbeat: _Seconds = 25.0
    peer_timeout: _Seconds = 60.0
    login_timeout: _Seconds = 10.0


class PushSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When people are told outside the sockets, whatever the channel (page 4.4)."""

    #: how long after a message its reader may take to see it before a push goes out
    grace: _SecondsOrZero = 3.0
    #: the first wait after a failed attempt, the longest one, and the age at which it is given up
    retry_base: _Seconds = 2.0
    retry_max: _Seconds = 600.0
    ttl: Annotated[
        float, Meta(gt=0, le=2592000, description="a number of seconds above 0, up to 2592000")
    ] = 86400.0
    #: whether the text of a message may stand in a push (``{text}``)
    include_text: _Switch = False
    #: when nothing is pushed, by channel or by channel and user; in China's time
    quiet: Annotated[
        tuple[str, ...],
        Meta(
            description='a list of "CHANNEL HH:MM-HH:MM", "CHANNEL@USER HH:MM-HH:MM" or'
            ' "CHANNEL@USER off"; channels: wechat, subscribe, app'
        ),
    ] = ()
    #: how long it stays known what became of a push
    keep: Annotated[
        float, Meta(ge=60, le=31622400, description="a number of seconds, 60 to 31622400")
    ] = 604800.0


class TemplateTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one session type says otherwise; what is absent stays as for all."""

    template_id: str | None = None
    url: str | None = None
    fields: dict[str, str] | None = None


_Fields = Annotated[
    dict[str, str],
    Meta(description="a table of the template's keys, each a format string over page 5.6's names"),
]
_Pattern = Annotated[str, Meta(description="a format string over page 5.6's names")]
_BaseUrl = Annotated[
    str, Meta(description="https://HOST[:PORT][/PATH]; http:// only to loopback, not in prod")
]


class WechatSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Template messages of a WeChat official account; off without ``app_id``."""

    app_id: _OptionalText = None
    app_secret: _OptionalText = None
    base_url: _BaseUrl = "https://api.weixin.qq.com"
    template_id: _OptionalText = None
    url: _Pattern = ""
    fields: _Fields = {}
    by_session_type: Annotated[
        dict[str, TemplateTable],
        Meta(description="a table by session type of tables with template_id, url, fields"),
    ] = {}


class SubscribeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Subscribe messages of a WeChat mini-program; off without ``app_id``."""

    app_id: _OptionalText = None
    app_secret: _OptionalText = None
    base_url: _BaseUrl = "https://api.weixin.qq.com"
    template_id: _OptionalText = None
    page: _Pattern = ""
    fields: _Fields = {}


class GetuiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """App push by Getui; off without ``app_id``."""

    app_id: _OptionalText = None
    app_key: _OptionalText = None
    master_secret: _OptionalText = None
    base_url: _BaseUrl = "https://restapi.getui.com"
    title: _Pattern = "{session_kind}"
    body: _Pattern = "您有 {unread} 条未读消息"


class WebhookTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where events are posted; ``events`` are names of page 4.4, or ``*``."""

    url: str
    secret: str
    events: tuple[str, ...] = ("*",)


class TopSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in no section."""

    webhooks: Annotated[
        tuple[WebhookTable, ...],
        Meta(description="a list of tables with url, secret (or secret_file) and events"),
    ] = ()


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The page at ``/`` where a doctor and a patient talk, and the server's live figures show."""

    #: off in prod by default; where calls need a credential, so does everything the page shows
    enabled: _Switch = True


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the log looks like, and how much of it there is (page 5.4)."""

    format: Annotated[
        Literal["text", "json"], Meta(description="text or json (one object a line)")
    ] = "json"
    level: Annotated[
        Literal["debug", "info", "warn", "error"], Meta(description="debug, info, warn or error")
    ] = "info"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one server; built by :func:`imd.config.load`, never changed afterwards."""

    profile: Profile
    #: absolute; holds the SQLite database and whatever else the server must keep
    state_dir: Path
    http: HttpSettings
    auth: AuthSettings
    database: DatabaseSettings
    bus: BusSettings
    limits: LimitsSettings
    messages: MessagesSettings
    websocket: WebSocketSettings
    console: ConsoleSettings
    push: PushSettings
    push_wechat: WechatSettings
    push_subscribe: SubscribeSettings
    push_getui: GetuiSettings
    clock: ClockSettings
    platform: PlatformSettings
    reconcile: ReconcileSettings
    retention: RetentionSettings
    log: LogSettings
    top: TopSettings


SectionType = type[msgspec.Struct]

#: section name to its type, in the order in which they are printed
SECTIONS: Final[dict[str, SectionType]] = {
    "http": HttpSettings,
    "auth": AuthSettings,
    "database": DatabaseSettings,
    "bus": BusSettings,
    "limits": LimitsSettings,
    "messages": MessagesSettings,
    "websocket": WebSocketSettings,
    "console": ConsoleSettings,
    "push": PushSettings,
    "push.wechat": WechatSettings,
    "push.subscribe": SubscribeSettings,
    "push.getui": GetuiSettings,
    "clock": ClockSettings,
    "platform": PlatformSettings,
    "reconcile": ReconcileSettings,
    "retention": RetentionSettings,
    "log": LogSettings,
    "": TopSettings,
}


def attribute_of(section: str) -> str:
    """The attribute of :class:`Settings` that holds a section."""
    return section.replace(".", "_") or "top"


def value_of(settings: Settings, key: str) -> object:
    """The value of a setting by its ``section.key``."""
    section, _, name = key.rpartition(".")
    return getattr(getattr(settings, attribute_of(section)), name)


def key_of(section: str, name: str) -> str:
    """``section.key``, or the bare key of what stands in no section."""
    return f"{section}.{name}" if section else name


#: what a profile changes in the defaults that stand above
PROFILE_DEFAULTS: Final[dict[str, dict[str, object]]] = {
    "dev": {"http.interface": "127.0.0.1", "auth.mode": "trusted", "log.format": "text"},
    "test": {"log.format": "text"},
    "prod": {"console.enabled": False},
}

#: keys whose value is never shown
SECRETS: Final = frozenset(
    {
        "auth.secret",
        "bus.password",
        "push.wechat.app_secret",
        "push.subscribe.app_secret",
        "push.getui.master_secret",
    }
)
#: keys that may be given as KEY_file, the path of a file that holds the value
FROM_FILE: Final = SECRETS | {"auth.public_key"}
#: keys that hold the path of a file
PATHS: Final = frozenset({"http.tls_cert", "http.tls_key"})


def defaults(profile: Profile, state_dir: Path) -> Settings:
    """Return the settings of a profile to which nobody added anything (page 5.6).

    Nothing is checked: profiles test and prod have no secret here and would not start.
    """
    return assemble(profile, state_dir, {})


def assemble(profile: Profile, state_dir: Path, values: dict[str, object]) -> Settings:
    """Build the settings from valid values by ``section.key``; absent ones take their default."""
    by_section: dict[str, dict[str, object]] = {name: {} for name in SECTIONS}
    for key, value in (PROFILE_DEFAULTS[profile] | values).items():
        section, _, name = key.rpartition(".")
        by_section[section][name] = value
    state_dir = state_dir.absolute()
    if not by_section["database"].get("url"):
        by_section["database"]["url"] = f"sqlite:///{state_dir / 'imd.db'}"
    sections = {
        attribute_of(name): msgspec.convert(by_section[name], kind)
        for name, kind in SECTIONS.items()
    }
    return Settings(profile=profile, state_dir=state_dir, **sections)  # type: ignore[arg-type]
