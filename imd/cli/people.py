"""Files of people: CSV with a header, or a JSON object a line, read a line at a time (page 5.3).

``imdctl user import`` reads them. Each line becomes an entry of the directory by the rules of the
REST API, or says what is wrong with it; memory does not grow with the file. What is done with the
entries it refuses to know.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final, Literal, NamedTuple

from imd.domain.errors import BadJson, FieldError
from imd.wire.codec import check_text, parse_object, snake_names
from imd.wire.users import PutUser, RefusedEntry, UserEntry, entry_of

Format = Literal["csv", "jsonl"]
#: the names that a file may use; ``id`` is another name of the first
NAMES: Final = ("user_id", *PutUser.ENTRY)
_TAKEN: Final = frozenset({*NAMES, "id"})
_ALLOWED: Final = f"allowed: {', '.join(NAMES)}"
#: bytes of a line of JSON, many times what an entry may hold
_LONGEST: Final = 1 << 16


class BadFile(Exception):
    """Nothing of the file, or nothing more of it, can be read; the sentence says why."""


class Person(NamedTuple):
    """What stands at a line of the file, counted from 1."""

    line: int
    entry: UserEntry | RefusedEntry


def people(file: BinaryIO, form: Format, encoding: str) -> Iterator[Person]:
    """The file's entries in their order; BadFile where it cannot be read on."""
    try:
        yield from _csv(file, encoding) if form == "csv" else _json_lines(file)
    except (UnicodeError, LookupError) as error:
        raise BadFile(f"it is not {encoding}; name another with --encoding, such as gbk") from error


def _refused(field: str, message: str) -> RefusedEntry:
    return RefusedEntry(None, (FieldError(field, message),))


def _checked(fields: Mapping[str, object]) -> UserEntry | RefusedEntry:
    unknown = [name for name in snake_names(fields) if name not in _TAKEN]
    if unknown:
        return _refused(unknown[0], f"is unknown; {_ALLOWED}")
    return entry_of(fields)


# ---- CSV


def _csv(file: BinaryIO, encoding: str) -> Iterator[Person]:
    name = "utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding
    text = io.TextIOWrapper(file, encoding=name, newline="")
    try:
        yield from _rows(csv.reader(text, strict=True))
    finally:
        # It would close the file, whose owner still asks how far it has been read.
        text.detach()


def _rows(reader: Any) -> Iterator[Person]:
    header = _header(reader)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Person(line, _refused("", f"is no line of CSV: {error}"))
            continue
        if not row:
            continue
        if len(row) != len(header):
            said = f"has {len(row)} cells, the header has {len(header)}"
            yield Person(line, _refused("", said))
            continue
        given = {name: cell for name, cell in zip(header, row, strict=True) if cell != ""}
        yield Person(line, _unfit(given) or _checked(given))


def _unfit(given: Mapping[str, str]) -> RefusedEntry | None:
    """What JSON refuses by itself."""
    for name, cell in given.items():
        try:
            check_text(cell)
        except ValueError as error:
            return _refused(name, str(error))
    return None


def _header(reader: Iterator[list[str]]) -> list[str]:
    try:
        cells = next(reader, [])
    except csv.Error as error:
        raise BadFile(f"its first line is no line of CSV: {error}") from error
    header = [cell.strip() for cell in cells]
    known = [*snake_names(dict.fromkeys(header))]
    unknown = [name for name in known if name not in _TAKEN]
    if unknown:
        raise BadFile(f"its first line names {', '.join(map(repr, unknown))}; {_ALLOWED}")
    if len(known) != len(header) or len({"user_id", "id"} & set(known)) != 1:
        raise BadFile(f"its first line must name user_id, and each column once; {_ALLOWED}")
    return header


# ---- JSON lines


def _json_lines(file: BinaryIO) -> Iterator[Person]:
    number = 0
    while raw := file.readline(_LONGEST + 1):
        number += 1
        if len(raw) > _LONGEST:
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(_LONGEST)
            yield Person(number, _refused("", f"is longer than {_LONGEST} bytes"))
        elif raw.strip():
            yield Person(number, _object(raw))


def _object(raw: bytes) -> UserEntry | RefusedEntry:
    try:
        return _checked(parse_object(raw))
    except BadJson as error:
        return _refused("", error.detail)
