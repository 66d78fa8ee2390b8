"""Many topics at once, made by the database itself: for query plans, and for measuring by hand.

A crowd has ``sessions`` sessions with ``each`` topics of ten messages, in the order of time, so
that what belongs to one session lies far apart. The doctor ``D`` is a member of ``own`` of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from imd.storage.engine import Connection

#: ms of the first topic; one topic begins each second
BEGIN = 1_700_000_000_000
DOCTOR, TEAMS, TYPES = "D", 20, "ARRAY[1, 8, 9, 13]"

# A topic is the k-th of session s. All but the last of a session have ended, of those every
# third unanswered; of the last ones half have ended (:func:`live`).
_TOPICS = f"""
INSERT INTO topics (id, session_id, session_type, name, status, reply, team_code, create_time,
    start_by, start_message_id, start_seq, reply_by, reply_time, reply_message_id, end_by,
    end_time, end_message_id, end_seq)
SELECT 't' || n, 's' || s, ({TYPES})[s / 9 %% 4 + 1], 'name ' || n,
    CASE WHEN over THEN 10 ELSE 0 END, CASE WHEN answered THEN 1 ELSE 0 END,
    'T' || (s / 7 %% {TEAMS}), t, 'P' || s,
    lpad(n || '1', 32, '0'), k * 10 + 1,
    CASE WHEN answered THEN 'D' END, CASE WHEN answered THEN t + 1 + n %% 500 END,
    CASE WHEN answered THEN lpad(n || '2', 32, '0') END,
    CASE WHEN over THEN 'D' END, CASE WHEN over THEN t + 900 END,
    CASE WHEN over THEN lpad(n || '9', 32, '0') END, CASE WHEN over THEN k * 10 + 10 END
FROM (SELECT k, s, k * %(sessions)s + s AS n, {BEGIN} + (k * %(sessions)s + s)::bigint * 1000 AS t,
        k < %(each)s - 1 OR s / 13 %% 2 = 0 AS over, s %% 3 <> k %% 3 AS answered
    FROM generate_series(0, %(each)s - 1) k, generate_series(1, %(sessions)s) s
    ORDER BY k, s) made
"""
_MESSAGES = f"""
INSERT INTO messages (id, session_id, seq, channel, topic_id, sender_id, type, content, timestamp,
    business_type, counted)
SELECT lpad(n || '' || j, 32, '0'), 's' || s, k * 10 + j + 1, 'muc', 't' || n,
    CASE WHEN j %% 2 = 0 THEN 'P' || s ELSE 'D' END,
    CASE j WHEN 0 THEN 6 WHEN 9 THEN 7 ELSE 1 END, repeat('word ', 20),
    {BEGIN} + n * 1000 + j * 100, 2, k * 10 + j + 1
FROM (SELECT k, s, (k * %(sessions)s + s)::bigint AS n
    FROM generate_series(0, %(each)s - 1) k, generate_series(1, %(sessions)s) s
    ORDER BY k, s) made, generate_series(0, 9) j
ORDER BY n, j
"""
_STEPS = (
    f"""
    INSERT INTO sessions (id, name, type, business_type, status, create_time, last_seq, counted,
        last_timestamp, last_message_seq, last_message_time, current_topic_id)
    SELECT 's' || s, 'session ' || s, ({TYPES})[s / 9 %% 4 + 1], 2, s / 13 %% 2, {BEGIN},
        %(each)s * 10, %(each)s * 10, last, %(each)s * 10, last,
        CASE WHEN s / 13 %% 2 = 1 THEN 't' || ((%(each)s - 1) * %(sessions)s + s) END
    FROM (SELECT s, {BEGIN} + (((%(each)s - 1) * %(sessions)s + s)::bigint) * 1000 + 900 AS last
        FROM generate_series(1, %(sessions)s) s) made
    """,
    # the doctor's sessions lie all over; it has read all but the last three messages
    f"""
    INSERT INTO participants (session_id, participant_id, role, create_time, last_fetch_time,
        read_seq, delivered_seq, read_counted)
    SELECT 's' || s, who, 'x', {BEGIN}, {BEGIN}, %(each)s * 10 - 3, %(each)s * 10 - 3,
        %(each)s * 10 - 3
    FROM generate_series(1, %(sessions)s) s,
        LATERAL (VALUES ('P' || s), ('N' || (s %% 997)),
            (CASE WHEN s %% (%(sessions)s / %(own)s) = 0 THEN '{DOCTOR}' END)) w (who)
    WHERE who IS NOT NULL
    """,
    _TOPICS,
    _MESSAGES,
)


def live(session: int) -> bool:
    """Whether the session of that number has a live topic."""
    return session // 13 % 2 == 1


class Crowd(NamedTuple):
    """How many: sessions, topics in each, and sessions of the doctor."""

    sessions: int
    each: int
    own: int


def steps(crowd: Crowd) -> Iterator[str]:
    """The statements that make the crowd in an empty store."""
    for step in _STEPS:
        yield (
            step.replace("%(sessions)s", str(crowd.sessions))
            .replace("%(each)s", str(crowd.each))
            .replace("%(own)s", str(crowd.own))
            .replace("%%", "%")
        )


def fill(connection: Connection, crowd: Crowd) -> None:
    """Make the crowd in an empty store, in one transaction; PostgreSQL only."""
    connection.begin(write=True)
    connection.run("SET LOCAL statement_timeout = 0")
    for step in steps(crowd):
        connection.run(step)
    connection.commit()
