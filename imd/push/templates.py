"""From the words of a notice to WeChat's template data: format strings and URL quoting. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from imd.push.fitting import fitting


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
