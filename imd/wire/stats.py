"""Requests and answers of the statistics of consults (page 7.3)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from imd.wire.answers import Answer
from imd.wire.fields import Number, Request, Word

By = Literal["team", "doctor", "leader", "org", "type", "team,doctor"]
#: a date or a date-time on the platform's clock, or ms
Moment = Annotated[str, Meta(min_length=1, max_length=40)] | Annotated[int, Meta(ge=0, le=2**53)]


class CountConsults(Request, frozen=True):
    """How many consults were taken, by whom; ``listed`` is called ``list`` as well."""

    aliases = {"list": "listed"}
    by: By
    org: Word | None = None
    since: Moment | None = None
    until: Moment | None = None
    type: Number | None = None
    listed: bool = False


class FirstReply(Answer, frozen=True):
    """Nearest ranks of the time to the first reply, in ms."""

    p50: int | None
    p90: int | None


class ConsultRow(Answer, frozen=True):
    """The figures of one group; ``list`` holds the codes where they were asked for."""

    key: str
    name: str | None
    consults: int
    replied: int
    unreplied: int
    ongoing: int
    expired: int
    reply_rate: float | None
    first_reply_ms: FirstReply
    codes: list[str] | UnsetType = msgspec.field(name="list", default=UNSET)


class ConsultCounts(Answer, frozen=True):
    """All groups, the largest first; ``rule`` says what the rate leaves out."""

    rows: list[ConsultRow]
    rule: str


def consult_counts(found: dict[str, Any]) -> ConsultCounts:
    """The answer made of plain values."""
    return ConsultCounts([_row(row) for row in found["rows"]], found["rule"])


def _row(row: dict[str, Any]) -> ConsultRow:
    values = {name: value for name, value in row.items() if name != "list"}
    values["first_reply_ms"] = FirstReply(**row["first_reply_ms"])
    return ConsultRow(**values, codes=row.get("list", UNSET))
