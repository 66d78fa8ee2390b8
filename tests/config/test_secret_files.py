"""Which files hold secrets, wherever they were named."""

from __future__ import annotations

from pathlib import Path

import pytest

from imd.config.secret_files import secret_files


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("a.secret", "b.secret", "hook.secret", "key.pem"):
        (tmp_path / name).write_text("x")
    return tmp_path


def found(place: Path, settings: str, **environ: str) -> list[str]:
    file = place / "imd.toml"
    file.write_text(settings)
    return [path.name for path in secret_files("test", str(file), environ)]


def test_settings_without_a_secret_are_not_among_them(place):
    assert found(place, '[database]\nurl = "sqlite:////tmp/x.db"\n') == []


def test_files_named_by_a_key_relative_to_the_settings(place):
    settings = '[auth]\nsecret_file = "a.secret"\n[http]\ntls_key = "key.pem"\n'
    assert sorted(found(place, settings)) == ["a.secret", "key.pem"]
    assert found(place, "", IMD_BUS_PASSWORD_FILE=str(place / "b.secret")) == ["b.secret"]
    assert found(place, '[auth]\nsecret_file = "gone"\n') == []


def test_settings_with_a_secret_inside(place):
    assert found(place, '[auth]\nsecret = "x"\n') == ["imd.toml"]
    assert found(place, '[database]\nurl = "postgresql://u:p@h/d"\n') == ["imd.toml"]
    assert found(place, '[database]\nurl = "postgresql://u@h/d"\n') == []
    hooks = '[[webhooks]]\nurl = "https://a"\nsecret_file = "hook.secret"\n'
    assert found(place, hooks) == ["hook.secret"]
    assert found(place, hooks.replace("secret_file", "secret")) == ["imd.toml"]


def test_a_secret_in_the_environment_is_in_no_file(place):
    assert found(place, "", IMD_AUTH_SECRET="x") == []
