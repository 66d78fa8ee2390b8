"""Rules across settings: what must not start, each by its name (pages 2.1 and 5.2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from imd.config.checks import check, is_sample
from imd.config.settings import assemble

SECRET = "vq3Zp0TyLw8nXeKb5RgUj1MfSa7HdCiO4k2"


def broken(profile="dev", **values) -> list[str]:
    named = {key.replace("__", ".", 1): value for key, value in values.items()}
    if profile != "dev":
        named.setdefault("auth.secret", SECRET)
    return check(assemble(profile, Path("/s"), named), dict.fromkeys(named, "in FILE"))


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("profile", ["dev", "test", "prod"])
def test_each_profile_passes_with_what_it_needs(profile) -> None:
    assert broken(profile) == []


def test_prod_needs_a_secret_or_a_public_key() -> None:
    (line,) = broken("prod", auth__secret=None)
    assert line.startswith("auth.secret is missing, and so is auth.public_key")
    key = pem(ed25519.Ed25519PrivateKey.generate())
    assert broken("prod", auth__secret=None, auth__public_key=key) == []


def test_profile_test_runs_without_a_secret() -> None:
    assert broken("test", auth__secret=None) == []


@pytest.mark.parametrize("profile", ["dev", "test", "prod"])
def test_token_mode_refuses_a_short_secret(profile) -> None:
    (line,) = broken(profile, auth__mode="token", auth__secret=SECRET[:31])
    assert line.startswith("auth.secret: *** in FILE is too short")
    assert broken(profile, auth__mode="token", auth__secret=SECRET[:32]) == []


@pytest.mark.parametrize(
    "secret",
    [
        "change-me-change-me-change-me-change-me",
        "this-is-a-sample-secret-for-development",
        "a" * 40,
        "0123456789abcdef0123456789abcdef",
        "qX7-vP2.qX7-vP2.qX7-vP2.qX7-vP2.",
        "your-256-bit-key-goes-here-like-this",
        "a-dev-test-phrase-of-more-than-32-bytes",
    ],
)
def test_prod_refuses_a_sample_secret(secret) -> None:
    (line,) = broken("prod", auth__secret=secret)
    assert line.startswith("auth.secret: *** in FILE is a sample")
    assert broken("test", auth__secret=secret) == []


def test_random_secrets_are_no_samples() -> None:
    for secret in (SECRET, "9f3b6c0de1724a58b6f2c3d4195e7a80", "k9TESTq_Zw3-Todo7xhB2mYvNf5LcRd8"):
        assert not is_sample(secret)


def test_prod_refuses_every_origin() -> None:
    (line,) = broken("prod", http__allowed_origins=("*",))
    assert line.startswith("http.allowed_origins")
    assert broken("dev", http__allowed_origins=("*",)) == []


@pytest.mark.parametrize(
    "origin", ["https://a.example/", "a.example", "https://A.example", "https://a b", ""]
)
def test_an_origin_that_no_browser_sends_is_refused(origin) -> None:
    (line,) = broken(http__allowed_origins=(origin,))
    assert repr(origin) in line


def test_origins_of_browsers_and_packed_apps_are_accepted() -> None:
    origins = ("null", "https://a.example:8443", "http://[::1]:3000", "file://", "capacitor://x")
    assert broken(http__allowed_origins=origins) == []


@pytest.mark.parametrize("profile", ["test", "prod"])
def test_trusted_mode_is_for_dev_only(profile) -> None:
    (line,) = broken(profile, auth__mode="trusted", http__interface="127.0.0.1")
    assert line.startswith('auth.mode: "trusted" in FILE')
    assert "profile dev only" in line


@pytest.mark.parametrize("interface", ["0.0.0.0", "::", "10.0.0.1"])
def test_trusted_mode_is_for_loopback_only(interface) -> None:
    (line,) = broken(http__interface=interface)
    assert "loopback interface only" in line
    assert interface in line


@pytest.mark.parametrize("interface", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_trusted_mode_runs_on_any_loopback(interface) -> None:
    assert broken(http__interface=interface) == []


def test_an_interface_is_an_address() -> None:
    assert broken("test", http__interface="eth0")[0].startswith('http.interface: "eth0" in FILE')


def test_a_trusted_proxy_is_an_address() -> None:
    assert "'10.0.0.0/8'" in broken(http__trusted_proxies=("10.0.0.1", "10.0.0.0/8"))[0]


def test_certificate_and_key_go_together_and_are_readable(tmp_path: Path) -> None:
    file = str(tmp_path / "x.pem")
    assert broken(http__tls_cert=__file__) == [
        "http.tls_key is missing: http.tls_cert is given, and they go together"
    ]
    assert broken(http__tls_key=__file__)[0].startswith("http.tls_cert is missing")
    assert "cannot be read" in broken(http__tls_cert=__file__, http__tls_key=file)[0]
    assert broken(http__tls_cert=__file__, http__tls_key=__file__) == []


def test_a_public_key_is_rsa_or_ed25519() -> None:
    assert broken(auth__public_key=pem(rsa.generate_private_key(65537, 2048))) == []
    assert broken(auth__public_key=pem(ed25519.Ed25519PrivateKey.generate())) == []
    assert (
        "another kind" in broken(auth__public_key=pem(ec.generate_private_key(ec.SECP256R1())))[0]
    )
    assert "1024 bits" in broken(auth__public_key=pem(rsa.generate_private_key(65537, 1024)))[0]
    assert "is no public key" in broken(auth__public_key="nonsense")[0]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///", "sqlite:///:memory:", "sqlite://x", "mysql://h/im", "postgres://h/im",
        "im.db", "postgresql://h", "postgresql://h:port/im", "postgresql:im", "postgresql://[h/im",
    ],
)  # fmt: skip
def test_a_database_url_is_sqlite_or_postgresql(url) -> None:
    (line,) = broken(database__url=url)
    assert line.startswith("database.url: ")
    assert "sqlite:///PATH or postgresql://" in line


@pytest.mark.parametrize(
    "url", ["sqlite:////a/b.db", "sqlite:///b.db", "postgresql://u:p@h:1/im", "postgresql:///im"]
)
def test_good_database_urls_pass(url) -> None:
    assert broken(database__url=url) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://h", "redis:h", "h:6379", "redis://", "redis://:p@", "redis://h/x", "redis://h/1/2",
        "redis://h?db=1", "redis://h:port", "redis://[h", "redis://h#1", "unix://", "unix:///",
        "unix://h/s", "unix:///s?db=x", "unix:///s?x=1",
    ],
)  # fmt: skip
def test_a_bus_url_is_a_redis(url) -> None:
    (line,) = broken(bus__url=url)
    assert line.startswith("bus.url: ")
    assert "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]" in line


@pytest.mark.parametrize(
    "url",
    [
        "", "redis://h", "redis://h/", "redis://:p%2Fw@h:1/5", "redis://u:p@[::1]:1", "rediss://h/1",
        "unix:///run/redis/s", "unix:///run/redis/s?db=3",
    ],
)  # fmt: skip
def test_good_bus_urls_pass(url) -> None:
    assert broken(bus__url=url) == []


def test_a_password_of_the_bus_wants_a_bus_and_is_not_shown() -> None:
    (line,) = broken(bus__password="s3same")
    assert line.startswith("bus.password") and "s3same" not in line
    assert broken(bus__password="s3same", bus__url="redis://h") == []
    (line,) = broken(bus__url="redis://u:s3same@")
    assert "s3same" not in line


def test_extra_types_are_new_numbers() -> None:
    assert "holds 11, 2105" in broken(messages__extra_types=(2105, 50, 11))[0]
    assert broken(messages__extra_types=(50, 3000)) == []


def test_a_peer_may_be_silent_longer_than_a_heartbeat() -> None:
    assert broken(websocket__heartbeat=60.0)[0].startswith(
        "websocket.peer_timeout: 60.0 by default"
    )


def test_all_problems_are_reported_at_once() -> None:
    lines = broken("prod", auth__secret="short", http__allowed_origins=("*",), database__url="x")
    assert [line.partition(":")[0] for line in lines] == [
        "http.allowed_origins", "auth.secret", "database.url",
    ]  # fmt: skip


# ---- push and webhooks (pages 4.4 and 5.6)

WECHAT = {"push.wechat.app_id": "wx", "push.wechat.app_secret": "s", "push.wechat.template_id": "T"}
HOOK = {"url": "https://h/x", "secret": "0123456789abcdef"}


@pytest.mark.parametrize(
    ("profile", "values", "key"),
    [
        ("dev", {"push.wechat.app_id": "wx"}, "push.wechat.app_secret"),
        ("dev", {**WECHAT, "push.wechat.url": "https://h/{secret}"}, "push.wechat.url"),
        ("dev", {**WECHAT, "push.wechat.url": "https://h/{text}"}, "push.wechat.url"),
        ("dev", {**WECHAT, "push.wechat.url": "https://h/{seq:99}"}, "push.wechat.url"),
        ("dev", {**WECHAT, "push.wechat.url": "https://h/{seq.x}"}, "push.wechat.url"),
        ("dev", {**WECHAT, "push.wechat.url": "https://h/{"}, "push.wechat.url"),
        ("dev", {**WECHAT, "push.wechat.fields": {"thing1": "{x}"}}, "push.wechat.fields"),
        ("dev", {"push.wechat.base_url": "http://10.0.0.1"}, "push.wechat.base_url"),
        ("prod", {"push.wechat.base_url": "http://127.0.0.1:1"}, "push.wechat.base_url"),
        ("dev", {"push.wechat.base_url": "ftp://h"}, "push.wechat.base_url"),
        ("dev", {"push.getui.app_id": "x"}, "push.getui.app_key"),
        ("dev", {"push.subscribe.app_id": "x"}, "push.subscribe.app_secret"),
        ("dev", {"push.quiet": ("wechat 25:00-07:00",)}, "push.quiet"),
        ("dev", {"push.retry_max": 1.0}, "push.retry_max"),
        ("dev", {"webhooks": [{**HOOK, "url": "http://h/x"}]}, "webhooks"),
        ("prod", {"webhooks": [{**HOOK, "url": "http://127.0.0.1/x"}]}, "webhooks"),
        ("prod", {"webhooks": [{**HOOK, "secret": "short"}]}, "webhooks"),
        ("dev", {"webhooks": [{**HOOK, "events": ["message.read"]}]}, "webhooks"),
        ("dev", {"webhooks": [HOOK, HOOK]}, "webhooks"),
    ],
)
def test_push_settings_that_cannot_work_are_refused(profile, values, key) -> None:
    told = check(assemble(profile, Path("/s"), {"auth.secret": SECRET, **values}), {})
    assert any(line.startswith(key) for line in told), told
    assert "0123456789abcdef" not in "".join(told)


def test_push_settings_that_work_pass() -> None:
    values: dict[str, object] = {
        **WECHAT,
        "push.include_text": True,
        "push.wechat.url": "https://h/{session_id}?m={message_id}",
        "push.wechat.fields": {"thing1": "{text}"},
        "push.wechat.by_session_type": {"8": {"template_id": "T8"}},
        "push.wechat.base_url": "http://127.0.0.1:3099",
        "push.quiet": ("wechat 22:00-07:00", "app@D1 off"),
        "webhooks": [{**HOOK, "events": ["message.created"]}],
    }
    assert check(assemble("dev", Path("/s"), values), {}) == []
