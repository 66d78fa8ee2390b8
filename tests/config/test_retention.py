"""``retention.*``: for ever by default, and never below what the law wants."""

from __future__ import annotations

from pathlib import Path

import pytest

from imd.config import SettingsError, load
from imd.config.retention_settings import terms_of
from imd.config.settings import defaults
from imd.domain.retention import YEAR, Limit, RecordClass


def loaded(tmp_path: Path, text: str):
    file = tmp_path / "imd.toml"
    file.write_text(text, "utf-8")
    return load("dev", str(file), str(tmp_path), {}, {}).retention


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, text)
    (line,) = caught.value.problems
    return line


@pytest.mark.parametrize("profile", ["dev", "test", "prod"])
def test_everything_is_kept_for_ever_by_default(profile) -> None:
    terms = terms_of(defaults(profile, Path("/s")).retention)
    assert terms.delete_nothing
    assert all(terms.limit(type_, 1000 * YEAR) is None for type_ in range(-1, 30))


@pytest.mark.parametrize(("name", "least"), [("process", 3), ("medical", 15)])
def test_a_period_below_the_legal_least_of_its_class_is_refused(tmp_path, name, least) -> None:
    for years in (least - 1, 0, -1, 101):
        line = refused(tmp_path, f"[retention]\n{name}_years = {years}\n")
        assert line.startswith(f"retention.{name}_years: {years} in {tmp_path}/imd.toml")
        assert f"{least} (the least that a {name} record may be kept by law)" in line
    assert getattr(loaded(tmp_path, f"[retention]\n{name}_years = {least}\n"), f"{name}_years")


def test_session_types_are_given_classes(tmp_path) -> None:
    settings = loaded(
        tmp_path,
        '[retention]\nmedical_years = 30\nby_session_type = { "9" = "medical", "2" = "process",'
        ' "3" = "forever" }\n',
    )
    terms = terms_of(settings)
    assert [terms.class_of(n) for n in (9, 2, 3, 1)] == [
        RecordClass.MEDICAL, RecordClass.PROCESS, RecordClass.FOREVER, RecordClass.FOREVER,
    ]  # fmt: skip
    assert terms.limit(9, 40 * YEAR) == Limit(10 * YEAR, by_patient=True)
    assert not terms.delete_nothing


def test_a_class_that_is_none_is_refused(tmp_path) -> None:
    line = refused(tmp_path, '[retention]\nby_session_type = { "9" = "week" }\n')
    assert 'a table by session type of "forever", "process" or "medical"' in line


@pytest.mark.parametrize("type_", ["x", "-1", "09", "", "1.0", "٣"])
def test_a_session_type_that_is_none_is_refused(tmp_path, type_) -> None:
    line = refused(tmp_path, f'[retention]\nby_session_type = {{ "{type_}" = "process" }}\n')
    assert f"holds {type_!r}, which is no session type" in line


def test_classes_come_from_the_environment_too(tmp_path) -> None:
    environ = {
        "IMD_RETENTION_BY_SESSION_TYPE": '{"9": "medical"}',
        "IMD_RETENTION_MEDICAL_YEARS": "14",
    }
    with pytest.raises(SettingsError, match="15 \\(the least"):
        load("dev", None, str(tmp_path), environ, {})
    environ["IMD_RETENTION_MEDICAL_YEARS"] = "16"
    settings = load("dev", None, str(tmp_path), environ, {}).retention
    assert (settings.medical_years, settings.by_session_type) == (16, {"9": "medical"})
