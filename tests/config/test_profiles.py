"""The settings files are the settings' document: complete, true, and one source (page 5.2)."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from imd.config.settings import FROM_FILE, PROFILES, defaults, key_of, value_of
from imd.config.sources import KEYS, read_profile

ROOT = Path(__file__).parent.parent.parent


def text_of(profile: str) -> str:
    return (files("imd.config") / "profiles" / f"{profile}.toml").read_text("utf-8")


@pytest.mark.parametrize("profile", PROFILES)
def test_etc_and_the_package_hold_the_same_file(profile) -> None:
    assert (ROOT / "etc" / "imd" / f"{profile}.toml").read_text("utf-8") == text_of(profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_key_stands_in_the_file_after_a_comment(profile) -> None:
    section, seen, previous = "", set(), ""
    for line in text_of(profile).splitlines():
        if heading := re.fullmatch(r"\[([\w.]+)\]", line):
            section = heading[1]
        elif key := re.match(r"#?(\w+) = ", line):
            seen.add(key_of(section, key[1]))
            assert previous.startswith("#") or re.match(r"\w+ = ", previous), line
        previous = line
    assert seen == {*KEYS, *(f"{key}_file" for key in FROM_FILE)}


@pytest.mark.parametrize("profile", PROFILES)
def test_what_the_file_sets_is_the_default(profile) -> None:
    settings = defaults(profile, Path("/s"))
    told = read_profile(profile, [])
    assert {item.key.partition(".")[0] for item in told} >= {"http", "push", "log"}
    for item in told:
        default = value_of(settings, item.key)
        assert (list(default) if isinstance(default, tuple) else default) == item.value


@pytest.mark.parametrize("profile", PROFILES)
def test_the_file_with_every_line_set_is_still_toml(profile) -> None:
    tomllib.loads(re.sub(r"(?m)^#(\w+ = )", r"\1", text_of(profile)))
