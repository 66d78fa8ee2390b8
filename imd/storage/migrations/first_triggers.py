"""What keeps the lists of topics and the rosters true, and what each database needs beside tables.

A part of the step 0001, in a file of its own for its length. The bodies of the triggers are the
same SQL on both databases. Knows the tables of that step and nothing else.
"""

from __future__ import annotations

_STATES = {"unreplied": (0, 0), "ongoing": (0, 1), "replied": (10, 1), "expired": (10, 0)}


def _tally(row: str, sign: str) -> str:
    """Count a topic row (NEW or OLD) in or out; the same SQL on both databases."""
    flags = [
        f"CASE WHEN {row}.status = {status} AND {row}.reply = {reply} THEN {sign}1 ELSE 0 END"
        for status, reply in _STATES.values()
    ]
    sums = ", ".join(f"{name} = topic_tallies.{name} + excluded.{name}" for name in _STATES)
    return (
        f"INSERT INTO topic_tallies (session_id, team_code, session_type, {', '.join(_STATES)})"
        f" VALUES ({row}.session_id, coalesce({row}.team_code, ''), {row}.session_type,"
        f" {', '.join(flags)})"
        f" ON CONFLICT (session_id, team_code, session_type) DO UPDATE SET {sums};"
    )


_IN, _OUT = _tally("NEW", "+"), _tally("OLD", "-")


def _of_members(row: str) -> str:
    """Which rows of participant_topics show a topic row."""
    return (
        f"topic_id = {row}.id AND create_time = {row}.create_time AND participant_id IN"
        f" (SELECT p.participant_id FROM participants p WHERE p.session_id = {row}.session_id)"
    )


_SHOWN = "INSERT INTO participant_topics"
_SHOW = (
    f"{_SHOWN} SELECT p.participant_id, NEW.create_time, NEW.id, NEW.session_type, NEW.status,"
    " NEW.reply FROM participants p WHERE p.session_id = NEW.session_id;"
)
_HIDE = f"DELETE FROM participant_topics WHERE {_of_members('OLD')};"
_MARK = (
    "UPDATE participant_topics SET session_type = NEW.session_type, status = NEW.status,"
    f" reply = NEW.reply WHERE {_of_members('NEW')};"
)
_JOIN = (
    f"{_SHOWN} SELECT NEW.participant_id, t.create_time, t.id, t.session_type, t.status, t.reply"
    " FROM topics t WHERE t.session_id = NEW.session_id;"
)
_LEAVE = (
    "DELETE FROM participant_topics WHERE participant_id = OLD.participant_id AND"
    " (create_time, topic_id) IN"
    " (SELECT t.create_time, t.id FROM topics t WHERE t.session_id = OLD.session_id);"
)
#: who is a member has changed; an UPDATE that only moves marks is none of these
_ROSTER = "UPDATE sessions SET roster = roster + 1 WHERE id IN ({sessions});"
#: what says where a topic stands in the lists; a change of the rest moves nothing
_PLACE = ("id", "session_id", "create_time")
_MARKS = ("session_type", "status", "reply")
_STAYED = " AND ".join(f"NEW.{name} = OLD.{name}" for name in _PLACE)
_SAME = " AND ".join(f"NEW.{name} = OLD.{name}" for name in (*_PLACE, *_MARKS))

