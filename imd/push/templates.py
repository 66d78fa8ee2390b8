"""From a notice to WeChat's template data: format strings, URL quoting, the lengths WeChat takes.

Pure. WeChat refuses a whole message for one value that is too long or empty, so values are cut
here by the kind that their key names (``thing1``, ``time2``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

#: characters that a value of each kind may have
LENGTHS: Final = {
    "thing": 20, "name": 10, "phrase": 5, "number": 32, "letter": 32, "symbol": 5,
    "character_string": 32, "short_thing": 5, "const": 20,
}  # fmt: skip
_LONGEST: Final = 200
_KIND = re.compile(r"([a-z_]*[a-z])\d+")
_NOTHING: Final = "-"


class Template(NamedTuple):
    """A template of one session type, or of all; ``url`` and ``fields`` are format strings."""

    template_id: str
    url: str
    fields: tuple[tuple[str, str], ...]


def link(pattern: str, words: Mapping[str, str]) -> str:
    """The URL of a notice; every value is quoted, so that none can change its shape."""
    return pattern.format_map({name: quote(value, safe="") for name, value in words.items()})


def data(template: Template, words: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The ``data`` of a template message."""
    return {
        key: {"value": fitting(key, pattern.format_map(words))} for key, pattern in template.fields
    }


def fitting(key: str, value: str) -> str:
    """The value as WeChat takes it under this key; never empty."""
    value = " ".join(value.split())
    kind = _KIND.fullmatch(key)
    longest = LENGTHS.get(kind[1], _LONGEST) if kind else _LONGEST
    if len(value) > longest:
        value = value[: longest - 1] + "…" if longest > 5 else value[:longest]
    return value or _NOTHING
