"""``imdctl check-config`` and what all commands share: options anywhere, errors as lines."""

from __future__ import annotations

import json
import os

import pytest

from imd.cli.main import options_first, run
from imd.config import sources

SECRET = "vq3Zp0TyLw8nXeKb5RgUj1MfSa7HdCiO4k2"


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(sources, "SYSTEM_DIRECTORY", tmp_path / "none")
    for variable in [name for name in os.environ if name.startswith(("IM_", "IMD_"))]:
        monkeypatch.delenv(variable)


def test_settings_are_printed_for_people(capsys) -> None:
    assert run(["check-config"]) == 0
    printed = capsys.readouterr()
    assert "http.port = 3000\n" in printed.out
    assert "auth.secret = (not set)\n" in printed.out
    assert printed.err == ""


def test_settings_are_printed_as_json_with_secrets_hidden(capsys, monkeypatch) -> None:
    monkeypatch.setenv("IMD_AUTH_SECRET", SECRET)
    monkeypatch.setenv("IMD_DATABASE_URL", "postgresql://u:s3same@h/im")
    assert run(["check-config", "--json"]) == 0
    out = capsys.readouterr().out
    values = json.loads(out)
    assert values["auth"]["secret"] == "***"
    assert values["database"]["url"] == "postgresql://u:***@h/im"
    assert SECRET not in out


@pytest.mark.parametrize(
    "line",
    [
        ["--profile", "test", "--json", "check-config", "--state-dir=/s"],
        ["check-config", "--state-dir", "/s", "--profile=test", "--json"],
        ["--json", "check-config", "--profile", "test", "--state-dir", "/s"],
    ],
)
def test_global_options_may_stand_anywhere(capsys, monkeypatch, line) -> None:
    monkeypatch.setenv("IMD_AUTH_SECRET", SECRET)
    assert run(line) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["profile"], values["state_dir"]) == ("test", "/s")


def test_what_follows_two_dashes_is_left_alone() -> None:
    line = ["key", "add", "--scope", "read", "--", "--json"]
    assert options_first(line) == line


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (["check-config", "--profile", "staging"], "staging"),
        (["check-config", "--profile", "prod"], "auth.secret"),
        (["check-config", "--config", "/nowhere.toml"], "/nowhere.toml"),
        (["check-config", "--wat"], "--wat"),
        (["check-config", "more"], "more"),
        (["wat"], "wat"),
        (["check-config", "--config"], "--config"),
    ],
)
def test_a_wrong_line_or_setting_is_one_line_on_stderr_and_status_2(capsys, line, word) -> None:
    assert run(line) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("imdctl: ")
    assert printed.err.count("\n") == 1
    assert word in printed.err


def test_two_wrong_settings_are_two_lines(capsys, monkeypatch) -> None:
    monkeypatch.setenv("IMD_HTTP_PORT", "x")
    monkeypatch.setenv("IMD_LOG_LEVEL", "x")
    assert run(["check-config"]) == 2
    assert capsys.readouterr().err.count("imdctl: ") == 2


def test_help_and_version_exit_with_0(capsys) -> None:
    assert run(["--help"]) == 0
    assert "check-config" in capsys.readouterr().out
    assert run(["--version"]) == 0
    assert run(["check-config", "--help"]) == 0
