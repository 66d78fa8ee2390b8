"""What settings become, where a unit or a zero changes its meaning."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred, succeed

from imd.config import Settings, defaults
from imd.service.front import socket_settings
from imd.service.listening import CannotServe
from imd.service.wiring import rates_of, refuse_unsafe, rules_of, tokens_of
from tests.service.fakes import NOW, HandClock


def settings(tmp_path, profile="dev", **sections: dict[str, Any]) -> Settings:
    made = defaults(profile, tmp_path)
    changed = {
        name: msgspec.structs.replace(getattr(made, name), **values)
        for name, values in sections.items()
    }
    return msgspec.structs.replace(made, **changed)


def taken(rate, seconds: float = 0.0) -> int:
    """How many in a row pass at one moment, ``seconds`` after an empty bucket."""
    number = 0
    while number < 1000 and not rate.take("x", NOW):
        number += 1
    if seconds:
        return sum(not rate.take("x", NOW + int(seconds * 1000)) for _ in range(1000))
    return number


def test_the_default_rates_are_those_of_page_2_7(tmp_path):
    rates = rates_of(defaults("dev", tmp_path).limits)
    assert taken(rates.sends) == 20 and taken(rates.sends, 1) == 10
    assert taken(rates.requests) == 60 and taken(rates.requests, 1) == 60
    assert taken(rates.failures) == 5 and taken(rates.failures, 12) == 1


def test_0_is_no_limit_and_small_limits_let_one_pass(tmp_path):
    limits = settings(
        tmp_path,
        limits={"sends_per_second": 0, "requests_per_second": 0, "failed_logins_per_minute": 0},
    ).limits
    rates = rates_of(limits)
    assert [taken(one) for one in (rates.sends, rates.requests, rates.failures)] == [1000] * 3
    assert taken(rates_of(settings(tmp_path, limits={"send_burst": 0}).limits).sends) == 1000
    small = {"sends_per_second": 0.1, "send_burst": 1, "requests_per_second": 0.5}
    rates = rates_of(settings(tmp_path, limits=small).limits)
    assert taken(rates.sends) == taken(rates.requests) == 1


def test_rules_are_in_milliseconds_and_bytes(tmp_path):
    rules = rules_of(settings(tmp_path, messages={"recall_window": 0.5, "extra_types": (7000,)}))
    assert (rules.recall_window, rules.content) == (500, 65536)
    assert rules.extra_types == {7000}


def test_the_socket_gets_its_settings(tmp_path):
    made = socket_settings(
        settings(
            tmp_path,
            limits={"socket_buffer": 1000, "body": 2000},
            http={"allowed_origins": ("null",)},
            websocket={"heartbeat": 1.0, "compression": True},
        )
    )
    assert (made.buffer, made.frame, made.heartbeat, made.compression) == (1000, 2000, 1.0, True)
    assert made.allowed_origins == {"null"}


@pytest.mark.parametrize("profile, refused", [("dev", False), ("test", False), ("prod", True)])
def test_prod_refuses_a_database_that_may_forget(tmp_path, profile, refused):
    store: Any = SimpleNamespace(unsafe_settings=lambda: succeed(["fsync is off", "x is y"]))
    outcome: list[Any] = []
    asked = refuse_unsafe(settings(tmp_path, profile), store)
    Deferred.fromCoroutine(asked).addBoth(outcome.append)
    if not refused:
        assert outcome == [None]
        return
    assert outcome[0].check(CannotServe)
    lines = str(outcome[0].value).splitlines()
    assert len(lines) == 2 and "database.url: fsync is off" in lines[0]


def test_tokens_follow_the_settings(tmp_path):
    auth = {"secret": "s" * 40, "audience": "imd", "token_ttl": 60}
    tokens = tokens_of(settings(tmp_path, auth=auth), HandClock())
    text, end = tokens.issue("D1", "doctor", NOW)
    assert end == NOW + 60_000 and tokens.verify(text).user_id == "D1"
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_cannot_be_used_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotServe, match="state directory"):
        tokens_of(settings(tmp_path / "file" / "var"), HandClock())
