"""Stores of ten million messages in a minute or two, as imd would have left them.

The rows are those of :mod:`tests.storage.crowd`; here they come without triggers and before the
indexes, and what triggers keep is summed up at the end. A test compares both ways. To each store
comes the session ``deep``, one log that holds a tenth of all messages.
"""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

from bench.entries import Scale, Setting
from imd.storage.migrate import upgrade
from imd.storage.postgres import PostgresConnection
from tests.storage.crowd import BEGIN, DOCTOR, Crowd, steps

DEEP = "deep"


class Shape(NamedTuple):
    """A crowd, and how many messages the deep session has beside it."""

    crowd: Crowd
    deep: int

    @property
    def messages(self) -> int:
        return self.crowd.sessions * self.crowd.each * 10 + self.deep


def shapes(scale: Scale) -> dict[str, Shape]:
    """``small``: 10,000 messages; ``spread``: a thousand times as many, over a hundred times as
    many sessions; ``own``: a hundred times as many topics in the doctor's own thousand sessions."""
    own = min(1_000, scale.sessions // 5)
    return {
        "small": Shape(Crowd(own, 1, own), 1_000),
        "spread": Shape(Crowd(scale.sessions, 9, own), scale.sessions * 10),
        "own": Shape(Crowd(own, scale.sessions // own, own), 1_000),
    }


_LOOSE = ("messages", "topics", "topic_tallies", "participant_topics", "participant_tallies")
_INDEXES = """
SELECT i.relname, pg_get_indexdef(x.indexrelid), c.conname, pg_get_constraintdef(c.oid)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
LEFT JOIN pg_constraint c ON c.conindid = x.indexrelid AND c.contype IN ('p', 'u')
WHERE x.indrelid = '{table}'::regclass ORDER BY i.relname
"""
_STATES = {"unreplied": (0, 0), "ongoing": (0, 1), "replied": (10, 1), "expired": (10, 0)}
_TALLIES = f"""
INSERT INTO topic_tallies (session_id, team_code, session_type, {", ".join(_STATES)})
SELECT session_id, coalesce(team_code, ''), session_type, {
    ", ".join(
        f"count(*) FILTER (WHERE status = {status} AND reply = {reply})"
        for status, reply in _STATES.values()
    )
}
FROM topics GROUP BY 1, 2, 3
"""
_SHOWN = """
INSERT INTO participant_topics
SELECT p.participant_id, t.create_time, t.id, t.session_type, t.status, t.reply
FROM topics t JOIN participants p ON p.session_id = t.session_id
"""
_OWN = f"""
INSERT INTO participant_tallies
SELECT p.participant_id, y.session_id, y.team_code, y.session_type, {", ".join(_STATES)}
FROM topic_tallies y JOIN participants p ON p.session_id = y.session_id
"""
#: says in which period a member's session is; without it the rows would have to be written twice
_PLACED = "ALTER TABLE participants ENABLE {} TRIGGER participants_place"
#: the members came in one statement
_ROSTERS = "UPDATE sessions SET roster = roster + 1"
# One plain message a second, half of them the doctor's, which has read all but the last three.
_DEEP = (
    f"""
    INSERT INTO sessions (id, name, type, business_type, status, create_time, last_seq, counted,
        last_timestamp, last_message_seq, last_message_time)
    VALUES ('{DEEP}', 'deep', 8, 2, 0, {BEGIN}, {{many}}, {{many}}, {BEGIN} + {{many}} * 1000,
        {{many}}, {BEGIN} + {{many}} * 1000)
    """,
    f"""
    INSERT INTO participants (session_id, participant_id, role, create_time, last_fetch_time,
        read_seq, delivered_seq, read_counted)
    SELECT '{DEEP}', who, 'x', {BEGIN}, {BEGIN}, {{many}} - 3, {{many}} - 3, {{many}} - 3
    FROM (VALUES ('{DOCTOR}-deep'), ('P-deep')) w (who)
    """,
    f"""
    INSERT INTO messages (id, session_id, seq, channel, sender_id, type, content, timestamp,
        business_type, counted)
    SELECT md5('{DEEP}' || n), '{DEEP}', n, 'muc',
        CASE WHEN n % 2 = 0 THEN 'P-deep' ELSE '{DOCTOR}-deep' END, 1, repeat('word ', 20),
        {BEGIN} + n::bigint * 1000, 2, n
    FROM generate_series(1, {{many}}) n
    """,
)


def fill_quickly(connection: PostgresConnection, shape: Shape) -> None:
    """Fill an empty store; the connection's user must be a superuser, as the bench's is."""
    connection.begin(write=True)
    connection.run("SET LOCAL session_replication_role = replica")
    connection.run("SET LOCAL maintenance_work_mem = '512MB'")
    connection.run("SET LOCAL work_mem = '256MB'")
    connection.run("SET LOCAL statement_timeout = 0")
    again = []
    for table in _LOOSE:
        for index, made, constraint, text in connection.rows(_INDEXES.format(table=table)):
            if constraint is None:
                connection.run(f"DROP INDEX {index}")
                again.append(made)
            else:
                connection.run(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
                again.append(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {text}")
    deep = [text.format(many=shape.deep) for text in _DEEP]
    connection.run(_PLACED.format("ALWAYS"))
    for step in (*steps(shape.crowd), *deep, _TALLIES, _SHOWN, _OWN, _ROSTERS, *again):
        connection.run(step)
    connection.run(_PLACED.format(""))
    connection.commit()


def filled(setting: Setting) -> dict[str, str]:
    """The URL of each store, by its name."""
    urls = {}
    for name, shape in shapes(setting.scale).items():
        crowd = shape.crowd
        setting.say(
            f"filling the store {name}: {crowd.sessions} sessions,"
            f" {crowd.sessions * crowd.each} topics, {shape.messages} messages"
        )
        urls[name] = url = setting.postgres.create_database()
        upgrade(url)
        with closing(PostgresConnection(url)) as connection:
            fill_quickly(connection, shape)
        setting.postgres.execute("VACUUM ANALYZE", url=url)
    return urls
