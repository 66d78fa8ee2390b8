"""How long a value of a WeChat template may be, by the kind that its key names (``thing1``).

Templates cut by it, the fake WeChat refuses by it. From WeChat's table of parameter types.
"""

from __future__ import annotations

import re
from typing import Final

#: characters that a value of each kind may have
LENGTHS: Final = {
    "thing": 20, "name": 10, "phrase": 5, "number": 32, "letter": 32, "symbol": 5,
    "character_string": 32, "short_thing": 5, "const": 20,
}  # fmt: skip
LONGEST: Final = 200
_KIND: Final = re.compile(r"([a-z_]*[a-z])\d+")
_NOTHING: Final = "-"


def kind_of(key: str) -> str:
    """``thing`` of ``thing1``; the empty text for a key of another form."""
    found = _KIND.fullmatch(key)
    return found[1] if found else ""


def fitting(key: str, value: str) -> str:
    """The value as WeChat takes it under this key; never empty."""
    value = " ".join(value.split())
    longest = LENGTHS.get(kind_of(key), LONGEST)
    if len(value) > longest:
        value = value[: longest - 1] + "…" if longest > 5 else value[:longest]
    return value or _NOTHING
