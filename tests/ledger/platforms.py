"""A platform's database (page 7.2), filled by the tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table

SHANGHAI = timedelta(hours=8)
_CODE = String(100)


def metadata() -> MetaData:
    """The tables of page 7.2."""
    made = MetaData()
    Table(
        "wlyy_consult", made, Column("id", Integer, primary_key=True),
        Column("code", _CODE, index=True), Column("patient", _CODE), Column("type", Integer),
        Column("status", Integer), Column("czrq", DateTime, index=True),
        Column("end_time", DateTime),
    )  # fmt: skip
    Table(
        "wlyy_consult_team", made, Column("id", Integer, primary_key=True),
        Column("consult", _CODE, index=True), Column("patient", _CODE), Column("type", Integer),
        Column("team", _CODE), Column("admin_team_code", Integer), Column("doctor", _CODE),
        Column("czrq", DateTime),
    )  # fmt: skip
    Table(
        "wlyy_admin_team", made, Column("id", Integer, primary_key=True), Column("name", _CODE),
        Column("org_code", _CODE), Column("leader_code", _CODE),
    )  # fmt: skip
    for name in ("wlyy_doctor", "wlyy_patient"):
        Table(
            name, made, Column("code", _CODE, primary_key=True), Column("name", _CODE),
            Column("mobile", _CODE),
        )  # fmt: skip
    Table("dm_hospital", made, Column("code", _CODE, primary_key=True), Column("name", _CODE))
    return made


def local(ms: int) -> datetime:
    """A time as the platform's clock shows it."""
    return datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None, microsecond=0) + SHANGHAI


def consult(code: str, ms: int, *, ended: int | None = None, **more: Any) -> dict[str, Any]:
    row = {"code": code, "patient": "p", "type": 2, "status": 0, "czrq": local(ms)}
    if ended is not None:
        row |= {"status": 1, "end_time": local(ended)}
    return row | more


def team(code: str, ms: int, **more: Any) -> dict[str, Any]:
    row = {"consult": code, "patient": "p", "type": 2, "team": "t1", "admin_team_code": 7}
    return row | {"doctor": "d", "czrq": local(ms)} | more
