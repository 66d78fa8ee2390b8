"""Read settings from the four places outside the code: files, environment, options, ``*_file``.

Each place yields :class:`Given` values, still raw, that say where they stand, and problems as
lines of text. :mod:`imd.config.loading` calls it; it refuses to know types, rules and precedence.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from imd.config.settings import FROM_FILE, PATHS, SECTIONS, key_of
from imd.config.shown import shown

#: where an installed system keeps its PROFILE.toml (page 5.2)
SYSTEM_DIRECTORY = Path("/etc/imd")

ENVIRONMENT_PREFIX: Final = "IMD_"
#: variables with the prefix that are no settings, by whole name and by beginning
RESERVED_NAMES: Final = frozenset({"IMD_CONFIG", "IMD_STATE_DIR"})
RESERVED_BEGINNINGS: Final = ("IMD_TEST_", "IMD_ACCEPTANCE")

_LONGEST_FILE: Final = 65536

KEYS: Final = tuple(
    key_of(section, name) for section, kind in SECTIONS.items() for name in kind.__struct_fields__
)
_ACCEPTED: Final = (*KEYS, *(f"{key}_file" for key in sorted(FROM_FILE)))
_NAMES: Final = tuple(section for section in SECTIONS if section)
_VARIABLES: Final = {ENVIRONMENT_PREFIX + key.replace(".", "_").upper(): key for key in _ACCEPTED}


class Given(NamedTuple):
    """One value as somebody gave it."""

    key: str
    value: object
    #: "in FILE", "in IMD_HTTP_PORT", "among the options"
    place: str
    #: whether the value is text that stands for a number, a list and so on
    is_text: bool
    #: the folder that a relative path starts from
    folder: Path


def read_profile(profile: str, problems: list[str]) -> list[Given]:
    """Return what PROFILE.toml says: the system's when it is there, else the packaged one."""
    system = SYSTEM_DIRECTORY / f"{profile}.toml"
    try:
        system.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        problems.append(f"settings file {system} cannot be read: {error.strerror}")
        return []
    else:
        return read_file(system, problems)
    packaged = files("imd.config") / "profiles" / f"{profile}.toml"
    return _parse(packaged.read_text("utf-8"), Path(str(packaged)), problems)


def read_file(path: Path, problems: list[str]) -> list[Given]:
    """Return what a TOML file of settings says; an unreadable or broken one is a problem."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        problems.append(f"settings file {path} cannot be read: {error.strerror}")
        return []
    except UnicodeDecodeError:
        problems.append(f"settings file {path} is not UTF-8 text")
        return []
    return _parse(text, path, problems)


def read_document(path: Path) -> dict[str, object]:
    """Return a TOML file that holds no settings; OSError or ValueError says what is wrong."""
    return tomllib.loads(path.read_text("utf-8"))


def _parse(text: str, path: Path, problems: list[str]) -> list[Given]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(f"settings file {path} is not TOML: {error}")
        return []
    folder, place = path.absolute().parent, f"in {path}"
    given: list[Given] = []
    for section, table in document.items():
        if section in KEYS:
            given.append(Given(section, table, place, False, folder))
        elif section not in SECTIONS:
            problems.append(f"{section}: unknown section {place}{_instead(section, _NAMES)}")
        elif not isinstance(table, dict):
            problems.append(f"{section} is no table {place}; allowed: [{section}]")
        else:
            named = dict(_flat(section, table))
            given += _known(named, place, folder, is_text=False, problems=problems)
    return given


def _flat(section: str, table: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The values of a table and of the sections inside it, by ``section.key``."""
    for name, value in table.items():
        inner = f"{section}.{name}"
        if inner in SECTIONS and isinstance(value, dict):
            yield from _flat(inner, value)
        else:
            yield inner, value


def read_environment(environ: Mapping[str, str], problems: list[str]) -> list[Given]:
    """Return what IMD_SECTION_KEY variables say; an unknown IMD_ variable is a problem."""
    given: list[Given] = []
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in RESERVED_NAMES:
            continue
        if variable.startswith(RESERVED_BEGINNINGS):
            continue
        key = _VARIABLES.get(variable)
        if key is None:
            problems.append(
                f"{variable}: unknown variable in the environment"
                f"{_instead(variable, (*_VARIABLES, *RESERVED_NAMES, 'IM_PROFILE'))}"
            )
            continue
        given.append(Given(key, environ[variable], f"in {variable}", True, Path.cwd()))
    return given


