"""The settings of the second ledger: where it is, and how often it is compared (pages 4.5 and 7.2).

:mod:`imd.config.settings` names them among the sections. They hold what an operator wrote, no more.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta


class PlatformSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The platform's database, the second ledger of consults (page 7.2)."""

    #: empty: there is none
    url: Annotated[
        str,
        Meta(
            description="empty, mysql://USER:PASSWORD@HOST/NAME, postgresql://… or sqlite:///PATH"
        ),
    ] = ""
    #: the clock of its DATETIME columns, and of dates without a zone
    timezone: Annotated[str, Meta(min_length=1, description="a name such as Asia/Shanghai")] = (
        "Asia/Shanghai"
    )
    #: what its tables, columns and states are called where they are not called as on page 7.2
    names: Annotated[
        dict[str, Any],
        Meta(
            description='a table of TABLE = "NAME", "TABLE.COLUMN" = "NAME", status_open and'
            " status_ended (lists of numbers)"
        ),
    ] = {}


class ReconcileSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How often the two ledgers are compared (page 4.5); what differs is told at /metrics."""

    #: seconds; 0 = never
    every: Annotated[
        float, Meta(ge=0, le=31622400, description="a number of seconds, 0 (never) to 31622400")
    ] = 0.0
