"""A hundred texts that try to be more than text: drawn as markup, one would set ``pwned``."""

from __future__ import annotations

import json
from pathlib import Path

_ACT = "window.pwned=1"
_TEXTS = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))


def vectors() -> list[str]:
    """All of them, ready to be sent."""
    return [text.format(_ACT) for text in (*_TEXTS["markup"], *_TEXTS["addresses"])]


def addresses() -> list[str]:
    """Those that want to be an address."""
    return [text.format(_ACT) for text in _TEXTS["addresses"]]
