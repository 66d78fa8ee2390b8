"""``imdctl token``: what it prints is what the server takes (page 5.3)."""

from __future__ import annotations

import json
import os

import pytest

from imd.cli.main import run
from imd.service.clock import SystemClock
from imd.service.tokens import Tokens

SECRET = "q8Zr2Wv5Yk0Lm7Nx4Pb9Tc1Hd6Jf3Gs-Ua"


@pytest.fixture(autouse=True)
def _settings(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("IMD_", "IM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("IMD_STATE_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("IMD_AUTH_SECRET", SECRET)


def verify(token: str, **more):
    tokens = Tokens(clock=SystemClock(), entropy=os.urandom, secret=SECRET.encode(), **more)
    return tokens.verify(token)


def printed(capsys, *words: str) -> str:
    assert run(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return str(out)


def test_it_prints_a_token_and_nothing_else(capsys):
    out = printed(capsys, "token", "D1", "--role", "doctor")
    assert out.count("\n") == 1
    caller = verify(out.strip())
    assert (caller.user_id, caller.role, caller.sid) == ("D1", "doctor", None)


def test_life_sessions_and_audience(capsys, monkeypatch):
    monkeypatch.setenv("IMD_AUTH_AUDIENCE", "imd")
    out = printed(
        capsys, "token", "p1", "--role", "patient", "--ttl", "60", "--sid", "s1", "--sid", "s2",
        "--json",
    )  # fmt: skip
    made = json.loads(out)
    assert set(made) == {"token", "user_id", "role", "expires_at"}
    caller = verify(made["token"], audience="imd")
    assert caller.sid == {"s1", "s2"}
    now = SystemClock().now()
    assert now + 55_000 < made["expires_at"] <= now + 60_000


def test_the_configured_life_is_the_default(capsys, monkeypatch):
    monkeypatch.setenv("IMD_AUTH_TOKEN_TTL", "100")
    made = json.loads(printed(capsys, "token", "D1", "--role", "doctor", "--json"))
    assert made["expires_at"] <= SystemClock().now() + 100_000


@pytest.mark.parametrize(
    "words",
    [
        ("token",),
        ("token", "D1"),
        ("token", "D1", "--role", "admin"),
        ("token", "D1", "--role", "doctor", "--ttl", "0"),
        ("token", "D1", "--role", "doctor", "--ttl", "x"),
        ("token", "D1", "--role", "doctor", "--sid", "a b"),
        ("token", "D1", "--role", "doctor", "--sid", "recent"),
        ("token", "D 1", "--role", "doctor"),
        ("token", "login", "--role", "doctor"),
        ("token", "", "--role", "doctor"),
        ("token", "D1", "D2", "--role", "doctor"),
    ],
)
def test_a_wrong_line_is_status_2_and_plain(capsys, words):
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and all(line.startswith("imdctl: ") for line in err.splitlines())


def test_without_a_secret_it_is_refused(capsys, monkeypatch, tmp_path):
    from tests.service.signing import RSA_KEY, pem

    monkeypatch.delenv("IMD_AUTH_SECRET")
    monkeypatch.setenv("IMD_AUTH_MODE", "token")
    monkeypatch.setenv("IMD_AUTH_PUBLIC_KEY", pem(RSA_KEY))
    assert run(["token", "D1", "--role", "doctor"]) == 1
    assert "auth.secret" in capsys.readouterr().err
    assert not (tmp_path / "var").exists()


def test_in_trusted_mode_a_secret_of_its_own_is_kept(capsys, monkeypatch):
    monkeypatch.delenv("IMD_AUTH_SECRET")
    one = printed(capsys, "token", "D1", "--role", "doctor")
    other = printed(capsys, "token", "D1", "--role", "doctor")
    assert one != other


def test_settings_that_cannot_be_used_are_status_2(capsys, monkeypatch):
    monkeypatch.setenv("IM_PROFILE", "nope")
    assert run(["token", "D1", "--role", "doctor"]) == 2
    assert "dev, test, prod" in capsys.readouterr().err
