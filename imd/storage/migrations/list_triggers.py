"""What keeps a user's sessions in the order of their last message, and the user's own tallies.

A part of the step 0007, in a file of its own for its length. Knows the tables of the steps before
and its own, and nothing else.
"""

from __future__ import annotations

#: ms: so long that few messages are the first of a period in their session, so short that few of
#: a user's sessions have their last message in the same one
PERIOD = 3_600_000
#: instead of a period: the session is looked at for every page
ALWAYS = 2**63 - 1
#: Whoever has no more sessions than this can look at all of them. Patients are such users, so a
#: message moves the row of a doctor or two.
FEW = 32
#: members that come later have no period, so that no message moves more rows
MOST = 50
STATES = ("unreplied", "ongoing", "replied", "expired")
KEY = "participant_id, session_id, team_code, session_type"


def period(session: str) -> str:
    """The period of the last message of a row of sessions, of its making before the first."""
    return f"coalesce({session}.last_message_time, {session}.create_time) / {PERIOD}"


_PLACE = (
    "UPDATE participants SET list_type = NEW.type, list_period = CASE list_period"
    f" WHEN {ALWAYS} THEN {ALWAYS} ELSE {period('NEW')} END WHERE session_id = NEW.id"
    f" AND (list_period NOT IN ({ALWAYS}, {period('NEW')}) OR list_type <> NEW.type);"
)
#: Every message asks the first of these, so it is kept short; nobody but an operator the second.
_SPOKEN, _REPAIRED = "last_message_time", "create_time, type"
_OTHER_HOUR = f"NEW.last_message_time / {PERIOD} {{differs}} OLD.last_message_time / {PERIOD}"
_OTHERWISE = "NEW.create_time <> OLD.create_time OR NEW.type <> OLD.type"


def _more(column: str, than: int) -> str:
    """Whether there are more than so many rows with what the new row has in the column."""
    return (
        f"EXISTS (SELECT 1 FROM participants q WHERE q.{column} = NEW.{column}"
        f" LIMIT 1 OFFSET {than})"
    )


def _seat(there: int) -> str:
    """Period and type of a new member's row, of which ``there`` are in the table already."""
    return (
        "SELECT CASE WHEN (EXISTS (SELECT 1 FROM participants q"
        " WHERE q.participant_id = NEW.participant_id AND q.sticky = 0"
        f" AND q.list_period < {ALWAYS}) OR {_more('participant_id', FEW - 1 + there)})"
        f" AND NOT {_more('session_id', MOST - 1 + there)}"
        f" THEN {period('s')} ELSE {ALWAYS} END, s.type"
    )


def _tallies(participant: str, joined: str) -> str:
    """Put rows of topic_tallies ``y`` into those of the member that is named."""
    return (
        f"INSERT INTO participant_tallies ({KEY}, {', '.join(STATES)})"
        f" SELECT {participant}, y.session_id, y.team_code, y.session_type,"
        f" {', '.join(f'y.{state}' for state in STATES)} FROM topic_tallies y {joined}"
        f" ON CONFLICT ({KEY}) DO UPDATE SET"
        f" {', '.join(f'{state} = excluded.{state}' for state in STATES)}"
        f" WHERE {' OR '.join(f'participant_tallies.{s} <> excluded.{s}' for s in STATES)};"
    )


def _of_members(sessions: str) -> str:
    members = "JOIN participants p ON p.session_id = y.session_id"
    return _tallies("p.participant_id", f"{members} WHERE y.session_id IN ({sessions})")


_JOIN = _tallies("NEW.participant_id", "WHERE y.session_id = NEW.session_id")
_LEAVE = (
    "DELETE FROM participant_tallies"
    " WHERE participant_id = OLD.participant_id AND session_id = OLD.session_id;"
)
#: what a tally depends on
_MARKS = ("session_id", "team_code", "session_type", "status", "reply")

