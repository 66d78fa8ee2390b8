"""A store that is filled quickly is the one that imd's triggers would have made."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from bench.entries import Scale
from bench.lists import GROWING, LISTS, LOG, Link, touches
from bench.stores import DEEP, Shape, fill_quickly, shapes
from imd.storage.migrate import upgrade
from imd.storage.postgres import PostgresConnection
from tests.servers import PostgresServer
from tests.storage.crowd import Crowd, fill

SHAPE = Shape(Crowd(200, 3, 100), 150)
_TABLES = {
    "sessions": "SELECT * FROM sessions WHERE id <> '{deep}' ORDER BY id",
    "participants": "SELECT * FROM participants WHERE session_id <> '{deep}' ORDER BY 1, 2",
    "messages": "SELECT * FROM messages WHERE session_id <> '{deep}' ORDER BY session_id, seq",
    "topics": "SELECT * FROM topics ORDER BY id",
    "topic_tallies": "SELECT * FROM topic_tallies ORDER BY 1, 2, 3",
    "participant_topics": "SELECT * FROM participant_topics ORDER BY 1, 2, 3",
    "participant_tallies": "SELECT * FROM participant_tallies ORDER BY 1, 2, 3, 4",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'im' ORDER BY indexdef",
}


def contents(connection: PostgresConnection) -> dict[str, list[Any]]:
    found = {table: list(connection.rows(sql.format(deep=DEEP))) for table, sql in _TABLES.items()}
    connection.rollback()
    return found


def test_the_quick_filling_is_what_the_triggers_make(postgres_server: PostgresServer) -> None:
    urls = [postgres_server.create_database() for _ in range(2)]
    for url in urls:
        upgrade(url)
    with (
        closing(PostgresConnection(urls[0])) as slow,
        closing(PostgresConnection(urls[1])) as quick,
    ):
        fill(slow, SHAPE.crowd)
        fill_quickly(quick, SHAPE)
        expected, found = contents(slow), contents(quick)
        for table in _TABLES:
            assert found[table] == expected[table], table
        (count,) = quick.rows("SELECT count(*) FROM messages")[0]
        assert count == SHAPE.messages
    for url in urls:
        postgres_server.drop_database(url)


def test_every_question_can_be_asked_and_touches_pages(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database()
    upgrade(url)
    with closing(PostgresConnection(url)) as filling:
        fill_quickly(filling, SHAPE)
    with closing(Link(url, SHAPE)) as link:
        for ask in (LOG | LISTS | GROWING).values():
            link.ask(ask)
        assert touches(link, LOG["newest page"]) > 2
    postgres_server.drop_database(url)


def test_the_large_store_has_ten_million_messages() -> None:
    made = shapes(Scale())
    assert made["spread"].messages == 10_000_000
    assert made["spread"].crowd.sessions == 100_000
    assert made["small"].messages == 11_000
    assert made["small"].crowd.own == made["spread"].crowd.own == 1_000
