"""``imdctl clock``: a calendar tried before patients depend on it."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from imd.cli.main import run
from imd.config import sources

HOURS = "mon-fri 08:00-12:00 14:00-17:30, sat 09:00-12:00"


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setattr(sources, "SYSTEM_DIRECTORY", tmp_path / "none")
    for variable in [name for name in os.environ if name.startswith(("IM_", "IMD_"))]:
        monkeypatch.delenv(variable)


@pytest.fixture
def calendar(monkeypatch: Any) -> None:
    monkeypatch.setenv("IMD_CLOCK_LIMIT", "3600")
    monkeypatch.setenv("IMD_CLOCK_BY_SESSION_TYPE", '{"9": 1800, "11": 0}')
    monkeypatch.setenv("IMD_CLOCK_HOURS", HOURS)
    monkeypatch.setenv("IMD_CLOCK_HOLIDAYS", "2026-10-01..2026-10-07")
    monkeypatch.setenv("IMD_CLOCK_MAKE_UP_DAYS", "2026-10-10,2026-10-11 09:00-12:00")


def test_a_topic_before_a_holiday_is_overdue_after_it(calendar, capsys) -> None:
    words = ["clock", "--from", "2026-09-30T17:00", "--until", "2026-10-08T09:00"]
    assert run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("1 h 30 min 0 s of working time")
    assert "session type 1: overdue 2026-10-08T08:30:00+08:00" in lines
    assert "session type 9: overdue 2026-09-30T17:30:00+08:00" in lines
    assert not [line for line in lines if "type 11:" in line]


def test_the_same_as_json(calendar, capsys) -> None:
    assert run(["clock", "--from", "2026-10-11", "--until", "2026-10-12", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["worked_ms"] == 3 * 3_600_000
    assert found["due"]["1"] == found["from"] + 10 * 3_600_000


def test_without_settings_nothing_is_ever_overdue_and_all_time_counts(capsys) -> None:
    assert run(["clock", "--from", "0", "--until", "90061000"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "25 h 1 min 1 s" in first and "clock.limit" in second


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("HOURS", "mon 9-12", "in IMD_CLOCK_HOURS holds 'mon 9-12'; allowed: DAY"),
        ("HOLIDAYS", "2026-02-30", "clock.holidays"),
        ("MAKE_UP_DAYS", "soon", "clock.make_up_days"),
        ("MAKE_UP_DAYS", "2026-10-01", "which clock.holidays holds too"),
        ("TIMEZONE", "Mars/Olympus", "clock.timezone"),
        ("BY_SESSION_TYPE", '{"3": 5}', "allowed: session types with topics, 1, 2, 6,"),
        ("BY_SESSION_TYPE", '{"9": -5}', "0 (never) to 31622400"),
        ("LIMIT", "soon", "0 (never) to 31622400"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_what_is_allowed(
    calendar, monkeypatch, capsys, key, value, said
):
    monkeypatch.setenv(f"IMD_CLOCK_{key}", value)
    assert run(["clock"]) == 2
    err = capsys.readouterr().err
    assert f"clock.{key.lower()}" in err and said in err and "allowed" in err


def test_holidays_without_hours_change_nothing_and_are_refused(monkeypatch, capsys) -> None:
    monkeypatch.setenv("IMD_CLOCK_HOLIDAYS", "2026-10-01")
    assert run(["clock"]) == 2
    assert "without clock.hours all time counts" in capsys.readouterr().err


def test_make_up_days_need_hours_of_their_own_where_monday_has_none(monkeypatch, capsys) -> None:
    monkeypatch.setenv("IMD_CLOCK_HOURS", "tue 08:00-12:00")
    monkeypatch.setenv("IMD_CLOCK_MAKE_UP_DAYS", "2026-10-10")
    assert run(["clock"]) == 2
    assert "Monday has no hours" in capsys.readouterr().err


def test_a_time_that_is_none_is_refused(capsys) -> None:
    assert run(["clock", "--from", "teatime"]) == 2
    assert "'teatime' is no time" in capsys.readouterr().err
