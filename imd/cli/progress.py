"""How far a long command has come: a bar on a terminal, nothing anywhere else.

``import-legacy`` and ``user import`` use it. It refuses to know what is counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

#: seconds before a rate means anything
_LEAST: Final = 0.001


def watched() -> bool:
    """Whether somebody looks."""
    return sys.stderr.isatty()


@contextmanager
def bar(total: int, label: str, unit: str, *, steps: bool = True) -> Iterator[Callable[..., None]]:
    """A bar of ``total`` with the rate of ``unit`` and the time left.

    The block is given ``tick(number, length)``: so many more of ``unit``, which take that much of
    the bar, by default as much. Without ``steps`` the length passed is not shown.
    """
    if not watched():
        yield lambda number, length=None: None
        return
    begun, passed = time.monotonic(), 0

    def rate(_: object) -> str:
        seconds = max(time.monotonic() - begun, _LEAST)
        return f"{passed / seconds:,.0f} {unit}/s"

    with click.progressbar(
        length=total,
        label=label,
        file=sys.stderr,
        item_show_func=rate,
        show_pos=steps,
        show_eta=True,
    ) as shown:

        def tick(number: int, length: int | None = None) -> None:
            nonlocal passed
            passed += number
            shown.update(number if length is None else length)

        yield tick
