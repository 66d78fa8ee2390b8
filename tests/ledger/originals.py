"""An original's database (page 7.1) on any of the three kinds, filled by the tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    insert,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.pool import NullPool

from imd.ledger.names import CHANNELS

_LONG = Text().with_variant(mysql.LONGTEXT(), "mysql")
_ID = String(190)


def engine_of(url: str) -> Any:
    """An engine for a URL as operators write it."""
    for kind, driver in (("mysql", "mysql+pymysql"), ("postgresql", "postgresql+psycopg2")):
        url = url.replace(f"{kind}://", f"{driver}://")
    return create_engine(url, poolclass=NullPool)


def metadata(*, times: Any = BigInteger, keyed: bool = True) -> MetaData:
    """The tables of page 7.1; ``keyed`` with primary keys and an index on session_id."""
    made = MetaData()
    key: dict[str, Any] = {"primary_key": True} if keyed else {}
    Table(
        "sessions", made, Column("id", _ID, **key), Column("name", String(255)),
        Column("type", Integer), Column("business_type", Integer), Column("status", Integer),
        Column("create_date", DateTime), Column("last_message_time", times),
        Column("last_content", _LONG), Column("color", String(20)),
    )  # fmt: skip
    Table(
        "participants", made,
        Column("session_id", _ID, **key), Column("participant_id", _ID, **key),
        Column("participant_role", String(64)), Column("last_fetch_time", times),
    )  # fmt: skip
    Table(
        "topics", made, Column("id", _ID, **key), Column("session_id", _ID),
        Column("name", String(255)), Column("description", _LONG), Column("type", Integer),
        Column("status", Integer), Column("reply", Integer), Column("create_time", times),
        Column("start_message_id", _ID), Column("end_message_id", _ID),
        Column("end_by", _ID), Column("end_time", times),
    )  # fmt: skip
    for channel in CHANNELS:
        Table(
            channel, made, Column("id", _ID, **key), Column("session_id", _ID, index=keyed),
            Column("sender_id", _ID), Column("sender_name", String(100)),
            Column("type", Integer), Column("content", _LONG), Column("timestamp", times),
        )  # fmt: skip
    for people, more in (("doctors", ()), ("patients", (Column("openid", String(100)),))):
        Table(
            people, made, Column("id", _ID, **key), Column("name", String(100)),
            Column("sex", Integer), Column("birthdate", Date), Column("avatar", String(200)), *more,
        )  # fmt: skip
    Table(
        "app_status", made, Column("user_id", _ID), Column("client_id", _ID),
        Column("platform", Integer), Column("token", String(200)),
    )  # fmt: skip
    return made


def build(
    url: str, rows: Mapping[str, Iterable[Mapping[str, Any]]], made: MetaData | None = None
) -> str:
    """Make the tables and put rows in; the URL."""
    made = made or metadata()
    engine = engine_of(url)
    with engine.begin() as connection:
        made.create_all(connection)
        for name, each in rows.items():
            add(connection, made.tables[name], each)
    engine.dispose()
    return url


def add(connection: Any, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Put rows in, the columns that they leave out as null."""
    full = [{c.name: row.get(c.name) for c in table.columns} for row in rows]
    for start in range(0, len(full), 5000):
        connection.execute(insert(table), full[start : start + 5000])


def ask(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on such a database."""
    engine = engine_of(url)
    with closing(engine.connect()) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql).fetchall()]


def run(url: str, *statements: str) -> None:
    """Change such a database."""
    engine = engine_of(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
