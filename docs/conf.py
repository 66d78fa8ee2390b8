"""Sphinx's settings: ``make docs``. The reference is written from the program beforehand."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import reference  # noqa: E402

from imd import __version__  # noqa: E402

reference.write(HERE / "reference")

project = "imd"
author = "The imd developers"
copyright = "2026, the imd developers"
release = version = __version__
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"imd {__version__}"
html_show_sourcelink = False
# JSON with "…" in it, and what a page leaves out, are shown plain.
suppress_warnings = ["misc.highlighting_failure"]


# What is not a page of these has nowhere to lead to in a manual: its text stays.
_ELSEWHERE = re.compile(r"\[([^\]\n]+)\]\((?:\.\./)+[\w/.-]*\.(?:py|js|mjs|toml|conf|ts)\)")
_MORE = "<!-- more -->"


def setup(app: Any) -> None:
    """Pages are written for a checkout and for the manual; what differs is mended here."""
    app.connect("env-before-read-docs", _index_too)
    app.connect("source-read", _as_manual)


def _index_too(app: Any, env: Any, names: list[str]) -> None:
    # It lists pages by what there is, so it is read whenever any is.
    if "index" not in names:
        names.append("index")


def _as_manual(app: Any, name: str, source: list[str]) -> None:
    source[0] = _ELSEWHERE.sub(r"\1", source[0])
    if name == "index":
        more = [page for page in sorted(app.env.found_docs) if f"\n{page}\n" not in source[0]]
        more.remove("index")
        pages = "\n".join(more)
        told = f"```{{toctree}}\n:caption: More\n:maxdepth: 1\n\n{pages}\n```\n"
        source[0] = source[0].replace(_MORE, told if more else "")
