"""The settings of the reply clock: when work is done, and how long a topic may wait (page 4.4).

:mod:`imd.config.settings` names them among the sections; :mod:`imd.config.clock_checks` says what
a line of them may be. They hold what an operator wrote, no more.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

_Limit = Annotated[
    float, Meta(ge=0, le=31622400, description="a number of seconds, 0 (never) to 31622400")
]


class ClockSettings(msgspec.Struct, frozen=True, kw_only=True):
    """From when on an unanswered topic is overdue; without ``hours`` all time counts."""

    #: seconds of working time; 0 = never
    limit: _Limit = 0.0
    #: what single session types have instead
    by_session_type: Annotated[
        dict[str, _Limit],
        Meta(description='a table of session types, "9" = seconds, 0 (never) to 31622400'),
    ] = {}
    timezone: Annotated[str, Meta(min_length=1, description="a name such as Asia/Shanghai")] = (
        "Asia/Shanghai"
    )
    hours: Annotated[
        tuple[str, ...], Meta(description='a list of "DAY[-DAY] HH:MM-HH:MM [HH:MM-HH:MM ...]"')
    ] = ()
    holidays: Annotated[
        tuple[str, ...], Meta(description='a list of "YYYY-MM-DD" or "YYYY-MM-DD..YYYY-MM-DD"')
    ] = ()
    make_up_days: Annotated[
        tuple[str, ...], Meta(description='a list of "YYYY-MM-DD [HH:MM-HH:MM ...]"')
    ] = ()
