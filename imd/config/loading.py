"""Build the one :class:`Settings` of a process, so that everything after it can trust its values.

``service`` and ``cli`` call :func:`load` before anything else. It decides which place wins
(page 5.2) and turns text into typed values; it refuses to know files, variables
(:mod:`imd.config.sources`) and rules that span keys (:mod:`imd.config.checks`).
"""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from imd.config import sources
from imd.config.checks import check
from imd.config.errors import SettingsError
from imd.config.settings import PROFILES, SECTIONS, Profile, Settings, assemble
from imd.config.shown import shown
from imd.config.sources import Given

_PROFILE_VARIABLE: Final = "IM_PROFILE"


def load(
    profile: str | None,
    config_file: str | None,
    state_dir: str | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
) -> Settings:
    """Return the checked settings of this process (page 5.2); later places win.

    Defaults in the code, PROFILE.toml, ``config_file`` (else IMD_CONFIG), variables
    IMD_SECTION_KEY of ``environ``, ``overrides`` by ``section.key`` (None: not given; strings are
    read as the environment's are). ``profile`` falls back to IM_PROFILE, then dev; ``state_dir``
    to IMD_STATE_DIR, then ``./var``, or ``/var/lib/imd`` in prod. Reads files, writes nothing.

    Raises SettingsError with every problem found, not only the first.
    """
    name = _profile(profile, environ)
    problems: list[str] = []
    file = config_file or environ.get("IMD_CONFIG")
    layers = (
        sources.read_profile(name, problems),
        sources.read_file(Path(file), problems) if file else [],
        sources.read_environment(environ, problems),
        sources.read_overrides(overrides, problems),
    )
    values: dict[str, object] = {}
    places: dict[str, str] = {}
    for layer in layers:
        for item in _in_order(sources.resolve_files(layer, problems)):
            try:
                values[item.key] = _typed(item)
            except (ValueError, msgspec.ValidationError):
                problems.append(_refusal(item))
            else:
                places[item.key] = item.place
    settings = assemble(name, _state_dir(state_dir, environ, name), values)
    problems += check(settings, places)
    if problems:
        raise SettingsError(problems)
    return settings


def _profile(option: str | None, environ: Mapping[str, str]) -> Profile:
    given, place = option, "given as --profile"
    if given is None:
        given, place = environ.get(_PROFILE_VARIABLE) or "dev", f"in {_PROFILE_VARIABLE}"
    if given not in PROFILES:
        raise SettingsError(
            [f"profile: {shown('profile', given)} {place}; allowed: {', '.join(PROFILES)}"]
        )
    return cast(Profile, given)


def _state_dir(option: str | None, environ: Mapping[str, str], profile: Profile) -> Path:
    given = option or environ.get("IMD_STATE_DIR")
    return Path(given or ("/var/lib/imd" if profile == "prod" else "var"))


def _in_order(given: Iterable[Given]) -> list[Given]:
    return sorted(given, key=lambda item: sources.KEYS.index(item.key))


def _annotation(key: str) -> Any:
    section, _, name = key.partition(".")
    return typing.get_type_hints(SECTIONS[section], include_extras=True)[name]


def _typed(item: Given) -> object:
    """Return the value in the field's type; ValueError or ValidationError when not allowed."""
    kind = _annotation(item.key)
    plain = typing.get_args(kind)[0]
    value = item.value
    if item.is_text:
        assert isinstance(value, str)
        if typing.get_origin(plain) is tuple:
            value = sources.split_list(value)
        elif typing.get_origin(plain) is dict:
            value = json.loads(value)
        elif type(None) in typing.get_args(plain):
            # An empty variable takes an optional value away; "null" and the like are mere text.
            return value or None
    # Text needs the lax rules ("3000", "true"); in TOML a number is a number.
    converted: object = msgspec.convert(value, kind, strict=not item.is_text)
    if isinstance(converted, float) and not math.isfinite(converted):
        raise ValueError("not finite")
    return converted


def _refusal(item: Given) -> str:
    return (
        f"{item.key}: {shown(item.key, item.value)} {item.place} is not allowed"
        f"; allowed: {allowed(item.key)}"
    )


def allowed(key: str) -> str:
    """Return in words what the setting ``section.key`` may be, as errors and documents say it."""
    for part in typing.get_args(_annotation(key))[1:]:
        if isinstance(part, msgspec.Meta) and part.description:
            return part.description
    raise LookupError(f"no description: {key}")
