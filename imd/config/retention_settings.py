"""The settings of retention: how long which kind of session is kept, for ever by default.

:mod:`imd.config.settings` names them among the sections; what a class of records is, and how long
the law wants it kept, the domain knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from imd.domain.retention import LEAST_YEARS, MOST_YEARS, RecordClass, Terms

_PROCESS: Final = LEAST_YEARS[RecordClass.PROCESS]
_MEDICAL: Final = LEAST_YEARS[RecordClass.MEDICAL]


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long records are kept; only ``imdctl retention apply`` deletes any."""

    #: years for which the record of how a consultation went is kept
    process_years: Annotated[
        int,
        Meta(
            ge=_PROCESS,
            le=MOST_YEARS,
            description=f"a whole number of years, {_PROCESS} (the least that a process record may"
            f" be kept by law) to {MOST_YEARS}",
        ),
    ] = _PROCESS
    #: years for which a medical record is kept
    medical_years: Annotated[
        int,
        Meta(
            ge=_MEDICAL,
            le=MOST_YEARS,
            description=f"a whole number of years, {_MEDICAL} (the least that a medical record may"
            f" be kept by law) to {MOST_YEARS}",
        ),
    ] = _MEDICAL
    #: the class of each session type; a type that is not named is kept for ever
    by_session_type: Annotated[
        dict[str, Literal["forever", "process", "medical"]],
        Meta(description='a table by session type of "forever", "process" or "medical"'),
    ] = {}


def terms_of(settings: RetentionSettings) -> Terms:
    """What they say, in the domain's words."""
    years = {
        RecordClass.PROCESS: settings.process_years,
        RecordClass.MEDICAL: settings.medical_years,
    }
    named = settings.by_session_type.items()
    return Terms(years, {int(type_): RecordClass(word) for type_, word in named})


def check_retention(settings: RetentionSettings) -> Iterator[tuple[str, str]]:
    """The key and what is wrong with it."""
    for type_ in settings.by_session_type:
        if not (type_.isascii() and type_.isdigit() and str(int(type_)) == type_):
            said = f'holds {type_!r}, which is no session type; allowed: numbers such as "1"'
            yield "retention.by_session_type", said
