"""No secret is ever shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imd.config import hidden
from imd.config.settings import assemble
from imd.config.shown import mask_url


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:pw@h:5/im", "postgresql://u:***@h:5/im"),
        ("postgresql://u:p@w@h/im", "postgresql://u:***@h/im"),
        ("postgresql://u:p/w@h/im", "postgresql://u:***@h/im"),
        ("postgresql://u@h/im", "postgresql://u@h/im"),
        ("postgresql://h/im?user=u&password=pw", "postgresql://h/im?user=u&password=***"),
        ("postgresql://h/im?sslpassword=pw&x=1", "postgresql://h/im?sslpassword=***&x=1"),
        ("postgresql://u:pw@[h/im", "***"),
        ("u:pw@h", "***"),
        ("sqlite:////var/lib/imd/imd.db", "sqlite:////var/lib/imd/imd.db"),
    ],
)
def test_passwords_in_urls_are_masked(url, masked) -> None:
    assert mask_url(url) == masked


def test_hidden_settings_are_json_without_secrets() -> None:
    values: dict[str, object] = {
        "auth.secret": "s3same",
        "database.url": "postgresql://u:s3same@h/im",
    }
    shown = hidden(assemble("dev", Path("/s"), values))
    text = json.dumps(shown)
    assert "s3same" not in text
    assert shown["auth"]["secret"] == "***"  # type: ignore[index]
    assert shown["state_dir"] == "/s"


def test_a_secret_that_is_not_set_is_seen_missing() -> None:
    assert hidden(assemble("dev", Path("/s"), {}))["auth"]["secret"] is None  # type: ignore[index]
