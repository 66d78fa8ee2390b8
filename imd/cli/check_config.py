"""``imdctl check-config``: what the server would run with, or why it would not (page 5.3).

:mod:`imd.cli.main` finds it by name. It knows no setting: the config room tells and hides them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from imd.cli.line import Line
from imd.config import hidden


@click.command("check-config")
@click.pass_obj
def check_config(line: Line) -> None:
    """Load the settings as the server would, and print them with secrets hidden."""
    values = hidden(line.settings())
    line.answer(values, list(_lines(values)))


def _lines(values: dict[str, object], before: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and (value or not before):
            yield from _lines(value, f"{before}{name}.")
        else:
            yield f"{before}{name} = {_text(value)}"


def _text(value: object) -> str:
    return "(not set)" if value is None else json.dumps(value, ensure_ascii=False)