SQLITE = (
    "CREATE INDEX participants_user ON participants (participant_id, session_id, sticky)",
    "CREATE INDEX topic_tallies_team ON topic_tallies (team_code, session_type)",
    *(
        f"CREATE TRIGGER {name} AFTER {event} BEGIN {body} END"
        for name, event, body in (
            ("topics_insert", "INSERT ON topics", f"{_IN} {_SHOW}"),
            ("topics_update", "UPDATE ON topics", f"{_OUT} {_IN}"),
            ("topics_delete", "DELETE ON topics", f"{_OUT} {_HIDE}"),
            (
                "topics_mark",
                f"UPDATE OF {', '.join(_MARKS)} ON topics WHEN {_STAYED} AND NOT ({_SAME})",
                _MARK,
            ),
            (
                "topics_move",
                f"UPDATE OF {', '.join(_PLACE)} ON topics WHEN NOT ({_STAYED})",
                f"{_HIDE} {_SHOW}",
            ),
            (
                "participants_join",
                "INSERT ON participants",
                f"{_JOIN} {_ROSTER.format(sessions='NEW.session_id')}",
            ),
            (
                "participants_leave",
                "DELETE ON participants",
                f"{_LEAVE} {_ROSTER.format(sessions='OLD.session_id')}",
            ),
            (
                "participants_move",
                "UPDATE OF session_id, participant_id ON participants",
                f"{_LEAVE} {_JOIN} {_ROSTER.format(sessions='OLD.session_id, NEW.session_id')}",
            ),
        )
    ),
)
#: imd holds the session's lock already; an operator who repairs by hand gets it here
_LOCK = (
    "PERFORM 1 FROM sessions s WHERE s.id IN (OLD.session_id, NEW.session_id)"
    " ORDER BY s.id FOR NO KEY UPDATE;"
)
#: the functions look rows up by key, whatever the statistics of a young table say
_BY_KEY = (
    " SET plan_cache_mode = force_generic_plan SET enable_seqscan = off"
    " SET enable_hashjoin = off SET enable_mergejoin = off"
)
POSTGRES = (
    # Lists look at each of a user's sessions. A hash finds one in the same few pages, however
    # many there are; what the look begins with stands in the index alone.
    """
    CREATE INDEX participants_user ON participants (participant_id, session_id) INCLUDE (sticky)
    """,
    "CREATE INDEX sessions_id ON sessions USING hash (id)",
    # Room on each page for what a message changes, so that it changes no index.
    "ALTER TABLE sessions SET (fillfactor = 85)",
    "ALTER TABLE participants SET (fillfactor = 85)",
    "CREATE INDEX topic_tallies_session ON topic_tallies USING hash (session_id)",
    # A team's figures are answered from this index alone.
    f"""
    CREATE INDEX topic_tallies_team ON topic_tallies (team_code, session_type)
    INCLUDE ({", ".join(_STATES)})
    """,
    f"""
    CREATE FUNCTION tally_topic() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN {_OUT} END IF;
        IF TG_OP <> 'DELETE' THEN {_IN} END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER topics_tally AFTER INSERT OR UPDATE OR DELETE ON topics
    FOR EACH ROW EXECUTE FUNCTION tally_topic()
    """,
    f"""
    CREATE FUNCTION show_topic() RETURNS trigger LANGUAGE plpgsql{_BY_KEY} AS $$
    BEGIN
        {_LOCK}
        IF TG_OP = 'UPDATE' AND {_STAYED} THEN {_MARK} RETURN NULL; END IF;
        IF TG_OP <> 'INSERT' THEN {_HIDE} END IF;
        IF TG_OP <> 'DELETE' THEN {_SHOW} END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER topics_show AFTER INSERT OR DELETE ON topics
    FOR EACH ROW EXECUTE FUNCTION show_topic()
    """,
    f"""
    CREATE TRIGGER topics_move AFTER UPDATE OF {", ".join((*_PLACE, *_MARKS))} ON topics
    FOR EACH ROW WHEN (NOT ({_SAME})) EXECUTE FUNCTION show_topic()
    """,
    f"""
    CREATE FUNCTION seat_participant() RETURNS trigger LANGUAGE plpgsql{_BY_KEY} AS $$
    BEGIN
        {_LOCK}
        IF TG_OP <> 'INSERT' THEN {_LEAVE} END IF;
        IF TG_OP <> 'DELETE' THEN {_JOIN} END IF;
        IF TG_OP = 'UPDATE' THEN
            {_ROSTER.format(sessions="OLD.session_id, NEW.session_id")}
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER participants_seat
    AFTER INSERT OR DELETE OR UPDATE OF session_id, participant_id ON participants
    FOR EACH ROW EXECUTE FUNCTION seat_participant()
    """,
    # Once for a statement, however many members it brings.
    f"""
    CREATE FUNCTION count_roster() RETURNS trigger LANGUAGE plpgsql{_BY_KEY} AS $$
    BEGIN
        {_ROSTER.format(sessions="SELECT c.session_id FROM changed c")}
        RETURN NULL;
    END
    $$
    """,
    *(
        f"""
        CREATE TRIGGER participants_{name} AFTER {event} ON participants
        REFERENCING {side} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_roster()
        """
        for name, event, side in (("arrive", "INSERT", "NEW"), ("depart", "DELETE", "OLD"))
    ),
)