_SEATED = (
    "UPDATE participants SET (list_period, list_type) ="
    f" ({_seat(1)} FROM sessions s WHERE s.id = NEW.session_id)"
    " WHERE session_id = NEW.session_id AND participant_id = NEW.participant_id;"
)
SQLITE = (
    "CREATE INDEX participants_user ON participants"
    " (participant_id, sticky, list_period, session_id, list_type)",
    *(
        f"CREATE TRIGGER {name} AFTER {event} BEGIN {body} END"
        for name, event, body in (
            (
                "sessions_place",
                f"UPDATE OF {_SPOKEN} ON sessions WHEN {_OTHER_HOUR.format(differs='IS NOT')}",
                _PLACE,
            ),
            (
                "sessions_place_again",
                f"UPDATE OF {_REPAIRED} ON sessions WHEN {_OTHERWISE}",
                _PLACE,
            ),
            ("participants_place", "INSERT ON participants", _SEATED),
            (
                "participants_place_again",
                "UPDATE OF session_id, participant_id ON participants",
                _SEATED,
            ),
            ("participants_tally", "INSERT ON participants", _JOIN),
            ("participants_tally_no_more", "DELETE ON participants", _LEAVE),
            (
                "participants_tally_moved",
                "UPDATE OF session_id, participant_id ON participants",
                f"{_LEAVE} {_JOIN}",
            ),
            # In which order triggers of one table act is not said: so these hang on the tallies.
            ("tallies_insert", "INSERT ON topic_tallies", _of_members("NEW.session_id")),
            ("tallies_update", "UPDATE ON topic_tallies", _of_members("NEW.session_id")),
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
    # A page of a user's sessions is a range of this index.
    """
    CREATE INDEX participants_user ON participants (participant_id, sticky, list_period, session_id)
    INCLUDE (list_type)
    """,
    f"""
    CREATE FUNCTION place_session() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        {_PLACE}
        RETURN NULL;
    END
    $$
    """,
    # Of the messages only the first of an hour gets past the condition.
    *(
        f"""
        CREATE TRIGGER {name} AFTER UPDATE OF {columns} ON sessions
        FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION place_session()
        """
        for name, columns, when in (
            ("sessions_place", _SPOKEN, _OTHER_HOUR.format(differs="IS DISTINCT FROM")),
            ("sessions_place_again", _REPAIRED, _OTHERWISE),
        )
    ),
    f"""
    CREATE FUNCTION place_participant() RETURNS trigger LANGUAGE plpgsql{_BY_KEY} AS $$
    BEGIN
        {_LOCK}
        {_seat(0)} INTO NEW.list_period, NEW.list_type
        FROM sessions s WHERE s.id = NEW.session_id;
        NEW.list_period := coalesce(NEW.list_period, {ALWAYS});
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE TRIGGER participants_place BEFORE INSERT ON participants
    FOR EACH ROW EXECUTE FUNCTION place_participant()
    """,
    # Not before it, as above: that would lock each row of which a message moves the marks.
    f"""
    CREATE FUNCTION place_participant_again() RETURNS trigger LANGUAGE plpgsql{_BY_KEY} AS $$
    BEGIN
        {_LOCK}
        {_SEATED}
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER participants_place_again AFTER UPDATE OF session_id, participant_id
    ON participants FOR EACH ROW EXECUTE FUNCTION place_participant_again()
    """,
    f"""
    CREATE FUNCTION tally_participant() RETURNS trigger LANGUAGE plpgsql{_BY_KEY} AS $$
    BEGIN
        {_LOCK}
        IF TG_OP <> 'INSERT' THEN {_LEAVE} END IF;
        IF TG_OP <> 'DELETE' THEN {_JOIN} END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER participants_tally
    AFTER INSERT OR DELETE OR UPDATE OF session_id, participant_id ON participants
    FOR EACH ROW EXECUTE FUNCTION tally_participant()
    """,
    f"""
    CREATE FUNCTION tally_members() RETURNS trigger LANGUAGE plpgsql{_BY_KEY} AS $$
    BEGIN
        {_LOCK}
        {_of_members("OLD.session_id, NEW.session_id")}
        RETURN NULL;
    END
    $$
    """,
    # By their names after topics_tally, which has counted the topic.
    """
    CREATE TRIGGER topics_tally_members AFTER INSERT OR DELETE ON topics
    FOR EACH ROW EXECUTE FUNCTION tally_members()
    """,
    f"""
    CREATE TRIGGER topics_tally_members_again AFTER UPDATE OF {", ".join(_MARKS)} ON topics
    FOR EACH ROW WHEN ({" OR ".join(f"NEW.{n} IS DISTINCT FROM OLD.{n}" for n in _MARKS)})
    EXECUTE FUNCTION tally_members()
    """,
)