def read_overrides(overrides: Mapping[str, object], problems: list[str]) -> list[Given]:
    """Return what the command line's options say, by ``section.key``; None is "not given"."""
    named = {key: value for key, value in overrides.items() if value is not None}
    return _known(named, "among the options", Path.cwd(), is_text=True, problems=problems)


def _known(
    named: Mapping[str, object],
    place: str,
    folder: Path,
    *,
    is_text: bool,
    problems: list[str],
) -> list[Given]:
    given = []
    for key, value in named.items():
        if key in _ACCEPTED:
            given.append(Given(key, value, place, is_text and isinstance(value, str), folder))
        else:
            problems.append(f"{key}: unknown key {place}{_instead(key, _ACCEPTED)}")
    return given


def resolve_files(given: list[Given], problems: list[str]) -> list[Given]:
    """Replace each ``KEY_file`` of one place by the file's text, and make paths absolute."""
    keys = {item.key for item in given}
    resolved = []
    for item in given:
        key = item.key.removesuffix("_file")
        if key in FROM_FILE and key != item.key:
            if key in keys:
                problems.append(f"{key} and {item.key} are both given {item.place}; allowed: one")
            elif item.value != "":
                resolved += _content(key, item, problems)
        elif item.key in PATHS and isinstance(item.value, str) and item.value:
            path = item.folder / item.value
            resolved.append(item._replace(value=str(path)))
        elif item.key == "webhooks":
            resolved.append(_with_secrets(item, problems))
        else:
            resolved.append(item)
    return resolved


def _with_secrets(item: Given, problems: list[str]) -> Given:
    """The list of webhooks with each ``secret_file`` replaced by what it holds."""
    value = item.value
    if item.is_text and isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except ValueError:
            return item
    if not isinstance(value, list):
        return item
    tables: list[object] = []
    for table in value:
        if isinstance(table, dict) and "secret_file" in table:
            rest = {name: inner for name, inner in table.items() if name != "secret_file"}
            file = item._replace(key="webhooks.secret_file", value=table["secret_file"])
            found = _content("webhooks.secret", file, problems)
            tables.append({**rest, "secret": found[0].value if found else "?" * 16})
        else:
            tables.append(table)
    return item._replace(value=tables, is_text=False)


def _content(key: str, item: Given, problems: list[str]) -> list[Given]:
    allowed = "; allowed: the path of a readable text file of at most 64 KiB"
    here = f"{item.key}: {shown(item.key, item.value)} {item.place}"
    if not isinstance(item.value, str):
        problems.append(f"{here} is not a path{allowed}")
        return []
    path = item.folder / item.value
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_FILE + 1)
        text = data.decode("utf-8").strip()
    except OSError as error:
        problems.append(f"{here} cannot be read: {error.strerror}{allowed}")
        return []
    except ValueError:
        problems.append(f"{here} is not UTF-8 text{allowed}")
        return []
    if len(data) > _LONGEST_FILE or not text:
        problems.append(f"{here} is {'too long' if text else 'empty'}{allowed}")
        return []
    return [Given(key, text, f"in {path}", False, item.folder)]


def split_list(text: str) -> list[object]:
    """Return the items of a list written by commas or as JSON (page 5.2).

    Raises ValueError when text that begins with ``[`` is no JSON list.
    """
    text = text.strip()
    if text.startswith("["):
        items = json.loads(text)
        assert isinstance(items, list)
        return items
    return [item.strip() for item in text.split(",") if item.strip()]


def _instead(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …" or, without a near one, the end of a sentence."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.75)
    if near:
        return f"; did you mean {near[0]}?"
    if word in _NAMES or len(list(known)) <= len(_NAMES):
        return f"; allowed: {', '.join(_NAMES)}"
    section = word.removeprefix(ENVIRONMENT_PREFIX).replace("_", ".").lower().split(".")[0]
    inside = [key for key in _ACCEPTED if key.startswith(f"{section}.")]
    return f"; allowed: {', '.join(inside)}" if inside else f"; allowed: {', '.join(_NAMES)}.*"
